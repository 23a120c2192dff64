//! How commands talk to the process that runs a lab: one JSON line each way on
//! a Unix socket in the lab's directory.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control_plane::Component;
use crate::error::{Doing, LabError, Result};

/// What can be asked of a running lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Request {
    /// Says the forwarder's port.
    Hello,
    /// Makes the networks that are no node's.
    Network,
    /// Starts a component of the control plane; running already is no error.
    Start {
        /// Which.
        component: Component,
    },
    /// Kills a component; not running is no error.
    Stop {
        /// Which.
        component: Component,
    },
    /// Powers a node on, with a fresh boot ID.
    NodeOn {
        /// Its name.
        node: String,
    },
    /// Powers a node off: everything in it dies at once.
    NodeOff {
        /// Its name.
        node: String,
    },
    /// Stops or continues every process of a node; its kernel goes on.
    Freeze {
        /// Its name.
        node: String,
        /// Stop or continue.
        frozen: bool,
    },
    /// Cuts a node and its pods off from the API server, or heals that.
    Partition {
        /// Its name.
        node: String,
        /// Cut or heal.
        cut: bool,
    },
    /// Imports the packed images on a node again.
    Import {
        /// Its name.
        node: String,
    },
    /// Brings the OVN network up.
    OvnUp,
    /// Runs a command of the OVN network's script.
    Ovn {
        /// The command and its words.
        words: Vec<String>,
    },
    /// Says what runs.
    Status,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Why it failed; absent on success.
    #[serde(default)]
    pub error: Option<String>,
    /// The forwarder's port (Hello).
    #[serde(default)]
    pub port: u16,
    /// Components and nodes that run (Status).
    #[serde(default)]
    pub running: Vec<String>,
    /// What a command printed (Ovn).
    #[serde(default)]
    pub text: String,
}

/// The socket's path, short enough for the kernel's limit of 107 characters
/// wherever the checkout lies. The file must stay open while it is used.
fn short_path(dir: &Path) -> Result<(File, PathBuf)> {
    let file = File::open(dir).doing(|| format!("open {}", dir.display()))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/control.sock", file.as_raw_fd()));
    Ok((file, path))
}

/// Starts to listen in the lab directory `dir`.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(dir: &Path) -> Result<UnixListener> {
    let _ = std::fs::remove_file(dir.join("control.sock"));
    let (_open, path) = short_path(dir)?;
    UnixListener::bind(path).doing(|| format!("listen in {}", dir.display()))
}

/// Asks the lab in `dir`, and waits for its answer, at most a minute.
///
/// # Errors
/// When no lab listens there, and with the lab's own error.
pub fn ask(dir: &Path, request: &Request) -> Result<Answer> {
    let (_open, path) = short_path(dir)?;
    let mut stream = UnixStream::connect(path).map_err(|_| {
        LabError::Refused(format!(
            "no lab runs in {}: start one with `sluice-lab up`",
            dir.display()
        ))
    })?;
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut text = serde_json::to_string(request)
        .map_err(|error| LabError::Content(format!("request: {error}")))?;
    text.push('\n');
    stream
        .write_all(text.as_bytes())
        .doing(|| "write to the lab".into())?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .doing(|| "read the lab's answer".into())?;
    let answer: Answer = serde_json::from_str(&line)
        .map_err(|error| LabError::Content(format!("the lab answered {line:?}: {error}")))?;
    match answer.error {
        Some(error) => Err(LabError::Refused(error)),
        None => Ok(answer),
    }
}

/// Reads one request from a connection and writes what `serve` answers.
pub fn answer(stream: &UnixStream, serve: impl FnOnce(Request) -> Result<Answer>) {
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let result = serde_json::from_str(&line)
        .map_err(|error| LabError::Content(format!("not understood: {line:?}: {error}")))
        .and_then(serve);
    let reply = result.unwrap_or_else(|error| Answer {
        error: Some(error.one_line()),
        ..Answer::default()
    });
    if let Ok(mut text) = serde_json::to_string(&reply) {
        text.push('\n');
        // Whoever asked may have gone; there is nobody left to tell.
        let _ = (&mut &*stream).write_all(text.as_bytes());
    }
}
