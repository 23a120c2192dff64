//! The addresses that the attachments' IPAM has given out, over all nodes.

use std::collections::BTreeSet;
use std::fs::{self, ReadDir};
use std::io;
use std::path::Path;

use crate::error::{Doing, Result};
use crate::paths::LabPaths;

/// Gives back what the pods of a node held that lost its power.
///
/// No plugin was called for them. The kubelet calls it after the node's next
/// start, but for a pod that was deleted meanwhile only with its next collection
/// of garbage, up to a minute later, and until then no pod can be made that asks
/// for the same address.
///
/// # Errors
/// When a directory cannot be read or an address not be given back.
pub fn release(paths: &LabPaths, node: &str) -> Result<()> {
    // A directory for each sandbox, named by its id and made before the plugins are called.
    let known = paths
        .node(node)
        .join("var-lib/containerd/io.containerd.grpc.v1.cri/sandboxes");
    let sandboxes: BTreeSet<String> = list(&known)?
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    for network in list(&paths.ipam())?.into_iter().flatten().flatten() {
        for entry in list(&network.path())?.into_iter().flatten().flatten() {
            let file = entry.path();
            if holder(&file).is_some_and(|id| sandboxes.contains(&id)) {
                fs::remove_file(&file).doing(|| format!("remove {}", file.display()))?;
            }
        }
    }
    Ok(())
}

/// Makes host-local look for the next free address from the beginning of its
/// first range, where otherwise it goes on after the last that it gave: then a
/// pod that asks for none would get, sooner or later, one of those that are for
/// the pods that ask.
///
/// # Errors
/// When the directory cannot be read or a file not be removed.
pub fn start_over(given: &Path) -> Result<()> {
    for entry in list(given)?.into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b"last_reserved_ip.") {
            continue;
        }
        match fs::remove_file(entry.path()) {
            // Another pod is being made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done.doing(|| format!("remove {}", entry.path().display()))?,
        }
    }
    Ok(())
}

/// The sandbox that a file of host-local names: its first line.
fn holder(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

/// A directory's entries, `None` when there is none yet.
fn list(dir: &Path) -> Result<Option<ReadDir>> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(|| format!("read {}", dir.display())),
    }
}
