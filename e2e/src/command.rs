//! Running other programs, with errors that show what they said.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::error::{Doing, LabError, Result};

/// How much of a program's output an error shows, in characters.
const SHOWN: usize = 2000;

/// Runs `command` to its end and returns what it wrote to standard output.
///
/// # Errors
/// When it cannot be started, or does not exit with 0.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .doing(|| format!("start `{}`", line(command)))?;
    finish(command, &output)
}

/// Like [`run`], with `input` on the program's standard input.
///
/// # Errors
/// As [`run`].
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing(|| format!("start `{}`", line(command)))?;
    // A program that ends early closes the pipe; its exit status then says why.
    let _ = child
        .stdin
        .take()
        .map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output = child
        .wait_with_output()
        .doing(|| format!("wait for `{}`", line(command)))?;
    finish(command, &output)
}

fn finish(command: &Command, output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let all = format!("{}{stdout}", String::from_utf8_lossy(&output.stderr));
    let skip = all.chars().count().saturating_sub(SHOWN);
    Err(LabError::Command {
        command: line(command),
        status: output.status.to_string(),
        output: all.trim().chars().skip(skip).collect(),
    })
}

/// The command line as text, shortened.
fn line(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args().map(OsStr::to_string_lossy) {
        text.push(' ');
        text.push_str(&arg);
    }
    text.chars().take(300).collect()
}
