//! Runs the tests with a mutant: those that reach it, cheap ones first, until one fails.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::list::Mutant;
use crate::tests::{End, Program, Test};

#[cfg(test)]
mod tests;

/// How far a mutant's tests have come.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A test failed.
    Caught,
    /// The cheap tests passed; the dear ones were not asked.
    Open,
    /// All passed.
    Missed,
}

/// What became of a mutant.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: State,
    /// What noticed it, or how many tests reach it and pass.
    pub by: String,
    /// Hundredths of a second of processor time.
    pub cost: u64,
}

/// Hundredths of a second that each set of cheap tests may take.
const SETS: [u64; 3] = [30, 150, 500];

type Sets<'a> = Vec<Vec<&'a Test>>;

/// How many of the tests that noticed a file's last mutants are asked first.
const KEEN: usize = 3;

/// Runs mutants, several at a time.
#[derive(Debug)]
pub struct Runner<'a> {
    program: &'a Program,
    reaching: BTreeMap<u32, Vec<&'a Test>>,
    keen: Mutex<BTreeMap<String, Vec<String>>>,
}

impl<'a> Runner<'a> {
    /// Runs mutants with these tests.
    #[must_use]
    pub fn new(program: &'a Program, reaching: BTreeMap<u32, Vec<&'a Test>>) -> Self {
        Self {
            program,
            reaching,
            keen: Mutex::default(),
        }
    }

    /// Runs the tests with a mutant: the cheap ones, or with `dear` the others.
    ///
    /// # Errors
    ///
    /// The tests cannot be started.
    pub fn run(&self, mutant: &Mutant, dear: bool) -> Result<Outcome, Error> {
        let tests = self.reaching.get(&mutant.id).cloned().unwrap_or_default();
        let mut outcome = Outcome {
            name: mutant.name.clone(),
            state: State::Missed,
            by: format!("{} reach it", tests.len()),
            cost: 0,
        };
        let (cheap, rest) = self.sets(&mutant.file, tests);
        if !dear && !rest.is_empty() {
            outcome.state = State::Open;
        }
        for set in if dear { rest } else { cheap } {
            let names: Vec<&str> = set.iter().map(|t| t.name.as_str()).collect();
            let usual = set.iter().map(|t| t.cost).sum();
            let (end, cost) = self.program.run(mutant.id, &names, usual)?;
            outcome.cost += cost;
            match end {
                End::Passed => continue,
                End::Failed(name) => {
                    self.remember(&mutant.file, &name);
                    outcome.by = name;
                }
                End::Broke(last) => outcome.by = format!("crash or no end after {last:?}"),
            }
            outcome.state = State::Caught;
            break;
        }
        Ok(outcome)
    }

    fn remember(&self, file: &str, name: &str) {
        let mut all = self.keen.lock().unwrap_or_else(PoisonError::into_inner);
        let keen = all.entry(file.to_owned()).or_default();
        keen.retain(|k| k != name);
        keen.insert(0, name.to_owned());
        keen.truncate(KEEN);
    }

    /// What is run together: sets of cheap tests, and then the dear ones by themselves.
    fn sets(&self, file: &str, tests: Vec<&'a Test>) -> (Sets<'a>, Sets<'a>) {
        let all = self.keen.lock().unwrap_or_else(PoisonError::into_inner);
        let keen = all.get(file).map(Vec::as_slice).unwrap_or_default();
        let cheap = SETS.iter().sum::<u64>();
        let (first, mut rest): (Vec<_>, Vec<_>) = tests
            .into_iter()
            .partition(|t| t.cost < cheap && keen.contains(&t.name));
        let mut sets = vec![first];
        for limit in SETS {
            let mut sum = 0;
            let fits = rest.iter().take_while(|t| {
                sum += t.cost;
                sum <= limit
            });
            let count = fits.count();
            let later = rest.split_off(count);
            sets.push(std::mem::replace(&mut rest, later));
        }
        sets.retain(|set| !set.is_empty());
        (sets, rest.into_iter().map(|t| vec![t]).collect())
    }
}
