//! Inside clients that use an EIP to reach inside servers.

use super::Table;
use crate::check::segment;
use crate::damage::Damage;
use crate::packet::IcmpError;
use crate::packet::tcp::SYN;
use crate::plan::{Eip, Host, Own};

pub(super) fn add(table: &mut Table) {
    table.check(
        "hairpin: a client without FIP to a FIP shows the gateway, and is answered by the EIP",
        |t, check, port| {
            let shown = t.own(Own::Lan);
            check
                .datagrams(&t.hairpin((Host::Inner, port), shown, (Eip::Fip, 53), (Host::Web, 53)))
                .notices(Damage::Rule("hairpin", "snat {4} to"))
                .notices(Damage::RoutingRule("iif lan0 lookup 90"))
        },
    );
    table.check(
        "hairpin: a client without any SNAT reaches a FIP as well",
        |t, check, port| {
            let from = (Host::Stranger, port);
            check
                .datagrams(&t.hairpin(from, t.own(Own::Lan), (Eip::Fip, 53), (Host::Web, 53)))
                .notices(Damage::Set("fipin{n}"))
        },
    );
    table.check(
        "hairpin: across EIPs, a client with a FIP shows its EIP",
        |t, check, port| {
            let (from, shown) = ((Host::Web, port), t.eip(Eip::Fip));
            check
                .opening(&t.hairpin(from, shown, (Eip::Ports, 8080), (Host::Web2, 80)))
                .notices(Damage::Set("fipout{n}"))
                .notices(Damage::Rule("hairmark", "meta mark set"))
        },
    );
    table.check(
        "hairpin: a host reaches itself by its EIP",
        |t, check, port| {
            let (from, shown) = ((Host::Web, port), t.eip(Eip::Fip));
            check
                .datagrams(&t.hairpin(from, shown, (Eip::Fip, 53), (Host::Web, 53)))
                .notices(Damage::Set("fipout{n}"))
        },
    );
    table.check(
        "hairpin: a port's target reaches itself by the EIP",
        |t, check, port| {
            let (from, shown) = ((Host::Web2, port), t.own(Own::Lan));
            check
                .datagrams(&t.hairpin(from, shown, (Eip::Ports, 53), (Host::Web2, 53)))
                .notices(Damage::Rule("hairpin", "snat {4} to"))
                .notices(Damage::Set("dnat{n}"))
        },
    );
    table.check(
        "hairpin: an error comes back to the client, about what it sent",
        |t, check, port| {
            let (from, shown) = ((Host::Web, port), t.eip(Eip::Fip));
            let flow = t.hairpin(from, shown, (Eip::Ports, 53), (Host::Web2, 53));
            check
                .datagram(&flow)
                .refused(&flow, IcmpError::PortUnreachable)
                .notices(Damage::Set("fipout{n}"))
        },
    );
    table.check("hairpin: ping of a FIP from inside", |t, check, id| {
        let from = (Host::Inner, id);
        check
            .ping(&t.hairpin(from, t.own(Own::Lan), (Eip::Fip, id), (Host::Web, id)))
            .notices(Damage::Rule("hairpin", "snat {4} to"))
    });
    for (name, eip) in [
        (
            "hairpin: ping of an EIP without rules from inside",
            Eip::Bare,
        ),
        (
            "hairpin: ping of the client's own SNAT address",
            Eip::Source,
        ),
    ] {
        table.check(name, |t, check, id| {
            check
                .pinged(Host::Inner, t.host(Host::Inner), t.eip(eip), id)
                .notices(Damage::Rule("guarded", "echo-request accept"))
        });
    }
    table.check(
        "hairpin: a port that nobody forwards is silent",
        |t, check, port| {
            let (inner, eip) = (t.at(Host::Inner, port), t.eip_at(Eip::Ports, 9_999));
            check
                .send(Host::Inner, segment(inner, eip, SYN, (1, 0)))
                .notices(Damage::Open("guarded"))
        },
    );
}
