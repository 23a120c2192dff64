//! The report: written when something changes, restored when others change it.

use crate::agent::tests::sim::Sim;
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
