#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;

use sluice_core::entry::Entry;

use super::*;
use crate::kernel::report::KernelOptions;
use crate::kernel::settings::{Settings, Uplink, Watch};

pub fn settings() -> Settings {
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
        mss_clamp: None,
        mtus: BTreeMap::new(),
        flow_log: false,
        watch: Watch {
            repair: true,
            probe_ms: 2_000,
        },
        nodes: BTreeMap::new(),
    }
}

pub fn stamp(holding: bool) -> Stamp {
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
        &entries.iter().collect::<Vec<_>>(),
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

/// The classes of an interface, and their rates.
fn classes(built: &Built, interface: &str) -> Vec<(u16, u64)> {
    let classes = built.shaping.0.get(interface);
    let of = classes.into_iter().flatten();
    of.map(|(number, limit)| (*number, limit.rate.bits()))
        .collect()
}

#[test]
fn the_addresses_of_an_eip_share_a_class_on_the_lan_and_one_on_its_uplink() {
    let built = built(
        &[
            "addr e 1 192.0.2.1 one",
            "addr e 1 2001:db8::1 one",
            "shape e 1 192.0.2.1 10000000 20000000",
            "shape e 1 2001:db8::1 10000000 20000000",
            "addr f 1 192.0.2.2 two",
            "shape f 1 192.0.2.2 - 30000000",
            "addr g 1 192.0.2.3 one",
        ],
        true,
    );
    assert_eq!(built.rejected, BTreeMap::new());
    let [(e, in_rate)] = classes(&built, "lan0")[..] else {
        panic!("{:?}", built.shaping)
    };
    let [(f, _)] = classes(&built, "eth2")[..] else {
        panic!("{:?}", built.shaping)
    };
    assert_eq!(in_rate, 10_000_000);
    assert_eq!(classes(&built, "eth1"), [(e, 20_000_000)]);
    assert_eq!(classes(&built, "eth2"), [(f, 30_000_000)]);
    assert_ne!(e, f);
    let origins = |interface: &str| &built.shaping.0[interface][&e].origins;
    assert!([2, 3].iter().all(|origin| origins("lan0").contains(origin)));
    let maps = ["shapein4", "shapein6", "shapeout4", "shapeout6"];
    assert_eq!(maps.map(|map| count(&built, map)), [1, 1, 2, 1]);
}

#[test]
fn a_gateway_without_limits_asks_no_map_for_classes() {
    let built = built(&["addr e 1 192.0.2.1 one"], true);
    let inet = &built.ruleset.inet;
    assert!(!inet.chains.keys().any(|name| name.starts_with("shape")));
    assert!(!inet.sets.keys().any(|name| name.starts_with("shape")));
    assert_eq!(built.shaping.0.len(), 0);
}

#[test]
fn a_limit_that_cannot_be_is_refused_by_itself() {
    let built = built(
        &[
            "addr e 1 192.0.2.1 one",
            "addr e 1 2001:db8::1 one",
            "shape e 1 192.0.2.1 10000000 -",
            "shape e 1 2001:db8::1 20000000 -",
            "shape f 1 192.0.2.9 10000000 -",
            "shape g 1 192.0.2.1 10000000 -",
        ],
        true,
    );
    let rejected: Vec<(usize, &str)> = built
        .rejected
        .iter()
        .map(|(origin, words)| (*origin, words.as_str()))
        .collect();
    assert_eq!(
        rejected,
        [
            (3, "its rates are not those of entry 2 of the same EIP"),
            (4, "address 192.0.2.9 is not on this gateway"),
            (5, "address 192.0.2.1 is taken by entry 2"),
        ]
    );
    assert_eq!(built.addresses.len(), 2);
    assert_eq!(classes(&built, "lan0").len(), 1);
}

#[test]
fn limits_beyond_the_last_class_are_refused_with_what_to_do() {
    use crate::kernel::shaping::CLASSES;
    let last = u32::try_from(CLASSES).unwrap();
    let lines: Vec<String> = (0..=last)
        .flat_map(|n| {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + n);
            [
                format!("addr e{n} 1 {address} one"),
                format!("shape e{n} 1 {address} - 10000000"),
            ]
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let built = built(&lines, true);
    assert_eq!(classes(&built, "eth1").len(), CLASSES);
    let words = "bandwidth: a gateway limits 65533 EIPs, and older ones are as many: take \
                 spec.bandwidth out, or use another gateway";
    let refused = BTreeMap::from([(lines.len() - 1, words.to_owned())]);
    assert_eq!(built.rejected, refused);
}

#[test]
fn the_class_of_a_refused_limit_passes_to_no_other() {
    let lines = [
        "addr e 1 192.0.2.1 one",
        "shape e 1 192.0.2.1 10000000 -",
        "addr f 1 192.0.2.2 one",
        "shape f 1 192.0.2.2 10000000 -",
    ];
    let entries: Vec<Entry> = lines.iter().map(|line| line.parse().unwrap()).collect();
    let entries: Vec<&Entry> = entries.iter().collect();
    let numbers = |refused: BTreeMap<Origin, String>| {
        let options = KernelOptions::default();
        let built = build(&settings(), &entries, &options, &stamp(true), &refused);
        classes(&built, "lan0")
    };
    let both = numbers(BTreeMap::new());
    let [one] = numbers(BTreeMap::from([(1, "no".to_owned())]))[..] else {
        panic!("{both:?}")
    };
    assert!(both.contains(&one) && both.len() == 2);
}
