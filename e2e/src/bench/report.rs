//! Figures and the two files that hold them: one for people, one for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::machine::Machine;
use super::stats::quantile;
use crate::error::{Doing, LabError, Result};

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// Name, stable over versions.
    pub name: String,
    /// The median of the runs.
    pub value: f64,
    /// Unit of `value`, `p25` and `p75`.
    pub unit: String,
    /// Lower quartile of the runs.
    pub p25: f64,
    /// Upper quartile of the runs.
    pub p75: f64,
    /// How many runs.
    pub runs: usize,
    /// What one would otherwise run, measured in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    /// `value` divided by the peer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// What was measured, in a sentence.
    pub note: String,
}

/// The other side of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Peer {
    /// What it is.
    pub name: String,
    /// Its median, in the figure's unit.
    pub value: f64,
}

impl Figure {
    /// A figure from its samples.
    #[must_use]
    pub fn new(name: &str, unit: &str, samples: &[f64], note: &str) -> Self {
        Self {
            name: name.into(),
            value: quantile(samples, 0.5),
            unit: unit.into(),
            p25: quantile(samples, 0.25),
            p75: quantile(samples, 0.75),
            runs: samples.len(),
            peer: None,
            ratio: None,
            note: note.into(),
        }
    }

    /// The same beside a peer's samples.
    #[must_use]
    pub fn beside(mut self, peer: &str, samples: &[f64]) -> Self {
        let value = quantile(samples, 0.5);
        self.ratio = (value > 0.0).then(|| self.value / value);
        self.peer = Some(Peer {
            name: peer.into(),
            value,
        });
        self
    }
}

/// All figures of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where they were measured.
    pub machine: Machine,
    /// The figures, in the order they were measured.
    pub figures: Vec<Figure>,
}

impl Report {
    /// Adds a figure and prints it.
    pub fn add(&mut self, figure: Figure) {
        println!("bench: {}", line(&figure));
        self.figures.push(figure);
    }

    /// Writes `report.md` and `report.json` below `folder`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).doing(|| format!("make {}", folder.display()))?;
        let json = serde_json::to_string_pretty(self)
            .map_err(|e| LabError::Content(format!("the report as JSON: {e}")))?;
        for (name, text) in [("report.json", json), ("report.md", self.markdown())] {
            let path = folder.join(name);
            fs::write(&path, text).doing(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    fn markdown(&self) -> String {
        let mut text = format!("# Benchmarks\n\n{}\n\n", self.machine);
        text.push_str(
            "| figure | median | quartiles | runs | beside | its median | ratio | what |\n",
        );
        text.push_str("| --- | ---: | ---: | ---: | --- | ---: | ---: | --- |\n");
        for f in &self.figures {
            let (peer, peer_value) = f.peer.as_ref().map_or((String::new(), String::new()), |p| {
                (p.name.clone(), short(p.value))
            });
            let ratio = f.ratio.map(short).unwrap_or_default();
            let _ = writeln!(
                text,
                "| {} | {} {} | {} to {} | {} | {peer} | {peer_value} | {ratio} | {} |",
                f.name,
                short(f.value),
                f.unit,
                short(f.p25),
                short(f.p75),
                f.runs,
                f.note
            );
        }
        text
    }
}

fn line(f: &Figure) -> String {
    let mut text = format!("{:<28} {:>9} {}", f.name, short(f.value), f.unit);
    if let (Some(peer), Some(ratio)) = (&f.peer, f.ratio) {
        let _ = write!(
            text,
            "   {}: {} {} (ratio {})",
            peer.name,
            short(peer.value),
            f.unit,
            short(ratio)
        );
    }
    text
}

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
