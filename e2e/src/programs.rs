//! Where the control plane's programs come from: found on this machine in the
//! pinned version, or built from pinned modules.

mod version;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::env;
use std::path::{self, Path, PathBuf};
use std::process::Command;

use crate::command::run;
use crate::paths::LabPaths;
pub use version::Minor;

/// The programs that may be found. The kubelet and kube-proxy are not among
/// them: a node's are always built.
const NAMES: [&str; 5] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
];

/// What was found on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Name and path of each program to use, of those in [`NAMES`].
    programs: Vec<(&'static str, PathBuf)>,
    /// What was passed over, and why: a line each.
    passed_over: Vec<String>,
}

impl Found {
    /// Looks in `KUBEBUILDER_ASSETS`, then in `PATH`.
    #[must_use]
    pub fn here() -> Self {
        let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty());
        let path = env::var_os("PATH").unwrap_or_default();
        let directories: Vec<PathBuf> = assets
            .into_iter()
            .map(PathBuf::from)
            .chain(env::split_paths(&path))
            .collect();
        Self::within(&directories, ask)
    }

    /// Of each program, takes the first in these directories that says it is of
    /// the pinned minor version; `ask` gets a name and a path and returns what
    /// that program says, or why it says nothing.
    #[must_use]
    pub fn within(
        directories: &[PathBuf],
        ask: impl Fn(&str, &Path) -> Result<String, String>,
    ) -> Self {
        let mut found = Self::default();
        for name in NAMES {
            // The same file under two paths is judged once.
            let mut seen = BTreeSet::new();
            for directory in directories.iter().flat_map(path::absolute) {
                let path = directory.join(name);
                let file = path.canonicalize().ok().filter(|file| file.is_file());
                if !file.is_some_and(|file| seen.insert(file)) {
                    continue;
                }
                match ask(name, &path).and_then(|said| judge(name, &said)) {
                    Ok(()) => {
                        found.programs.push((name, path));
                        break;
                    }
                    Err(why) => found
                        .passed_over
                        .push(format!("{} is passed over: {why}", path.display())),
                }
            }
        }
        found
    }

    /// Name and path of each program that is used instead of the built one.
    #[must_use]
    pub fn programs(&self) -> &[(&'static str, PathBuf)] {
        &self.programs
    }

    /// A kubectl: the one that was found, else the one that was built.
    #[must_use]
    pub fn kubectl(&self, paths: &LabPaths) -> Command {
        match self.programs.iter().find(|(name, _)| *name == "kubectl") {
            Some((_, path)) => Command::new(path),
            None => {
                let mut built = Command::new(paths.go_bin().join("controlplane"));
                built.arg("kubectl");
                built
            }
        }
    }

    /// Which source is used for what, and what was passed over: a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut parts: Vec<String> = self
            .programs
            .iter()
            .map(|(_, path)| path.display().to_string())
            .collect();
        if parts.len() < NAMES.len() {
            let rest = if parts.is_empty() { "all" } else { "the rest" };
            parts.push(format!("{rest} from target/lab-bin"));
        }
        let mut lines = self.passed_over.clone();
        lines.push(format!("control plane: {}", parts.join(", ")));
        lines
    }
}

/// Why a program that says this is not used, if it is not.
fn judge(name: &str, said: &str) -> Result<(), String> {
    let wanted = Minor::pinned(name).ok_or("no version of it is pinned")?;
    match Minor::said_in(said) {
        Some(minor) if minor == wanted => Ok(()),
        Some(minor) => Err(format!("it is {minor}, and {wanted} is pinned")),
        None => Err("it does not say its version".into()),
    }
}

/// What a program says when it is asked for its version.
fn ask(name: &str, path: &Path) -> Result<String, String> {
    let args: &[&str] = match name {
        "kubectl" => &["version", "--client"],
        _ => &["--version"],
    };
    run(Command::new(path).args(args).env_remove("KUBECONFIG")).map_err(|error| error.one_line())
}
