//! What goes wrong in the kernel and beside it.

use super::ops_until_report;
use crate::agent::tests::sim::{Sim, config};
use crate::agent::*;

#[test]
fn a_foreign_host_on_one_address_costs_that_address_only() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.kernel.conflicts = vec!["192.0.2.2".parse().unwrap()];
    sim.begin();
    let ops = ops_until_report(&mut sim, |s| s.active.is_some());
    assert!(ops.contains(&"announce 3".to_owned()), "{ops:?}");
    assert_eq!(
        sim.report.rejected.len(),
        2,
        "told in the write that says active"
    );
    assert_eq!(sim.report.unusable[0].reason, "AddressConflict");
    sim.kernel.conflicts.clear();
    sim.settle_for(11_000);
    assert!(sim.report.rejected.is_empty() && sim.report.unusable.is_empty());
    assert_eq!(sim.kernel.announced.len(), 4);
}

#[test]
fn a_refused_entry_is_reported_and_tried_again() {
    let mut sim = Sim::new();
    sim.kernel.refuse = Some("fip-2".to_owned());
    sim.publish(&config(1..4));
    sim.begin();
    sim.settle();
    assert_eq!(sim.report.rejected.len(), 1);
    assert!(sim.agent.is_active(), "one bad rule holds no other");
    sim.kernel.refuse = None;
    sim.settle_for(5_000);
    assert!(sim.report.rejected.is_empty());
}

#[test]
fn drift_is_reported_before_it_is_said_to_be_repaired() {
    let mut sim = Sim::serving();
    sim.kernel.inspection.drift = vec!["a route is absent".to_owned()];
    sim.tell(Event::Notice(Notice::Changed));
    sim.settle_for(1_000);
    let told: Vec<bool> = sim
        .reports
        .iter()
        .map(|s| s.problems.iter().any(|p| p.blocking))
        .collect();
    assert!(told.ends_with(&[true, false]), "{told:?}");
    assert_eq!(sim.report.drift_repairs, 1);
}
