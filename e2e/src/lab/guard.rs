//! The process that watches over a lab for the one that started it.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::Lab;
use crate::error::{Doing, LabError, Result};
use crate::paths::LabPaths;

/// A process that takes the lab down when the one that started it dies.
pub(super) struct Guard {
    child: Child,
    pipe: ChildStdin,
}

impl Guard {
    pub(super) fn start(paths: &LabPaths) -> Result<Self> {
        let mut child = Command::new(paths.bin().join("sluice-lab"))
            .args(["internal", "guard", &paths.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "start the lab's guard".into())?;
        match child.stdin.take() {
            Some(pipe) => Ok(Self { child, pipe }),
            None => Err(LabError::Content("the guard has no standard input".into())),
        }
    }

    /// Ends the guard; the lab stays as it is.
    pub(super) fn dismiss(mut self) {
        let _ = self.pipe.write_all(b"keep");
        drop(self.pipe);
        let _ = self.child.wait();
    }
}

/// The `internal guard` command: waits until its starter closes the pipe, by
/// dying or otherwise, and takes the lab down unless it was told to keep it.
///
/// # Errors
/// As [`Lab::down`].
pub fn guard(name: &str) -> Result<()> {
    rustix::process::setsid().doing(|| "start a session".into())?;
    let mut text = String::new();
    let _ = std::io::stdin().read_to_string(&mut text);
    if text == "keep" {
        Ok(())
    } else {
        Lab::down(name)
    }
}
