#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use proptest::prelude::*;
use sluice_core::config::{Snapshot, difference};
use sluice_crds::internal::{ConfigLan, ConfigSettings};

use super::super::tests::{settings, stamp};
use super::super::{Ruleset, build, part};
use super::*;

/// Entries that often stand in each other's way.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        3 => (1u8..9, 1u8..3).prop_map(|(a, u)| {
            let uplink = if u == 1 { "one" } else { "two" };
            format!("addr e{a} 1 192.0.2.{a} {uplink}")
        }),
        1 => (1u8..5).prop_map(|a| format!("addr e{a} 1 2001:db8::{a} one")),
        3 => (0u8..3, 1u8..9, 1u8..9, any::<bool>()).prop_map(|(n, a, i, source)| {
            let way = if source { "both" } else { "in" };
            format!("fip f{n}{a} 1 192.0.2.{a} 10.244.0.{i} {way}")
        }),
        1 => (1u8..5, 1u8..5).prop_map(|(a, i)| format!("fip g{a} 1 2001:db8::{a} fd00::{i} both")),
        2 => (0u8..3, 1u8..9, 80u16..84, 1u8..9).prop_map(|(n, a, port, i)| {
            format!("dnat d{n}{a} 1 192.0.2.{a} tcp {port} 10.244.0.{i} 8080")
        }),
        1 => (1u8..9, 1u8..9).prop_map(|(a, i)| {
            format!("dnat r{a} 1 192.0.2.{a} udp 1000-1003 10.244.0.{i},10.244.0.9 1000-1003")
        }),
        2 => (0u8..3, 1u8..9, 1u8..4, 23u8..25).prop_map(|(n, a, net, len)| {
            let net = net * 2;
            format!("snat s{n}{a} 1 10.{net}.0.0/{len} 192.0.2.{a}")
        }),
        1 => (1u8..9, 1u8..4).prop_map(|(a, net)| {
            format!("snat t{a} 1 10.{}.0.0/24 192.0.2.{a} 10", net * 2)
        }),
        1 => (1u8..9).prop_map(|a| format!("shape e{a} 1 192.0.2.{a} 1000000 -")),
    ];
    prop::collection::btree_set(line, 0..24).prop_map(|lines| lines.into_iter().collect())
}

fn snapshot(lines: &[String]) -> Snapshot {
    let settings = ConfigSettings::new(
        ConfigLan {
            interface: "lan0".into(),
            addresses: vec![],
            routes: vec![],
        },
        vec![],
    );
    let entries = lines.iter().map(|line| line.parse().unwrap());
    Snapshot::new(settings, entries.collect())
}

/// All that there is, so that sets have members whatever comes and goes.
fn always(lines: &[String]) -> Vec<String> {
    let mut all: Vec<String> = [
        "addr e 1 192.0.2.100 one",
        "addr e 1 2001:db8::100 one",
        "fip f 1 192.0.2.100 10.244.0.100 both",
        "fip f 1 2001:db8::100 fd00::100 both",
        "addr d 1 192.0.2.101 one",
        "dnat d 1 192.0.2.101 tcp 80 10.244.0.101 8080",
        "dnat r 1 192.0.2.101 udp 1000-1003 10.244.0.8,10.244.0.9 1000-1003",
        "snat s 1 10.100.0.0/23 192.0.2.101",
        "snat s 1 10.100.0.0/24 192.0.2.101",
    ]
    .map(str::to_owned)
    .into();
    all.extend_from_slice(lines);
    all
}

fn tables(snapshot: &Snapshot, generation: i64) -> super::super::Built {
    let mut stamp = stamp(true);
    stamp.revision.generation = generation;
    let entries: Vec<&Entry> = snapshot.entries().collect();
    build(
        &settings(),
        &entries,
        &KernelOptions::default(),
        &stamp,
        &BTreeMap::new(),
    )
}

/// The step from one config to the next, and what it makes of the tables; `None` where
/// there is none.
fn stepped(old: &Snapshot, new: &Snapshot) -> Option<Ruleset> {
    let built = tables(old, 1);
    let mut uses = built.plain.then(|| Uses::of(old.entries()))?;
    let (gone, come) = difference(old, new);
    let asks = |entries: &[&Entry], address: IpAddr| {
        let mut all = entries.iter();
        all.any(|e| matches!(e.body, Body::Addr { .. }) && e.body.address() == address)
    };
    let there = |address: IpAddr| {
        asks(&come, address) || built.addresses.contains_key(&address) && !asks(&gone, address)
    };
    let pooled = |entry: &&Entry| is_pooled(entry, &built.ruleset.inet);
    if gone.iter().chain(&come).any(pooled) || !uses.change(&gone, &come, there) {
        return None;
    }
    let options = KernelOptions::default();
    let (mut before, mut after) = (stamp(true), stamp(true));
    (before.revision.generation, after.revision.generation) = (1, 2);
    let around = &built.addresses;
    let step = Step::between(
        part(&settings(), &gone, &options, &before, around)?,
        part(&settings(), &come, &options, &after, around)?,
        &options,
    );
    let Ruleset { mut inet, mut arp } = built.ruleset;
    if !step.fits(&inet, &arp) {
        return None;
    }
    step.take(Arc::make_mut(&mut inet), Arc::make_mut(&mut arp));
    assert_eq!(uses, Uses::of(new.entries()));
    Some(Ruleset { inet, arp })
}

/// An address is on one uplink.
fn once(mut lines: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    lines.retain(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        words[0] != "addr" || seen.insert(words[3].to_owned())
    });
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_step_leads_to_what_would_be_built_anew(
        old in lines(),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        won in lines(),
        few in 0usize..5,
    ) {
        let old = once(old);
        let mut new = old.clone();
        for lost in lost.iter().filter(|_| !old.is_empty()) {
            new.retain(|line| line != lost.get(&old));
        }
        new.extend(won.into_iter().take(few).filter(|line| !old.contains(line)));
        let (old, new) = (snapshot(&always(&old)), snapshot(&always(&once(new))));
        if let Some(tables_after) = stepped(&old, &new) {
            let anew = tables(&new, 2);
            prop_assert!(anew.plain, "{:?}", anew.rejected);
            prop_assert_eq!(tables_after, anew.ruleset);
        }
    }
}

/// That it is taken where it should be: the usual changes of a large config.
#[test]
fn usual_changes_have_a_step() {
    let world: Vec<String> = always(&[]);
    let with = |more: &[&str]| {
        let more = more.iter().map(|line| (*line).to_owned());
        snapshot(&world.iter().cloned().chain(more).collect::<Vec<_>>())
    };
    let eip = "addr n 1 192.0.2.50 two";
    for (old, new) in [
        (&[][..], &[eip][..]),
        (&[eip], &[eip, "fip n 1 192.0.2.50 10.244.0.50 both"]),
        (
            &[eip, "fip n 1 192.0.2.50 10.244.0.50 both"],
            &[eip, "fip n 2 192.0.2.50 10.244.0.51 both"],
        ),
        (&[eip, "fip n 1 192.0.2.50 10.244.0.50 both"], &[]),
        (&[eip], &[eip, "dnat n 1 192.0.2.50 tcp 90 10.244.0.50 90"]),
        (&[], &["snat n 1 10.101.0.0/24 192.0.2.101"]),
        (&[eip, "snat n 1 10.101.0.0/24 192.0.2.50"], &[]),
        (&[], &[]),
    ] {
        let (old, new) = (with(old), with(new));
        assert_eq!(stepped(&old, &new), Some(tables(&new, 2).ruleset));
    }
}
