//! The program of core's tests: which there are, what they reach, and how they end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What is known of one test.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// Hundredths of a second of processor time that it takes without a mutant.
    pub cost: u64,
    /// The mutants that it reaches.
    pub reaches: BTreeSet<u32>,
}

impl Test {
    /// What is asked first: the tests of parts, then the simulation, then the model.
    #[must_use]
    pub fn layer(&self) -> u8 {
        match self.name.strip_prefix("proof::") {
            None => 0,
            Some(name) if !name.starts_with("model") => 1,
            Some(_) => 2,
        }
    }
}

/// How a run of tests ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All passed.
    Passed,
    /// This one failed.
    Failed(String),
    /// The program crashed or took too long, after this test.
    Broke(String),
}

/// The program of tests.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    folder: PathBuf,
}

/// Hundredths of a second of processor time beyond five times the usual, after which tests
/// count as hanging.
const GRACE: u64 = 200;

/// KiB of memory that the tests may have.
const MEMORY: u64 = 4 << 20;

impl Program {
    /// The program at `path`, which runs in core's folder of the copy.
    #[must_use]
    pub fn new(path: &Path, tree: &Path) -> Self {
        Self {
            path: path.to_owned(),
            folder: tree.join("core"),
        }
    }

    /// All tests that are not ignored.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let list = |ignored: &[&str]| -> Result<BTreeSet<String>, Error> {
            let output = Command::new(&self.path)
                .args(["--list", "--format", "terse"])
                .args(ignored)
                .current_dir(&self.folder)
                .output()
                .map_err(|e| Error::program("the tests", e))?;
            let text = String::from_utf8_lossy(&output.stdout);
            let names = text.lines().filter_map(|l| l.strip_suffix(": test"));
            Ok(names.map(str::to_owned).collect())
        };
        let ignored = list(&["--ignored"])?;
        Ok(list(&[])?.difference(&ignored).cloned().collect())
    }

    /// Runs one test without a mutant, and notes what it reaches and takes.
    ///
    /// # Errors
    ///
    /// It fails.
    pub fn look(&self, name: &str, work: &Path) -> Result<Test, Error> {
        let file = work.join(format!("reached-{}", name.replace(':', "-")));
        if file.exists() {
            std::fs::remove_file(&file).map_err(|e| Error::file(&file, e))?;
        }
        let (end, cost) = self.start(&[name], 60_000, ("REACHED", &file.to_string_lossy()))?;
        if end != End::Passed {
            return Err(Error::Tests(name.to_owned()));
        }
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if file.exists() {
            std::fs::remove_file(&file).map_err(|e| Error::file(&file, e))?;
        }
        Ok(Test {
            name: name.to_owned(),
            cost,
            reaches: text.lines().filter_map(|l| l.parse().ok()).collect(),
        })
    }

    /// Runs tests with a mutant until one fails; also says the hundredths of a second of
    /// processor time. `cost` is what they take without it.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub fn run(&self, mutant: u32, names: &[&str], cost: u64) -> Result<(End, u64), Error> {
        self.start(names, cost, ("MUTANT", &mutant.to_string()))
    }

    fn start(&self, names: &[&str], cost: u64, env: (&str, &str)) -> Result<(End, u64), Error> {
        let secs = (cost * 5 + GRACE).div_ceil(100);
        let script = format!("ulimit -t {secs} -v {MEMORY}; exec \"$0\" \"$@\"");
        let mut child = Command::new("bash")
            .arg("-c")
            .arg(script)
            .arg(&self.path)
            .args(["--exact", "--test-threads", "1"])
            .args(names)
            .current_dir(&self.folder)
            .env(env.0, env.1)
            // The same cases each time, so that what a test reaches stays true.
            .env("PROPTEST_RNG_SEED", "1")
            .env("PROPTEST_FAILURE_PERSISTENCE", "off")
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Error::program("the tests", e))?;
        let mut last = String::new();
        let mut failed = None;
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                let Some(rest) = line.strip_prefix("test ") else {
                    continue;
                };
                if let Some((name, how)) = rest.split_once(" ... ") {
                    name.clone_into(&mut last);
                    if how.starts_with("FAILED") {
                        failed = Some(name.to_owned());
                        break;
                    }
                }
            }
        }
        if failed.is_some() {
            // The rest is of no interest.
            let _ = child.kill();
        }
        let took = spent(child.id())?;
        let status = child.wait().map_err(|e| Error::program("the tests", e))?;
        let end = match failed {
            Some(name) => End::Failed(name),
            None if status.success() => End::Passed,
            None => End::Broke(last),
        };
        Ok((end, took))
    }
}

/// Waits for a child's end; hundredths of a second of processor time that it took.
fn spent(child: u32) -> Result<u64, Error> {
    let id = i32::try_from(child).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| Error::program("the tests", "no process"))?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(id), options).map_err(|e| Error::program("the tests", e))?;
    let path = PathBuf::from(format!("/proc/{child}/stat"));
    let text = std::fs::read_to_string(&path).map_err(|e| Error::file(&path, e))?;
    // The name of the program, in parentheses, may hold anything.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let times = fields.split_whitespace().skip(11).take(2);
    Ok(times.filter_map(|t| t.parse::<u64>().ok()).sum())
}

/// The tests by what reaches what: for each mutant, those that do, the cheapest first.
#[must_use]
pub fn by_mutant(tests: &[Test]) -> BTreeMap<u32, Vec<&Test>> {
    let mut of: BTreeMap<u32, Vec<&Test>> = BTreeMap::new();
    for test in tests {
        for id in &test.reaches {
            of.entry(*id).or_default().push(test);
        }
    }
    for tests in of.values_mut() {
        tests.sort_by_key(|t| (t.layer(), t.cost, t.name.clone()));
    }
    of
}
