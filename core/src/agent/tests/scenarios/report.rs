//! The report: written when something changes, restored when others change it.

use super::generation;
use crate::agent::tests::sim::{Sim, config};
use crate::agent::*;

#[test]
fn nothing_is_written_when_nothing_changes() {
    let mut sim = Sim::serving();
    sim.settle_for(3_000);
    let reports = sim.reports.len();
    sim.settle_for(60_000);
    assert_eq!(sim.reports.len(), reports);
}

#[test]
fn a_report_that_was_deleted_or_overwritten_is_restored() {
    let overwritten = GatewayInstanceStatus {
        instance: "pod/other/boot/2".to_owned(),
        is_final: true,
        ..GatewayInstanceStatus::default()
    };
    for strange in [GatewayInstanceStatus::default(), overwritten] {
        let mut sim = Sim::serving();
        let good = std::mem::replace(&mut sim.report, strange);
        sim.settle_for(20_000);
        assert_eq!(sim.report, good);
        assert!(sim.agent.is_active() && !sim.exited);
    }
}

/// How many reports are written to within so long, each met by `answer`.
fn writes_within(sim: &mut Sim, millis: u64, answer: &ReportAnswer) -> usize {
    let end = sim.now + millis;
    let mut writes = 0;
    while sim.now < end && writes < 1_000 {
        match sim.open.first() {
            Some(Action::Report(_)) => {
                writes += 1;
                sim.open.remove(0);
                sim.tell(Event::Report(answer.clone()));
            }
            Some(_) => sim.answer(0),
            None => sim.pass(10),
        }
    }
    writes
}

#[test]
fn whoever_always_writes_first_does_not_drive_the_agent_into_a_loop() {
    let mut sim = Sim::serving();
    sim.report = GatewayInstanceStatus::default();
    let stands = ReportAnswer::Stands(Box::default());
    let writes = writes_within(&mut sim, 60_000, &stands);
    assert!((5..30).contains(&writes), "{writes} writes in a minute");
}

#[test]
fn what_runs_short_is_told_while_the_instance_answers() {
    let short = |address: &str| sluice_crds::internal::Shortage {
        address: address.to_owned(),
        reason: "PortsLow".to_owned(),
        rule: None,
        message: "m".repeat(600),
    };
    let mut sim = Sim::serving();
    let reports = sim.reports.len();
    sim.tell(Event::Shortages(vec![short("192.0.2.1")]));
    sim.settle_for(1_000);
    assert_eq!(sim.reports.len(), reports + 1);
    assert_eq!(sim.report.shortages.len(), 1);
    assert_eq!(sim.report.shortages[0].message.len(), 512);
    // More than a report can name.
    let many: Vec<_> = (0..300).map(|n| short(&n.to_string())).collect();
    sim.tell(Event::Shortages(many));
    sim.settle_for(1_000);
    assert_eq!(sim.report.shortages.len(), 256);
    assert!(sim.agent.is_active());
    sim.tell(Event::Shortages(Vec::new()));
    sim.settle_for(1_000);
    assert_eq!(sim.report.shortages, []);
}

#[test]
fn an_instance_without_a_report_programs_nothing() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.restart_unread();
    sim.settle_for(60_000);
    assert!(
        !sim.ops.iter().any(|op| op.contains("apply")),
        "{:?}",
        sim.ops
    );
    assert_eq!(generation(&sim), None);
    // Its predecessor of the same name is gone, and the report is made.
    let report = sim.report.clone();
    sim.tell(Event::Report(ReportAnswer::Stands(Box::new(report))));
    sim.settle_for(60_000);
    assert!(
        sim.ops.iter().any(|op| op.contains("apply")),
        "{:?}",
        sim.ops
    );
    assert_eq!(generation(&sim), Some(1));
}
