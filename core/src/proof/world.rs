//! All that there is: API server, operators, nodes with their pods, requests on
//! their way, the clock, and the ledger of what was seen.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::Node;
use super::contender::{Contender, Watch};
use super::ledger::Ledger;
use super::machine::{Look, Machine};
use super::wire::{Reply, Request};
use crate::lease::Record;
use crate::operator::OperatorSettings;
use crate::operator::event::{Kind, Millis};
use crate::operator::tests::objects::{attachment, gateway, namespace, node};
use crate::operator::tests::server::Server;

/// A watch that is whole shows what happened after this time at the latest.
pub const LAG_MS: u64 = 20_000;
/// A request has landed or is lost after this time.
pub const WIRE_MS: u64 = 30_000;
/// Whoever sent a request waits this long for its answer.
pub const ANSWER_MS: u64 = 5_000;

/// The nodes' names.
pub const NODES: [&str; 2] = ["n1", "n2"];
/// The gateways' names, all in namespace `net`.
pub const GATEWAYS: [&str; 2] = ["egress", "second"];
/// Their LANs.
pub const LANS: [&str; 2] = ["net/lan", "net/lan2"];

#[derive(Clone)]
pub struct World {
    pub now: u64,
    pub server: Server,
    /// When each event of the server's log came about, by kind.
    pub times: BTreeMap<Kind, Vec<u64>>,
    /// The Lease of the operators.
    pub leadership: Option<Record>,
    pub leadership_versions: u64,
    pub settings: OperatorSettings,
    /// What a gateway's children are rendered to by the operators' version.
    pub rendered: String,
    pub contenders: Vec<Contender>,
    pub nodes: BTreeMap<&'static str, Node>,
    /// Pods that run or ran; one that is gone stays in its place.
    pub machines: Vec<Machine>,
    /// Watches of operators that are late.
    pub late: BTreeSet<(usize, Kind)>,
    pub requests: Vec<Request>,
    pub replies: Vec<Reply>,
    /// How many pods, network namespaces and renewals there were.
    pub pods: u64,
    pub cookies: u64,
    pub renewals: u64,
    pub ledger: Ledger,
    /// What does not hold, the first of it.
    pub broken: Option<String>,
    /// What happened, in words, where somebody wants to read it.
    pub notes: Option<Vec<String>>,
    /// Interesting situations, and how often they were reached.
    pub reached: BTreeMap<&'static str, u64>,
}

impl World {
    /// Two nodes, two operators, and nothing of Sluice yet.
    pub fn bare() -> Self {
        let mut server = Server::new();
        server.clock = 1_700_000_000;
        for object in [
            namespace("net"),
            namespace("tenants"),
            node("n1", 1),
            node("n2", 1),
            attachment("net", "external", &[]),
            attachment("net", "lan", &["10.244.0.254/16", "fd00:10:244::fe/64"]),
            attachment("net", "lan2", &["10.245.0.254/16"]),
        ] {
            server.create(object);
        }
        let settings = OperatorSettings::default();
        let mut world = Self {
            now: 1_000,
            server,
            times: BTreeMap::new(),
            leadership: None,
            leadership_versions: 0,
            rendered: "render-1".to_owned(),
            contenders: ["op-0", "op-1"]
                .map(|name| Contender::new(name, &settings))
                .into(),
            settings,
            nodes: NODES.map(|name| (name, Node::default())).into(),
            machines: Vec::new(),
            late: BTreeSet::new(),
            requests: Vec::new(),
            replies: Vec::new(),
            pods: 0,
            cookies: 0,
            renewals: 0,
            ledger: Ledger::default(),
            broken: None,
            notes: None,
            reached: BTreeMap::new(),
        };
        world.look();
        world
    }

    /// The bare world with a pool and both gateways asked for.
    pub fn asked() -> Self {
        let mut world = Self::bare();
        world.server.create(super::user::pool());
        for (name, lan) in GATEWAYS.iter().zip(LANS) {
            world.server.clock += 1;
            world.server.create(gateway("net", name, lan));
        }
        world.look();
        world
    }

    /// Forgets what all have seen, so that copies are small. All is calm: every
    /// watch is at its end.
    pub fn forget(&mut self) {
        for contender in &mut self.contenders {
            for (kind, watch) in &mut contender.watches {
                let end = self.server.log.get(kind).map_or(0, Vec::len);
                assert!(matches!(watch, Watch::Following(at) if *at == end));
                *watch = Watch::Following(0);
            }
            contender.begun.values_mut().for_each(|at| *at = 0);
        }
        for machine in &mut self.machines {
            if let Some(process) = &mut machine.process {
                process.looks = [Look::Following(0), Look::Following(0)];
            }
        }
        self.server.log.clear();
        self.server.writes.clear();
        self.times.clear();
        self.reached.clear();
    }

    pub fn millis(&self) -> Millis {
        Millis(self.now)
    }

    /// Something interesting was reached.
    pub fn sometimes(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    /// Something happened that a reader may want to know.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(notes) = &mut self.notes {
            notes.push(format!("{now} {}", what()));
        }
    }

    /// Something does not hold.
    pub fn violate(&mut self, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    /// Takes in what has changed at the API server since the last look: when it
    /// came about, and what it means for the ledger.
    pub fn look(&mut self) {
        let kinds: Vec<Kind> = self.server.log.keys().copied().collect();
        for kind in kinds {
            let known = self.times.entry(kind).or_default();
            let from = known.len();
            let log = self.server.log.get(&kind).map_or(0, Vec::len);
            known.resize(log, self.now);
            for at in from..log {
                self.note_event(kind, at);
                self.judge_event(kind, at);
            }
        }
    }
}
