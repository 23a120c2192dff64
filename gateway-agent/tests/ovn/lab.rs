//! An OVN network, and data planes on it.

use std::time::{Duration, Instant};

use ovn_lab::{GATEWAY_PORT, Network, ROUTER};
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
    pub network: Network,
}

impl Lab {
    pub fn up() -> Self {
        Self::with_servers(1)
    }

    /// With so many servers of the northbound database: 1 or 3.
    pub fn with_servers(northbound: u8) -> Self {
        let network = Network::up(northbound).expect("an OVN network");
        Self { network }
    }

    /// `ovn-nbctl`
    pub fn nbctl(&self, words: &str) -> String {
        self.network.nbctl(words).expect("ovn-nbctl")
    }

    /// `ovn-sbctl`
    pub fn sbctl(&self, words: &str) -> String {
        self.network.sbctl(words).expect("ovn-sbctl")
    }

    /// Something done to a chassis: `stop-controller`, `continue-controller`, `kill-chassis`.
    pub fn chassis(&self, what: &str, n: u8) {
        self.network.run(what, &[&n.to_string()]).expect("done");
    }

    /// The network namespace of a host: `client`, `vm1`, …
    pub fn host(&self, name: &str) -> String {
        self.network.host(name)
    }

    /// The chassis that hosts the gateway port now; nothing if none does.
    pub fn hosting(&self) -> String {
        self.network.hosting().expect("ovn-sbctl")
    }

    /// A data plane of this instance.
    pub fn plane(&self, me: &str) -> Plane {
        let options = OvnOptions {
            northbound: self.network.northbound().expect("a database"),
            southbound: self.network.southbound().expect("a database"),
            router: ROUTER.to_owned(),
            gateway_port: GATEWAY_PORT.to_owned(),
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

    /// Tries the next revision once.
    pub fn try_next(&mut self, lines: &[&str]) -> Result<Done, String> {
        self.generation += 1;
        self.try_hold(lines)
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

/// Why no address is usable.
pub fn reasons(seen: &Inspection) -> Vec<&str> {
    let blocking = seen.problems.iter().filter(|one| one.blocking);
    blocking.map(|one| one.reason.as_str()).collect()
}

/// Whether no address is usable. Where chassis have acknowledged, one is named.
pub fn is_blocked(seen: &Inspection) -> bool {
    let is_blocked = !reasons(seen).is_empty();
    assert_eq!(is_blocked, seen.hosting.is_none(), "{seen:?}");
    is_blocked
}
