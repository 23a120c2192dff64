//! ICMP errors: translated like the packets that they are about, quote and all.

use super::Table;
use crate::check::{error, segment, udp};
use crate::damage::Damage;
use crate::packet::IcmpError;
use crate::packet::tcp::SYN;
use crate::plan::{Eip, Host, Own};

/// Errors that come from others than the gateway, and what they are called here.
const FROM_OTHERS: [(IcmpError, [&str; 4]); 3] = [
    (
        IcmpError::PortUnreachable,
        [
            "error: port unreachable of a FIP's inside host",
            "error: port unreachable of a DNAT's target",
            "error: port unreachable about what a FIP's host sent",
            "error: port unreachable about what left by SNAT",
        ],
    ),
    (
        IcmpError::TooBig(1_300),
        [
            "error: too big beyond a FIP's inside host",
            "error: too big beyond a DNAT's target",
            "error: too big about what a FIP's host sent",
            "error: too big about what left by SNAT",
        ],
    ),
    (
        IcmpError::HopLimit,
        [
            "error: hop limit beyond a FIP's inside host (traceroute from outside)",
            "error: hop limit beyond a DNAT's target (traceroute from outside)",
            "error: hop limit about what a FIP's host sent (its traceroute)",
            "error: hop limit about what left by SNAT (its traceroute)",
        ],
    ),
];

pub(super) fn add(table: &mut Table) {
    for (what, [fip_in, dnat_in, fip_out, snat_out]) in FROM_OTHERS {
        from_inside(table, fip_in, what, Eip::Fip, Host::Web);
        from_inside(table, dnat_in, what, Eip::Ports, Host::Web2);
        from_outside(table, fip_out, what, Eip::Fip, Host::Web);
        from_outside(table, snat_out, what, Eip::Source, Host::Inner);
    }
    table.check(
        "error: about no flow that is known, to a FIP",
        |t, check, port| {
            let about = udp(t.eip_at(Eip::Fip, port), t.at(Host::Far, 53));
            check
                .send(
                    Host::Router,
                    error(
                        t.host(Host::Router),
                        t.eip(Eip::Fip),
                        IcmpError::TooBig(1_300),
                        about,
                    ),
                )
                // The gateway is whole: the flow's own error does arrive.
                .send(Host::Web, udp(t.at(Host::Web, port), t.at(Host::Far, 53)))
                .arrives(
                    Host::Far,
                    udp(t.eip_at(Eip::Fip, port), t.at(Host::Far, 53)),
                )
                .notices(Damage::Set("fipout{n}"))
        },
    );
    hop_limits(table);
}

/// An inside host, or a router before it, answers a packet from outside with an error.
fn from_inside(table: &mut Table, name: &'static str, what: IcmpError, eip: Eip, host: Host) {
    table.check(name, |t, check, port| {
        let (client, outer, inner) = (t.at(Host::Far, port), t.eip_at(eip, 53), t.at(host, 53));
        check
            .send(Host::Far, udp(client, outer))
            .arrives(host, udp(client, inner))
            .send(host, error(inner.0, client.0, what, udp(client, inner)))
            .arrives(
                Host::Far,
                error(outer.0, client.0, what, udp(client, outer)),
            )
            .notices(Damage::Set(if eip == Eip::Fip {
                "fipin{n}"
            } else {
                "dnat{n}"
            }))
            .notices(Damage::Rule("premark", "meta mark set"))
    });
}

/// A router outside answers a packet from inside with an error.
fn from_outside(table: &mut Table, name: &'static str, what: IcmpError, eip: Eip, host: Host) {
    table.check(name, |t, check, port| {
        let (inner, outer, far) = (t.at(host, port), t.eip_at(eip, port), t.at(Host::Far, 53));
        let router = t.host(Host::Router);
        check
            .send(host, udp(inner, far))
            .arrives(Host::Far, udp(outer, far))
            .send(Host::Router, error(router, outer.0, what, udp(outer, far)))
            .arrives(host, error(router, inner.0, what, udp(inner, far)))
            .notices(Damage::Rule("inward", "ct direction reply accept"))
            .notices(Damage::Set(if eip == Eip::Fip {
                "fipout{n}"
            } else {
                "snat{n}_{s}"
            }))
    });
}

/// Errors that the gateway makes itself: they go where the flow's packets come from.
fn hop_limits(table: &mut Table) {
    table.check(
        "error: the gateway's own hop limit, to a neighbour of the EIP",
        |t, check, port| {
            let packet = udp(t.at(Host::Client, port), t.eip_at(Eip::Fip, 53)).hops(1);
            check
                .send(Host::Client, packet.clone())
                .arrives(
                    Host::Client,
                    error(
                        t.eip(Eip::Fip),
                        t.host(Host::Client),
                        IcmpError::HopLimit,
                        packet,
                    ),
                )
                .notices(Damage::Set("fipin{n}"))
        },
    );
    table.check(
        "error: the gateway's own hop limit, beyond the router",
        |t, check, port| {
            let packet = udp(t.at(Host::Far, port), t.eip_at(Eip::Fip, 53)).hops(1);
            check
                .send(Host::Far, packet.clone())
                .arrives(
                    Host::Far,
                    error(
                        t.eip(Eip::Fip),
                        t.host(Host::Far),
                        IcmpError::HopLimit,
                        packet,
                    ),
                )
                .notices(Damage::Set("fipin{n}"))
        },
    );
    table.check(
        "error: the gateway's own hop limit, to an inside host with a FIP",
        |t, check, port| {
            let packet = udp(t.at(Host::Web, port), t.at(Host::Far, 53)).hops(1);
            check
                .send(Host::Web, packet.clone())
                .arrives(
                    Host::Web,
                    error(
                        t.own(Own::Lan),
                        t.host(Host::Web),
                        IcmpError::HopLimit,
                        packet,
                    ),
                )
                .notices(lan_errors())
        },
    );
    table.check(
        "error: the gateway's own hop limit, to an inside host behind SNAT",
        |t, check, port| {
            let packet =
                segment(t.at(Host::Inner, port), t.at(Host::Far, 443), SYN, (1, 0)).hops(1);
            check
                .send(Host::Inner, packet.clone())
                .arrives(
                    Host::Inner,
                    error(
                        t.own(Own::Lan),
                        t.host(Host::Inner),
                        IcmpError::HopLimit,
                        packet,
                    ),
                )
                .notices(lan_errors())
        },
    );
}

/// What sends the gateway's errors to the LAN.
fn lan_errors() -> Damage {
    Damage::All(vec![
        Damage::Rule("outroute", "meta mark set 0x000000fe"),
        Damage::RoutingRule("from {l} iif lo"),
    ])
}
