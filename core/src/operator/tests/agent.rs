//! A gateway's agent in memory, its kernel, and the kubelet that runs it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use sluice_crds::GatewayInstance;
use sluice_crds::internal::{
    Active, Applied, GatewayInstanceSpec, GatewayInstanceStatus, NeighbourChange, Problem,
    RejectedEntry, Shortage, UnusableAddress,
};
use sluice_crds::names::{FINALIZER_FENCED, child_name};
use sluice_crds::user::Hosting;

use super::server::{Server, Slot};
use crate::config::receive;
use crate::entry::Entry;
use crate::operator::event::{Key, Kind, Object, PodFacts};

/// What an instance's kernel holds, and what its agent knows.
pub struct Agent {
    pub pod: Key,
    pub pod_uid: String,
    pub gateway: Key,
    pub gateway_uid: String,
    pub node: String,
    pub instance: String,
    /// The kernel: entries as text. Empty when the instance is no more.
    pub kernel: BTreeSet<String>,
    applied: Option<Applied>,
    /// A config that it has read and not applied yet.
    read: Option<(Applied, BTreeSet<String>)>,
    active: Option<Active>,
    renewals: u64,
    /// The process runs.
    pub running: bool,
    /// The process is stopped: it does nothing, and its kernel goes on as it is.
    pub frozen: bool,
    /// Keys of entries that this kernel refuses.
    pub refuses: BTreeSet<String>,
    /// Addresses that do not work, as it reports them.
    pub unusable: Vec<UnusableAddress>,
    pub problems: Vec<Problem>,
    pub neighbours: Vec<NeighbourChange>,
    /// The chassis that acknowledges, as it reports it.
    pub hosting: Option<Hosting>,
    /// What runs short, as it reports it.
    pub shortages: Vec<Shortage>,
    pub is_final: bool,
}

/// What an agent has proved to the API server while it held: instance, term, line.
pub type Proofs = BTreeSet<(String, i64, String, String)>;

impl Agent {
    pub fn start(pod: &PodFacts, gateway: &Key, boot: &str) -> Self {
        Self {
            pod: pod.key.clone(),
            pod_uid: pod.uid.to_string(),
            gateway: gateway.clone(),
            gateway_uid: pod.gateway_uid.to_string(),
            node: pod.node.clone(),
            instance: format!("pod/{}/{boot}/1", pod.uid),
            kernel: BTreeSet::new(),
            applied: None,
            read: None,
            active: None,
            renewals: 0,
            running: true,
            frozen: false,
            refuses: BTreeSet::new(),
            unusable: Vec::new(),
            problems: Vec::new(),
            neighbours: Vec::new(),
            hosting: None,
            shortages: Vec::new(),
            is_final: false,
        }
    }

    /// The instance is another: nothing of the one before is known.
    pub fn forget(&mut self) {
        self.applied = None;
        self.read = None;
        self.active = None;
    }

    fn slot(&self) -> Slot {
        (Kind::GatewayInstance, None, self.pod.clone())
    }

    fn lease_key(&self) -> Key {
        Key {
            namespace: self.gateway.namespace.clone(),
            name: child_name(&self.gateway.name),
        }
    }

    /// Whether the header is another than the applied one.
    pub fn is_behind(&self, server: &Server) -> bool {
        match server.get(Kind::GatewayConfig, &self.gateway) {
            Some(Object::GatewayConfig(header)) => self.applied.as_ref().is_none_or(|a| {
                Some(&a.uid) != header.metadata.uid.as_ref()
                    || Some(a.generation) != header.metadata.generation
            }),
            _ => false,
        }
    }

    /// Reads header and slices as they stand.
    pub fn read(&mut self, server: &Server) {
        if !self.running {
            return;
        }
        let Some(Object::GatewayConfig(header)) = server.get(Kind::GatewayConfig, &self.gateway)
        else {
            return;
        };
        if header.spec.gateway.uid != self.gateway_uid {
            return;
        }
        let slices: BTreeMap<_, _> = server
            .all(Kind::RuleSlice)
            .filter_map(|o| match o {
                Object::RuleSlice(s) => Some((s.metadata.name.clone()?, s.spec.clone())),
                _ => None,
            })
            .collect();
        // What is not whole is not applied: the last good config stays.
        let Ok(snapshot) = receive(&header.spec, &slices) else {
            return;
        };
        let lines = snapshot.entries().map(Entry::to_string).collect();
        self.read = Some((
            Applied {
                uid: header.metadata.uid.clone().unwrap(),
                generation: header.metadata.generation.unwrap(),
                digest: snapshot.digest.to_string(),
                slices: snapshot.names,
            },
            lines,
        ));
    }

    /// Programs what was read, never an older generation.
    pub fn program(&mut self) {
        let Some((read, lines)) = self.read.take().filter(|_| self.running) else {
            return;
        };
        let older = self
            .applied
            .as_ref()
            .is_some_and(|a| a.uid == read.uid && a.generation > read.generation);
        if older {
            return;
        }
        self.kernel = lines
            .into_iter()
            .filter(|l| !self.refuses.contains(&l.parse::<Entry>().unwrap().key()))
            .collect();
        self.applied = Some(read);
    }

