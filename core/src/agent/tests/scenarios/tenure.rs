//! The Lease: taken, kept, lost.

use super::generation;
use crate::agent::tests::sim::{Sim, config, me};
use crate::agent::*;

#[test]
fn a_fresh_instance_warms_up_probes_takes_the_lease_then_answers() {
    let sim = Sim::serving();
    let ops: Vec<&str> = sim
        .ops
        .iter()
        .map(String::as_str)
        .filter(|op| *op != "inspect")
        .collect();
    assert_eq!(
        ops,
        [
            "apply 1 false",
            "probe 4",
            "apply 1 true",
            "announce 4",
            "flush"
        ]
    );
    let lease = sim.lease.as_ref().unwrap();
    assert_eq!(lease.holder, me().to_string());
    assert_eq!(sim.report.active.as_ref().unwrap().term, lease.transitions);
    assert_eq!(generation(&sim), Some(1));
}

#[test]
fn another_holder_stops_the_answers_before_anything_else() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..9));
    sim.lease_to("pod/other/boot/2");
    sim.tell(Event::Lease(sim.lease.clone()));
    let first = sim.open.iter().find(|a| matches!(a, Action::Kernel(_)));
    assert!(
        matches!(
            first,
            Some(Action::Kernel(KernelOp::Apply { holding: false, .. }))
        ),
        "{first:?}"
    );
    assert!(!sim.agent.is_active());
    sim.settle();
    assert!(
        sim.report.active.is_none() && generation(&sim).is_some(),
        "the rules stay warm"
    );
    assert!(!sim.kernel.answering);
}

#[test]
fn what_was_acknowledged_in_a_lost_tenure_does_not_count_in_the_next() {
    let mut sim = Sim::serving();
    let announced = |sim: &Sim| sim.ops.iter().filter(|op| *op == "announce 4").count();
    // No look at the kernel succeeds from here on.
    let blind = |sim: &mut Sim, millis: u64| {
        let end = sim.now + millis;
        while sim.now < end {
            match sim.open.first() {
                Some(Action::Kernel(KernelOp::Inspect)) => sim.fail(0, false),
                Some(_) => sim.answer(0),
                None => {
                    let due = sim.agent.next_deadline().map_or(end, |due| due.0.min(end));
                    sim.pass(due.saturating_sub(sim.now).max(1));
                }
            }
        }
    };
    sim.lease_to("pod/other/boot/1");
    sim.tell(Event::Lease(sim.lease.clone()));
    blind(&mut sim, 3_000);
    assert!(!sim.kernel.answering && !sim.agent.is_active());
    let before = announced(&sim);
    sim.lease_to("");
    sim.tell(Event::Lease(sim.lease.clone()));
    blind(&mut sim, 10_000);
    assert!(sim.kernel.answering && announced(&sim) > before);
    assert_eq!(sim.report.active, None);
    sim.settle_for(3_000);
    assert!(sim.agent.is_active() && sim.report.active.is_some());
}

#[test]
fn a_term_is_not_reported_before_the_addresses_were_announced_in_it() {
    let mut sim = Sim::serving();
    let before = sim.report.active.as_ref().unwrap().term;
    sim.lease_to("");
    sim.tell(Event::Lease(sim.lease.clone()));
    let end = sim.now + 10_000;
    while sim.now < end {
        match sim.open.first() {
            Some(Action::Kernel(KernelOp::Announce(_))) => sim.fail(0, false),
            Some(_) => sim.answer(0),
            None => {
                let due = sim.agent.next_deadline().map_or(end, |due| due.0.min(end));
                sim.pass(due.saturating_sub(sim.now).max(1));
            }
        }
    }
    assert_eq!(sim.lease.as_ref().unwrap().holder, me().to_string());
    assert!(sim.kernel.answering);
    assert_eq!(sim.report.active, None);
    sim.settle_for(10_000);
    assert!(sim.report.active.as_ref().unwrap().term > before);
}

#[test]
fn a_withdrawal_that_fails_is_followed_by_a_clear() {
    let mut sim = Sim::serving();
    sim.lease_to("pod/other/boot/2");
    sim.tell(Event::Lease(sim.lease.clone()));
    let at = sim
        .open
        .iter()
        .position(|a| matches!(a, Action::Kernel(_)))
        .unwrap();
    sim.fail(at, false);
    assert!(sim.open.contains(&Action::Kernel(KernelOp::Clear)));
    sim.settle();
    assert!(!sim.kernel.answering);
    assert_eq!(generation(&sim), Some(1), "warm again");
}

#[test]
fn a_process_that_finds_its_addresses_anothers_withdraws_them_without_a_config() {
    let mut sim = Sim::serving();
    sim.header = None;
    sim.lease_to("pod/other/boot/2");
    sim.restart();
    assert!(
        sim.open.contains(&Action::Kernel(KernelOp::Clear)),
        "{:?}",
        sim.open
    );
    sim.settle();
    assert!(!sim.kernel.answering && sim.report.applied.is_none());
}

#[test]
fn an_older_lease_does_not_unseat_the_holder() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.lease_to("pod/other/boot/2");
    let old = sim.lease.clone();
    sim.lease_to("");
    sim.begin();
    sim.settle();
    sim.tell(Event::Lease(old));
    assert!(sim.agent.is_active());
}

#[test]
fn another_holder_is_never_taken_over_from() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.lease_to("pod/other/boot/2");
    sim.begin();
    sim.settle_for(60_000);
    assert_eq!(sim.lease.as_ref().unwrap().holder, "pod/other/boot/2");
    assert!(
        !sim.ops
            .iter()
            .any(|op| op.starts_with("probe") || op.ends_with("true"))
    );
}

#[test]
fn a_lease_that_was_emptied_is_taken_again_without_a_gap() {
    let mut sim = Sim::serving();
    let ops = sim.ops.len();
    let term = sim.report.active.as_ref().unwrap().term;
    sim.lease_to("");
    sim.tell(Event::Lease(sim.lease.clone()));
    assert!(!sim.agent.is_active());
    sim.settle();
    assert_eq!(sim.report.active.as_ref().unwrap().term, term + 1);
    assert!(!sim.ops[ops..].iter().any(|op| op.ends_with("false")));
    assert!(
        sim.ops[ops..].contains(&"announce 4".to_owned()),
        "announced in the new term"
    );
}

#[test]
fn a_lease_is_renewed_at_a_third_of_its_duration() {
    let mut sim = Sim::serving();
    let version = |sim: &Sim| sim.lease.as_ref().unwrap().resource_version.clone();
    let (before, from) = (version(&sim), sim.now);
    sim.settle_for(4_000);
    assert_eq!(version(&sim), before);
    while version(&sim) == before {
        sim.settle_for(100);
    }
    assert!(
        (4_900..=5_200).contains(&(sim.now - from)),
        "{}",
        sim.now - from
    );
}

#[test]
fn a_predecessor_that_still_answers_is_waited_for() {
    let mut sim = Sim::new();
    sim.publish(&config(1..3));
    sim.kernel.conflicts = ["192.0.2.1", "192.0.2.2", "10.244.0.254"]
        .map(|a| a.parse().unwrap())
        .into();
    sim.begin();
    sim.settle_for(3_000);
    assert!(sim.lease.as_ref().unwrap().holder.is_empty());
    assert_eq!(sim.report.unusable.len(), 3);
    sim.kernel.conflicts.clear();
    sim.settle_for(6_000);
    assert!(sim.agent.is_active() && sim.report.unusable.is_empty());
}
