//! Feeds parsers with input that grows from what they have taken, on stable Rust.
//!
//! A target is a test of the crate whose parser it feeds, so that private parsers have one
//! too; its name begins with `fuzz_`. It says of each input what became of it, by a
//! [`Trait`]; an input of which something new became is kept and changed further. That is
//! less than what coverage by the compiler gives, which needs a nightly one, and more than
//! chance.
//!
//! Short by default, so that it runs with the other tests; `FUZZ_SECS` makes it long
//! (`make fuzz`). What was found once is kept in `fuzz/corpus/<target>/` and is fed first,
//! always. A new find is written to `target/fuzz/<target>/`: move it to the corpus when it
//! is mended.

mod mutate;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Random;

/// What became of an input: equal for inputs that went the same way.
pub type Trait = u64;

/// How long the short form takes, for each target.
const SHORT: Duration = Duration::from_millis(700);
/// One input that takes longer is a find.
const SLOW: Duration = Duration::from_secs(2);
/// Inputs that are kept in memory.
const KEPT: usize = 4_096;

/// A trait of anything that can be hashed: an error's kind, the number of parts, a field.
pub fn trait_of(what: impl Hash) -> Trait {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Feeds a target from these seeds, and from its corpus; words of the input's language help.
///
/// # Errors
/// The first input that made it panic or that took too long, and where that is kept.
/// Anything that the target asserts is a panic.
pub fn feed(
    target: &str,
    seeds: &[&[u8]],
    words: &[&str],
    run: impl Fn(&[u8]) -> Trait,
) -> Result<(), String> {
    let long = std::env::var("FUZZ_SECS").ok();
    let long = long.and_then(|secs| secs.parse().ok());
    let time = long.map_or(SHORT, Duration::from_secs);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = files(&root.join("corpus").join(target));
    let old = corpus.len();
    let begun = Instant::now();
    let seed = begun_at();
    let mut random = Random::new(seed);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut seen: BTreeSet<Trait> = BTreeSet::new();
    let mut inputs = 0_u64;
    let mut queue: Vec<Vec<u8>> = corpus.into_values().collect();
    queue.extend(seeds.iter().map(|seed| seed.to_vec()));
    queue.reverse();
    while !queue.is_empty() || begun.elapsed() < time {
        let input = match queue.pop() {
            Some(input) => input,
            None => random.change(&kept, words),
        };
        inputs += 1;
        let at = Instant::now();
        let became = catch_unwind(AssertUnwindSafe(|| run(&input)));
        let slow = at.elapsed() > SLOW;
        match became {
            Ok(trait_) if !slow => {
                if seen.insert(trait_) && kept.len() < KEPT {
                    kept.push(input);
                }
            }
            became => {
                let why = if became.is_err() {
                    "panicked"
                } else {
                    "was slow"
                };
                return Err(keep(root, target, &input, why));
            }
        }
    }
    let secs = begun.elapsed().as_secs_f64();
    let line = format!(
        "fuzz {target}: {inputs} inputs in {secs:.1} s, {} ways, {old} old finds, no new one, seed {seed}\n",
        seen.len()
    );
    // Past the test runner, which keeps what is printed.
    let _ = std::io::stderr().write_all(line.as_bytes());
    Ok(())
}

fn begun_at() -> u64 {
    let given = std::env::var("FUZZ_SEED").ok();
    let given = given.and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs() ^ u64::from(now.subsec_nanos()))
    })
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let list = fs::read_dir(dir).into_iter().flatten().flatten();
    list.filter_map(|file| Some((file.path(), fs::read(file.path()).ok()?)))
        .collect()
}

/// Writes a find down, and says where.
fn keep(root: &Path, target: &str, input: &[u8], why: &str) -> String {
    let dir = root.join("../target/fuzz").join(target);
    let file = dir.join(format!("{:016x}", trait_of(input)));
    let written = fs::create_dir_all(&dir).and_then(|()| fs::write(&file, input));
    let shown = String::from_utf8_lossy(input.get(..200).unwrap_or(input)).into_owned();
    match written {
        Ok(()) => format!("{target} {why} on {}: {shown:?}", file.display()),
        Err(error) => format!("{target} {why} (not kept: {error}): {shown:?}"),
    }
}

#[cfg(test)]
mod tests;
