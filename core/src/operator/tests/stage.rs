//! The stage: server, operator, agents, kubelet and garbage collector, moved one
//! step at a time, with what must hold checked after each.

mod cluster;
mod invariants;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

use super::agent::{Agent, Proofs};
use super::objects::{attachment, gateway, key, namespace, node, pool};
use super::server::Server;
use crate::identity::Uid;
use crate::operator::action::{Action, Announcement, Outcome};
use crate::operator::event::{ChildKind, Event, Key, Kind, Millis, Object};
use crate::operator::{Operator, OperatorSettings};

/// What happens to an action on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Done and answered.
    Done,
    /// Done, and the answer is lost.
    AnswerLost,
    /// Not done, and no answer.
    Lost,
}

pub struct Stage {
    pub server: Server,
    pub operator: Operator,
    pub settings: OperatorSettings,
    pub agents: Vec<Agent>,
    pub now: Millis,
    pub rendered: String,
    pub announced: Vec<Announcement>,
    cursors: BTreeMap<Kind, usize>,
    /// Where this leader's first watches began.
    begun: BTreeMap<Kind, usize>,
    /// Whether Pods as targets are watched: once a rule needs them.
    pods_watched: bool,
    /// Kinds whose watch is broken.
    broken: BTreeSet<Kind>,
    pub in_flight: Vec<Action>,
    pub proofs: Proofs,
    pods: u32,
    boots: BTreeMap<String, u32>,
    /// Agents end without a last word when their Pod is deleted.
    pub crash_on_delete: bool,
    /// Nothing is checked: for measuring.
    pub unchecked: bool,
}

impl Stage {
    /// Nodes, namespaces and attachments, nothing of Sluice yet, and the operator.
    pub fn bare() -> Self {
        Self::of([])
    }

    /// A pool, a gateway in namespace `net`, two nodes, and tenants.
    pub fn new() -> Self {
        Self::of([pool("external"), gateway("net", "egress", "net/lan")])
    }

    /// The bare cluster with objects of users.
    fn of<const N: usize>(users: [Object; N]) -> Self {
        let mut stage = Self {
            server: Server::new(),
            operator: Operator::new(OperatorSettings::default()),
            settings: OperatorSettings::default(),
            agents: Vec::new(),
            now: Millis(1_000),
            rendered: "render-1".to_owned(),
            announced: Vec::new(),
            cursors: BTreeMap::new(),
            begun: BTreeMap::new(),
            pods_watched: false,
            broken: BTreeSet::new(),
            in_flight: Vec::new(),
            proofs: Proofs::new(),
            pods: 0,
            boots: BTreeMap::new(),
            crash_on_delete: false,
            unchecked: false,
        };
        stage.server.clock = 1_700_000_000;
        let cluster = [
            namespace("net"),
            namespace("tenants"),
            node("n1", 1),
            node("n2", 1),
            attachment("net", "external", &[]),
            attachment("net", "lan", &["10.244.0.254/16", "fd00:10:244::fe/64"]),
            attachment("net", "lan2", &["10.245.0.254/16"]),
        ];
        for object in cluster.into_iter().chain(users) {
            stage.server.create(object);
        }
        stage.restart_operator();
        stage
    }

    pub fn apply(&mut self, object: Object) {
        self.server.clock += 1;
        assert!(self.server.create(object.clone()), "{object:?} exists");
    }

