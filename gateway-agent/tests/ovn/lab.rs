//! An OVN network, and data planes on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sluice_core::agent::Inspection;
use sluice_core::config::Snapshot;
use sluice_core::identity::{Revision, Uid};
use sluice_gateway_agent::dataplane::{DataPlane as _, Done};
use sluice_gateway_agent::ovn::{OvnOptions, OvnPlane};

use crate::rig;

/// The gateway's UID.
pub const GATEWAY: &str = "6d1f4e5c-0000-4000-8000-000000000001";

/// The network. It goes away with this.
pub struct Lab {
    dir: PathBuf,
}

impl Lab {
    pub fn up() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("slo{}x{count}", std::process::id()));
        let lab = Self { dir };
        lab.run("up", &[]);
        lab
    }

    fn run(&self, command: &str, words: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ovn/lab.sh");
        let output = Command::new("bash")
            .arg(script)
            .arg(command)
            .arg(&self.dir)
            .args(words)
            .output();
        let output = output.expect("bash");
        assert!(
            output.status.success(),
            "lab {command} {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    /// `ovn-nbctl`
    pub fn nbctl(&self, words: &str) -> String {
        self.run("nbctl", &words.split(' ').collect::<Vec<_>>())
    }

    /// `ovn-sbctl`
    pub fn sbctl(&self, words: &str) -> String {
        self.run("sbctl", &words.split(' ').collect::<Vec<_>>())
    }

    /// Something done to a chassis: `stop-controller`, `continue-controller`, `kill-chassis`.
    pub fn chassis(&self, what: &str, n: u8) {
        self.run(what, &[&n.to_string()]);
    }

    /// The network namespace of a host: `client`, `vm1`, …
    pub fn host(&self, name: &str) -> String {
        format!(
            "{}-{name}",
            self.dir.file_name().expect("a name").to_string_lossy()
        )
    }

    /// The chassis that hosts the gateway port now; nothing if none does.
    pub fn hosting(&self) -> String {
        let binding =
            self.sbctl("--bare --columns=chassis find port_binding logical_port=cr-r1-outside");
        match binding.is_empty() {
            true => binding,
            false => self.sbctl(&format!("--bare --columns=name list chassis {binding}")),
        }
    }

    /// A data plane of this instance.
    pub fn plane(&self, me: &str) -> Plane {
        let remote = |name: &str| format!("unix:{}", self.dir.join(name).display());
        let options = OvnOptions {
            northbound: remote("nb.sock"),
            southbound: remote("sb.sock"),
            router: "r1".to_owned(),
            gateway_port: "r1-outside".to_owned(),
            ..OvnOptions::default()
        };
        let mut plane = OvnPlane::open(options, GATEWAY, me).expect("a data plane");
        plane.guard().expect("both databases");
        Plane {
            plane,
            generation: 0,
        }
    }

    /// Rows of ours, one line each, without those of others.
    pub fn rows(&self) -> Vec<String> {
        let find = |columns: &str, table: &str| {
            let ids = format!("external_ids:\"sluice.dev/gateway\"=\"{GATEWAY}\"");
            self.nbctl(&format!(
                "--format=csv --data=bare --no-headings --columns={columns} find {table} {ids}"
            ))
        };
        let all = find("type,external_ip,logical_ip", "nat")
            + "\n"
            + &find("protocol,vips", "load_balancer");
        let mut lines: Vec<String> = all
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run("down", &[]);
    }
}

/// A data plane, and how often it was told something.
pub struct Plane {
    pub plane: OvnPlane,
    generation: i64,
}

impl Plane {
    /// Has it hold these, as a holder; waits as the agent does, which asks again.
    pub fn hold(&mut self, lines: &[&str]) -> Done {
        self.generation += 1;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.try_hold(lines) {
                Ok(done) => return done,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        }
    }

    /// Tries once.
    pub fn try_hold(&mut self, lines: &[&str]) -> Result<Done, String> {
        let revision = self.revision();
        self.plane.apply(&snapshot(lines), &revision, true)
    }

    pub fn revision(&self) -> Revision {
        Revision {
            uid: Uid::new("header"),
            generation: self.generation,
        }
    }

    pub fn look(&mut self) -> Inspection {
        self.plane.inspect().expect("a look")
    }

    /// Looks until it shows what is waited for.
    pub fn look_until(&mut self, what: &str, shows: impl Fn(&Inspection) -> bool) -> Inspection {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let seen = self.look();
            if shows(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "{what}: {seen:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

pub fn snapshot(lines: &[&str]) -> Snapshot {
    rig::snapshot(rig::settings(), lines)
}

/// The reasons that addresses are told unusable by.
pub fn reasons(seen: &Inspection) -> Vec<&str> {
    let mut reasons: Vec<&str> = seen
        .unusable
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    reasons.dedup();
    reasons
}
