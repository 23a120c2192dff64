//! The way out.

use crate::agent::tests::sim::{Sim, config};
use crate::agent::*;

#[test]
fn sigterm_of_a_living_pod_leaves_the_kernel_alone() {
    let mut sim = Sim::serving();
    let (ops, report) = (sim.ops.len(), sim.report.clone());
    sim.tell(Event::Terminate);
    sim.settle();
    assert!(sim.exited && sim.kernel.answering);
    assert_eq!((sim.ops.len(), sim.report), (ops, report));
}

#[test]
fn sigterm_with_the_api_away_leaves_the_kernel_alone() {
    let mut sim = Sim::serving();
    sim.pod = PodSeen::Unreachable;
    sim.tell(Event::Terminate);
    sim.settle();
    assert!(sim.exited && sim.kernel.answering && !sim.report.is_final);
}

#[test]
fn sigterm_of_a_deleted_pod_clears_then_releases_then_reports() {
    let mut sim = Sim::serving();
    sim.pod = PodSeen::Terminating;
    sim.tell(Event::Terminate);
    sim.settle();
    assert!(sim.exited && sim.report.is_final);
    assert_eq!(sim.ops.last().unwrap(), "clear");
    assert!(sim.lease.as_ref().unwrap().holder.is_empty());
}

#[test]
fn a_clear_that_fails_is_never_reported_as_done() {
    let mut sim = Sim::serving();
    sim.pod = PodSeen::Terminating;
    sim.tell(Event::Terminate);
    while !sim.exited {
        match sim.open.iter().position(|a| matches!(a, Action::Kernel(_))) {
            Some(at) => sim.fail(at, false),
            None if sim.open.is_empty() => sim.pass(50),
            None => sim.answer(0),
        }
    }
    assert!(!sim.report.is_final);
    assert!(
        !sim.lease.as_ref().unwrap().holder.is_empty(),
        "not released while it may answer"
    );
}

#[test]
fn a_refused_token_is_believed_after_it_was_read_anew() {
    let mut sim = Sim::serving();
    sim.tell(Event::Unauthorized);
    sim.settle();
    assert!(sim.agent.is_active(), "the token was only old");
    sim.pod = PodSeen::Refused;
    sim.tell(Event::Unauthorized);
    sim.settle();
    assert!(sim.exited && sim.kernel.stamp.is_none());
}

#[test]
fn an_instance_that_said_final_never_serves_again() {
    let mut sim = Sim::serving();
    sim.pod = PodSeen::Terminating;
    sim.tell(Event::Terminate);
    sim.settle();
    sim.lease_to("");
    sim.restart();
    sim.settle_for(10_000);
    assert!(sim.exited && sim.kernel.stamp.is_none());
    assert!(sim.report.is_final && sim.lease.as_ref().unwrap().holder.is_empty());
}

#[test]
fn sigterm_is_right_at_every_step_of_the_start() {
    for pod in [
        PodSeen::Terminating,
        PodSeen::Lives,
        PodSeen::Refused,
        PodSeen::Gone,
    ] {
        for steps in 0..40 {
            let mut sim = Sim::new();
            sim.publish(&config(1..4));
            sim.pod = pod.clone();
            sim.begin();
            for _ in 0..steps {
                match sim.open.is_empty() {
                    true => sim.pass(10),
                    false => sim.answer(0),
                }
            }
            sim.tell(Event::Terminate);
            sim.settle_for(30_000);
            assert!(sim.exited, "{pod:?} after {steps} steps");
            let ended = matches!(pod, PodSeen::Terminating | PodSeen::Gone);
            assert_eq!(sim.report.is_final, ended, "{pod:?} after {steps} steps");
            if pod != PodSeen::Lives {
                assert!(sim.kernel.stamp.is_none() && !sim.kernel.answering);
            }
            if ended {
                assert!(sim.lease.as_ref().unwrap().holder.is_empty());
            }
        }
    }
}
