//! A data plane that is a file: what it holds outlives the agent's process.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use serde::{Deserialize, Serialize};
use sluice_core::agent::{Found, Inspection, Notice};
use sluice_core::config::Snapshot;
use sluice_core::identity::{Revision, Uid};
use sluice_crds::internal::RejectedEntry;
use sluice_gateway_agent::dataplane::{DataPlane, Done, Watch};
use sluice_gateway_agent::{logging, options, run};

/// What the "kernel" holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    pub guarded: bool,
    /// UID, generation, digest.
    pub stamp: Option<(String, i64, String)>,
    pub answering: bool,
    pub entries: Vec<String>,
    /// What was done: microseconds since the epoch, and what.
    pub log: Vec<(u128, String)>,
}

/// What the test wants of it; the test writes it, the plane only reads it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Wishes {
    /// Entries with this text in them are refused.
    pub refuse: Option<String>,
    /// Others answer for these.
    pub conflicts: Vec<IpAddr>,
    /// Drift that is there until it is repaired, once a name.
    pub drift: Option<String>,
}

/// Reads the file as it stands.
pub fn read(path: &Path) -> Kernel {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).unwrap(),
        Err(_) => Kernel::default(),
    }
}

/// The file with the wishes for a kernel's file.
pub fn wishes_path(path: &Path) -> PathBuf {
    path.with_extension("wishes")
}

struct Plane {
    path: PathBuf,
    kernel: Kernel,
    removed: bool,
    repaired: Option<String>,
}

impl Plane {
    fn wishes(&self) -> Wishes {
        std::fs::read(wishes_path(&self.path))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// All at once, as the kernel's transactions are.
    fn commit(&mut self, what: String) {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros();
        self.kernel.log.push((at, what));
        let new = self.path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(&self.kernel).unwrap()).unwrap();
        std::fs::rename(new, &self.path).unwrap();
    }
}

struct Silence;

impl Watch for Silence {
    fn wait(&mut self, timeout: Duration) -> Result<Vec<Notice>, String> {
        std::thread::sleep(timeout);
        Ok(Vec::new())
    }
}

impl DataPlane for Plane {
    fn guard(&mut self) -> Result<(), String> {
        self.kernel.guarded = true;
        self.commit("guard".to_owned());
        Ok(())
    }

    fn found(&mut self) -> Result<Option<Found>, String> {
        let stamp = self.kernel.stamp.clone();
        Ok(stamp.map(|(uid, generation, digest)| Found {
            revision: Revision {
                uid: Uid::new(uid),
                generation,
            },
            digest,
            answering: self.kernel.answering,
        }))
    }

    fn apply(
        &mut self,
        snapshot: &Snapshot,
        revision: &Revision,
        holding: bool,
    ) -> Result<Done, String> {
        if let Some((uid, generation, _)) = &self.kernel.stamp
            && uid == revision.uid.as_str()
            && *generation > revision.generation
        {
            // Not to be mended by anybody: the one thing that must not happen.
            self.commit(format!(
                "WENT BACK from {generation} to {}",
                revision.generation
            ));
        }
        let wishes = self.wishes();
        let (refused, entries): (Vec<_>, Vec<_>) = snapshot.entries().partition(|entry| {
            wishes
                .refuse
                .as_ref()
                .is_some_and(|text| entry.to_string().contains(text))
        });
        let entries: Vec<String> = entries.iter().map(|entry| entry.key()).collect();
        self.removed = self.kernel.entries.iter().any(|old| !entries.contains(old));
        self.kernel.entries = entries;
        self.kernel.answering = holding;
        self.kernel.stamp = Some((
            revision.uid.to_string(),
            revision.generation,
            snapshot.digest.to_string(),
        ));
        self.commit(format!("apply {} {holding}", revision.generation));
        Ok(Done {
            rejected: refused
                .iter()
                .map(|entry| RejectedEntry {
                    key: entry.key(),
                    digest: entry.digest().short(),
                    error: "Operation not permitted".to_owned(),
                })
                .collect(),
            flush_again: self.removed,
            changed: 1,
        })
    }

    fn flush(&mut self) -> Result<(), String> {
        self.commit("flush".to_owned());
        Ok(())
    }

    fn announce(&mut self, addresses: &[IpAddr]) -> Result<(), String> {
        if !self.kernel.answering {
            return Err("announced what is not answered for".to_owned());
        }
        self.commit(format!("announce {}", addresses.len()));
        Ok(())
    }

    fn probe(
        &mut self,
        addresses: &[IpAddr],
        wait: Duration,
    ) -> Result<Vec<(IpAddr, String)>, String> {
        std::thread::sleep(wait);
        self.commit(format!("probe {}", addresses.len()));
        let others = self.wishes().conflicts;
        let asked = others
            .into_iter()
            .filter(|address| addresses.contains(address));
        Ok(asked
            .map(|address| (address, "02:00:00:00:00:09".to_owned()))
            .collect())
    }

    fn inspect(&mut self) -> Result<Inspection, String> {
        let drift = self.wishes().drift;
        let fresh = drift.filter(|drift| self.repaired.as_ref() != Some(drift));
        Ok(Inspection {
            drift: fresh.into_iter().collect(),
            ..Inspection::default()
        })
    }

    fn repair(&mut self) -> Result<i64, String> {
        self.repaired = self.wishes().drift;
        self.commit("repair".to_owned());
        Ok(1)
    }

    fn clear(&mut self) -> Result<(), String> {
        self.kernel.stamp = None;
        self.kernel.answering = false;
        self.kernel.entries.clear();
        self.commit("clear".to_owned());
        Ok(())
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, String> {
        Ok(Box::new(Silence))
    }
}

/// The agent's process; its flags are in the environment.
pub fn run_agent(file: &str) {
    let path = PathBuf::from(file);
    let options = options::Options::parse_from([
        "agent",
        "--kubeconfig",
        &std::env::var("TEST_KUBECONFIG").unwrap(),
    ]);
    logging::begin(&options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(run::run(options, move || {
        Ok(Plane {
            kernel: read(&path),
            path,
            removed: false,
            repaired: None,
        })
    }));
    // What is under way must not hold the process up.
    runtime.shutdown_background();
    if let Err(error) = ended {
        eprintln!("agent: {error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}
