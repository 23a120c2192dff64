//! Fragments, extension headers, and datagrams without checksum.

use super::Table;
use crate::check::{Check, Flow, segment, udp_with};
use crate::damage::Damage;
use crate::packet::Shape;
use crate::packet::tcp::{ACK, SYN};
use crate::plan::{Eip, Family, Host};

pub(super) fn add(table: &mut Table) {
    let fragments = Shape::Fragments(1_000);
    let backwards = Shape::Backwards(1_000);
    for (names, shape) in [
        (
            [
                "fragments: to a FIP",
                "fragments: from a FIP's host",
                "fragments: to a DNAT",
                "fragments: by SNAT",
            ],
            fragments,
        ),
        (
            [
                "fragments out of order: to a FIP",
                "fragments out of order: from a FIP's host",
                "fragments out of order: to a DNAT",
                "fragments out of order: by SNAT",
            ],
            backwards,
        ),
    ] {
        shaped(table, names, &shape, 2_500);
    }
    match table.family {
        Family::V4 => shaped(
            table,
            [
                "no checksum: to a FIP",
                "no checksum: from a FIP's host",
                "no checksum: to a DNAT",
                "no checksum: by SNAT",
            ],
            &Shape::NoChecksum,
            100,
        ),
        Family::V6 => {
            shaped(
                table,
                [
                    "one fragment that is all: to a FIP",
                    "one fragment that is all: from a FIP's host",
                    "one fragment that is all: to a DNAT",
                    "one fragment that is all: by SNAT",
                ],
                &Shape::Atomic,
                100,
            );
            shaped(
                table,
                [
                    "options before the payload: to a FIP",
                    "options before the payload: from a FIP's host",
                    "options before the payload: to a DNAT",
                    "options before the payload: by SNAT",
                ],
                &Shape::Options,
                100,
            );
            overlapping(table);
            options_before_tcp(table);
        }
    }
}

fn options_before_tcp(table: &mut Table) {
    table.check(
        "options before the payload: a connection to a DNAT, and one by SNAT",
        |t, check, port| {
            let far = (Host::Far, port);
            let inward = t.inward(far, (Eip::Ports, 8_080), (Host::Web2, 80));
            let outward = t.outward((Host::Inner, port), Eip::Source, (Host::Far, 443));
            let syn = |from, to| segment(from, to, SYN, (1, 0));
            let shaped = |check: Check, flow: &Flow| {
                let sent = syn(flow.sent.0, flow.sent.1).shaped(Shape::Options);
                check
                    .send(flow.from, sent)
                    .arrives(flow.to, syn(flow.seen.0, flow.seen.1))
                    .segment(&flow.back(), SYN | ACK, (5, 2))
            };
            shaped(shaped(check, &inward), &outward)
                .notices(Damage::Set("dnat{n}"))
                .notices(Damage::Set("snat{n}_{s}"))
        },
    );
}

fn shaped(table: &mut Table, names: [&'static str; 4], shape: &Shape, bytes: usize) {
    for (place, name) in names.into_iter().enumerate() {
        table.check(name, |t, check, port| {
            let (flow, map) = flow(t, place, port);
            let data: Vec<u8> = (0..=255).cycle().take(bytes).collect();
            let sent = udp_with(flow.sent.0, flow.sent.1, &data).shaped(shape.clone());
            check
                .send(flow.from, sent)
                .arrives(flow.to, udp_with(flow.seen.0, flow.seen.1, &data))
                .notices(Damage::Set(map))
        });
    }
}

/// Where a shaped datagram goes, and the map that translates it.
fn flow(t: &Table, place: usize, port: u16) -> (Flow, &'static str) {
    let far = (Host::Far, port);
    match place {
        0 => (t.inward(far, (Eip::Fip, 53), (Host::Web, 53)), "fipin{n}"),
        1 => (t.outward((Host::Web, port), Eip::Fip, far), "fipout{n}"),
        2 => (t.inward(far, (Eip::Ports, 53), (Host::Web2, 53)), "dnat{n}"),
        _ => (
            t.outward((Host::Inner, port), Eip::Source, far),
            "snat{n}_{s}",
        ),
    }
}

/// Fragments that overlap are dropped, all of them (RFC 5722 §4).
fn overlapping(table: &mut Table) {
    table.check(
        "fragments that overlap do not pass, and whole datagrams do",
        |t, check, port| {
            let flow = t.inward((Host::Far, port), (Eip::Fip, 53), (Host::Web, 53));
            let long = udp_with(flow.sent.0, flow.sent.1, &[7; 64]);
            check
                .send(Host::Far, long.shaped(Shape::Overlapping))
                .datagram(&flow)
                .notices(Damage::Set("fipin{n}"))
        },
    );
}
