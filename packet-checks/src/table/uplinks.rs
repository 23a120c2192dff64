//! Two uplinks: each serves its own EIPs, also for one outside host behind both.

use super::Table;
use crate::act::Act;
use crate::check::udp;
use crate::damage::Damage;
use crate::packet::IcmpError;
use crate::plan::{Eip, Family, Host, Own, Segment, Setup};

pub(super) fn add(table: &mut Table) {
    table.check(
        "uplinks: one outside host reaches one inside host by both, and each answers by its own",
        |t, check, port| {
            let target = (Host::Web2, 80);
            check
                .on(Setup::TwoUplinks)
                .opening(&t.inward((Host::Far, port), (Eip::Ports, 8_080), target))
                .opening(&t.inward(
                    (Host::Far2, port + 10_000),
                    (Eip::SecondPorts, 8_080),
                    target,
                ))
                .notices(Damage::Rule("setup", "iifname \"eth2\""))
                .notices(Damage::RoutingRule("fwmark 0x2/0xff iif lan0"))
                .notices(Damage::Rule("premark", "meta mark set"))
        },
    );
    table.check(
        "uplinks: a FIP of the second, from outside and from inside",
        |t, check, port| {
            check
                .on(Setup::TwoUplinks)
                .datagrams(&t.inward((Host::Far2, port), (Eip::Second, 53), (Host::Other, 53)))
                .datagrams(&t.outward((Host::Other, port), Eip::Second, (Host::Far2, 54)))
                .notices(Damage::Set("fipout{n}"))
                .notices(Damage::Set("fipmark{n}"))
        },
    );
    table.check("uplinks: SNAT by the second", |t, check, port| {
        check
            .on(Setup::TwoUplinks)
            .datagrams(&t.outward((Host::Lodger, port), Eip::SecondPorts, (Host::Far2, 53)))
            .notices(Damage::Set("snat{n}_{s}_mark"))
            .notices(Damage::Route("102", "default"))
    });
    table.check(
        "uplinks: ping of an EIP is answered by the uplink that it came in by",
        |t, check, id| {
            let far = t.host(Host::Far);
            check
                .on(Setup::TwoUplinks)
                .pinged(Host::Far, far, t.eip(Eip::Ports), id)
                .pinged(Host::Far2, far, t.eip(Eip::SecondPorts), id)
                .notices(Damage::Rule("guarded", "echo-request accept"))
        },
    );
    for (name, from, shown, eip, to) in [
        (
            "uplinks: hairpin from a FIP of the first to one of the second",
            Host::Web,
            Eip::Fip,
            Eip::Second,
            Host::Other,
        ),
        (
            "uplinks: hairpin from a FIP of the second to one of the first",
            Host::Other,
            Eip::Second,
            Eip::Fip,
            Host::Web,
        ),
    ] {
        table.check(name, |t, check, port| {
            check
                .on(Setup::TwoUplinks)
                .datagrams(&t.hairpin((from, port), t.eip(shown), (eip, 53), (to, 53)))
                .notices(Damage::Set("fipout{n}"))
                .notices(Damage::Rule("hairmark", "meta mark set"))
        });
    }
    for (name, host, eip, proxy) in [
        (
            "uplinks: an EIP of the first is not answered for on the second",
            Host::Router2,
            Eip::Bare,
            Damage::Proxy("{e}", "eth2"),
        ),
        (
            "uplinks: an EIP of the second is not answered for on the first",
            Host::Client,
            Eip::Second,
            Damage::Proxy("2001:db8:3::e:1", "eth1"),
        ),
    ] {
        table.check(name, |t, check, _| {
            check
                .on(Setup::TwoUplinks)
                .asks(host, t.eip(eip), false)
                .notices(match t.family {
                    Family::V4 => Damage::ArpSet("held4"),
                    Family::V6 => Damage::All(vec![proxy, Damage::Set("held6")]),
                })
        });
    }
    table.check(
        "uplinks: with the second down its hosts are told, and the first serves",
        |t, check, port| {
            let lodger = t.outward((Host::Lodger, port), Eip::SecondPorts, (Host::Far2, 53));
            let packet = udp(lodger.sent.0, lodger.sent.1);
            check
                .on(Setup::TwoUplinks)
                .does(Act::Down(Segment::Second))
                .told(
                    Host::Lodger,
                    packet,
                    t.own(Own::Lan),
                    IcmpError::Unreachable,
                )
                .datagrams(&t.inward((Host::Far, port), (Eip::Fip, 53), (Host::Web, 53)))
                .does(Act::Up(Segment::Second))
                .datagrams(&lodger)
                .notices(Damage::Idle)
                .notices(Damage::All(vec![
                    Damage::Route("102", "unreachable default"),
                    Damage::RoutingRule("iif lan0 lookup 90"),
                ]))
        },
    );
}
