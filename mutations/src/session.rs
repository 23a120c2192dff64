//! All mutants, or some of them, one after another; what is known is not asked again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::copy;
use crate::error::Error;
use crate::list::{self, Mutant};
use crate::run::{Outcome, Runner, State};
use crate::survivors;
use crate::tests::{self, Program, Test};

/// Share of the mutants, in percent, that must be noticed.
const WANTED: usize = 95;

/// Which mutants, and what to believe.
#[derive(Debug, Default)]
pub struct Options {
    /// So many by chance, rather than all.
    pub sample: Option<usize>,
    /// Decides which.
    pub seed: u64,
    /// Only those whose file's path holds this.
    pub file: String,
    /// Whether what an earlier tree's tests noticed is taken for noticed still.
    pub believe: bool,
}

impl Options {
    /// As `SAMPLE`, `SEED`, `FILE` and `AGAIN=missed` say.
    #[must_use]
    pub fn from_env() -> Self {
        let text = |name| std::env::var(name).unwrap_or_default();
        Self {
            sample: text("SAMPLE").parse().ok(),
            seed: text("SEED").parse().unwrap_or(1),
            file: text("FILE"),
            believe: text("AGAIN") == "missed",
        }
    }

    fn choose<'a>(&self, mutants: &'a [Mutant], viable: &BTreeSet<u32>) -> Vec<&'a Mutant> {
        let mut chosen: Vec<&Mutant> = mutants
            .iter()
            .filter(|m| viable.contains(&m.id) && m.file.contains(&self.file))
            .collect();
        if let Some(count) = self.sample {
            println!("mutants: {count} of {} by seed {}", chosen.len(), self.seed);
            let order = |m: &Mutant| hash(&(self.seed, &m.name));
            chosen.sort_by_key(|m| order(m));
            chosen.truncate(count);
            chosen.sort_by_key(|m| m.id);
        }
        chosen
    }
}

/// What was found of a tree, apart from what became of its mutants.
#[derive(Default, Deserialize, Serialize)]
struct Known {
    tree: u64,
    sources: u64,
    viable: BTreeSet<u32>,
    unviable: BTreeSet<u32>,
    tests: Vec<Test>,
}

/// Goes through the mutants; whether enough are noticed.
///
/// # Errors
///
/// Something cannot be read, written, built or run, or a test fails without a mutant.
pub fn go(list: &Path, tree: &Path, work: &Path, options: &Options) -> Result<bool, Error> {
    let mutants = list::read(list)?;
    let listed = tree.join("core/faults/survivors.txt");
    let reasons = survivors::parse(&fs::read_to_string(listed).unwrap_or_default(), &mutants)?;
    let known = known(&mutants, tree, work)?;
    println!(
        "mutants: {} listed, {} do not compile, {} remain",
        mutants.len(),
        known.unviable.len(),
        known.viable.len()
    );
    let program = Program::new(&work.join("tests"), tree);
    let chosen = options.choose(&mutants, &known.viable);
    let outcomes = outcomes(&program, &known, work, options, &chosen)?;
    report(work, &chosen, &outcomes, &reasons)
}

/// What an earlier start found of the same tree, or finds it.
fn known(mutants: &[Mutant], tree: &Path, work: &Path) -> Result<Known, Error> {
    let file = work.join("known.json");
    let program = work.join("tests");
    let names: Vec<&String> = mutants.iter().map(|m| &m.name).collect();
    let sources: BTreeSet<PathBuf> = mutants.iter().map(|m| tree.join(&m.file)).collect();
    let mut all = BTreeSet::new();
    for part in ["core", "crds/src"] {
        files(&tree.join(part), &mut all)?;
    }
    let sources = hash(&(&names, texts(&sources)?));
    let now = hash(&(&names, texts(&all)?));
    let mut known: Known = load(&file).unwrap_or_default();
    if known.tree != now || !program.exists() {
        let unviable = match known.sources == sources {
            true => std::mem::take(&mut known.unviable),
            false => BTreeSet::new(),
        };
        println!("mutants: putting {} into a copy", mutants.len());
        let sorted = copy::switched(tree, mutants, &unviable)?;
        for id in &sorted.lost {
            let name = mutants
                .iter()
                .find(|m| m.id == *id)
                .map(|m| m.name.as_str());
            eprintln!("mutants: no place for {}", name.unwrap_or_default());
        }
        known = Known {
            tree: now,
            sources,
            viable: sorted.viable,
            unviable: sorted.unviable,
            tests: Vec::new(),
        };
        if program.exists() {
            fs::remove_file(&program).map_err(|e| Error::file(&program, e))?;
        }
        save(&file, &known)?;
        println!(
            "mutants: building the tests with {} of them",
            known.viable.len()
        );
        let built = copy::tests(tree)?;
        // A copy, so that another build may take its place meanwhile.
        fs::copy(&built, &program).map_err(|e| Error::file(&program, e))?;
    }
    if known.tests.is_empty() {
        known.tests = look(&Program::new(&program, tree), work)?;
        save(&file, &known)?;
    }
    Ok(known)
}

fn look(program: &Program, work: &Path) -> Result<Vec<Test>, Error> {
    let names = program.names()?;
    println!("mutants: what do {} tests reach?", names.len());
    let tests = several(&names, |name| program.look(name, work))?;
    let cost: u64 = tests.iter().map(|t| t.cost).sum();
    println!("mutants: all tests take {} s", cost / 100);
    Ok(tests)
}

