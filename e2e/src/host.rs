//! The hosts of a lab by name, and the way into their network namespaces.
//!
//! Pods are found in the log directories and cgroups of the nodes, not through
//! the API server, so that this works while the API server is away.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{LabError, Result};
use crate::network::FIXED;
use crate::node::plan_of;
use crate::node_config::cgroup;
use crate::ovn;
use crate::paths::LabPaths;
use crate::state::State;

/// A host of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `client`, `client2`, `router`, `cp`, the control plane, or a host of the OVN network:
    /// `chassis1`, `vm1`, ...
    Fixed(String),
    /// `node/NAME`.
    Node(String),
    /// `pod/NAMESPACE/NAME`.
    Pod {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        name: String,
    },
}

impl Host {
    /// The pod of a namespace.
    #[must_use]
    pub fn pod(namespace: &str, name: &str) -> Self {
        Self::Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl FromStr for Host {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [name] if FIXED.contains(name) || ovn::HOSTS.contains(name) => {
                Ok(Self::Fixed((*name).to_owned()))
            }
            ["node", name] => Ok(Self::Node(plan_of(name)?.name)),
            ["pod", namespace, name] if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self::pod(namespace, name))
            }
            _ => Err(LabError::Refused(format!(
                "{text:?} is no host of a lab: use client, client2, router, cp, node/NAME, pod/NAMESPACE/NAME or, of an OVN network, chassisN or vmN"
            ))),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(name) => f.write_str(name),
            Self::Node(name) => write!(f, "node/{name}"),
            Self::Pod { namespace, name } => write!(f, "pod/{namespace}/{name}"),
        }
    }
}

/// A process of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodProcess {
    /// Its number in the host's pid namespace.
    pub pid: i32,
    /// Whether it is the pause process that holds the pod's namespaces.
    pub pause: bool,
    /// The node it runs on.
    pub node: String,
}

impl Host {
    /// The host's network namespace, as a path to open.
    ///
    /// # Errors
    /// When the node is off or the pod does not run.
    pub fn netns(&self, paths: &LabPaths, state: &State) -> Result<PathBuf> {
        let (Self::Fixed(name) | Self::Node(name)) = self else {
            let processes = self.processes(paths, state)?;
            let first = processes.iter().find(|p| p.pause).or(processes.first());
            return first
                .map(|p| PathBuf::from(format!("/proc/{}/ns/net", p.pid)))
                .ok_or_else(|| {
                    LabError::Refused(format!(
                        "{self} has no running process on any node of this lab"
                    ))
                });
        };
        let root = PathBuf::from(format!("/proc/{}/root", state.init.pid));
        let inside = paths.netns(name);
        let path = root.join(inside.strip_prefix("/").unwrap_or(&inside));
        if path.exists() {
            return Ok(path);
        }
        Err(LabError::Refused(format!(
            "{self} is not there: is it off? see `sluice-lab status`"
        )))
    }

    /// The processes of a pod, those of its newest life if it had several.
    ///
    /// # Errors
    /// When this is no pod, or none runs.
    pub fn processes(&self, paths: &LabPaths, state: &State) -> Result<Vec<PodProcess>> {
        let Self::Pod { namespace, name } = self else {
            return Err(LabError::Refused(format!(
                "{self} is no pod: use pod/NAMESPACE/NAME"
            )));
        };
        let prefix = format!("{namespace}_{name}_");
        let mut lives = Vec::new();
        for node in state.options.node_plans() {
            let logs = paths.node(&node.name).join("var-log/pods");
            for entry in fs::read_dir(logs).into_iter().flatten().flatten() {
                let file = entry.file_name().to_string_lossy().into_owned();
                let Some(uid) = file.strip_prefix(&prefix) else {
                    continue;
                };
                let processes = processes_of(paths, &node.name, uid);
                if !processes.is_empty() {
                    lives.push((entry.metadata().and_then(|m| m.modified()).ok(), processes));
                }
            }
        }
        lives.sort_by_key(|(time, _)| *time);
        lives.pop().map(|(_, processes)| processes).ok_or_else(|| {
            LabError::Refused(format!(
                "{self} has no running process on any node of this lab"
            ))
        })
    }
}

fn processes_of(paths: &LabPaths, node: &str, uid: &str) -> Vec<PodProcess> {
    let mut pids: Vec<i32> = Vec::new();
    for dir in cgroup(paths, node).find(&format!("pod{uid}")) {
        for container in fs::read_dir(dir).into_iter().flatten().flatten() {
            let file = container.path().join("cgroup.procs");
            let text = fs::read_to_string(file).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
    }
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter()
        .filter_map(|pid| {
            let program = program(pid)?;
            Some(PodProcess {
                pid,
                pause: program.ends_with("sluice-pause"),
                node: node.to_owned(),
            })
        })
        .collect()
}

/// The program that a living process runs. None for those by which the runtime
/// starts a container, most of which end within milliseconds.
///
/// It is told by the file that is executed: a name (`comm`) is set, and a
/// command line filled, some time after a process came to its cgroup.
fn program(pid: i32) -> Option<PathBuf> {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    // `…/runc`, and `/memfd:runc_cloned:…` where it runs from a sealed copy.
    let runtime = exe.iter().any(|part| {
        let part = part.to_string_lossy();
        part.starts_with("runc") || part.starts_with("memfd:runc")
    });
    (!runtime).then_some(exe)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_runtime_that_starts_a_container_is_no_process_of_the_pod() {
        let dir = std::env::temp_dir().join(format!("sluice-host-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for (name, of_the_pod) in [("runc", false), ("agent", true)] {
            let copy = dir.join(name);
            fs::copy("/bin/sleep", &copy).unwrap();
            let mut child = Command::new(&copy).arg("60").spawn().unwrap();
            let found = program(i32::try_from(child.id()).unwrap());
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(found, of_the_pod.then_some(copy));
            assert_eq!(program(i32::try_from(child.id()).unwrap()), None);
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn hosts_are_named_as_documented_and_nothing_else() {
        for text in [
            "client",
            "client2",
            "router",
            "cp",
            "chassis1",
            "vm3",
            "node/node-a",
            "pod/tenants/web",
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "web",
            "vm4",
            "node/",
            "node/nodeb",
            "pod/web",
            "pod//web",
            "pod/a/b/c",
        ] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
