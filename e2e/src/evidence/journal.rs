//! What the programs' own logs say of addresses, and the rules for it.
//!
//! A [`Keeper`] links every container's log as it appears, so that it outlives its pod. The
//! rules are those of a reader who wants to know who held which address when: both
//! families' keys in every line that has one, each with an address of its own family or
//! null, and one line for each operation that ended.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Between two looks for logs that are new.
const LOOK: Duration = Duration::from_millis(200);
/// The pods whose logs are kept, by what their directories' names contain.
const KEPT: [&str; 2] = ["_sluice-", "sluice-system_"];
/// Keys of a line that ends an operation.
const KEYS: [&str; 6] = ["op", "outcome", "eip", "ipv4", "ipv6", "error"];

/// Keeps the logs of a lab's operator and gateways.
#[derive(Debug)]
pub struct Keeper {
    dir: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Keeps what appears below the nodes' log directories, in `dir`, which is emptied.
    /// All must be on one file system.
    #[must_use]
    pub fn start(nodes: Vec<PathBuf>, dir: PathBuf) -> Self {
        let _ = fs::remove_dir_all(&dir);
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, to) = (Arc::clone(&stop), dir.clone());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for logs in &nodes {
                    link_all(logs, &to);
                }
                std::thread::sleep(LOOK);
            }
        });
        Self {
            dir,
            stop,
            thread: Some(thread),
        }
    }

    /// The logs so far, by file, each a container's life (or a piece of it, where the
    /// kubelet rotated it).
    #[must_use]
    pub fn logs(&self) -> BTreeMap<String, String> {
        let files = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        files
            .filter_map(|file| {
                let text = fs::read(file.path()).ok()?;
                let name = file.file_name().to_string_lossy().into_owned();
                Some((name, String::from_utf8_lossy(&text).into_owned()))
            })
            .collect()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `<logs>/<namespace>_<pod>_<uid>/<container>/<n>.log`.
fn link_all(logs: &Path, to: &Path) {
    let list = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    for pod in list(logs) {
        let name = pod.file_name().to_string_lossy().into_owned();
        if !KEPT.iter().any(|part| name.contains(part)) {
            continue;
        }
        for file in list(&pod.path()).flat_map(|container| list(&container.path())) {
            let Ok(inode) = file.metadata().map(|m| m.ino()) else {
                continue;
            };
            let own = to.join(format!("{name}.{inode}.log"));
            if !own.exists() {
                let _ = fs::create_dir_all(to);
                let _ = fs::hard_link(file.path(), own);
            }
        }
    }
}

/// Judges logs, by file; what is wrong, in words. `from` says how many lines of a file were
/// judged before: they count, and are not told of again.
#[must_use]
pub fn check(logs: &BTreeMap<String, String>, from: &BTreeMap<String, usize>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in logs {
        let judged = from.get(file).copied().unwrap_or(0);
        let mut held: BTreeMap<String, State> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some(line) = fields(line) else { continue };
            if let Err(why) = judge(&line, &mut held)
                && number >= judged
            {
                wrong.push(format!(
                    "{file}:{}: {why}: {}",
                    number + 1,
                    Value::Object(line)
                ));
            }
        }
    }
    wrong
}

/// How many lines each log has.
#[must_use]
pub fn lines(logs: &BTreeMap<String, String>) -> BTreeMap<String, usize> {
    logs.iter()
        .map(|(file, text)| (file.clone(), text.lines().count()))
        .collect()
}

/// How many operations ended in these logs, after the lines that were there before.
#[must_use]
pub fn operations(logs: &BTreeMap<String, String>, from: &BTreeMap<String, usize>) -> usize {
    let fresh = logs.iter().flat_map(|(file, text)| {
        let judged = from.get(file).copied().unwrap_or(0);
        text.lines().skip(judged)
    });
    fresh
        .filter_map(fields)
        .filter(|line| line.contains_key("op") && line.contains_key("eip"))
        .count()
}

/// The JSON object of a line, which the kubelet prefixes with time, stream and a flag.
fn fields(line: &str) -> Option<Map<String, Value>> {
    let json = line.split_once('{').map(|(_, rest)| format!("{{{rest}"))?;
    match serde_json::from_str(&json) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

fn judge(line: &Map<String, Value>, held: &mut BTreeMap<String, State>) -> Result<(), String> {
    let family = |key: &str, fits: fn(&str) -> bool| match line.get(key) {
        None => Err(format!("the key {key} is absent")),
        Some(Value::Null) => Ok(Value::Null),
        Some(Value::String(text)) if fits(text) => Ok(Value::from(text.as_str())),
        Some(other) => Err(format!("{key} is {other}")),
    };
    let speaks = line.contains_key("ipv4") || line.contains_key("ipv6");
    let ends = line.contains_key("op") && line.contains_key("eip");
    if !speaks && !ends {
        return Ok(());
    }
    let now = (
        family("ipv4", |text| text.parse::<Ipv4Addr>().is_ok())?,
        family("ipv6", |text| text.parse::<Ipv6Addr>().is_ok())?,
    );
    if !ends {
        return Ok(());
    }
    if let Some(key) = KEYS.iter().find(|key| !line.contains_key(**key)) {
        return Err(format!("the key {key} is absent"));
    }
    let word = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
    let eip = word("eip").to_owned();
    // What was there before the process is not told as new: then nothing is known.
    let before = held.get(&eip);
    match (word("op"), word("outcome"), before) {
        ("add", "done", Some(State::Held(..))) => Err("a second add without a delete".into()),
        ("update", "done", Some(State::Gone)) => Err("an update of what is gone".into()),
        ("delete", "done", Some(State::Gone)) => Err("a second delete".into()),
        ("delete", "done", Some(State::Held(before))) if *before != now => {
            Err(format!("deletes others than {before:?}"))
        }
        ("add" | "update", "done", _) => {
            held.insert(eip, State::Held(now));
            Ok(())
        }
        ("delete", "done", _) => {
            held.insert(eip, State::Gone);
            Ok(())
        }
        ("add" | "update" | "delete", "refused" | "abandoned", _) => Ok(()),
        (op, outcome, _) => Err(format!("no operation ends as {op} {outcome}")),
    }
}

/// What a log has said of an EIP.
enum State {
    /// It has these addresses, IPv4 and IPv6.
    Held((Value, Value)),
    /// It has none any more.
    Gone,
}
