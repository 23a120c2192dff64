//! A process that takes over from another.

use super::generation;
use crate::agent::tests::sim::{Kernel, Sim, config, me};
use crate::agent::*;

#[test]
fn a_container_restart_writes_nothing_and_breaks_nothing() {
    let mut sim = Sim::serving();
    let (reports, ops) = (sim.reports.len(), sim.ops.len());
    let transitions = sim.lease.as_ref().unwrap().transitions;
    sim.restart();
    sim.settle_for(3_000);
    assert_eq!(sim.reports.len(), reports);
    assert!(
        !sim.ops[ops..]
            .iter()
            .any(|op| op.ends_with("false") || op == "clear")
    );
    assert_eq!(sim.lease.as_ref().unwrap().transitions, transitions);
    assert!(sim.agent.is_active());
}

#[test]
fn the_report_of_a_lost_kernel_is_taken_back() {
    let mut sim = Sim::serving();
    // The report survived, the rules did not.
    sim.kernel = Kernel::default();
    sim.restart();
    let first = sim.open.iter().find_map(|a| match a {
        Action::Report(status) => Some(status.clone()),
        _ => None,
    });
    let first = first.unwrap();
    assert!(first.applied.is_none() && first.active.is_none());
}

#[test]
fn the_report_of_another_boot_is_replaced_at_once() {
    let mut sim = Sim::serving();
    sim.report.instance = "pod/pod/earlier-boot/7".to_owned();
    sim.lease_to("pod/pod/earlier-boot/7");
    sim.kernel = Kernel::default();
    sim.restart();
    sim.settle();
    assert_eq!(sim.report.instance, me().to_string());
    assert!(sim.report.active.is_none());
    assert_eq!(sim.lease.as_ref().unwrap().holder, "pod/pod/earlier-boot/7");
}

#[test]
fn a_report_that_is_read_late_is_not_taken_back() {
    for steps in 0..20 {
        let mut sim = Sim::serving();
        let (report, reports) = (sim.report.clone(), sim.reports.len());
        sim.restart_unread();
        for _ in 0..steps {
            match sim.open.is_empty() {
                true => sim.pass(10),
                false => sim.answer(0),
            }
        }
        sim.tell(Event::Report(ReportAnswer::Stands(Box::new(report))));
        sim.settle_for(3_000);
        let after = &sim.reports[reports..];
        assert!(after.is_empty(), "after {steps} steps: {after:#?}");
    }
}

#[test]
fn what_a_report_says_does_not_count_where_the_kernel_holds_something_else() {
    let mut sim = Sim::serving();
    let before = sim.kernel.stamp.clone();
    sim.publish(&config(1..5));
    sim.tell(Event::Header(sim.header.clone()));
    sim.settle();
    assert_eq!(generation(&sim), Some(2));
    // The kernel is as it was one revision ago.
    sim.kernel.stamp = before;
    sim.restart();
    assert_eq!(sim.agent.desired().applied, None);
    sim.settle();
    assert_eq!(generation(&sim), Some(2));
    assert_eq!(sim.kernel.stamp.as_ref().unwrap().0.generation, 2);
}