    pub fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.server.delete(&(kind, None, key(namespace, name)))
    }

    /// The operator dies; a new leader starts from lists.
    pub fn restart_operator(&mut self) {
        self.restart_operator_with(None);
    }

    /// Likewise; one list is an older one, for whoever served it was behind.
    pub fn restart_operator_with(&mut self, older: Option<(Kind, (Event, usize))>) {
        self.operator = Operator::new(self.settings.clone());
        self.in_flight.clear();
        self.broken.clear();
        self.pods_watched = false;
        let lists = self.server.lists();
        for (event, kind, at) in lists.into_iter().filter(|l| l.1 != Kind::InsidePod) {
            let (event, at) = match &older {
                Some((of, list)) if *of == kind => list.clone(),
                _ => (event, at),
            };
            self.cursors.insert(kind, at);
            self.begun.insert(kind, at);
            self.feed(event);
        }
    }

    fn feed(&mut self, event: Event) {
        let gateways: Vec<(Key, Uid)> = match &event {
            Event::Apply(object) => vec![object.as_ref()],
            Event::Reset { objects, .. } => objects.iter().collect(),
            _ => vec![],
        }
        .into_iter()
        .filter_map(|o| match o {
            Object::NATGateway(_) => {
                let (_, key, uid) = o.identity();
                Some((key, uid))
            }
            _ => None,
        })
        .collect();
        self.operator.apply(event);
        for (gateway, gateway_uid) in gateways {
            let digests = ChildKind::ALL.map(|k| (k, self.rendered.clone()));
            self.operator.apply(Event::Rendered {
                gateway,
                gateway_uid,
                digests: digests.into(),
            });
        }
    }

    /// A watch breaks: nothing of that kind reaches the operator until [`Stage::relist`].
    pub fn break_watch(&mut self, kind: Kind) {
        if !self.watches(kind) {
            return;
        }
        self.broken.insert(kind);
        self.operator.apply(Event::OutOfSync(kind));
    }

    /// A watch begins anew with a fresh list, after a break or as one.
    pub fn relist(&mut self, kind: Kind) {
        if !self.watches(kind) {
            return;
        }
        if !self.broken.remove(&kind) {
            self.operator.apply(Event::OutOfSync(kind));
        }
        let (event, at) = self.server.list(kind);
        self.listed(kind, event, at);
    }

    /// A list arrives, and the watch goes on from it.
    pub fn listed(&mut self, kind: Kind, list: Event, at: usize) {
        self.broken.remove(&kind);
        self.cursors.insert(kind, at);
        self.feed(list);
    }

    /// Whether a kind is watched; Pods as targets are from when a rule needs them.
    fn watches(&self, kind: Kind) -> bool {
        kind != Kind::InsidePod || self.pods_watched
    }

    /// Delivers up to `n` events of one kind; whether there were any.
    pub fn deliver(&mut self, kind: Kind, n: usize) -> bool {
        if self.broken.contains(&kind) {
            return false;
        }
        if !self.watches(kind) {
            if !self.operator.wants_pods() {
                return false;
            }
            self.pods_watched = true;
            let (event, at) = self.server.list(kind);
            self.cursors.insert(kind, at);
            self.begun.insert(kind, at);
            self.feed(event);
            return true;
        }
        let at = self.cursors.get(&kind).copied().unwrap_or_default();
        let events: Vec<Event> = self
            .server
            .log
            .get(&kind)
            .map(|log| log.iter().skip(at).take(n).cloned().collect())
            .unwrap_or_default();
        self.cursors.insert(kind, at + events.len());
        let any = !events.is_empty();
        for event in events {
            self.feed(event);
        }
        any
    }

    /// An event that was delivered to this leader before comes again.
    pub fn repeat(&mut self, kind: Kind, back: usize) {
        if !self.watches(kind) {
            return;
        }
        let at = self.cursors.get(&kind).copied().unwrap_or_default();
        let begun = self.begun.get(&kind).copied().unwrap_or_default();
        let event = self.server.log.get(&kind).and_then(|log| {
            let at = at.checked_sub(back + 1).filter(|at| *at >= begun)?;
            log.get(at).cloned()
        });
        if let Some(event) = event {
            self.feed(event);
        }
    }

    pub fn deliver_all(&mut self) -> bool {
        Kind::ALL
            .iter()
            .fold(false, |any, kind| self.deliver(*kind, usize::MAX) | any)
    }

    /// Lets the operator decide.
    pub fn poll(&mut self) -> bool {
        let actions = self.operator.poll(self.now);
        let any = !actions.is_empty();
        for action in actions {
            match action {
                Action::Emit(announcement) => self.announced.push(announcement),
                action => {
                    let wanted = action.target();
                    // A status that has become more urgent takes the place of the first.
                    if let Some(place) = self.in_flight.iter_mut().find(|a| {
                        matches!(a, Action::WriteStatus { .. })
                            && a.target() == wanted
                            && a.urgency() > action.urgency()
                    }) {
                        *place = action;
                        continue;
                    }
                    assert!(
                        self.unchecked || !self.in_flight.iter().any(|a| a.target() == wanted),
                        "two actions under way on {wanted:?}"
                    );
                    self.in_flight.push(action);
                }
            }
        }
        any
    }

    /// What the edge sees where it reads a gateway before it makes things for it.
    fn is_going(&self, gateway: &Key) -> bool {
        match self.server.get(Kind::NATGateway, gateway) {
            Some(Object::NATGateway(o)) => o.metadata.deletion_timestamp.is_some(),
            _ => true,
        }
    }

    /// Carries out one action that is under way.
    pub fn execute(&mut self, n: usize, fate: Fate) -> bool {
        if self.in_flight.is_empty() {
            return false;
        }
        let action = self.in_flight.remove(n % self.in_flight.len());
        let wanted = action.target().unwrap();
        if fate == Fate::Lost {
            let outcome = Outcome::Unknown("timed out".into());
            self.operator.done(&wanted, &outcome, self.now);
            return true;
        }
        let wall = Timestamp::from_second(self.server.clock).unwrap();
        let (outcome, events) = match &action {
            Action::WriteStatus { kind, key, .. } => {
                match self.operator.judge(*kind, key, self.now, wall) {
                    Some(write) => self.server.patch_status(*kind, key, &write),
                    None => (Outcome::Done, vec![]),
                }
            }
            Action::EnsureChild {
                gateway,
                gateway_uid,
                serves_on,
                ..
            } if !serves_on && self.is_going(gateway) => {
                let slot = (Kind::NATGateway, None, gateway.clone());
                let event = self.server.live(&slot, Some(gateway_uid));
                (Outcome::Conflict, Vec::from_iter(event))
            }
            other => self.server.execute(other, &self.rendered),
        };
        self.check();
        if fate == Fate::AnswerLost {
            let outcome = Outcome::Unknown("timed out".into());
            self.operator.done(&wanted, &outcome, self.now);
            return true;
        }
        for event in events {
            self.feed(event);
        }
        self.operator.done(&wanted, &outcome, self.now);
        true
    }

    pub fn agent_round(&mut self) -> bool {
        let before = self.server.changes();
        for n in 0..self.agents.len() {
            for step in 0..4 {
                self.agent_step(n, step);
            }
        }
        before != self.server.changes()
    }

    pub fn agent_step(&mut self, n: usize, step: usize) {
        if self.agents.is_empty() {
            return;
        }
        let n = n % self.agents.len();
        let (agent, server) = (&mut self.agents[n], &mut self.server);
        if agent.frozen {
            return;
        }
        match step % 4 {
            0 => agent.read(server),
            1 => agent.program(),
            2 => agent.lease(server),
            _ => agent.report(server, &mut self.proofs),
        }
        self.check();
    }

    /// Runs everything until nothing moves; agents renew their Leases, and
    /// broken watches begin anew.
    pub fn settle(&mut self) {
        for kind in self.broken.clone() {
            self.relist(kind);
        }
        for round in 0..3_000 {
            self.deliver_all();
            let polled = self.poll();
            let mut ran = false;
            while self.execute(0, Fate::Done) {
                ran = true;
            }
            let cluster = self.cluster();
            let quiet_before = self.quiet_mark();
            self.agent_round();
            let agents = quiet_before != self.quiet_mark();
            let deadline = self.operator.next_deadline(self.now);
            self.now.0 += 100;
            let soon = deadline.is_some_and(|d| d.0 <= self.now.0 + 8_000);
            if !polled && !ran && !cluster && !agents && !soon && round > 5 {
                return;
            }
        }
        panic!(
            "does not settle; writes: {:#?}",
            &self.server.writes[self.server.writes.len().saturating_sub(40)..]
        );
    }

    /// Changes of everything but Leases: renewing one is no news.
    fn quiet_mark(&self) -> usize {
        self.server
            .log
            .iter()
            .filter(|(kind, _)| **kind != Kind::Lease)
            .map(|(_, log)| log.len())
            .sum()
    }
}
