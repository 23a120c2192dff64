//! The stage: server, operator, agents, kubelet and garbage collector, moved one
//! step at a time, with what must hold checked after each.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use sluice_crds::internal::ClaimPhase;
use sluice_crds::names::{CHILD_PREFIX, FINALIZER_FENCED};
use sluice_crds::user::EIPStatus;

use super::agent::{Agent, Proofs};
use super::objects::{attachment, gateway, key, namespace, node, pool};
use super::server::{Server, meta, slot_of};
use crate::entry::{Body, Entry};
use crate::identity::Uid;
use crate::operator::action::{Action, Announcement, Outcome};
use crate::operator::event::{ChildKind, Event, Key, Kind, Millis, Object, PodFacts};
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
        self.operator = Operator::new(self.settings.clone());
        self.in_flight.clear();
        for (event, kind, at) in self.server.lists() {
            self.cursors.insert(kind, at);
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
        self.operator.apply(event, self.now);
        for (gateway, gateway_uid) in gateways {
            let digests = [
                ChildKind::ServiceAccount,
                ChildKind::Role,
                ChildKind::RoleBinding,
                ChildKind::Deployment,
            ]
            .map(|k| (k, self.rendered.clone()));
            self.operator.apply(
                Event::Rendered {
                    gateway,
                    gateway_uid,
                    digests: digests.into(),
                },
                self.now,
            );
        }
    }

    /// A broken watch: a fresh list.
    pub fn relist(&mut self, kind: Kind) {
        self.operator.apply(Event::OutOfSync(kind), self.now);
        let (event, at) = self.server.list(kind);
        self.cursors.insert(kind, at);
        self.feed(event);
    }

    /// Delivers up to `n` events of one kind; whether there were any.
    pub fn deliver(&mut self, kind: Kind, n: usize) -> bool {
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

    /// An event that was delivered before comes again.
    pub fn repeat(&mut self, kind: Kind, back: usize) {
        let at = self.cursors.get(&kind).copied().unwrap_or_default();
        let event = self
            .server
            .log
            .get(&kind)
            .and_then(|log| log.get(at.checked_sub(back + 1)?).cloned());
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

    fn boot_of(&self, node: &str) -> String {
        format!("boot-{node}-{}", self.boots.get(node).copied().unwrap_or(1))
    }

    /// Deployment controller, scheduler, kubelet and garbage collector, one round.
    pub fn cluster(&mut self) -> bool {
        let before = self.server.log.values().map(Vec::len).sum::<usize>();
        let deployments: Vec<_> = self
            .server
            .all(Kind::Child)
            .filter_map(|o| match o {
                Object::Child(c) if c.kind == ChildKind::Deployment => Some(c.clone()),
                _ => None,
            })
            .collect();
        let pods: Vec<PodFacts> = self
            .server
            .all(Kind::Pod)
            .filter_map(|o| match o {
                Object::Pod(p) => Some(p.clone()),
                _ => None,
            })
            .collect();
        for deployment in &deployments {
            let has = pods
                .iter()
                .any(|p| p.gateway_uid == deployment.gateway_uid && !p.deleting);
            if !has && !deployment.deleting {
                self.pods += 1;
                let name = format!("{}-rs-{}", deployment.key.name, self.pods);
                self.server.create(Object::Pod(PodFacts {
                    key: key(&deployment.key.namespace, &name),
                    uid: Uid::new(""),
                    resource_version: String::new(),
                    gateway_uid: deployment.gateway_uid.clone(),
                    node: if self.pods.is_multiple_of(2) {
                        "n1"
                    } else {
                        "n2"
                    }
                    .to_owned(),
                    finalizers: vec![FINALIZER_FENCED.to_owned()],
                    deleting: false,
                    phase: "Pending".into(),
                    containers_terminated: false,
                    ready: false,
                }));
            }
        }
        for pod in &pods {
            let slot = (Kind::Pod, None, pod.key.clone());
            if !deployments.iter().any(|d| d.gateway_uid == pod.gateway_uid) {
                self.server.delete(&slot);
            }
            let agent = self
                .agents
                .iter_mut()
                .position(|a| a.pod_uid == pod.uid.as_str());
            match agent {
                None if !pod.deleting => {
                    let name = pod.key.name.rsplitn(3, '-').nth(2).unwrap_or_default();
                    let gateway = key(
                        &pod.key.namespace,
                        name.strip_prefix(CHILD_PREFIX).unwrap_or(name),
                    );
                    let boot = self.boot_of(&pod.node);
                    self.agents.push(Agent::start(pod, &gateway, &boot));
                }
                None => self.terminate(&pod.key),
                Some(n) if pod.deleting => {
                    let crash = self.crash_on_delete;
                    let agent = &mut self.agents[n];
                    if crash {
                        agent.running = false;
                    } else {
                        agent.give_up(&mut self.server, &mut self.proofs);
                    }
                    agent.kernel.clear();
                    self.terminate(&pod.key);
                }
                Some(_) => {}
            }
        }
        // The collector deletes reports whose Pod is gone.
        let orphans: Vec<_> = self
            .server
            .all(Kind::GatewayInstance)
            .filter(|o| match o {
                Object::GatewayInstance(r) => !self
                    .server
                    .all(Kind::Pod)
                    .any(|p| matches!(p, Object::Pod(p) if p.uid.as_str() == r.spec.pod_uid)),
                _ => false,
            })
            .map(slot_of)
            .collect();
        for slot in orphans {
            self.server.delete(&slot);
        }
        self.check();
        before != self.server.log.values().map(Vec::len).sum::<usize>()
    }

    fn terminate(&mut self, pod: &Key) {
        self.server
            .change(&(Kind::Pod, None, pod.clone()), false, |o| {
                if let Object::Pod(p) = o {
                    p.containers_terminated = true;
                }
            });
    }

    /// The node of an agent loses power and boots anew.
    pub fn reboot(&mut self, name: &str) {
        let boot = self.boots.entry(name.to_owned()).or_insert(1);
        *boot += 1;
        let boot = format!("boot-{name}-{boot}");
        for agent in &mut self.agents {
            if agent.node == name {
                agent.kernel.clear();
                agent.running = false;
            }
        }
        let pods: Vec<PodFacts> = self
            .server
            .all(Kind::Pod)
            .filter_map(|o| match o {
                Object::Pod(p) if p.node == name && !p.deleting => Some(p.clone()),
                _ => None,
            })
            .collect();
        for pod in pods {
            if let Some(n) = self
                .agents
                .iter()
                .position(|a| a.pod_uid == pod.uid.as_str())
            {
                let gateway = self.agents[n].gateway.clone();
                self.agents[n] = Agent::start(&pod, &gateway, &boot);
            }
        }
        self.server
            .change(&(Kind::Node, None, key("", name)), false, |o| {
                if let Object::Node(n) = o {
                    n.boot_id = boot.clone();
                }
            });
    }

    pub fn agent_round(&mut self) -> bool {
        let before = self.server.log.values().map(Vec::len).sum::<usize>();
        for n in 0..self.agents.len() {
            for step in 0..4 {
                self.agent_step(n, step);
            }
        }
        before != self.server.log.values().map(Vec::len).sum::<usize>()
    }

    pub fn agent_step(&mut self, n: usize, step: usize) {
        if self.agents.is_empty() {
            return;
        }
        let n = n % self.agents.len();
        let (agent, server) = (&mut self.agents[n], &mut self.server);
        match step % 4 {
            0 => agent.read(server),
            1 => agent.program(),
            2 => agent.lease(server),
            _ => agent.report(server, &mut self.proofs),
        }
        self.check();
    }

    /// Runs everything until nothing moves; agents renew their Leases.
    pub fn settle(&mut self) {
        for round in 0..3_000 {
            // Renewing the Lease is no news: count what else moved.
            let leases = self.server.log.get(&Kind::Lease).map_or(0, Vec::len);
            let mut moved = self.deliver_all();
            moved &= self.server.log.get(&Kind::Lease).map_or(0, Vec::len) == leases || moved;
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

    /// Changes of everything but Leases.
    fn quiet_mark(&self) -> usize {
        self.server
            .log
            .iter()
            .filter(|(kind, _)| **kind != Kind::Lease)
            .map(|(_, log)| log.len())
            .sum()
    }

    pub fn exists(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.server.get(kind, &key(namespace, name)).is_some()
    }

    pub fn eip(&self, namespace: &str, name: &str) -> EIPStatus {
        match self.server.get(Kind::EIP, &key(namespace, name)) {
            Some(Object::EIP(e)) => e.status.clone().unwrap_or_default(),
            _ => panic!("no EIP {namespace}/{name}"),
        }
    }

    /// Status and reason of a condition.
    pub fn condition(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        type_: &str,
    ) -> (String, String) {
        let conditions = match self.server.get(kind, &key(namespace, name)) {
            Some(Object::EIP(o)) => o.status.as_ref().map(|s| &s.conditions),
            Some(Object::FIP(o)) => o.status.as_ref().map(|s| &s.conditions),
            Some(Object::DNAT(o)) => o.status.as_ref().map(|s| &s.conditions),
            Some(Object::SNAT(o)) => o.status.as_ref().map(|s| &s.conditions),
            Some(Object::NATGateway(o)) => o.status.as_ref().map(|s| &s.conditions),
            Some(Object::EIPPool(o)) => o.status.as_ref().map(|s| &s.conditions),
            _ => panic!("no {kind:?} {namespace}/{name}"),
        };
        conditions
            .into_iter()
            .flatten()
            .find(|c| c.type_ == type_)
            .map(|c| (c.status.clone(), c.reason.clone()))
            .unwrap_or_else(|| ("none".into(), "none".into()))
    }

    /// What must hold at every moment.
    pub fn check(&self) {
        if self.unchecked {
            return;
        }
        let mut owners: BTreeMap<String, Key> = BTreeMap::new();
        let mut claimed: BTreeMap<String, (String, String, String)> = BTreeMap::new();
        for object in self.server.all(Kind::AddressClaim) {
            let Object::AddressClaim(claim) = object else {
                continue;
            };
            let owner = &claim.spec.owner;
            if claim.spec.phase == ClaimPhase::Bound {
                claimed.insert(
                    claim.spec.address.clone(),
                    (
                        owner.uid.clone(),
                        owner.namespace.clone(),
                        owner.name.clone(),
                    ),
                );
            }
        }
        // An address is never in two EIPs, and Ready=True is evidence.
        for object in self.server.all(Kind::EIP) {
            let Object::EIP(eip) = object else { continue };
            let (_, name, uid) = object.identity();
            let Some(status) = &eip.status else { continue };
            for address in [&status.ipv4, &status.ipv6].into_iter().flatten() {
                if claimed.get(address).is_some_and(|c| c.0 == uid.as_str()) {
                    let other = owners.insert(address.clone(), name.clone());
                    assert_eq!(other, None, "{address} is in two EIPs");
                }
            }
            let ready = status
                .conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True");
            assert_eq!(ready, status.holder.is_some(), "{name:?}: {status:?}");
            let Some(holder) = &status.holder else {
                continue;
            };
            for address in [&status.ipv4, &status.ipv6].into_iter().flatten() {
                let proved = self.proofs.iter().any(|(instance, term, lease, line)| {
                    *instance == holder.instance
                        && *term == holder.term
                        && *lease == holder.lease_uid
                        && line.starts_with(&format!("addr {uid} "))
                        && line.contains(&format!(" {address} "))
                });
                assert!(
                    proved,
                    "{name:?} is Ready at {holder:?}, which never proved {address}"
                );
            }
        }
        for kind in [Kind::FIP, Kind::DNAT, Kind::SNAT] {
            for object in self.server.all(kind) {
                let (_, name, uid) = object.identity();
                if self.condition(kind, &name.namespace, &name.name, "Ready").0 == "True" {
                    let word = format!("{kind:?} {uid} ").to_lowercase();
                    assert!(
                        self.proofs.iter().any(|p| p.3.starts_with(&word)),
                        "{name:?} is Ready and nobody ever proved it"
                    );
                }
            }
        }
        // While a kernel answers for an address, nobody else has it.
        let mut answering: BTreeMap<String, &Agent> = BTreeMap::new();
        for agent in &self.agents {
            for line in &agent.kernel {
                let entry: Entry = line.parse().unwrap();
                if let Body::Addr { address, .. } = entry.body {
                    let address = address.to_string();
                    if let Some(other) = answering.insert(address.clone(), agent) {
                        assert_eq!(
                            other.gateway_uid, agent.gateway_uid,
                            "{address} stands in kernels of two gateways"
                        );
                    }
                    let owner = claimed.get(&address);
                    assert!(owner.is_some(), "{address} was freed while a kernel has it");
                }
            }
        }
    }

    /// Names of everything that the operator or agents made.
    pub fn remains(&self) -> Vec<String> {
        self.server
            .objects
            .iter()
            .filter(|((kind, _, _), _)| {
                !matches!(kind, Kind::Namespace | Kind::Node | Kind::Attachment)
            })
            .map(|(slot, o)| format!("{slot:?} {:?}", meta(o).map(|m| &m.finalizers)))
            .collect()
    }

    /// Every EIP and rule that is accepted, and is not Ready.
    pub fn not_ready(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        for kind in [Kind::EIP, Kind::FIP, Kind::DNAT, Kind::SNAT] {
            for object in self.server.all(kind) {
                let (_, name, _) = object.identity();
                let of = |type_: &str| self.condition(kind, &name.namespace, &name.name, type_);
                let unaccepted = of("Accepted").0 == "False";
                if !unaccepted && of("Ready").0 != "True" {
                    out.insert(format!(
                        "{kind:?} {name:?} {:?} {:?}",
                        of("Accepted"),
                        of("Ready")
                    ));
                }
            }
        }
        out
    }
}
