//! Who answers for which address, and on which link.

use super::Table;
use crate::damage::Damage;
use crate::plan::{Eip, Family, Host, Own};

pub(super) fn add(table: &mut Table) {
    for (name, eip) in [
        (
            "neighbour: an EIP with a FIP is answered for outside",
            Eip::Fip,
        ),
        (
            "neighbour: an EIP without rules is answered for outside",
            Eip::Bare,
        ),
    ] {
        table.check(name, |t, check, _| {
            check
                .asks(Host::Client, t.eip(eip), true)
                .notices(Damage::Answers)
        });
    }
    for (name, host, own) in [
        (
            "neighbour: the LAN's next hop is answered for on the LAN",
            Host::Inner,
            Own::Lan,
        ),
        (
            "neighbour: the pod's address is answered for on the pod network",
            Host::Node,
            Own::Pod,
        ),
    ] {
        table.check(name, |t, check, _| {
            let answers = match t.family {
                Family::V4 => Damage::ArpSet("answers4"),
                Family::V6 => Damage::Set("answers6"),
            };
            check.asks(host, t.own(own), true).notices(answers)
        });
    }
    if table.family == Family::V6 {
        // An IPv6 address is answered for by its own interface, and by those with a proxy.
        return;
    }
    let held = Damage::ArpSet("held4");
    for (name, host, own) in [
        (
            "neighbour: the LAN's next hop is not answered for outside",
            Host::Client,
            Own::Lan,
        ),
        (
            "neighbour: the pod's address is not answered for outside",
            Host::Client,
            Own::Pod,
        ),
        (
            "neighbour: the pod's address is not answered for on the LAN",
            Host::Inner,
            Own::Pod,
        ),
    ] {
        let held = held.clone();
        table.check(name, |t, check, _| {
            check.asks(host, t.own(own), false).notices(held)
        });
    }
    for (name, host) in [
        (
            "neighbour: an EIP is not answered for on the LAN",
            Host::Inner,
        ),
        (
            "neighbour: an EIP is not answered for on the pod network",
            Host::Node,
        ),
    ] {
        let held = held.clone();
        table.check(name, |t, check, _| {
            check.asks(host, t.eip(Eip::Bare), false).notices(held)
        });
    }
}
