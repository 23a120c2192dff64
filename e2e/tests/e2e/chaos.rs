//! Rounds of chaos: users change their objects while parts fail, in an order that a seed
//! decides. Then all is mended, and all must be Ready, answered and proven.
//!
//! The record of a round is judged by the rules of every scenario. Their grace, beside what
//! is noted as a fault: one second more for a superseded True, as the machine is busy.

mod churn;
mod harm;
mod world;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sluice_core::spread::split_mix;

use crate::answers::Answers;
use crate::failure::{Outcome, demand};
use crate::gateway::NS;
use crate::runner::{INTERRUPTED, Scenario, one};
use crate::stage::{Stage, text};
use world::World;

pub const SCENARIOS: &[Scenario] = &[ROUND];

const ROUND: Scenario = Scenario {
    name: "chaos_breaks_no_rule_and_ends_ready",
    secs: 400,
    full: true,
    run: round,
};

/// How long things are broken in a round: in the suite, and else.
const SHORT: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(45);
/// How long all may take to be Ready once nothing is broken any more, seconds: a killed
/// container is started again after up to 20 s, and a Lease lasts up to 40 s.
const READY_SECS: f64 = 120.0;
/// What an observer on a busy machine may be late, microseconds.
const SLACK_US: u64 = 1_000_000;
/// Seeds of rounds that once failed; each run of chaos begins with them.
const FAILED: &str = include_str!("chaos/seeds.txt");

type Act = fn(&mut Stage, &mut World) -> Outcome;

/// What may happen, and how often beside the rest.
const ACTS: &[(usize, Act)] = &[
    (6, churn::make),
    (4, churn::end_rule),
    (2, churn::end_both),
    (4, churn::retarget),
    (2, churn::forward),
    (2, churn::translate),
    (3, churn::roam),
    (3, harm::delete_pod),
    (2, harm::delete_pod_and_rules),
    (2, harm::kill_agent),
    (2, harm::stop_agent),
    (3, harm::edit),
    (1, harm::cut_node),
    (1, harm::freeze_node),
    (1, harm::power_node),
    (2, harm::kill_operator),
    (1, harm::change_leader),
    (1, harm::stop_api),
    (2, harm::cut_watches),
];

/// Runs rounds for so many minutes, first those that failed before; whether none failed.
pub fn run(stage: &mut Stage, seed: u64, minutes: u64) -> ExitCode {
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let old = FAILED.lines().filter(|line| !line.starts_with('#'));
    let mut seeds: Vec<u64> = old.filter_map(|line| line.trim().parse().ok()).collect();
    seeds.reverse();
    let (mut next, mut passed, mut failed) = (seed, 0, 0);
    while Instant::now() < until && !INTERRUPTED.load(Ordering::Relaxed) {
        let seed = seeds.pop().unwrap_or_else(|| {
            let seed = next;
            next = split_mix(next);
            seed
        });
        stage.seed(seed);
        let start = Instant::now();
        let ended = one(stage, &ROUND);
        let seconds = start.elapsed().as_secs_f64();
        match ended {
            Ok(()) => {
                passed += 1;
                println!("ok    round {seed} ({seconds:.0} s){}", stage.told());
            }
            Err(failure) => {
                failed += 1;
                println!("FAIL  round {seed} ({seconds:.0} s){}", stage.told());
                println!("      {}", failure.to_string().replace('\n', "\n      "));
                let kept = stage.keep_evidence(&format!("chaos-{seed}"));
                println!("      evidence: {}", kept.display());
                println!("      again: make chaos SEED={seed} MINUTES=1");
            }
        }
    }
    println!("{passed} passed, {failed} failed, 0 skipped");
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn round(stage: &mut Stage) -> Outcome {
    stage.demands.slack_us = SLACK_US;
    let mut world = World::make(stage)?;
    let answers = Answers::listen(stage, &world::POOL)?;
    let long = if stage.chaos { LONG } else { SHORT };
    let until = Instant::now() + long;
    let total: usize = ACTS.iter().map(|(weight, _)| weight).sum();
    let mut acts = 0;
    let broken = loop {
        if Instant::now() > until || stage.is_late() {
            break Ok(());
        }
        let mut ticket = stage.below(total);
        let act = ACTS.iter().find(|(weight, _)| {
            let found = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            found
        });
        if let Some((_, act)) = act
            && let Err(failure) = act(stage, &mut world)
        {
            break Err(failure);
        }
        acts += 1;
        let ms = stage.below(1500);
        stage.pause(Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64());
        if let Err(failure) = world.look(stage) {
            break Err(failure);
        }
    };
    // What is broken is mended also when an act could not be done.
    world.mend_all(stage)?;
    broken?;
    stage.note("all is mended");
    let start = Instant::now();
    world.complete(stage)?;
    stage.wait_all_ready(READY_SECS)?;
    let seconds = start.elapsed().as_secs_f64();
    stage.tell(format!(
        "{acts} acts, all Ready {seconds:.1} s after the last"
    ));
    world.probe(stage)?;
    stage.probes_pass(10.0)?;
    one_at_a_time(stage, &answers)
}

/// No instance answers for an address again once another has.
fn one_at_a_time(stage: &Stage, answers: &Answers) -> Outcome {
    for eip in stage.history.live_of("EIP") {
        if text(&eip, "/metadata/name").starts_with("roam") {
            continue;
        }
        for address in stage.addresses(NS, &text(&eip, "/metadata/name"))? {
            let places = answers.places(&address);
            let mut macs: Vec<&str> = places.iter().map(|(mac, _)| mac.as_str()).collect();
            let count = macs.len();
            macs.sort_unstable();
            macs.dedup();
            demand(macs.len() == count, || {
                format!("{address} was answered for by turns: {places:?}")
            })?;
        }
    }
    Ok(())
}
