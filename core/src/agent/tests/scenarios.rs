//! What an agent must do, by behaviour.

use super::super::*;
use super::sim::Sim;

mod announce;
mod config;
mod faults;
mod leave;
mod removal;
mod report;
mod restart;
mod tenure;

fn generation(sim: &Sim) -> Option<i64> {
    sim.report
        .applied
        .as_ref()
        .map(|applied| applied.generation)
}

fn problem(sim: &Sim) -> Option<&str> {
    sim.report
        .problems
        .first()
        .map(|problem| problem.reason.as_str())
}

/// Answers everything but reports until one is due that satisfies `wanted`.
fn ops_until_report(sim: &mut Sim, wanted: impl Fn(&GatewayInstanceStatus) -> bool) -> Vec<String> {
    let from = sim.ops.len();
    for _ in 0..200 {
        if let Some(at) = sim
            .open
            .iter()
            .position(|a| matches!(a, Action::Report(s) if wanted(s)))
        {
            let ops = sim.ops[from..].to_vec();
            sim.answer(at);
            return ops;
        }
        match sim.open.len() {
            0 => {
                let due = sim.agent.next_deadline().unwrap().0 - sim.now;
                sim.pass(due);
            }
            open => sim.answer(open - 1),
        }
    }
    panic!("no such report: {:?}", sim.report);
}
