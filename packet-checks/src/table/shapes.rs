//! Fragments, extension headers, and datagrams without checksum.

use super::Table;
use crate::check::{At, udp, udp_with};
use crate::damage::Damage;
use crate::packet::Shape;
use crate::plan::{Eip, Family, Host};

/// Where a shaped datagram goes: who sends, to whom, as whom it arrives at whom.
struct Way {
    from: Host,
    sent: (At, At),
    to: Host,
    seen: (At, At),
    map: &'static str,
}

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
        }
    }
}

fn shaped(table: &mut Table, names: [&'static str; 4], shape: &Shape, bytes: usize) {
    for (place, name) in names.into_iter().enumerate() {
        table.check(name, |t, check, port| {
            let way = way(t, place, port);
            let data: Vec<u8> = (0..=255).cycle().take(bytes).collect();
            let sent = udp_with(way.sent.0, way.sent.1, &data).shaped(shape.clone());
            check
                .send(way.from, sent)
                .arrives(way.to, udp_with(way.seen.0, way.seen.1, &data))
                .notices(Damage::Set(way.map))
        });
    }
}

fn way(t: &Table, place: usize, port: u16) -> Way {
    let far = t.at(Host::Far, port);
    match place {
        0 => Way {
            from: Host::Far,
            sent: (far, t.eip_at(Eip::Fip, 53)),
            to: Host::Web,
            seen: (far, t.at(Host::Web, 53)),
            map: "fipin{n}",
        },
        1 => Way {
            from: Host::Web,
            sent: (t.at(Host::Web, port), far),
            to: Host::Far,
            seen: (t.eip_at(Eip::Fip, port), far),
            map: "fipout{n}",
        },
        2 => Way {
            from: Host::Far,
            sent: (far, t.eip_at(Eip::Ports, 53)),
            to: Host::Web2,
            seen: (far, t.at(Host::Web2, 53)),
            map: "dnat{n}",
        },
        _ => Way {
            from: Host::Inner,
            sent: (t.at(Host::Inner, port), far),
            to: Host::Far,
            seen: (t.eip_at(Eip::Source, port), far),
            map: "snat{n}_{s}",
        },
    }
}

/// Fragments that overlap are dropped, all of them (RFC 5722 §4).
fn overlapping(table: &mut Table) {
    table.check(
        "fragments that overlap do not pass, and whole datagrams do",
        |t, check, port| {
            let far = t.at(Host::Far, port);
            let (eip, web) = (t.eip_at(Eip::Fip, 53), t.at(Host::Web, 53));
            let long = udp_with(far, eip, &[7; 64]).shaped(Shape::Overlapping);
            check
                .send(Host::Far, long)
                .send(Host::Far, udp(far, eip))
                .arrives(Host::Web, udp(far, web))
                .notices(Damage::Set("fipin{n}"))
        },
    );
}
