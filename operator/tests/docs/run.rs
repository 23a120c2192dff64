//! How one example is tried.

use std::process::Command as Process;

use clap::Parser as _;
use kubectl_sluice::options::Options;
use sluice_docs::block::Block;
use sluice_docs::command::Command;

use crate::control_plane::{ControlPlane, repo};

/// What became of an example.
pub enum Said {
    Works,
    NotRun(String),
    Fails(String),
}

pub struct Runner<'a> {
    pub plane: &'a ControlPlane,
}

/// Verbs of kubectl that only read.
const READS: [&str; 5] = ["get", "describe", "explain", "api-resources", "auth"];
/// Verbs that the API server can try without doing.
const TRIES: [&str; 8] = [
    "apply", "create", "delete", "annotate", "label", "patch", "taint", "scale",
];

fn said(ok: bool, words: String) -> Said {
    if ok { Said::Works } else { Said::Fails(words) }
}

impl Runner<'_> {
    /// Objects are applied as a trial, which judges all that a real one would.
    pub fn yaml(&self, block: &Block) -> Said {
        if block.has("values") {
            return self.values(block);
        }
        let objects = crate::objects(block);
        let whole = objects
            .iter()
            .all(|o| o["apiVersion"].is_string() && o["kind"].is_string());
        if !whole {
            return Said::Fails("an object without apiVersion or kind".into());
        }
        if block.has("foreign") {
            let kinds: Vec<String> = objects.iter().map(|o| o["kind"].to_string()).collect();
            return Said::NotRun(format!("{} of another project", kinds.join(", ")));
        }
        let file = self.plane.write("block.yaml", &block.text);
        let (ok, words) = self.plane.try_kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            &file,
        ]);
        said(ok, words)
    }

    /// A shell runs it as it stands, in a folder that lasts as long as the cluster.
    pub fn shell(&self, block: &Block) -> Said {
        if block.has("elsewhere") {
            let all = "fips,dnats,snats,eips,natgateways,eippools";
            self.plane.kubectl(&["delete", all, "-A", "--all"]);
        }
        let ran = self.plane.shell(&block.text);
        said(ran.0, ran.1)
    }

    /// Values are rendered with.
    fn values(&self, block: &Block) -> Said {
        let file = self.plane.write("values.yaml", &block.text);
        helm(&[
            "template",
            "sluice",
            "deploy/chart",
            "-n",
            "sluice-system",
            "-f",
            &file,
        ])
    }

    pub fn command(&self, command: &Command) -> Said {
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        if command.piped {
            return Said::NotRun("takes what another command prints".into());
        }
        match words.as_slice() {
            ["kubectl", "sluice", rest @ ..] => plugin(rest),
            ["kubectl", rest @ ..] => self.kubectl(command, rest),
            ["helm", rest @ ..] => helm_parses(rest),
            ["make", target, ..] => make(target),
            [program, ..] => Said::NotRun(format!("{program} is not tried here")),
            [] => Said::Works,
        }
    }

    fn kubectl(&self, command: &Command, words: &[&str]) -> Said {
        let verb = words
            .iter()
            .find(|w| READS.contains(w) || TRIES.contains(w))
            .copied()
            .unwrap_or_default();
        let applied = words
            .iter()
            .zip(words.iter().skip(1))
            .filter_map(|(flag, file)| (*flag == "-f").then_some(*file));
        let taken = words.iter().filter_map(|w| w.strip_prefix("--from-file="));
        // Files of the reader's, or that an earlier command writes, are not there.
        let there = applied.chain(taken).all(|file| repo().join(file).exists());
        if there && !command.has_blanks() {
            if READS.contains(&verb) {
                let (ok, text) = self.plane.try_kubectl(words);
                return said(ok, text);
            }
            if TRIES.contains(&verb) {
                let mut all = words.to_vec();
                all.push("--dry-run=server");
                if words.contains(&"--server-side") {
                    all.push("--force-conflicts");
                }
                let (ok, text) = self.plane.try_kubectl(&all);
                return said(ok, text);
            }
        }
        // Flags are judged before help is given.
        let mut all = words.to_vec();
        all.push("--help");
        let (ok, text) = self.plane.try_kubectl(&all);
        said(ok && text.contains("Usage:"), text)
    }
}

fn plugin(words: &[&str]) -> Said {
    let all = std::iter::once("kubectl-sluice").chain(words.iter().copied());
    match Options::try_parse_from(all) {
        Ok(_) => Said::Works,
        Err(error) => Said::Fails(error.to_string()),
    }
}

fn helm_parses(words: &[&str]) -> Said {
    let chart = words.iter().find(|w| w.contains('/') && !w.contains('='));
    if let Some(chart) = chart.filter(|chart| !repo().join(chart).is_dir()) {
        return Said::Fails(format!("there is no chart {chart}"));
    }
    let mut all = words.to_vec();
    all.push("--help");
    helm(&all)
}

fn helm(words: &[&str]) -> Said {
    let program = repo().join("target/tools/helm");
    let ran = Process::new(&program)
        .args(words)
        .current_dir(repo())
        .env("HELM_CACHE_HOME", repo().join("target/tools/cache"))
        .env("HELM_CONFIG_HOME", repo().join("target/tools/config"))
        .env("HELM_DATA_HOME", repo().join("target/tools/data"))
        .output();
    match ran {
        Ok(out) => said(
            out.status.success(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        ),
        Err(error) => Said::Fails(format!(
            "{}: {error}: run scripts/go-tools.sh",
            program.display()
        )),
    }
}

fn make(target: &str) -> Said {
    let text = std::fs::read_to_string(repo().join("Makefile")).unwrap_or_default();
    let known = text
        .lines()
        .any(|line| line.starts_with(&format!("{target}:")));
    said(known, format!("the Makefile has no target {target}"))
}
