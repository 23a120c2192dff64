//! An OVN network on one machine: real `ovn-northd`, both databases, three chassis with userspace
//! datapaths, hosts outside and inside (`lab.sh` has the picture). Needs root, for network
//! namespaces, and what `scripts/ovn.sh` unpacks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The router of the gateway.
pub const ROUTER: &str = "r1";
/// Its port by which traffic comes and goes.
pub const GATEWAY_PORT: &str = "r1-outside";

/// A command of the lab that failed.
#[derive(Debug, thiserror::Error)]
#[error("OVN lab, {command}: {said}")]
pub struct Failed {
    command: String,
    said: String,
}

/// The network. It goes away with this.
#[derive(Debug)]
pub struct Network {
    dir: PathBuf,
}

impl Network {
    /// Brings one up each of whose databases is one server, or three that are one.
    ///
    /// # Errors
    /// What is not there, or does not start.
    pub fn up(servers: u8) -> Result<Self, Failed> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("slo{}x{count}", std::process::id()));
        let network = Self { dir };
        network.run("up", &[&servers.to_string()])?;
        Ok(network)
    }

    /// Runs a command of `lab.sh`; what it printed.
    ///
    /// # Errors
    /// What it said when it failed.
    pub fn run(&self, command: &str, words: &[&str]) -> Result<String, Failed> {
        let failed = |said: String| Failed {
            command: format!("{command} {}", words.join(" "))
                .chars()
                .take(200)
                .collect(),
            said,
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab.sh");
        let output = Command::new("bash")
            .arg(script)
            .arg(command)
            .arg(&self.dir)
            .args(words)
            .output()
            .map_err(|error| failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }

    /// `ovn-nbctl`, words with one space between.
    ///
    /// # Errors
    /// What it said when it failed.
    pub fn nbctl(&self, words: &str) -> Result<String, Failed> {
        self.run("nbctl", &words.split(' ').collect::<Vec<_>>())
    }

    /// `ovn-sbctl`, likewise.
    ///
    /// # Errors
    /// What it said when it failed.
    pub fn sbctl(&self, words: &str) -> Result<String, Failed> {
        self.run("sbctl", &words.split(' ').collect::<Vec<_>>())
    }

    /// The servers of the northbound database.
    ///
    /// # Errors
    /// That there are none.
    pub fn northbound(&self) -> Result<String, Failed> {
        self.run("northbound", &[])
    }

    /// The servers of the southbound database.
    ///
    /// # Errors
    /// That there are none.
    pub fn southbound(&self) -> Result<String, Failed> {
        self.run("southbound", &[])
    }

    /// A file of its own, which goes with it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The network namespace of a host: `client`, `vm1`, …
    #[must_use]
    pub fn host(&self, name: &str) -> String {
        let own = self.dir.file_name().unwrap_or_default();
        format!("{}-{name}", own.to_string_lossy())
    }

    /// The chassis that hosts the gateway port now; nothing if none does.
    ///
    /// # Errors
    /// That the southbound database is away.
    pub fn hosting(&self) -> Result<String, Failed> {
        let port = format!("logical_port=cr-{GATEWAY_PORT}");
        let binding = self.sbctl(&format!(
            "--bare --columns=chassis find port_binding {port}"
        ))?;
        match binding.is_empty() {
            true => Ok(binding),
            false => self.sbctl(&format!("--bare --columns=name list chassis {binding}")),
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What is left of it is in its own folder and namespaces.
        if let Err(error) = self.run("down", &[]) {
            eprintln!("{error}");
        }
    }
}
