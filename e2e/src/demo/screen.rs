//! What the demonstration prints.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Lab;
use crate::error::{Doing, LabError, Result};

/// Numbered steps on standard output.
#[derive(Default)]
pub struct Screen {
    steps: AtomicUsize,
}

impl Screen {
    /// Nothing printed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a step, with a short explanation.
    pub fn step(&self, title: &str, explanation: &str) {
        let n = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        println!("\n== {n}. {title}");
        for line in explanation.lines() {
            println!("   {}", line.trim_start());
        }
        println!();
    }

    /// A line below the step.
    pub fn note(&self, text: &str) {
        println!("   {text}");
    }

    /// A command, as one would type it.
    pub fn command(&self, text: &str) {
        println!("   $ {text}");
    }

    /// What a command printed.
    pub fn output(&self, text: &str) {
        for line in text.lines() {
            println!("   {line}");
        }
        println!();
    }

    /// The content of a file, without its comments.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).doing(|| format!("read {}", path.display()))?;
        self.command(&format!("cat {}", path.display()));
        let lines: Vec<&str> = text
            .lines()
            .filter(|l| !l.trim_start().starts_with('#'))
            .collect();
        self.output(&lines.join("\n"));
        Ok(())
    }
}

/// Shows and runs a kubectl command, and returns what it printed.
///
/// # Errors
/// When kubectl fails, with its words.
pub fn kubectl(screen: &Screen, lab: &Lab, words: &[&str]) -> Result<String> {
    screen.command(&format!("kubectl {}", words.join(" ")));
    let text = quiet(lab, words)?;
    screen.output(&text);
    Ok(text)
}

/// Runs a kubectl command without showing it.
///
/// # Errors
/// When kubectl fails, with its words.
pub fn quiet(lab: &Lab, words: &[&str]) -> Result<String> {
    let output = lab
        .kubectl()
        .args(words)
        .stdin(Stdio::null())
        .output()
        .doing(|| "start kubectl".into())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(LabError::Content(format!(
        "kubectl {} failed: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}