/// What became of the mutants: of a tree's own start, or an earlier one of it.
fn outcomes(
    program: &Program,
    known: &Known,
    work: &Path,
    options: &Options,
    chosen: &[&Mutant],
) -> Result<BTreeMap<String, Outcome>, Error> {
    let file = work.join("result.jsonl");
    let head = format!("{{\"tree\":{}}}", known.tree);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let same = text.lines().next() == Some(head.as_str());
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    for outcome in text
        .lines()
        .filter_map(|l| serde_json::from_str::<Outcome>(l).ok())
    {
        if same || options.believe && outcome.state == State::Caught {
            outcomes.insert(outcome.name.clone(), outcome);
        }
    }
    let mut start = head + "\n";
    for outcome in outcomes.values() {
        start += &line(outcome)?;
    }
    fs::write(&file, start).map_err(|e| Error::file(&file, e))?;
    let open = OpenOptions::new()
        .append(true)
        .open(&file)
        .map_err(|e| Error::file(&file, e))?;
    let runner = Runner::new(program, tests::by_mutant(&known.tests));
    // The cheap tests of all, and then the dear ones of those that they did not notice.
    for dear in [false, true] {
        let state = |m: &Mutant| outcomes.get(&m.name).map(|o| o.state);
        let due: Vec<&Mutant> = chosen
            .iter()
            .filter(|m| state(m) == dear.then_some(State::Open))
            .copied()
            .collect();
        let kind = if dear { "dear" } else { "cheap" };
        println!("mutants: {} with the {kind} tests", due.len());
        let done = AtomicUsize::new(0);
        let new = several(&due, |mutant| {
            let outcome = runner.run(mutant, dear)?;
            (&open)
                .write_all(line(&outcome)?.as_bytes())
                .map_err(|e| Error::file(&file, e))?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if outcome.state == State::Missed {
                println!("mutants: missed {} ({})", outcome.name, outcome.by);
            }
            if done.is_multiple_of(100) {
                println!("mutants: {done} of {}", due.len());
            }
            Ok(outcome)
        })?;
        for mut outcome in new {
            if let Some(earlier) = outcomes.get(&outcome.name) {
                outcome.cost += earlier.cost;
            }
            outcomes.insert(outcome.name.clone(), outcome);
        }
    }
    Ok(outcomes)
}

/// Does the same with each, as many at a time as there are processors; the results in no
/// particular order.
fn several<T: Sync, R: Send>(
    all: &[T],
    one: impl Fn(&T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<R>, Error> {
        let mut results = Vec::new();
        while let Some(item) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            results.push(one(item)?);
        }
        Ok(results)
    };
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        let mut results = Vec::new();
        for thread in threads {
            let done = thread.join();
            results.extend(done.map_err(|_| Error::program("a thread", "ended badly"))??);
        }
        Ok(results)
    })
}

fn report(
    work: &Path,
    chosen: &[&Mutant],
    outcomes: &BTreeMap<String, Outcome>,
    reasons: &BTreeMap<String, String>,
) -> Result<bool, Error> {
    let of = |m: &&Mutant| outcomes.get(&m.name);
    let missed: Vec<&Outcome> = chosen
        .iter()
        .filter_map(of)
        .filter(|o| o.state != State::Caught)
        .collect();
    let (with, without): (Vec<&Outcome>, Vec<&Outcome>) =
        missed.iter().partition(|o| reasons.contains_key(&o.name));
    let mut text = String::new();
    for outcome in &without {
        text += &format!("{} = ? ({})\n", outcome.name, outcome.by);
    }
    let file = work.join("missed.txt");
    fs::write(&file, text).map_err(|e| Error::file(&file, e))?;
    for mutant in chosen {
        if reasons.contains_key(&mutant.name)
            && of(mutant).is_some_and(|o| o.state == State::Caught)
        {
            eprintln!(
                "mutants: has a reason to survive, but is caught: {}",
                mutant.name
            );
        }
    }
    let caught = chosen.len() - missed.len();
    let cost: u64 = chosen.iter().filter_map(of).map(|o| o.cost).sum();
    let percent = |part: usize| part as f64 * 100.0 / chosen.len().max(1) as f64;
    println!(
        "mutants: {} run, {caught} caught ({:.1} %); {} missed: {} with a reason, {} without; \
         {:.2} s of processor time each",
        chosen.len(),
        percent(caught),
        missed.len(),
        with.len(),
        without.len(),
        cost as f64 / 100.0 / chosen.len().max(1) as f64,
    );
    println!(
        "mutants: {:.1} % of those without a reason to survive are caught; the rest is in {}",
        caught as f64 * 100.0 / (chosen.len() - with.len()).max(1) as f64,
        file.display()
    );
    let enough = caught * 100 >= WANTED * chosen.len();
    println!("{caught} passed, {} failed, 0 skipped", missed.len());
    Ok(enough && without.is_empty())
}

fn line(outcome: &Outcome) -> Result<String, Error> {
    let text = serde_json::to_string(outcome).map_err(Error::List)?;
    Ok(text + "\n")
}

fn load<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

fn save(path: &Path, what: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(what).map_err(Error::List)?;
    fs::write(path, text).map_err(|e| Error::file(path, e))
}

fn files(folder: &Path, all: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(|e| Error::file(folder, e))? {
        let path = entry.map_err(|e| Error::file(folder, e))?.path();
        // What has a reason to survive does not change what is caught.
        if path.is_dir() && !path.ends_with("core/faults") {
            files(&path, all)?;
        } else if path.is_file() {
            all.insert(path);
        }
    }
    Ok(())
}

fn texts(files: &BTreeSet<PathBuf>) -> Result<Vec<Vec<u8>>, Error> {
    files
        .iter()
        .map(|path| fs::read(path).map_err(|e| Error::file(path, e)))
        .collect()
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
