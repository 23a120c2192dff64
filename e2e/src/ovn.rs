//! An OVN network as part of a lab: its chassis have a port each on the outside segment, so that
//! the lab's clients are outside of it too, and its databases listen where the API server does.
//! `ovn-lab/lab.sh` makes it and has the picture.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::command::run;
use crate::credentials;
use crate::error::{Doing, LabError, Result};
use crate::families::{API, Families};
use crate::netns;
use crate::paths::LabPaths;

/// The hosts that a lab has more with an OVN network: chassis, and the machine at each.
pub const HOSTS: [&str; 6] = ["chassis1", "chassis2", "chassis3", "vm1", "vm2", "vm3"];

/// Those of them that run an echo server.
pub const MACHINES: [&str; 3] = ["vm1", "vm2", "vm3"];

/// The Secret with what a gateway's pods need for TLS, in the namespace `net`.
const SECRET: &str = "ovn-tls";

/// How the OVN network of a lab is brought up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OvnOptions {
    /// How many servers each of its databases has.
    pub servers: Servers,
    /// Whether they listen by TLS with client certificates instead of TCP.
    pub tls: bool,
}

/// How many servers a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
pub enum Servers {
    /// One server.
    #[default]
    #[value(name = "1")]
    One,
    /// Three that elect a leader (RAFT).
    #[value(name = "3")]
    Three,
}

impl Servers {
    fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Three => 3,
        }
    }
}

impl OvnOptions {
    /// Where the databases listen, as `spec.ovn` of a gateway has it: northbound and southbound.
    #[must_use]
    pub fn remotes(self, families: Families) -> (String, String) {
        let host = families.of(API.0, API.1).swap_remove(0);
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host,
        };
        let scheme = if self.tls { "ssl" } else { "tcp" };
        let all = |first: u16| -> String {
            let ports = [first, first + 2, first + 4].into_iter();
            let remotes = ports.map(|port| format!("{scheme}:{host}:{port}"));
            let wanted: Vec<String> = remotes.take(self.servers.count()).collect();
            wanted.join(",")
        };
        (all(6641), all(6642))
    }
}

/// What must hold before anything is started.
///
/// # Errors
/// When the programs are not there.
pub fn require(paths: &LabPaths) -> Result<()> {
    if paths.repo.join("target/ovn/.stamp").exists() {
        return Ok(());
    }
    Err(LabError::Refused(
        "Open vSwitch and OVN are not here: run `scripts/ovn.sh`, which unpacks them into target/ovn \
         (once, some seconds)"
            .into(),
    ))
}

/// Makes the namespaces of its hosts.
///
/// # Errors
/// When namespaces are not permitted.
pub fn create(paths: &LabPaths) -> Result<()> {
    HOSTS
        .iter()
        .try_for_each(|host| netns::create(&paths.netns(host)))
}

/// Makes the certificate of servers and clients, signed by the lab's authority.
///
/// # Errors
/// When `openssl` fails.
pub fn certify(paths: &LabPaths) -> Result<()> {
    let names = format!("IP:{},IP:{}", API.0, API.1);
    let dir = paths.control_plane();
    credentials::certificate(&dir, "ovn", "/CN=ovn", &names, "serverAuth,clientAuth")
}

/// The Secret of a gateway's pods, as JSON.
///
/// # Errors
/// When the certificate cannot be read.
pub fn secret(paths: &LabPaths) -> Result<Value> {
    let read = |file: &str| {
        let file = paths.control_plane().join(file);
        fs::read_to_string(&file).doing(|| format!("read {}", file.display()))
    };
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "net", "name": SECRET},
        "type": "kubernetes.io/tls",
        "stringData": {
            "ca.crt": read("ca.crt")?,
            "tls.crt": read("ovn.crt")?,
            "tls.key": read("ovn.key")?,
        },
    }))
}

/// Runs a command of `lab.sh`, inside the lab; what it printed.
///
/// # Errors
/// What it said when it failed.
pub fn script(paths: &LabPaths, options: OvnOptions, words: &[String]) -> Result<String> {
    let Some((command, rest)) = words.split_first() else {
        return Err(LabError::Refused(
            "ovn needs a command, as `nbctl show`".into(),
        ));
    };
    let mut bash = Command::new("bash");
    bash.arg(paths.repo.join("ovn-lab/lab.sh"))
        .arg(command)
        .arg(paths.dir.join("ovn"))
        .args(rest)
        .env("OVN_LAB_NS", paths.dir.join("ns"));
    if options.tls {
        bash.env("OVN_LAB_TLS", paths.control_plane());
    }
    run(&mut bash)
}

/// Brings it up.
///
/// # Errors
/// What does not start.
pub fn up(paths: &LabPaths, options: OvnOptions) -> Result<()> {
    let servers = options.servers.count().to_string();
    script(paths, options, &["up".into(), servers]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_are_as_a_gateway_has_them() {
        let plain = OvnOptions {
            servers: Servers::One,
            tls: false,
        };
        assert_eq!(
            plain.remotes(Families::Dual),
            ("tcp:172.30.0.1:6641".into(), "tcp:172.30.0.1:6642".into())
        );
        let cluster = OvnOptions {
            servers: Servers::Three,
            tls: true,
        };
        assert_eq!(
            cluster.remotes(Families::V6).1,
            "ssl:[fd00:172:30::1]:6642,ssl:[fd00:172:30::1]:6644,ssl:[fd00:172:30::1]:6646"
        );
    }
}
