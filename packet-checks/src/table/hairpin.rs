//! Inside clients that use an EIP to reach inside servers.

use super::Table;
use crate::check::{echo, error, segment, udp};
use crate::damage::Damage;
use crate::packet::IcmpError;
use crate::packet::tcp::{ACK, SYN};
use crate::plan::{Eip, Host, Own};

pub(super) fn add(table: &mut Table) {
    table.check(
        "hairpin: a client without FIP to a FIP shows the gateway, and is answered by the EIP",
        |t, check, port| {
            let (inner, eip, web) = (
                t.at(Host::Inner, port),
                t.eip_at(Eip::Fip, 53),
                t.at(Host::Web, 53),
            );
            let shown = (t.own(Own::Lan), port);
            check
                .send(Host::Inner, udp(inner, eip))
                .arrives(Host::Web, udp(shown, web))
                .send(Host::Web, udp(web, shown))
                .arrives(Host::Inner, udp(eip, inner))
                .notices(Damage::Rule("hairpin", "snat {4} to"))
                .notices(Damage::RoutingRule("iif lan0 lookup 90"))
        },
    );
    table.check(
        "hairpin: a client without any SNAT reaches a FIP as well",
        |t, check, port| {
            let (stranger, eip, web) = (
                t.at(Host::Stranger, port),
                t.eip_at(Eip::Fip, 53),
                t.at(Host::Web, 53),
            );
            let shown = (t.own(Own::Lan), port);
            check
                .send(Host::Stranger, udp(stranger, eip))
                .arrives(Host::Web, udp(shown, web))
                .send(Host::Web, udp(web, shown))
                .arrives(Host::Stranger, udp(eip, stranger))
                .notices(Damage::Set("fipin{n}"))
        },
    );
    table.check(
        "hairpin: across EIPs, a client with a FIP shows its EIP",
        |t, check, port| {
            let (web, ports, target) = (
                t.at(Host::Web, port),
                t.eip_at(Eip::Ports, 8080),
                t.at(Host::Web2, 80),
            );
            let shown = t.eip_at(Eip::Fip, port);
            check
                .send(Host::Web, segment(web, ports, SYN, (1, 0)))
                .arrives(Host::Web2, segment(shown, target, SYN, (1, 0)))
                .send(Host::Web2, segment(target, shown, SYN | ACK, (5, 2)))
                .arrives(Host::Web, segment(ports, web, SYN | ACK, (5, 2)))
                .notices(Damage::Set("fipout{n}"))
                .notices(Damage::Rule("hairmark", "meta mark set"))
        },
    );
    table.check(
        "hairpin: a host reaches itself by its EIP",
        |t, check, port| {
            let (web, eip) = (t.at(Host::Web, port), t.eip_at(Eip::Fip, 53));
            let shown = t.eip_at(Eip::Fip, port);
            check
                .send(Host::Web, udp(web, eip))
                .arrives(Host::Web, udp(shown, t.at(Host::Web, 53)))
                .send(Host::Web, udp(t.at(Host::Web, 53), shown))
                .arrives(Host::Web, udp(eip, web))
                .notices(Damage::Set("fipout{n}"))
        },
    );
    table.check(
        "hairpin: a port's target reaches itself by the EIP",
        |t, check, port| {
            let (web2, eip) = (t.at(Host::Web2, port), t.eip_at(Eip::Ports, 53));
            let shown = (t.own(Own::Lan), port);
            check
                .send(Host::Web2, udp(web2, eip))
                .arrives(Host::Web2, udp(shown, t.at(Host::Web2, 53)))
                .send(Host::Web2, udp(t.at(Host::Web2, 53), shown))
                .arrives(Host::Web2, udp(eip, web2))
                .notices(Damage::Rule("hairpin", "snat {4} to"))
                .notices(Damage::Set("dnat{n}"))
        },
    );
    table.check(
        "hairpin: an error comes back to the client, about what it sent",
        |t, check, port| {
            let (web, ports, target) = (
                t.at(Host::Web, port),
                t.eip_at(Eip::Ports, 53),
                t.at(Host::Web2, 53),
            );
            let shown = t.eip_at(Eip::Fip, port);
            let unreachable = IcmpError::PortUnreachable;
            check
                .send(Host::Web, udp(web, ports))
                .arrives(Host::Web2, udp(shown, target))
                .send(
                    Host::Web2,
                    error(target.0, shown.0, unreachable, udp(shown, target)),
                )
                .arrives(
                    Host::Web,
                    error(ports.0, web.0, unreachable, udp(web, ports)),
                )
                .notices(Damage::Set("fipout{n}"))
        },
    );
    table.check("hairpin: ping of a FIP from inside", |t, check, id| {
        let (inner, eip, web) = (t.host(Host::Inner), t.eip(Eip::Fip), t.host(Host::Web));
        let shown = t.own(Own::Lan);
        check
            .send(Host::Inner, echo(inner, eip, false, id))
            .arrives(Host::Web, echo(shown, web, false, id))
            .send(Host::Web, echo(web, shown, true, id))
            .arrives(Host::Inner, echo(eip, inner, true, id))
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
            let (inner, eip) = (t.host(Host::Inner), t.eip(eip));
            check
                .send(Host::Inner, echo(inner, eip, false, id))
                .arrives(Host::Inner, echo(eip, inner, true, id))
                .notices(Damage::Rule("guarded", "echo-request accept"))
        });
    }
    table.check(
        "hairpin: a port that nobody forwards is silent",
        |t, check, port| {
            check
                .send(
                    Host::Inner,
                    segment(
                        t.at(Host::Inner, port),
                        t.eip_at(Eip::Ports, 9_999),
                        SYN,
                        (1, 0),
                    ),
                )
                .notices(Damage::Open("guarded"))
        },
    );
}
