//! Removals and additions: what is flushed before it is acknowledged.

use super::ops_until_report;
use crate::agent::tests::sim::{Sim, config};
use crate::agent::*;

#[test]
fn a_removal_is_acknowledged_after_the_second_flush() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..3));
    let told = sim.now;
    sim.tell(Event::Header(sim.header.clone()));
    let ops = ops_until_report(&mut sim, |s| {
        s.applied.as_ref().is_some_and(|a| a.generation == 2)
    });
    assert!(ops.contains(&"flush".to_owned()), "{ops:?}");
    assert!(sim.now >= told + 50);
    assert!(sim.kernel.unflushed.is_empty());
}

#[test]
fn what_the_kernel_refused_and_then_nobody_wants_is_acknowledged_after_its_flush() {
    let mut sim = Sim::serving();
    // What it held of the third it lets go with the next revision.
    sim.kernel.refuse = Some("-3 ".to_owned());
    sim.publish(&config(1..5));
    sim.tell(Event::Header(sim.header.clone()));
    let is_apply = |op: &KernelOp| matches!(op, KernelOp::Apply { .. });
    let at = kernel_op(&mut sim, is_apply);
    sim.answer(at);
    assert_eq!(sim.kernel.unflushed.len(), 2, "{:?}", sim.kernel.unflushed);
    sim.publish(&config([1, 2, 4]));
    sim.tell(Event::Header(sim.header.clone()));
    let ops = ops_until_report(&mut sim, |s| {
        s.applied.as_ref().is_some_and(|a| a.generation == 3)
    });
    assert!(sim.kernel.unflushed.is_empty(), "{ops:?}");
}

/// The place of the kernel's operation under way, once it is `wanted`.
fn kernel_op(sim: &mut Sim, wanted: impl Fn(&KernelOp) -> bool) -> usize {
    for _ in 0..20 {
        let mut open = sim.open.iter();
        if let Some(at) = open.position(|a| matches!(a, Action::Kernel(op) if wanted(op))) {
            return at;
        }
        sim.answer(0);
    }
    panic!("never begun: {:?}", sim.open);
}

/// Ends the process when the operation is carried out and its answer not heard.
fn kill_after(sim: &mut Sim, at: usize) {
    sim.fail(at, true);
    sim.restart();
}

#[test]
fn a_removal_by_a_killed_process_is_acknowledged_after_a_flush() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..3));
    sim.tell(Event::Header(sim.header.clone()));
    let at = kernel_op(&mut sim, |op| matches!(op, KernelOp::Apply { .. }));
    kill_after(&mut sim, at);
    assert_eq!(sim.kernel.unflushed.len(), 2, "{:?}", sim.kernel.unflushed);
    let ops = ops_until_report(&mut sim, |s| {
        s.applied.as_ref().is_some_and(|a| a.generation == 2)
    });
    assert!(ops.contains(&"flush".to_owned()), "{ops:?}");
    assert!(sim.kernel.unflushed.is_empty());
}

#[test]
fn what_a_clear_removed_is_flushed_also_by_the_next_process() {
    for killed in [false, true] {
        let mut sim = Sim::serving();
        sim.lease_to("pod/other/boot/2");
        sim.tell(Event::Lease(sim.lease.clone()));
        sim.publish(&config(1..3));
        let at = kernel_op(&mut sim, |op| matches!(op, KernelOp::Apply { .. }));
        sim.fail(at, false);
        sim.tell(Event::Header(sim.header.clone()));
        let fetch = |a: &Action| matches!(a, Action::FetchSlices(_));
        let at = sim.open.iter().position(fetch).unwrap();
        sim.answer(at);
        let at = kernel_op(&mut sim, |op| *op == KernelOp::Clear);
        if killed {
            kill_after(&mut sim, at);
        } else {
            sim.answer(at);
        }
        assert_eq!(sim.kernel.unflushed.len(), 6, "{:?}", sim.kernel.unflushed);
        let ops = ops_until_report(&mut sim, |s| {
            s.applied.as_ref().is_some_and(|a| a.generation == 2)
        });
        assert!(ops.contains(&"flush".to_owned()), "{killed}: {ops:?}");
    }
}

#[test]
fn an_addition_is_acknowledged_without_waiting() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..5));
    let told = sim.now;
    sim.tell(Event::Header(sim.header.clone()));
    let ops = ops_until_report(&mut sim, |s| {
        s.applied.as_ref().is_some_and(|a| a.generation == 2)
    });
    assert_eq!(sim.now, told);
    assert_eq!(ops, ["apply 2 true", "announce 1", "inspect"]);
}

#[test]
fn the_next_revision_waits_for_a_removal_to_be_acknowledged() {
    let mut sim = Sim::serving();
    for eips in [1..3, 1..2] {
        sim.publish(&config(eips));
        sim.tell(Event::Header(sim.header.clone()));
        while let Some(at) = sim
            .open
            .iter()
            .position(|a| !matches!(a, Action::Report(_)))
        {
            sim.answer(at);
        }
    }
    sim.settle();
    let generations: Vec<_> = sim
        .reports
        .iter()
        .filter_map(|s| Some(s.applied.as_ref()?.generation))
        .collect();
    assert!(
        generations.contains(&2) && generations.ends_with(&[3]),
        "{generations:?}"
    );
}
