//! The cgroups of a lab: one tree per lab, `<unique>/cp` for the control plane
//! and `<unique>/<node>` for each node, in every hierarchy that is mounted.
//!
//! On machines with the unified hierarchy (cgroup v2) the same tree is made
//! there. That path is written from the documentation and has not been run.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Doing, LabError, Result};

/// A cgroup, by its path below the root of every hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup(String);

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    root: PathBuf,
    unified: bool,
}

impl Cgroup {
    /// The cgroup at `path`, which starts without a slash.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// The cgroup `name` inside this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self(format!("{}/{name}", self.0))
    }

    /// The path as the kubelet wants it, with a slash in front.
    #[must_use]
    pub fn absolute(&self) -> String {
        format!("/{}", self.0)
    }

    /// Makes it in every hierarchy. Making one that exists is no error.
    ///
    /// # Errors
    /// When cgroups cannot be made on this machine.
    pub fn create(&self) -> Result<()> {
        for hierarchy in hierarchies() {
            let mut dir = hierarchy.root.clone();
            for part in self.0.split('/') {
                let parent = dir.clone();
                dir.push(part);
                if !dir.exists() {
                    fs::create_dir(&dir).doing(|| format!("make the cgroup {}", dir.display()))?;
                }
                prepare(&hierarchy, &parent, &dir);
            }
        }
        Ok(())
    }

    /// Moves the calling process, and all that it starts from now on, into it.
    ///
    /// # Errors
    /// When it does not exist or the kernel refuses.
    pub fn join(&self) -> Result<()> {
        for dir in self.dirs() {
            let file = dir.join("cgroup.procs");
            fs::write(&file, "0").doing(|| format!("enter the cgroup {}", dir.display()))?;
        }
        Ok(())
    }

    /// The processes in it and below it, by the reader's pid namespace.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for dir in self.dirs() {
            for sub in subdirs(&dir) {
                let text = fs::read_to_string(sub.join("cgroup.procs")).unwrap_or_default();
                pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
            }
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Directories below it whose name is `name`, in any hierarchy.
    #[must_use]
    pub fn find(&self, name: &str) -> Vec<PathBuf> {
        let dirs = self.dirs();
        dirs.iter()
            .flat_map(|dir| subdirs(dir))
            .filter(|dir| dir.file_name().is_some_and(|file| file == name))
            .collect()
    }

    /// Stops (`true`) or continues (`false`) every process in it.
    ///
    /// # Errors
    /// When the machine has no freezer.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        for dir in self.dirs() {
            let (v1, v2) = (dir.join("freezer.state"), dir.join("cgroup.freeze"));
            let (file, value) = if v1.exists() {
                (v1, if frozen { "FROZEN" } else { "THAWED" })
            } else if v2.exists() && !self.has_v1_freezer() {
                (v2, if frozen { "1" } else { "0" })
            } else {
                continue;
            };
            return fs::write(&file, value)
                .doing(|| format!("write {value} to {}", file.display()));
        }
        Err(LabError::Refused(format!(
            "no freezer for the cgroup {}: is the node off?",
            self.0
        )))
    }

    fn has_v1_freezer(&self) -> bool {
        self.dirs()
            .iter()
            .any(|dir| dir.join("freezer.state").exists())
    }

    /// Kills every process in it, waits until they are gone, and removes it
    /// everywhere. Removing one that does not exist is no error.
    ///
    /// # Errors
    /// When processes survive SIGKILL for ten seconds.
    pub fn destroy(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if self.has_v1_freezer() {
                for dir in self.dirs() {
                    for sub in subdirs(&dir) {
                        let file = sub.join("freezer.state");
                        if fs::read_to_string(&file).is_ok_and(|state| state.trim() != "THAWED") {
                            let _ = fs::write(&file, "THAWED");
                        }
                    }
                }
            } else {
                let _ = self.freeze(false);
            }
            let pids = self.processes();
            for pid in &pids {
                if let Some(pid) = Pid::from_raw(*pid) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            if pids.is_empty() {
                self.remove_dirs();
                if self.dirs().is_empty() {
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                return Err(LabError::Timeout {
                    what: format!("the end of the cgroup {}", self.0),
                    secs: 10,
                    hint: format!("processes left: {:?}", self.processes()),
                });
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn remove_dirs(&self) {
        for dir in self.dirs() {
            let mut subs = subdirs(&dir);
            subs.sort_by_key(|sub| std::cmp::Reverse(sub.components().count()));
            for sub in subs {
                let _ = fs::remove_dir(sub);
            }
        }
    }

    /// Its directories that exist.
    fn dirs(&self) -> Vec<PathBuf> {
        hierarchies()
            .into_iter()
            .map(|h| h.root.join(&self.0))
            .filter(|dir| dir.exists())
            .collect()
    }
}

/// Lets a fresh cgroup take processes and children.
fn prepare(hierarchy: &Hierarchy, parent: &Path, dir: &Path) {
    if hierarchy.unified {
        let all = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
        for controller in all.split_whitespace() {
            // Some controllers cannot be handed down; the kubelet says which it misses.
            let _ = fs::write(
                parent.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
        }
        return;
    }
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // A v1 cpuset starts empty and takes no process until it is filled.
        let inherited = fs::read_to_string(parent.join(file)).unwrap_or_default();
        if !inherited.trim().is_empty() && dir.join(file).exists() {
            let _ = fs::write(dir.join(file), inherited.trim());
        }
    }
}

/// `dir` and all directories below it.
fn subdirs(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_path_buf()];
    let mut next = 0;
    while let Some(current) = found.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(current).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// The hierarchies that are mounted, once each.
fn hierarchies() -> Vec<Hierarchy> {
    parse_hierarchies(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

fn parse_hierarchies(mounts: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        if let (Some(root), Some(kind)) = (fields.next(), fields.next()) {
            let hierarchy = Hierarchy {
                root: root.into(),
                unified: kind == "cgroup2",
            };
            if matches!(kind, "cgroup" | "cgroup2") && !found.contains(&hierarchy) {
                found.push(hierarchy);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_once_each() {
        let mounts = "proc /proc proc rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n";
        let expected = vec![
            Hierarchy {
                root: "/sys/fs/cgroup/cpu".into(),
                unified: false,
            },
            Hierarchy {
                root: "/sys/fs/cgroup/unified".into(),
                unified: true,
            },
        ];
        assert_eq!(parse_hierarchies(mounts), expected);
    }
}
