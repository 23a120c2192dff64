#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use sluice_core::entry::Entry;

use super::*;
use crate::kernel::report::KernelOptions;
use crate::kernel::settings::{Settings, Uplink};

fn settings() -> Settings {
    let uplink = |name: &str, interface: &str, number| Uplink {
        name: name.into(),
        interface: interface.into(),
        number,
        subnets: vec![],
        ipv4: None,
        ipv6: None,
    };
    Settings {
        lan: "lan0".into(),
        lan_addresses: vec!["10.244.0.254/16".parse().unwrap()],
        lan_routes: vec![],
        uplinks: vec![uplink("one", "eth1", 1), uplink("two", "eth2", 2)],
        ping_eips: true,
    }
}

fn stamp(holding: bool) -> Stamp {
    Stamp {
        revision: Revision {
            uid: Uid::new("6f1c2f0e-3d5b-4d0c-9a51-c0ffee000001"),
            generation: i64::MAX,
        },
        digest: "d".repeat(64),
        holding,
    }
}

fn built(lines: &[&str], holding: bool) -> Built {
    let entries: Vec<Entry> = lines.iter().map(|line| line.parse().unwrap()).collect();
    let options = KernelOptions::default();
    build(
        &settings(),
        &entries,
        &options,
        &stamp(holding),
        &BTreeMap::new(),
    )
}

fn count(built: &Built, set: &str) -> usize {
    built.ruleset.inet.sets[set].elements.len()
}

#[test]
fn the_stamp_is_read_as_it_was_written() {
    for holding in [true, false] {
        let built = built(&[], holding);
        assert_eq!(stamp_of(&built.ruleset.inet), Some(stamp(holding)));
    }
    assert_eq!(stamp_of(&guard(&KernelOptions::default()).inet), None);
}

#[test]
fn who_does_not_hold_has_no_path_and_no_answer() {
    let lines = ["addr e 1 192.0.2.1 one", "addr e 1 2001:db8::1 two"];
    let standby = built(&lines, false);
    assert_eq!(count(&standby, "paths"), 0);
    assert_eq!(count(&standby, "answers6"), 0);
    assert_eq!(standby.ruleset.arp.sets["answers4"].elements.len(), 0);
    let holder = built(&lines, true);
    assert_eq!(count(&holder, "paths"), 5);
    assert_eq!(count(&holder, "answers6"), 1);
    // The EIP and the LAN's next hop.
    assert_eq!(holder.ruleset.arp.sets["answers4"].elements.len(), 2);
}

#[test]
fn of_two_entries_for_one_key_the_first_stands() {
    let built = built(
        &[
            "addr e 1 192.0.2.1 one",
            "addr e 1 192.0.2.2 one",
            "dnat a 1 192.0.2.1 tcp 80 10.244.0.5 80",
            "dnat b 1 192.0.2.1 tcp 80 10.244.0.6 80",
            "fip c 1 192.0.2.2 10.244.0.7 both",
            "fip d 1 192.0.2.2 10.244.0.8 both",
            "dnat e 1 192.0.2.2 tcp 80 10.244.0.6 80",
            "fip f 1 192.0.2.3 10.244.0.9 both",
        ],
        true,
    );
    let rejected: Vec<usize> = built.rejected.keys().copied().collect();
    assert_eq!(rejected, [3, 5, 6, 7]);
    assert_eq!(count(&built, "dnat4"), 1);
    assert_eq!(count(&built, "fipin4"), 1);
}

#[test]
fn only_ranges_that_shift_or_are_short_become_exact_elements() {
    let built = built(
        &[
            "addr e 1 192.0.2.1 one",
            "dnat a 1 192.0.2.1 tcp 8000-8099 10.244.0.5 9000-9099",
            "dnat b 1 192.0.2.1 udp 1000-1999 10.244.0.5 1000-1999",
            "addr e 1 192.0.2.2 one",
            "dnat c 1 192.0.2.2 udp * 10.244.0.5 *",
            "dnat d 1 192.0.2.2 tcp * 10.244.0.5 *",
            "dnat f 1 192.0.2.1 tcp 100-163 10.244.0.5 100-163",
        ],
        true,
    );
    assert_eq!(built.rejected, BTreeMap::new());
    assert_eq!(count(&built, "dnat4"), 100 + 64);
    assert_eq!(count(&built, "range4"), 1);
    assert_eq!(count(&built, "any4"), 2);
}

#[test]
fn what_targets_share_is_as_many_elements_as_it_costs() {
    let dnats = [
        "dnat a 1 192.0.2.1 tcp 80 10.244.0.5,10.244.0.6=0,10.244.0.7 80",
        "dnat b 1 192.0.2.1 sctp 100-101 10.244.0.5,10.244.0.6 200-201",
        "dnat c 1 192.0.2.1 udp 1000-1001 10.244.0.5=2,10.244.0.6=0,10.244.0.7 1000-1001",
        "dnat d 1 192.0.2.1 udp 2000-2001 10.244.0.5 2000-2001",
        "dnat e 1 192.0.2.2 tcp * 10.244.0.5,10.244.0.6 *",
    ];
    let addresses = ["addr e 1 192.0.2.1 one", "addr e 1 192.0.2.2 one"];
    let built = built(&[addresses.as_slice(), dnats.as_slice()].concat(), true);
    assert_eq!(built.rejected, BTreeMap::new());
    let cost = dnats.map(|line| line.parse::<Entry>().unwrap().body.expanded());
    assert_eq!(cost, [65, 128, 3, 2, 64]);
    let maps = ["share4", "sharerange4", "dnat4", "shareany4"];
    assert_eq!(maps.map(|map| count(&built, map)), [65 + 128, 3, 2, 64]);
}

#[test]
fn several_eips_of_one_source_share_its_slots() {
    let built = built(
        &[
            "addr e 1 192.0.2.1 one",
            "addr f 1 192.0.2.2 one",
            "snat s 1 10.244.0.0/16 192.0.2.1",
            "snat s 1 10.244.0.0/16 192.0.2.2",
            "snat t 1 10.244.7.0/24 192.0.2.2",
        ],
        true,
    );
    assert_eq!(built.rejected, BTreeMap::new());
    assert_eq!(count(&built, "pool4_16"), 256);
    assert_eq!(count(&built, "snat4_24"), 1);
}

#[test]
fn the_longest_prefix_says_what_stays_inside() {
    let mut settings = settings();
    settings.lan_routes = vec![("10.0.0.0/8".parse().unwrap(), "10.244.0.1".parse().unwrap())];
    // In an inside prefix, but nearer; and one that is not.
    for subnet in ["10.155.30.0/24", "192.0.2.0/24"] {
        settings.uplinks[0]
            .subnets
            .push((subnet.parse().unwrap(), None));
    }
    let options = KernelOptions::default();
    let built = build(&settings, &[], &options, &stamp(true), &BTreeMap::new());
    let rules = &built.ruleset.inet.chains["inside"].rules;
    let stays = rules
        .iter()
        .map(|rule| format!("{rule:?}").contains("Accept"));
    assert_eq!(stays.collect::<Vec<_>>(), [false, true, true]);
}
