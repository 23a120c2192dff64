//! Announcements, and when the report names a term.

use super::ops_until_report;
use crate::agent::tests::sim::{Sim, config};
use crate::agent::*;

#[test]
fn announcements_go_out_at_0_1_2_and_5_seconds() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.begin();
    let mut at = Vec::new();
    for _ in 0..6_000 {
        while !sim.open.is_empty() {
            let seen = sim.ops.len();
            sim.answer(0);
            if sim.ops[seen..].iter().any(|op| op == "announce 4") {
                at.push(sim.now);
            }
        }
        sim.pass(1);
    }
    let first = at[0];
    assert_eq!(
        at.iter().map(|t| t - first).collect::<Vec<_>>(),
        [0, 1_000, 2_000, 5_000]
    );
}

#[test]
fn a_link_that_comes_up_is_announced_on() {
    let mut sim = Sim::serving();
    sim.settle_for(6_000);
    let before = sim.ops.iter().filter(|op| *op == "announce 4").count();
    sim.tell(Event::Notice(Notice::Link));
    sim.settle_for(6_000);
    assert_eq!(
        sim.ops.iter().filter(|op| *op == "announce 4").count(),
        before + 4
    );
}

#[test]
fn what_was_mended_is_announced_on() {
    let mut sim = Sim::serving();
    sim.settle_for(6_000);
    let before = sim.ops.iter().filter(|op| *op == "announce 4").count();
    sim.kernel.inspection.drift = vec!["an address's route is absent".to_owned()];
    sim.tell(Event::Notice(Notice::Changed));
    sim.settle_for(6_000);
    assert_eq!(
        sim.ops.iter().filter(|op| *op == "announce 4").count(),
        before + 4
    );
}

#[test]
fn report_names_active_only_after_the_first_announcement() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.begin();
    let ops = ops_until_report(&mut sim, |status| status.active.is_some());
    let announced = ops.iter().position(|op| op == "announce 4");
    let applied = ops.iter().position(|op| op == "apply 1 true");
    assert!(applied.is_some() && announced > applied, "{ops:?}");
    assert!(sim.report.applied.is_some(), "in the same write");
}

#[test]
fn a_failed_announcement_is_no_announcement() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.begin();
    for _ in 0..100 {
        let announcing = |a: &Action| matches!(a, Action::Kernel(KernelOp::Announce(_)));
        if let Some(at) = sim.open.iter().position(announcing) {
            sim.fail(at, false);
            break;
        }
        match sim.open.len() {
            0 => {
                let due = sim.agent.next_deadline().unwrap().0 - sim.now;
                sim.pass(due);
            }
            _ => sim.answer(0),
        }
    }
    assert!(sim.kernel.answering && !sim.agent.is_active());
    sim.settle_for(1_500);
    assert!(sim.agent.is_active());
}
