//! A gateway on its own, without a cluster: three network namespaces in a row,
//! `outside - gateway - inside`, and as many FIPs as asked for.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;

use sluice_core::config::Snapshot;
use sluice_core::entry::{Body, Entry};
use sluice_core::identity::{Revision, Uid};
use sluice_crds::internal::{ConfigLan, ConfigSettings, ConfigSubnet, ConfigUplink};
use sluice_crds::user::Rate;

use crate::command::{run, run_with_input};
use crate::error::{LabError, Result};
use crate::netns;

/// Three namespaces in a row. Nothing but this value holds them: they end with
/// it, and with the process however that ends.
pub struct Row {
    outside: File,
    gateway: File,
    inside: File,
}

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where the flows come from.
    Outside,
    /// What is measured.
    Gateway,
    /// Where the flows go to.
    Inside,
}

use Place::{Gateway, Inside, Outside};

impl Row {
    /// Makes the namespaces and links them: `Outside` has 10.155.0.9/16,
    /// `Inside` answers for all that [`internal`] names.
    ///
    /// # Errors
    /// When namespaces or links cannot be made.
    pub fn new() -> Result<Self> {
        let row = Self {
            outside: netns::make()?,
            gateway: netns::make()?,
            inside: netns::make()?,
        };
        row.link(Outside, "up0", "eth1")?;
        row.link(Inside, "in0", "lan0")?;
        row.ip(Gateway, "link add eth0 type veth peer name peer0")?;
        row.ip(Gateway, "link set eth0 up")?;
        row.ip(Gateway, "addr add 10.155.0.2/16 dev eth1")?;
        row.ip(Outside, "addr add 10.155.0.9/16 dev up0")?;
        // All that `internal` names, and not the gateway's own address: nobody
        // answers the questions of who has an address of one's own.
        row.ip(Inside, "route add local 10.244.32.0/19 dev lo")?;
        row.ip(Inside, "route add local 10.244.64.0/18 dev lo")?;
        row.ip(Inside, "route add 10.244.0.254 dev in0")?;
        row.ip(Inside, "route add 10.155.0.0/16 dev in0")?;
        row.ip(
            Inside,
            "neigh add 10.155.0.9 lladdr 02:00:00:00:00:fe dev in0",
        )?;
        Ok(row)
    }

    /// Runs `work` on a thread in a namespace.
    ///
    /// # Errors
    /// With what `work` fails with.
    pub fn within<T: Send>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        let namespace = match place {
            Outside => &self.outside,
            Gateway => &self.gateway,
            Inside => &self.inside,
        };
        netns::within(&netns::path_of(namespace), work)
    }

    /// Runs `ip` with these words in a namespace.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn ip(&self, place: Place, words: &str) -> Result<String> {
        self.run(place, "ip", words)
    }

    /// Runs a program with these words in a namespace.
    ///
    /// # Errors
    /// When the program fails.
    pub fn run(&self, place: Place, program: &str, words: &str) -> Result<String> {
        self.within(place, || {
            run(Command::new(program).args(words.split_whitespace()))
        })
    }

    /// Runs a program in a namespace, with its standard input given.
    ///
    /// # Errors
    /// When the program fails.
    pub fn feed(&self, place: Place, program: &str, words: &str, input: &str) -> Result<String> {
        self.within(place, || {
            run_with_input(Command::new(program).args(words.split_whitespace()), input)
        })
    }

    /// A cable from `place`, where its end is called `there`, to the gateway.
    fn link(&self, place: Place, there: &str, here: &str) -> Result<()> {
        let gateway = netns::path_of(&self.gateway);
        let peer = format!("peer name {here} netns {}", gateway.display());
        self.ip(place, &format!("link add {there} type veth {peer}"))?;
        self.ip(place, &format!("link set {there} up"))?;
        self.ip(Gateway, &format!("link set {here} up"))?;
        Ok(())
    }
}

/// External address of FIP `i`, below 40,000.
#[must_use]
pub fn external(i: usize) -> Ipv4Addr {
    let (high, low) = (i / 250, i % 250 + 1);
    Ipv4Addr::new(
        10,
        155,
        u8::try_from(high + 50).unwrap_or(255),
        u8::try_from(low).unwrap_or(255),
    )
}

/// Inside address of FIP `i`, below 40,000.
#[must_use]
pub fn internal(i: usize) -> Ipv4Addr {
    let (high, low) = (i / 250, i % 250 + 1);
    Ipv4Addr::new(
        10,
        244,
        u8::try_from(high + 50).unwrap_or(255),
        u8::try_from(low).unwrap_or(255),
    )
}

/// The config of a gateway with `n` FIPs: `2 n` entries.
#[must_use]
pub fn snapshot(n: usize) -> Snapshot {
    config(fips(n))
}

/// The same with a limit for each EIP, both ways: `3 n` entries.
#[must_use]
pub fn limited(n: usize, rate: Rate) -> Snapshot {
    let limits = (0..n).map(|i| Entry {
        uid: Uid::new(format!("eip-{i}")),
        generation: 1,
        body: Body::Shape {
            address: external(i).into(),
            ingress: Some(rate),
            egress: Some(rate),
        },
    });
    config(fips(n).into_iter().chain(limits).collect())
}

fn fips(n: usize) -> Vec<Entry> {
    let entry = |kind: &str, i: usize, body| Entry {
        uid: Uid::new(format!("{kind}-{i}")),
        generation: 1,
        body,
    };
    (0..n)
        .flat_map(|i| {
            let (address, inside) = (external(i).into(), internal(i).into());
            [
                entry(
                    "eip",
                    i,
                    Body::Addr {
                        address,
                        uplink: "external".into(),
                    },
                ),
                entry(
                    "fip",
                    i,
                    Body::Fip {
                        address,
                        inside,
                        source: true,
                    },
                ),
            ]
        })
        .collect()
}

fn config(entries: Vec<Entry>) -> Snapshot {
    let settings = ConfigSettings::new(
        ConfigLan {
            interface: "lan0".into(),
            addresses: vec!["10.244.0.254/16".into()],
            routes: vec![],
        },
        vec![ConfigUplink {
            name: "external".into(),
            interface: "eth1".into(),
            subnets: vec![ConfigSubnet {
                cidr: "10.155.0.0/16".into(),
                gateway: None,
            }],
            ipv4: None,
            ipv6: None,
        }],
    );
    Snapshot::new(settings, entries)
}

/// A revision of the benchmark's own.
#[must_use]
pub fn revision(generation: i64) -> Revision {
    Revision {
        uid: Uid::new("bench"),
        generation,
    }
}

/// The same FIPs as a script-driven gateway would write them: addresses for
/// `ip -batch`.
#[must_use]
pub fn script_addresses(n: usize) -> String {
    (0..n)
        .map(|i| format!("addr add {}/32 dev eth1\n", external(i)))
        .collect()
}

/// The same FIPs for `iptables-restore`.
#[must_use]
pub fn script_rules(n: usize) -> String {
    let mut text = String::from("*nat\n");
    for i in 0..n {
        let (e, t) = (external(i), internal(i));
        text += &format!("-A PREROUTING -d {e}/32 -j DNAT --to-destination {t}\n");
        text += &format!("-A POSTROUTING -s {t}/32 -j SNAT --to-source {e}\n");
    }
    text + "COMMIT\n"
}

/// The calling thread's error for a gateway's.
#[must_use]
pub fn failed(what: &str, error: &dyn std::fmt::Display) -> LabError {
    LabError::Content(format!("{what}: {error}"))
}
