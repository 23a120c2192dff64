//! What a phase costs: writes, and the processor time of those who take part.
//! On a machine whose cores are all busy this says who decides how long it takes.

use std::collections::BTreeMap;
use std::fs;

use kube::Client;

use super::pods::pids;
use super::writes::{newest, writes_since};
use crate::Lab;
use crate::bench::process;
use crate::bench::report::{Figure, Report};
use crate::control_plane::Component;
use crate::error::Result;

/// A phase under way.
pub(super) struct Cost {
    phase: &'static str,
    writes: u64,
    used: BTreeMap<(&'static str, i32), f64>,
}

impl Cost {
    /// Begins to count.
    ///
    /// # Errors
    /// When a process cannot be found.
    pub(super) async fn begin(lab: &Lab, client: &Client, phase: &'static str) -> Result<Self> {
        Ok(Self {
            phase,
            writes: newest(client).await?,
            used: used(lab, client).await?,
        })
    }

    /// Adds the phase's figures. A process that began within it counts whole.
    ///
    /// # Errors
    /// When a process cannot be found.
    pub(super) async fn end(self, lab: &Lab, client: &Client, report: &mut Report) -> Result<()> {
        let phase = self.phase;
        let writes = writes_since(client, self.writes).await?;
        report.add(Figure::new(
            &format!("{phase}_writes"),
            "",
            &[writes as f64],
            "API writes of everyone in that time",
        ));
        for (process, now) in used(lab, client).await? {
            let before = self.used.get(&process).copied().unwrap_or_default();
            let name = process.0.trim_start_matches("kube-");
            report.add(Figure::new(
                &format!("{phase}_{name}_cpu_s"),
                "s",
                &[now - before],
                "its processor time in that time",
            ));
        }
        Ok(())
    }
}

/// Processor seconds so far of the API server, its store, the operator and the agent.
async fn used(lab: &Lab, client: &Client) -> Result<BTreeMap<(&'static str, i32), f64>> {
    let mut all = pids(lab, client).await?;
    for component in [Component::Etcd, Component::ApiServer] {
        let program = component.program();
        all.extend(running_in(&lab.paths().control_plane(), program).map(|pid| (program, pid)));
    }
    all.into_iter()
        .map(|process| Ok((process, process::cpu_secs(process.1)?)))
        .collect()
}

/// Processes of that name that work in a directory.
fn running_in(dir: &std::path::Path, program: &str) -> impl Iterator<Item = i32> {
    // The kernel keeps 15 characters of a name.
    let comm: String = program.chars().take(15).collect();
    let dir = dir.to_owned();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(move |pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim_end() == comm)
                && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == dir)
        })
}
