//! Seeds, run and counted.
#![allow(
    clippy::disallowed_methods,
    reason = "runs for as long as it is told to, on all processors"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::schedule::{Run, run};
use super::user::Wish;
use super::world::World;

/// Seeds that once failed, with what was wrong; each is run first.
const KNOWN: &str = include_str!("seeds.txt");

/// A world in which one EIP serves; and one where nothing has begun.
struct Beginnings {
    serving: World,
    asked: World,
}

impl Beginnings {
    fn new() -> Self {
        let asked = World::asked();
        let mut serving = asked.clone();
        serving.wish(Wish::Eip(0, true));
        serving.wish(Wish::Fip(0));
        serving.go_on(20_000);
        assert_eq!(serving.broken, None);
        assert_eq!(serving.lies(None), Vec::<String>::new());
        serving.forget();
        Self { serving, asked }
    }

    fn of(&self, seed: u64) -> World {
        let mut world = match seed % 8 {
            0 => self.asked.clone(),
            _ => self.serving.clone(),
        };
        world.notes = number("SIM_NOTES").map(|_| Vec::new());
        world
    }

    /// What is wrong with a seed, if anything, and what it reached.
    fn run(&self, seed: u64) -> (Option<String>, BTreeMap<&'static str, u64>) {
        let ended = catch_unwind(AssertUnwindSafe(|| run(self.of(seed), seed)));
        match ended {
            Ok(Run { world, taken }) => {
                if let (Some(notes), Some(_)) = (&world.notes, &world.broken) {
                    let shown = number("SIM_NOTES").and_then(|n| usize::try_from(n).ok());
                    let last = notes.len().saturating_sub(shown.unwrap_or(usize::MAX));
                    println!("{}", notes[last..].join("\n"));
                }
                let broken = world.broken.map(|words| {
                    let last = taken.len().saturating_sub(40);
                    format!(
                        "{words}\nat {} ms, after {} choices, the last: {:?}",
                        world.now,
                        taken.len(),
                        &taken[last..]
                    )
                });
                (broken, world.reached)
            }
            Err(panic) => {
                let words = panic.downcast_ref::<String>().cloned();
                let words = words.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                (Some(format!("panic: {words:?}")), BTreeMap::new())
            }
        }
    }
}

fn known() -> Vec<u64> {
    let lines = KNOWN.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

#[test]
fn seeds_that_once_failed_hold() {
    let beginnings = Beginnings::new();
    for seed in known() {
        let (broken, _) = beginnings.run(seed);
        assert_eq!(broken, None, "seed {seed}");
    }
}

/// The short form.
#[test]
fn any_schedule_keeps_the_invariants_and_ends_well() {
    let beginnings = Beginnings::new();
    let begun = Instant::now();
    for seed in 1.. {
        let (broken, _) = beginnings.run(seed);
        assert_eq!(broken, None, "SEED={seed} COUNT=1 make sim shows it again");
        if begun.elapsed() > Duration::from_secs(10) {
            return;
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `make sim`: SIM_SECS or SIM_COUNT schedules from SIM_SEED on.
#[test]
#[ignore = "takes as long as it is told to: make sim"]
fn long() {
    let beginnings = Beginnings::new();
    let first = number("SIM_SEED").unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(1, |d| d.as_secs() << 20)
    });
    let count = number("SIM_COUNT").unwrap_or(u64::MAX);
    let secs = match (number("SIM_SECS"), number("SIM_COUNT")) {
        (Some(secs), _) => secs,
        (None, Some(_)) => u64::MAX,
        (None, None) => 60,
    };
    let fails = usize::try_from(number("SIM_FAILS").unwrap_or(1)).unwrap();
    let begun = Instant::now();
    for seed in known() {
        let (broken, _) = beginnings.run(seed);
        assert_eq!(broken, None, "known seed {seed}");
    }
    println!(
        "sim: {} seeds that once failed hold; from seed {first} on",
        known().len()
    );
    let next = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    let reached: Mutex<BTreeMap<&'static str, (u64, u64)>> = Mutex::default();
    let failed: Mutex<Vec<u64>> = Mutex::default();
    let work = || loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= count || begun.elapsed().as_secs() >= secs || failed.lock().unwrap().len() >= fails
        {
            return;
        }
        let seed = first.wrapping_add(n);
        let (broken, found) = beginnings.run(seed);
        done.fetch_add(1, Ordering::Relaxed);
        let mut reached = reached.lock().unwrap();
        for (what, times) in found {
            let (runs, all) = reached.entry(what).or_default();
            *runs += 1;
            *all += times;
        }
        if let Some(words) = broken {
            println!("sim: FAILED seed {seed} (SEED={seed} COUNT=1 shows it again): {words}\n");
            failed.lock().unwrap().push(seed);
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    for (what, (runs, times)) in reached.lock().unwrap().iter() {
        println!("sim: sometimes {what}: in {runs} schedules, {times} times");
    }
    let (done, failed) = (done.into_inner(), failed.into_inner().unwrap());
    println!(
        "sim: {done} schedules in {} s, {} failed",
        begun.elapsed().as_secs(),
        failed.len()
    );
    assert_eq!(failed, Vec::<u64>::new());
}
