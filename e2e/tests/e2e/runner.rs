//! Brings a lab up, runs the scenarios on it one after another, judges each,
//! and takes the lab down however it ends.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sluice_e2e::{Lab, UpOptions};

use crate::failure::{Failure, Outcome};
use crate::stage::Stage;
use crate::{Arguments, cleanup, evidence, restore};
use crate::{
    bandwidth, chaos, dnat, faults, foreign, inside, killed, leaks, lessons, lifecycle, moves,
    packets, permits, pods, ports, proof, quickstart, race, refused, scale, uplinks,
};

/// One scenario; its name states the rule that it shows.
pub struct Scenario {
    /// The rule.
    pub name: &'static str,
    /// After which it has failed, in seconds.
    pub secs: u64,
    /// Whether it runs only with `--full`.
    pub full: bool,
    /// What it does.
    pub run: fn(&mut Stage) -> Outcome,
}

/// Set by Ctrl-C: the running scenario's next wait fails, and no other starts.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

const GROUPS: &[&[Scenario]] = &[
    proof::SCENARIOS,
    quickstart::SCENARIOS,
    inside::SCENARIOS,
    race::SCENARIOS,
    lifecycle::SCENARIOS,
    pods::SCENARIOS,
    uplinks::SCENARIOS,
    moves::SCENARIOS,
    permits::SCENARIOS,
    refused::SCENARIOS,
    bandwidth::SCENARIOS,
    dnat::SCENARIOS,
    ports::SCENARIOS,
    foreign::SCENARIOS,
    lessons::SCENARIOS,
    leaks::SCENARIOS,
    packets::SCENARIOS,
    faults::SCENARIOS,
    chaos::SCENARIOS,
    killed::SCENARIOS,
    scale::SCENARIOS,
];

/// Runs what the arguments ask for.
pub fn run(arguments: &Arguments) -> ExitCode {
    let wanted = |scenario: &&Scenario| {
        arguments.filter.is_empty()
            || arguments
                .filter
                .iter()
                .any(|part| scenario.name.contains(part))
    };
    let all: Vec<&Scenario> = GROUPS.iter().copied().flatten().filter(wanted).collect();
    if arguments.list {
        for scenario in all {
            println!(
                "{}{}",
                scenario.name,
                if scenario.full { " (--full)" } else { "" }
            );
        }
        return ExitCode::SUCCESS;
    }
    if all.is_empty() {
        eprintln!(
            "e2e: no scenario's name contains {:?}: see --list",
            arguments.filter
        );
        return ExitCode::FAILURE;
    }
    if let Some(minutes) = arguments.chaos {
        return chaotic(arguments, minutes).unwrap_or_else(|failure| {
            eprintln!("e2e: {failure}");
            ExitCode::FAILURE
        });
    }
    match run_all(arguments, &all) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("e2e: {failure}");
            println!("0 passed, {} failed, 0 skipped", all.len());
            ExitCode::FAILURE
        }
    }
}

/// Runs rounds of chaos.
fn chaotic(arguments: &Arguments, minutes: u64) -> Outcome<ExitCode> {
    let seed = seed(arguments);
    println!("e2e: {minutes} minutes of chaos, --seed {seed}");
    let mut stage = Stage::new(lab(arguments)?, seed, arguments.full)?;
    stage.chaos = true;
    catch_interrupt(&stage);
    let code = chaos::run(&mut stage, seed, minutes);
    if arguments.keep {
        stage.keep();
    }
    Ok(code)
}

fn seed(arguments: &Arguments) -> u64 {
    arguments.seed.unwrap_or_else(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    })
}

/// Runs the scenarios; whether none failed.
fn run_all(arguments: &Arguments, all: &[&Scenario]) -> Outcome<bool> {
    let seed = seed(arguments);
    println!("e2e: {} scenarios, --seed {seed}", all.len());
    let lab = lab(arguments)?;
    let mut stage = Stage::new(lab, seed, arguments.full)?;
    catch_interrupt(&stage);
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for _ in 0..arguments.repeat {
        for scenario in all {
            if INTERRUPTED.load(Ordering::Relaxed) {
                failed += 1;
                println!("FAIL  {} (interrupted)", scenario.name);
                continue;
            }
            if scenario.full && !arguments.full {
                skipped += 1;
                println!("skip  {} (only with --full)", scenario.name);
                continue;
            }
            let start = Instant::now();
            let result = one(&mut stage, scenario);
            let seconds = start.elapsed().as_secs_f64();
            match result {
                Ok(()) => {
                    passed += 1;
                    println!("ok    {} ({seconds:.1} s){}", scenario.name, stage.told());
                }
                Err(Failure::Skip(why)) => {
                    skipped += 1;
                    println!("skip  {} ({why})", scenario.name);
                }
                Err(Failure::Wrong(text)) => {
                    failed += 1;
                    println!("FAIL  {} ({seconds:.1} s)", scenario.name);
                    for line in text.lines() {
                        println!("      {line}");
                    }
                    println!("      evidence: {}", stage.dir().display());
                }
            }
        }
    }
    if arguments.keep {
        stage.keep();
    }
    drop(stage);
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}

fn lab(arguments: &Arguments) -> Outcome<Lab> {
    if let Some(name) = &arguments.lab {
        return Ok(Lab::open(name)?);
    }
    let start = Instant::now();
    let options = UpOptions {
        name: format!("e2e-{}", std::process::id()),
        fast_node_timers: true,
        ..UpOptions::default()
    };
    let lab = Lab::up(&options, &|text| {
        println!("[{:5.1} s] {text}", start.elapsed().as_secs_f64());
    })?;
    Ok(lab)
}

/// Ctrl-C ends the running scenario at its next wait; a second one ends this
/// process at once, and the lab's guard takes the lab down.
fn catch_interrupt(stage: &Stage) {
    stage.runtime().spawn(async {
        while tokio::signal::ctrl_c().await.is_ok() {
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("e2e: interrupted, cleaning up");
        }
    });
}

/// One scenario from its first record to the judgement on its last.
pub fn one(stage: &mut Stage, scenario: &Scenario) -> Outcome {
    stage.begin(scenario.name, Duration::from_secs(scenario.secs))?;
    let ran = (scenario.run)(stage);
    stage.probe_settle();
    let judged = match ran {
        Ok(()) => evidence::judge(stage),
        // What the rules say may well be why it failed.
        Err(Failure::Wrong(text)) => {
            let also = evidence::judge(stage)
                .err()
                .map(|also| format!("\n{also}"))
                .unwrap_or_default();
            Err(Failure::Wrong(format!("{text}{also}")))
        }
        skip => skip,
    };
    if matches!(judged, Err(Failure::Wrong(_))) {
        evidence::keep(stage, "");
    }
    stage.allow(Duration::from_secs(60));
    let restored = restore::all(stage);
    if restored.is_err() {
        evidence::keep(stage, "restored-");
    }
    let cleaned = cleanup::all(stage);
    let logs = evidence::judge_logs(stage);
    all_of([judged, restored, cleaned, logs])
}

/// What was wrong, all of it; a skip only when nothing was.
fn all_of(outcomes: [Outcome; 4]) -> Outcome {
    let mut texts = Vec::new();
    let mut skip = Ok(());
    for outcome in outcomes {
        match outcome {
            Ok(()) => {}
            Err(Failure::Wrong(text)) => texts.push(text),
            other => skip = other,
        }
    }
    if texts.is_empty() {
        skip
    } else {
        Err(Failure::Wrong(texts.join("\n")))
    }
}
