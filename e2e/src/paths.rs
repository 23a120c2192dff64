//! Where a lab keeps its things: one directory per lab under `target/lab`.

use std::env;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Doing, LabError, Result};

/// The longest name of a lab: it becomes part of cgroup names.
const MAX_NAME: usize = 20;

/// The directories of one checkout and one lab.
#[derive(Debug, Clone)]
pub struct LabPaths {
    /// The root of the checkout.
    pub repo: PathBuf,
    /// The name of the lab, a DNS label.
    pub name: String,
    /// Everything of this lab: `target/lab/NAME`.
    pub dir: PathBuf,
}

impl LabPaths {
    /// The paths of the lab `name` of this checkout.
    ///
    /// # Errors
    /// When `name` is not a DNS label of at most 20 characters, or when the
    /// checkout lies where a node mounts its own file systems.
    pub fn new(name: &str) -> Result<Self> {
        let valid = !name.is_empty()
            && name.len() <= MAX_NAME
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !valid {
            return Err(LabError::Refused(format!(
                "lab name {name:?} is not usable: use 1 to {MAX_NAME} characters a-z, 0-9 and '-'"
            )));
        }
        let repo = checkout()?;
        for taken in ["/proc", "/sys", "/run", "/var/lib", "/var/log"] {
            if repo.starts_with(taken) {
                return Err(LabError::Refused(format!(
                    "the checkout {} lies under {taken}, which lab nodes mount over: move it elsewhere",
                    repo.display()
                )));
            }
        }
        let dir = repo.join("target/lab").join(name);
        Ok(Self {
            repo,
            name: name.to_owned(),
            dir,
        })
    }

    /// The binaries built from the pinned Go modules.
    #[must_use]
    pub fn go_bin(&self) -> PathBuf {
        self.repo.join("target/lab-bin")
    }

    /// The packed images.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.repo.join("target/images")
    }

    /// This lab's own links to the programs that nodes run.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// The control plane's files: keys, tokens, logs, etcd's data.
    #[must_use]
    pub fn control_plane(&self) -> PathBuf {
        self.dir.join("cp")
    }

    /// The files of one node.
    #[must_use]
    pub fn node(&self, node: &str) -> PathBuf {
        self.dir.join("nodes").join(node)
    }

    /// What the attachments' IPAM has given out: one directory for all nodes, so
    /// that no address is given twice.
    #[must_use]
    pub fn ipam(&self) -> PathBuf {
        self.dir.join("ipam")
    }

    /// The mount point of a network namespace, visible only inside the lab.
    #[must_use]
    pub fn netns(&self, name: &str) -> PathBuf {
        self.dir.join("ns").join(name)
    }

    /// The kubeconfig of the cluster's administrator, through the forwarder.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// A name that no other lab of this machine has, also not one of another
    /// checkout: it names cgroups.
    #[must_use]
    pub fn unique(&self) -> String {
        let hash = Sha256::digest(self.repo.as_os_str().as_encoded_bytes());
        let short: String = hash.iter().take(3).map(|b| format!("{b:02x}")).collect();
        format!("sluice-{short}-{}", self.name)
    }

    /// All labs of this checkout that have a directory, by name.
    #[must_use]
    pub fn existing(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.repo.join("target/lab"))
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().join("state.json").exists())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

/// The root of the checkout: the one this program was built from, if it is
/// still there, else the one around the working directory.
fn checkout() -> Result<PathBuf> {
    let marker = "e2e/controlplane/go.mod";
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf);
    if let Some(dir) = built_from.filter(|dir| dir.join(marker).exists()) {
        return dir
            .canonicalize()
            .doing(|| format!("resolve {}", dir.display()));
    }
    let cwd = env::current_dir().doing(|| "read the working directory".into())?;
    cwd.ancestors()
        .find(|dir| dir.join(marker).exists())
        .map(Path::to_path_buf)
        .ok_or_else(|| {
            LabError::Refused(format!(
                "no checkout of Sluice around {}: run this inside one",
                cwd.display()
            ))
        })
}
