//! Who answers for which address, and on which link.

use super::Table;
use crate::damage::Damage;
use crate::plan::{Eip, Family, Host, Own, Setup};

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
    table.check(
        "neighbour: 800 questions at once are answered within 200 ms",
        |t, check, _| {
            let eips = Eip::of(Setup::Usual).into_iter().map(|eip| t.eip(eip));
            check
                .asks_often(Host::Client, eips.collect(), 800)
                .notices(match t.family {
                    Family::V4 => Damage::Answers,
                    Family::V6 => Damage::Setting("ipv6/neigh/eth1/proxy_delay", "80", "0"),
                })
        },
    );
    // An IPv6 address is answered for by its own interface, and by those with a proxy.
    let held = |t: &Table, address, interface| match t.family {
        Family::V4 => Damage::ArpSet("held4"),
        Family::V6 => Damage::All(vec![
            Damage::Proxy(address, interface),
            // The agent sees to it on its uplinks only.
            Damage::Setting("ipv6/neigh/eth0/proxy_delay", "0", "80"),
            Damage::Setting("ipv6/neigh/lan0/proxy_delay", "0", "80"),
            Damage::Set("held6"),
        ]),
    };
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
        let address = if own == Own::Lan { "{l}" } else { "{p}" };
        table.check(name, |t, check, _| {
            check.asks(host, t.own(own), false).notices(held(
                t,
                address,
                host.segment().interface(),
            ))
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
        table.check(name, |t, check, _| {
            check.asks(host, t.eip(Eip::Bare), false).notices(held(
                t,
                "{e}",
                host.segment().interface(),
            ))
        });
    }
}
