use std::collections::BTreeSet;

use proptest::prelude::*;
use sluice_crds::internal::{ConfigLan, ConfigUplink};

use super::*;

fn gateway() -> OwnerGateway {
    OwnerGateway {
        name: "egress".into(),
        uid: "gw-uid".into(),
    }
}

pub(super) fn settings() -> ConfigSettings {
    ConfigSettings::new(
        ConfigLan {
            interface: "lan0".into(),
            addresses: vec!["10.244.0.254/16".into()],
            routes: vec![],
        },
        vec![ConfigUplink {
            name: "external".into(),
            interface: "eth1".into(),
            subnets: vec![],
            ipv4: None,
            ipv6: None,
        }],
    )
}

/// `n` objects with one to three entries each.
fn world(n: u32) -> Vec<(Rank, Entry)> {
    (0..n)
        .flat_map(|i| {
            let uid = format!("uid-{i:05}");
            (0..=i % 3).map(move |k| {
                let entry = format!("addr {uid} 1 10.{k}.{}.{} external", i / 250, i % 250 + 1);
                (
                    Rank {
                        created_secs: i64::from(i / 7),
                        uid: Uid::new(&uid),
                    },
                    entry.parse().unwrap(),
                )
            })
        })
        .collect()
}

fn names(config: &Config) -> BTreeSet<&String> {
    config.header.slices.iter().collect()
}

proptest! {
    #[test]
    fn order_of_arrival_does_not_change_a_byte(
        shuffled in Just(world(300)).prop_shuffle()
    ) {
        prop_assert_eq!(
            compile(&gateway(), settings(), world(300)),
            compile(&gateway(), settings(), shuffled)
        );
    }

    #[test]
    fn growth_at_the_end_keeps_all_but_the_last_slice(n in 1u32..600, more in 1u32..50) {
        let small = compile(&gateway(), settings(), world(n));
        let large = compile(&gateway(), settings(), world(n + more));
        let lost: Vec<_> = names(&small).difference(&names(&large)).copied().cloned().collect();
        prop_assert!(lost.len() <= 1, "lost {:?} of {:?}", lost, small.header.slices);
        if let Some(lost) = lost.first() {
            prop_assert_eq!(Some(lost), small.header.slices.last());
        }
    }

    #[test]
    fn removing_one_object_touches_few_slices(n in 10u32..600, gone in 0u32..600) {
        let gone = format!("uid-{:05}", gone % n);
        let all = compile(&gateway(), settings(), world(n));
        let rest = world(n).into_iter().filter(|(r, _)| r.uid.as_str() != gone);
        let less = compile(&gateway(), settings(), rest);
        // Its own slice, and the one after it when the object ended a slice.
        prop_assert!(names(&all).difference(&names(&less)).count() <= 2);
    }
}

#[test]
fn what_was_compiled_assembles_to_the_same_entries() {
    let config = compile(&gateway(), settings(), world(500));
    assert!(config.slices.len() > 2);
    assert!(
        config
            .slices
            .iter()
            .all(|(_, s)| s.entries.len() <= SLICE_MAX)
    );
    let slices = config.slices.iter().cloned().collect();
    let snapshot = receive(&config.header, &slices).unwrap();
    assert_eq!(snapshot.digest.to_string(), config.header.digest);
    assert_eq!(snapshot.len() as i64, config.header.entries);
}

#[test]
fn a_changed_missing_or_foreign_slice_is_noticed() {
    let config = compile(&gateway(), settings(), world(50));
    let slices: BTreeMap<_, _> = config.slices.iter().cloned().collect();
    let name = config.header.slices[0].clone();

    let mut missing = slices.clone();
    missing.remove(&name);
    assert_eq!(
        receive(&config.header, &missing),
        Err(BadConfig::SliceMissing(name.clone()))
    );

    let mut forged = slices.clone();
    forged.get_mut(&name).unwrap().entries.pop();
    assert_eq!(
        receive(&config.header, &forged),
        Err(BadConfig::SliceForged(name))
    );

    let mut header = config.header.clone();
    header.settings.ping_eips = false;
    assert!(matches!(
        receive(&header, &slices),
        Err(BadConfig::DigestDiffers { .. })
    ));

    let mut header = config.header;
    header.format = FORMAT + 1;
    assert_eq!(
        receive(&header, &slices),
        Err(BadConfig::UnknownFormat(FORMAT + 1))
    );
}

#[test]
fn a_config_without_entries_is_empty() {
    let snapshot = |n| {
        let config = compile(&gateway(), settings(), world(n));
        let slices = config.slices.iter().cloned().collect();
        receive(&config.header, &slices).unwrap()
    };
    assert!(snapshot(0).is_empty());
    assert!(!snapshot(1).is_empty());
}
