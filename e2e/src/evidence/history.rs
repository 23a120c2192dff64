//! One history of a scenario: every watched object's every version, what the
//! scenario did, what the probes lost and what leaked, in the order of arrival.
//!
//! It is kept in memory and written to a file, one JSON line a record, so that
//! the rules can be checked again later from the file alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Doing, LabError, Result};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was noticed, microseconds of a monotonic clock that starts with
    /// the run.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// The API server showed an object, or that it is gone.
    Object {
        /// Its kind.
        kind: String,
        /// Whether this is its last version.
        gone: bool,
        /// The object, without `managedFields`.
        object: Value,
    },
    /// A kind had to be listed anew: what came between two resourceVersions was not seen,
    /// but for what was left of it.
    Gap {
        /// The kind.
        kind: String,
        /// What was seen last.
        from: u64,
        /// That of the list.
        to: u64,
    },
    /// The scenario did something.
    Mark(Mark),
    /// Requests to an address were not answered.
    Loss(Loss),
    /// A packet with an inside source was seen outside.
    Leak(Leak),
}

/// What the scenario says of what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "kebab-case")]
pub enum Mark {
    /// A step, for the reader.
    Note {
        /// What it is.
        text: String,
    },
    /// Something is about to be broken.
    Fault {
        /// What is broken.
        harm: Harm,
        /// What it is, for the reader.
        text: String,
    },
    /// A pod ends, some time: what it comes to hold meanwhile it does not hold for long.
    Doom {
        /// Its UID.
        pod: String,
    },
    /// The operator cannot write from now on: killed, or its API server away.
    OperatorOut,
    /// It can again.
    OperatorBack,
    /// Objects are about to be deleted or changed: nothing is promised of their
    /// traffic any more. Each is `Kind/namespace/name`, or `Kind/*`.
    Retire {
        /// Which.
        objects: Vec<String>,
    },
    /// The inside hosts of this host start: the kernel answers for one as soon as it has
    /// its address, and until its routes stand by the pod network.
    Starting {
        /// The host.
        host: String,
    },
    /// They have started.
    Started {
        /// The host.
        host: String,
    },
    /// Nothing changes from now on: no writes but renewals of Leases.
    IdleFrom,
    /// Things may change again.
    IdleTo,
}

/// What a fault breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// Whoever holds a gateway now will hold nothing any more: only another
    /// instance or term can serve.
    Holder,
    /// Traffic may stop until Ready has turned True anew.
    Traffic,
}

/// A run of requests that were not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Who asked what: `EIP/namespace/name` or `FIP/namespace/name`.
    pub object: String,
    /// The address asked.
    pub address: String,
    /// When the first of them was sent.
    pub from_us: u64,
    /// When the last of them was sent.
    pub to_us: u64,
    /// How many they are.
    pub lost: u64,
}

/// A packet with an inside source where it must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak {
    /// The host that it was seen on.
    pub host: String,
    /// The interface that it was seen on.
    pub interface: String,
    /// Its beginning, in hex.
    pub bytes: String,
}

/// A history that is being written; clones write the same one.
#[derive(Clone)]
pub struct History {
    start: Instant,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    records: Vec<Record>,
    live: BTreeMap<(String, String, String), Value>,
    file: Option<BufWriter<File>>,
}

impl History {
    /// An empty history without a file.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner {
            records: Vec::new(),
            live: BTreeMap::new(),
            file: None,
        };
        Self {
            start: Instant::now(),
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Forgets all records and goes on in `file`, beginning with the objects
    /// that exist now.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn begin(&self, file: &Path) -> Result<()> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).doing(|| format!("make {}", dir.display()))?;
        }
        let out = File::create(file).doing(|| format!("make {}", file.display()))?;
        let at_us = self.now_us();
        let mut inner = self.lock();
        inner.file = Some(BufWriter::new(out));
        inner.records.clear();
        let live: Vec<(String, Value)> = inner
            .live
            .iter()
            .map(|((kind, _, _), object)| (kind.clone(), object.clone()))
            .collect();
        for (kind, object) in live {
            inner.push(Record {
                at_us,
                what: What::Object {
                    kind,
                    gone: false,
                    object,
                },
            });
        }
        Ok(())
    }

    /// Microseconds since the run began.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Adds a record of now.
    pub fn add(&self, what: What) {
        let at_us = self.now_us();
        let mut inner = self.lock();
        if let What::Object { kind, gone, object } = &what {
            let key = (
                kind.clone(),
                text(object, "/metadata/namespace"),
                text(object, "/metadata/name"),
            );
            if *gone {
                inner.live.remove(&key);
            } else {
                inner.live.insert(key, object.clone());
            }
        }
        inner.push(Record { at_us, what });
    }

    /// Adds a note for the reader.
    pub fn note(&self, text: impl Into<String>) {
        self.add(What::Mark(Mark::Note { text: text.into() }));
    }

    /// Adds a mark.
    pub fn mark(&self, mark: Mark) {
        self.add(What::Mark(mark));
    }

    /// All records so far; the file has them too.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut inner = self.lock();
        if let Some(file) = inner.file.as_mut() {
            // The file is for the reader; the rules work on the memory.
            let _ = file.flush();
        }
        inner.records.clone()
    }

    /// The newest version of an object that exists, as far as the watch knows.
    #[must_use]
    pub fn live(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.lock()
            .live
            .get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// All objects of a kind that exist, as far as the watch knows.
    #[must_use]
    pub fn live_of(&self, kind: &str) -> Vec<Value> {
        let inner = self.lock();
        inner
            .live
            .iter()
            .filter(|((k, _, _), _)| k == kind)
            .map(|(_, object)| object.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl Inner {
    fn push(&mut self, record: Record) {
        if let (Some(file), Ok(line)) = (self.file.as_mut(), serde_json::to_string(&record)) {
            let _ = writeln!(file, "{line}");
        }
        self.records.push(record);
    }
}

/// Reads a history back from its file.
///
/// # Errors
/// When the file cannot be read or a line is no record.
pub fn read(file: &Path) -> Result<Vec<Record>> {
    let content = fs::read_to_string(file).doing(|| format!("read {}", file.display()))?;
    content
        .lines()
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                LabError::Content(format!("{}:{}: {error}", file.display(), number + 1))
            })
        })
        .collect()
}

fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_history_reads_back_as_it_was_and_begins_with_what_exists() {
        let file =
            std::env::temp_dir().join(format!("sluice-history-{}.jsonl", std::process::id()));
        let history = History::new();
        let eip = json!({"metadata": {"namespace": "n", "name": "a", "resourceVersion": "5"}});
        history.add(What::Object {
            kind: "EIP".into(),
            gone: false,
            object: eip.clone(),
        });
        history.begin(&file).unwrap();
        history.mark(Mark::Fault {
            harm: Harm::Holder,
            text: "x".into(),
        });
        history.add(What::Object {
            kind: "EIP".into(),
            gone: true,
            object: eip,
        });
        let records = history.records();
        assert_eq!(records.len(), 3);
        assert_eq!(read(&file).unwrap(), records);
        assert!(history.live("EIP", "n", "a").is_none());
        fs::remove_file(&file).unwrap();
    }
}
