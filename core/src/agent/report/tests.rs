//! What a report may hold, and when one is written.

use sluice_crds::internal::{NeighbourChange, RejectedEntry, Shortage, UnusableAddress};

use super::*;

fn rejected(count: usize) -> Vec<RejectedEntry> {
    let one = |n: usize| RejectedEntry {
        key: format!("fip fip-{n}"),
        digest: "d".to_owned(),
        error: "e".repeat(n),
    };
    (0..count).map(one).collect()
}

fn unusable(count: usize) -> Vec<UnusableAddress> {
    let one = |n: usize| UnusableAddress {
        address: n.to_string(),
        reason: "AddressConflict".to_owned(),
        message: "m".repeat(n),
    };
    (0..count).map(one).collect()
}

fn problem(reason: &str) -> Problem {
    Problem {
        reason: reason.to_owned(),
        message: "m".repeat(TEXT_MAX + 1),
        blocking: false,
    }
}

#[test]
fn a_full_report_is_not_a_fault() {
    let mut status = GatewayInstanceStatus {
        rejected: rejected(LIST_MAX),
        unusable: unusable(LIST_MAX),
        ..GatewayInstanceStatus::default()
    };
    bound(&mut status);
    assert_eq!(status.problems, []);
    assert_eq!(status.rejected.len(), LIST_MAX);
    assert_eq!(status.unusable.len(), LIST_MAX);
}

#[test]
fn what_does_not_fit_stops_everything_and_is_named_first() {
    for (refused, withheld) in [(LIST_MAX + 1, 0), (0, LIST_MAX + 1)] {
        let mut status = GatewayInstanceStatus {
            rejected: rejected(refused),
            unusable: unusable(withheld),
            problems: vec![problem("Other"); PROBLEMS_MAX],
            ..GatewayInstanceStatus::default()
        };
        bound(&mut status);
        assert_eq!(status.problems.len(), PROBLEMS_MAX);
        assert_eq!(status.problems[0].reason, "TooManyFaults");
        assert!(status.problems[0].blocking);
        assert_eq!(status.rejected.len(), refused.min(LIST_MAX));
        assert_eq!(status.unusable.len(), withheld.min(LIST_MAX));
    }
}

#[test]
fn no_text_is_longer_than_the_schema_allows() {
    let mut status = GatewayInstanceStatus {
        rejected: rejected(LIST_MAX),
        unusable: unusable(LIST_MAX),
        problems: vec![problem("Other")],
        ..GatewayInstanceStatus::default()
    };
    bound(&mut status);
    for n in [0, 1, TEXT_MAX, TEXT_MAX + 1, LIST_MAX - 1] {
        assert_eq!(status.rejected[n].error.len(), n.min(TEXT_MAX));
        assert_eq!(status.unusable[n].message.len(), n.min(TEXT_MAX));
    }
    assert_eq!(status.problems[0].message.len(), TEXT_MAX);
    // Characters, and not within one.
    let mut text = "ü".repeat(TEXT_MAX + 1);
    shorten(&mut text);
    assert_eq!(text, "ü".repeat(TEXT_MAX));
}

#[test]
fn what_stops_nothing_is_left_out_beyond_its_bound() {
    let shortage = Shortage {
        address: "192.0.2.1".to_owned(),
        reason: "PortsLow".to_owned(),
        rule: None,
        message: "m".repeat(TEXT_MAX + 1),
    };
    let neighbour = NeighbourChange {
        interface: "eth1".to_owned(),
        address: None,
        changes: 9,
        mismatch_ms: 0,
        message: "flaps".to_owned(),
    };
    let mut status = GatewayInstanceStatus {
        shortages: vec![shortage; SHORTAGES_MAX + 1],
        neighbours: vec![neighbour; NEIGHBOURS_MAX + 1],
        ..GatewayInstanceStatus::default()
    };
    bound(&mut status);
    assert_eq!(status.problems, []);
    assert_eq!(status.shortages.len(), SHORTAGES_MAX);
    assert_eq!(status.shortages[0].message.len(), TEXT_MAX);
    assert_eq!(status.neighbours.len(), NEIGHBOURS_MAX);
}
