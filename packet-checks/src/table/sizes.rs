//! What is too big for a link, and traceroute: errors on both sides of the gateway.

use super::Table;
use super::errors::lan_errors;
use crate::act::Act;
use crate::check::{Check, Flow, udp_with};
use crate::damage::Damage;
use crate::packet::{IcmpError, Packet};
use crate::plan::{Eip, Family, Host, Own, Segment};

/// The smallest MTU of IPv6 (RFC 8200 §5).
const LEAST: u16 = 1_280;
/// A tunnel's, say.
const LESS: u16 = 1_400;
/// Payload of a datagram that is larger than [`LESS`] and smaller than 1,500 bytes.
const BIG: usize = 1_402;

pub(super) fn add(table: &mut Table) {
    too_big_for_the_lan(table);
    too_big_for_the_uplink(table);
    least(table);
    traceroute(table);
}

/// The datagram of a flow's first direction with so many bytes.
fn datagram(flow: &Flow, bytes: usize) -> Packet {
    udp_with(flow.sent.0, flow.sent.1, &vec![7; bytes])
}

fn too_big_for_the_lan(table: &mut Table) {
    for (name, eip, host, map) in [
        (
            "too big for the LAN: to a FIP, told by its EIP",
            Eip::Fip,
            Host::Web,
            "fipin{n}",
        ),
        (
            "too big for the LAN: to a DNAT, told by its EIP",
            Eip::Ports,
            Host::Web2,
            "dnat{n}",
        ),
    ] {
        table.check(name, |t, check, port| {
            let flow = t.inward((Host::Far, port), (eip, 53), (host, 53));
            let too_big = IcmpError::TooBig(LESS);
            check
                .does(Act::Mtu(Segment::Inside, LESS))
                .told(Host::Far, datagram(&flow, BIG), t.eip(eip), too_big)
                .datagram(&flow)
                .notices(Damage::Set(map))
        });
    }
    table.check(
        "too big for the LAN: the answer to SNAT, told by its EIP",
        |t, check, port| {
            let flow = t.outward((Host::Inner, port), Eip::Source, (Host::Far, 53));
            let (eip, too_big) = (t.eip(Eip::Source), IcmpError::TooBig(LESS));
            check
                .does(Act::Mtu(Segment::Inside, LESS))
                .datagram(&flow)
                .told(Host::Far, datagram(&flow.back(), BIG), eip, too_big)
                .datagram(&flow.back())
                .notices(Damage::Route("101", "default"))
        },
    );
}

fn too_big_for_the_uplink(table: &mut Table) {
    let told = |t: &Table, check: Check, flow: &Flow| {
        let (lan, too_big) = (t.own(Own::Lan), IcmpError::TooBig(LESS));
        check
            .told(flow.from, datagram(flow, BIG), lan, too_big)
            .datagram(flow)
            .notices(lan_errors())
    };
    for (name, host, eip) in [
        (
            "too big for the uplink: from a FIP's host, told by its next hop",
            Host::Web,
            Eip::Fip,
        ),
        (
            "too big for the uplink: by SNAT, told by its next hop",
            Host::Inner,
            Eip::Source,
        ),
    ] {
        table.check(name, |t, check, port| {
            let flow = t.outward((host, port), eip, (Host::Far, 53));
            told(t, check.does(Act::Mtu(Segment::Outside, LESS)), &flow)
        });
    }
    table.check(
        "too big for the uplink: the answer of a DNAT's target, told by its next hop",
        |t, check, port| {
            let flow = t.inward((Host::Far, port), (Eip::Ports, 53), (Host::Web2, 53));
            let check = check.does(Act::Mtu(Segment::Outside, LESS)).datagram(&flow);
            told(t, check, &flow.back())
        },
    );
}

/// What fits the least MTU passes, and what is larger by a byte is told.
fn least(table: &mut Table) {
    let most = match table.family {
        Family::V4 => usize::from(LEAST) - 28,
        Family::V6 => usize::from(LEAST) - 48,
    };
    table.check(
        "path MTU of 1280: told to outside hosts, and what fits reaches a FIP",
        |t, check, port| {
            let flow = t.inward((Host::Far, port), (Eip::Fip, 53), (Host::Web, 53));
            let too_big = IcmpError::TooBig(LEAST);
            check
                .does(Act::Mtu(Segment::Inside, LEAST))
                .told(
                    Host::Far,
                    datagram(&flow, most + 1),
                    t.eip(Eip::Fip),
                    too_big,
                )
                .send(Host::Far, datagram(&flow, most))
                .arrives(
                    Host::Web,
                    udp_with(flow.seen.0, flow.seen.1, &vec![7; most]),
                )
                .notices(Damage::Set("fipin{n}"))
        },
    );
    table.check(
        "path MTU of 1280: told to inside hosts, and what fits leaves by SNAT",
        |t, check, port| {
            let flow = t.outward((Host::Inner, port), Eip::Source, (Host::Far, 53));
            let too_big = IcmpError::TooBig(LEAST);
            check
                .does(Act::Mtu(Segment::Outside, LEAST))
                .told(
                    Host::Inner,
                    datagram(&flow, most + 1),
                    t.own(Own::Lan),
                    too_big,
                )
                .send(Host::Inner, datagram(&flow, most))
                .arrives(
                    Host::Far,
                    udp_with(flow.seen.0, flow.seen.1, &vec![7; most]),
                )
                .notices(lan_errors())
        },
    );
    table.check(
        "path MTU of 1280: told from beyond about what left by SNAT",
        |t, check, port| {
            let flow = t.outward((Host::Inner, port), Eip::Source, (Host::Far, 53));
            let router = (Host::Router, t.host(Host::Router));
            check
                .datagram(&flow)
                .refused_beyond(&flow, router, IcmpError::TooBig(LEAST))
                .notices(Damage::Set("snat{n}_{s}"))
        },
    );
}

/// Each hop shows itself, and the last is who was looked for.
fn traceroute(table: &mut Table) {
    table.check(
        "traceroute: through a FIP from outside, the gateway and the host show the EIP",
        |t, check, port| {
            let flow = t.inward((Host::Far, port), (Eip::Fip, 33_434), (Host::Web, 33_434));
            let first = crate::check::udp(flow.sent.0, flow.sent.1).hops(1);
            check
                .told(Host::Far, first, t.eip(Eip::Fip), IcmpError::HopLimit)
                .datagram(&flow)
                .refused(&flow, IcmpError::PortUnreachable)
                .notices(Damage::Set("fipin{n}"))
        },
    );
    table.check(
        "traceroute: through a FIP from inside, by the next hop, the router and the end",
        |t, check, port| {
            let flow = t.outward((Host::Web, port), Eip::Fip, (Host::Far, 33_434));
            let first = crate::check::udp(flow.sent.0, flow.sent.1).hops(1);
            let (router, far) = (t.host(Host::Router), t.host(Host::Far));
            check
                .told(Host::Web, first, t.own(Own::Lan), IcmpError::HopLimit)
                .datagram(&flow)
                .refused_beyond(&flow, (Host::Router, router), IcmpError::HopLimit)
                .refused_beyond(&flow, (Host::Far, far), IcmpError::PortUnreachable)
                .notices(lan_errors())
                .notices(Damage::Set("fipout{n}"))
        },
    );
}