    /// Takes or renews the Lease.
    pub fn lease(&mut self, server: &mut Server) {
        if !self.running || self.applied.is_none() {
            return;
        }
        let Some(Object::Lease(lease)) = server.get(Kind::Lease, &self.lease_key()) else {
            self.active = None;
            return;
        };
        let mut lease = lease.clone();
        if lease.gateway_uid.as_str() != self.gateway_uid {
            return;
        }
        if !self.reported(server) {
            return;
        }
        if lease.holder.is_empty() {
            lease.transitions += 1;
            lease.holder = self.instance.clone();
        } else if lease.holder != self.instance {
            self.active = None;
            return;
        }
        self.renewals += 1;
        let unique = i64::try_from(self.renewals % 1_000_000).unwrap();
        let micros = server.clock * 1_000_000 + unique;
        lease.renew_time = Timestamp::from_microsecond(micros).unwrap().to_string();
        server.set_lease(lease.clone());
        self.active = Some(Active {
            lease_uid: lease.uid.to_string(),
            term: lease.transitions,
        });
    }

    fn reported(&self, server: &Server) -> bool {
        server.objects.contains_key(&self.slot())
    }

    /// Writes the report, and notes what it proves.
    pub fn report(&mut self, server: &mut Server, proofs: &mut Proofs) {
        if !self.running {
            return;
        }
        if !self.reported(server) {
            let mut report = GatewayInstance::new(
                &self.pod.name,
                GatewayInstanceSpec {
                    gateway: self.gateway.name.clone(),
                    gateway_uid: self.gateway_uid.clone(),
                    pod_uid: self.pod_uid.clone(),
                    node: self.node.clone(),
                },
            );
            report.metadata.namespace = Some(self.pod.namespace.clone());
            report.metadata.finalizers = Some(vec![FINALIZER_FENCED.to_owned()]);
            server.create(Object::GatewayInstance(report));
        }
        let rejected: Vec<RejectedEntry> = self
            .refuses
            .iter()
            .map(|key| RejectedEntry {
                key: key.clone(),
                digest: digest_of_key(server, key, &self.gateway),
                error: "Operation not supported".to_owned(),
            })
            .collect();
        let status = GatewayInstanceStatus {
            instance: self.instance.clone(),
            formats: vec![1],
            applied: self.applied.clone(),
            active: self.active.clone(),
            is_final: self.is_final,
            rejected,
            unusable: self.unusable.clone(),
            problems: self.problems.clone(),
            neighbours: self.neighbours.clone(),
            hosting: self.hosting.clone(),
            shortages: self.shortages.clone(),
            ..GatewayInstanceStatus::default()
        };
        let slot = self.slot();
        let own = server.objects.get(&slot).is_some_and(
            |o| matches!(o, Object::GatewayInstance(r) if r.spec.pod_uid == self.pod_uid),
        );
        if !own {
            return;
        }
        server.change(&slot, false, |o| {
            if let Object::GatewayInstance(r) = o {
                r.status = Some(status);
            }
        });
        let Some(Object::Lease(lease)) = server.get(Kind::Lease, &self.lease_key()) else {
            return;
        };
        if let Some(active) = &self.active
            && lease.holder == self.instance
            && lease.transitions == active.term
            && lease.uid.as_str() == active.lease_uid
        {
            for line in &self.kernel {
                proofs.insert((
                    self.instance.clone(),
                    active.term,
                    active.lease_uid.clone(),
                    line.clone(),
                ));
            }
        }
    }

    /// SIGTERM with the Pod being deleted: clears the kernel, gives the Lease
    /// back, says that it has given up.
    pub fn give_up(&mut self, server: &mut Server, proofs: &mut Proofs) {
        if !self.running {
            return;
        }
        self.kernel.clear();
        self.applied = None;
        self.active = None;
        self.is_final = true;
        if let Some(Object::Lease(lease)) = server.get(Kind::Lease, &self.lease_key())
            && lease.holder == self.instance
        {
            let mut lease = lease.clone();
            lease.holder.clear();
            server.set_lease(lease);
        }
        if self.reported(server) {
            self.report(server, proofs);
        }
        self.running = false;
    }
}

fn digest_of_key(server: &Server, key: &str, gateway: &Key) -> String {
    server
        .all(Kind::RuleSlice)
        .filter_map(|o| match o {
            Object::RuleSlice(s) if s.metadata.namespace.as_deref() == Some(&gateway.namespace) => {
                Some(s)
            }
            _ => None,
        })
        .flat_map(|s| &s.spec.entries)
        .filter_map(|l| l.parse::<Entry>().ok())
        .find(|e| e.key() == key)
        .map(|e| e.digest().short())
        .unwrap_or_default()
}
