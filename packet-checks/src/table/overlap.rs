//! A LAN whose prefix holds the pod network and the API server's address: what is inside
//! stays inside, and the agent keeps its own way.

use super::Table;
use crate::check::udp;
use crate::damage::Damage;
use crate::packet::IcmpError;
use crate::plan::{Eip, Family, Host, Own, Setup};

/// A port of the pod's that nobody listens on.
const CLOSED: u16 = 9;

pub(super) fn add(table: &mut Table) {
    table.check(
        "overlap: a FIP's host with an address of the pod network, from outside and from inside",
        |t, check, port| {
            check
                .on(Setup::Overlap)
                .datagrams(&t.inward((Host::Far, port), (Eip::Twin, 53), (Host::Twin, 53)))
                .datagrams(&t.outward((Host::Twin, port), Eip::Twin, (Host::Far, 54)))
                .notices(Damage::Set("fipin{n}"))
                .notices(Damage::Set("fipout{n}"))
        },
    );
    for (name, host) in [
        (
            "overlap: what inside hosts send to the pod network's addresses stays inside",
            Host::Node,
        ),
        (
            "overlap: what inside hosts send to the API server's address stays inside",
            Host::Api,
        ),
    ] {
        table.check(name, |t, check, port| {
            check
                .on(Setup::Overlap)
                .send(Host::Inner, udp(t.at(Host::Inner, port), t.at(host, 53)))
                // What goes outside does leave.
                .datagram(&t.outward((Host::Inner, port), Eip::Source, (Host::Far, 53)))
                .notices(match t.family {
                    Family::V4 => Damage::Rule("inside", "daddr 10.0.0.0/8"),
                    Family::V6 => Damage::Rule("inside", "daddr fd00:10::/32"),
                })
        });
    }
    for (name, host) in [
        (
            "overlap: the pod and its node reach each other by the pod network",
            Host::Node,
        ),
        (
            "overlap: the pod and the API server reach each other by the pod network",
            Host::Api,
        ),
    ] {
        table.check(name, |t, check, port| {
            let (from, pod) = (t.at(host, port), (t.own(Own::Pod), CLOSED));
            check
                .on(Setup::Overlap)
                .told_via(pod.0, host, udp(from, pod), IcmpError::PortUnreachable)
                .notices(match t.family {
                    Family::V4 => Damage::ArpSet("answers4"),
                    Family::V6 => Damage::Set("answers6"),
                })
        });
    }
}
