//! What is kept stays bounded, however long it goes on.

use super::super::tests::sim::config;
use super::*;
use crate::config::{self, Snapshot};
use crate::identity::{Revision, Uid};

fn goal(generation: i64, eips: std::ops::Range<u8>) -> Goal {
    let config = config(eips);
    let slices = config.slices.iter().cloned().collect();
    let snapshot: Snapshot = config::receive(&config.header, &slices).unwrap();
    Goal {
        config: Good::new(
            Revision {
                uid: Uid::new("header"),
                generation,
            },
            snapshot,
        ),
        holding: true,
        withheld: BTreeMap::new(),
    }
}

#[test]
fn announcements_that_cannot_go_out_do_not_pile_up() {
    let mut plane = Plane::new(None);
    let round: Addresses = ["192.0.2.1".parse().unwrap()].into();
    for millis in 0..100 {
        plane.announce(Millis(millis * 60_000), &round);
    }
    // One for all that is overdue, and those to come.
    assert!(
        plane.rounds.len() <= 1 + ANNOUNCE_MS.len(),
        "{:?}",
        plane.rounds
    );
    assert_eq!(plane.rounds.keys().next(), Some(&Millis(99 * 60_000)));
}

#[test]
fn what_was_said_of_removed_addresses_is_forgotten() {
    let mut plane = Plane::new(None);
    for generation in 1..20 {
        let first = u8::try_from(generation).unwrap();
        let goal = goal(generation, first..first + 3);
        let answered = goal.answered();
        plane.applied(Millis(0), goal, Vec::new(), false);
        plane.said.extend(answered.iter());
        assert_eq!(plane.said, *answered);
    }
}

#[test]
fn a_refusal_is_told_once_with_the_latest_words() {
    let mut plane = Plane::new(None);
    plane.applied(Millis(0), goal(1, 1..3), Vec::new(), false);
    plane.acked = Some(Acked {
        applied: Applied {
            uid: "header".to_owned(),
            generation: 1,
            digest: String::new(),
            slices: Vec::new(),
        },
        rejected: Vec::new(),
        holding: true,
    });
    for attempt in 0..10 {
        let refused = RejectedEntry {
            key: "fip fip-1".to_owned(),
            digest: "d".to_owned(),
            error: format!("refused {attempt} times"),
        };
        plane.applied(Millis(0), goal(1, 1..3), vec![refused], false);
    }
    let told = &plane.acked.unwrap().rejected;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].error, "refused 9 times");
}

#[test]
fn an_address_that_another_holds_is_told_of_once() {
    let mut plane = Plane::new(None);
    let seen = |address: &str| UnusableAddress {
        address: address.to_owned(),
        reason: "LocalAddress".to_owned(),
        message: format!("{address} is the machine's own"),
    };
    plane.inspection.unusable = [seen("192.0.2.1"), seen("192.0.2.2")].into();
    let rival = "02:00:00:00:00:01".to_owned();
    plane.conflicts.insert("192.0.2.2".parse().unwrap(), rival);
    let told: Vec<(String, String)> = unusable(&plane)
        .into_iter()
        .map(|u| (u.address, u.reason))
        .collect();
    let expected = [
        ("192.0.2.1", "LocalAddress"),
        ("192.0.2.2", "AddressConflict"),
    ];
    assert_eq!(told, expected.map(|(a, r)| (a.to_owned(), r.to_owned())));
}
