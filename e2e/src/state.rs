//! The record of a running lab, and the identity of its first process.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Doing, LabError, Result};
use crate::options::UpOptions;
use crate::paths::LabPaths;

/// What is needed to find a lab again, or to take it down after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The first process of the lab's pid namespace: all others die with it.
    pub init: ProcessId,
    /// The port of 127.0.0.1 that leads to the API server.
    pub port: u16,
    /// How the lab was brought up.
    pub options: UpOptions,
}

/// A process, named so that a later one with the same number is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number in the host's pid namespace.
    pub pid: i32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start: u64,
}

impl ProcessId {
    /// The identity of the process that has this number now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, start) = parse_stat(&stat)?;
        (state != 'Z').then_some(Self { pid, start })
    }

    /// Whether that very process still runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// State letter and start time. The name in parentheses may hold anything.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

impl State {
    fn file(paths: &LabPaths) -> PathBuf {
        paths.dir.join("state.json")
    }

    /// Reads the record of a lab; `None` when there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn read(paths: &LabPaths) -> Result<Option<Self>> {
        let file = Self::file(paths);
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
        serde_json::from_str(&text).map(Some).map_err(|error| {
            LabError::Content(format!("{} is no lab record: {error}", file.display()))
        })
    }

    /// Writes the record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, paths: &LabPaths) -> Result<()> {
        let file = Self::file(paths);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LabError::Content(format!("lab record: {error}")))?;
        fs::write(&file, text).doing(|| format!("write {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(parse_stat(stat), Some(('S', 4242)));
        assert_eq!(parse_stat("7 (cut"), None);
    }

    #[test]
    fn another_process_under_the_same_number_is_not_alive() {
        let own = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.alive());
        assert!(
            !ProcessId {
                start: own.start + 1,
                ..own
            }
            .alive()
        );
    }
}
