//! What an earlier leader wrote and what reaches the API server late.

use super::objects::*;
use super::stage::{Fate, Stage};
use crate::operator::action::{Action, Outcome};
use crate::operator::event::Kind;

/// Until the operator has a header write under way, which is taken out.
fn next_header(stage: &mut Stage) -> Action {
    for _ in 0..200 {
        stage.deliver_all();
        stage.poll();
        let header = |a: &Action| matches!(a, Action::WriteHeader(_));
        if let Some(n) = stage.in_flight.iter().position(header) {
            return stage.in_flight.remove(n);
        }
        stage.execute(0, Fate::Done);
        stage.agent_round();
        stage.now.0 += 10;
    }
    panic!("no header is written");
}

/// An EIP, and the header write that would bring it, still on its way when its
/// leader ends. Nothing of it was ever programmed.
fn late_write() -> (Stage, Action) {
    let mut stage = Stage::new();
    stage.settle();
    stage.apply(eip("tenants", "web", "egress"));
    let late = next_header(&mut stage);
    stage.restart_operator();
    stage.delete(Kind::EIP, "tenants", "web");
    (stage, late)
}

#[test]
fn a_late_header_of_an_earlier_leader_brings_nothing_back() {
    let (mut stage, late) = late_write();
    stage.settle();
    stage.now.0 += 5_000;
    stage.settle();
    assert!(!stage.exists(Kind::EIP, "tenants", "web"));
    // Its addresses may be another's by now.
    let rendered = stage.rendered.clone();
    let (outcome, _) = stage.server.execute(&late, &rendered);
    assert_eq!(outcome, Outcome::Conflict);
    stage.settle();
    assert!(stage.agents[0].kernel.iter().all(|l| !l.contains("addr")));
}

#[test]
fn a_late_header_that_is_faster_is_waited_for() {
    let (mut stage, late) = late_write();
    stage.deliver_all();
    stage.poll();
    let rendered = stage.rendered.clone();
    let (outcome, _) = stage.server.execute(&late, &rendered);
    assert_eq!(outcome, Outcome::Done);
    stage.settle();
    assert!(!stage.exists(Kind::EIP, "tenants", "web"));
    assert!(stage.agents[0].kernel.iter().all(|l| !l.contains("addr")));
}

#[test]
fn a_new_leader_fences_no_header_before_it_must() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let writes = stage.server.writes.len();
    stage.restart_operator();
    stage.settle();
    assert_eq!(stage.server.writes[writes..], [] as [String; 0]);
}
