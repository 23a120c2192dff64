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
            let flow = t.outward((Host::Web, port), Eip::Fip, (Host::Far, 53));
            let about = udp(flow.seen.0, flow.seen.1);
            let (router, eip) = (t.host(Host::Router), t.eip(Eip::Fip));
            check
                .send(
                    Host::Router,
                    error(router, eip, IcmpError::TooBig(1_300), about),
                )
                // The gateway is whole: the flow's own error does arrive.
                .datagram(&flow)
                .notices(Damage::Set("fipout{n}"))
        },
    );
    hop_limits(table);
}

/// An inside host, or a router before it, answers a packet from outside with an error.
fn from_inside(table: &mut Table, name: &'static str, what: IcmpError, eip: Eip, host: Host) {
    table.check(name, |t, check, port| {
        let flow = t.inward((Host::Far, port), (eip, 53), (host, 53));
        check
            .datagram(&flow)
            .refused(&flow, what)
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
        let flow = t.outward((host, port), eip, (Host::Far, 53));
        check
            .datagram(&flow)
            .refused_beyond(&flow, (Host::Router, t.host(Host::Router)), what)
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
    for (name, from) in [
        (
            "error: the gateway's own hop limit, to a neighbour of the EIP",
            Host::Client,
        ),
        (
            "error: the gateway's own hop limit, beyond the router",
            Host::Far,
        ),
    ] {
        table.check(name, |t, check, port| {
            let packet = udp(t.at(from, port), t.eip_at(Eip::Fip, 53)).hops(1);
            check
                .told(from, packet, t.eip(Eip::Fip), IcmpError::HopLimit)
                .notices(Damage::Set("fipin{n}"))
        });
    }
    table.check(
        "error: the gateway's own hop limit, to an inside host with a FIP",
        |t, check, port| {
            let packet = udp(t.at(Host::Web, port), t.at(Host::Far, 53)).hops(1);
            check
                .told(Host::Web, packet, t.own(Own::Lan), IcmpError::HopLimit)
                .notices(lan_errors())
        },
    );
    table.check(
        "error: the gateway's own hop limit, to an inside host behind SNAT",
        |t, check, port| {
            let (inner, far) = (t.at(Host::Inner, port), t.at(Host::Far, 443));
            let packet = segment(inner, far, SYN, (1, 0)).hops(1);
            check
                .told(Host::Inner, packet, t.own(Own::Lan), IcmpError::HopLimit)
                .notices(lan_errors())
        },
    );
}

/// What sends the gateway's errors to the LAN.
pub(super) fn lan_errors() -> Damage {
    Damage::All(vec![
        Damage::Rule("outroute", "meta mark set 0x000000fe"),
        Damage::RoutingRule("from {l} iif lo"),
    ])
}
