//! The index of the world: the newest known state of every watched object, with
//! look-ups by reference, and the marks that say what must be decided anew.

mod changes;
mod kinds;
mod references;
mod store;
mod succession;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use sluice_crds::{
    AddressClaim, DNAT, EIP, EIPPool, FIP, GatewayConfig, GatewayInstance, NATGateway, RuleSlice,
    SNAT,
};

pub(crate) use references::{OwnerName, attachment_key, cluster_key, eips_of, gateway_of, sibling};
pub(crate) use store::{Index, Meta, Record, Store};
use succession::Succession;

use super::event::{
    AttachmentFacts, ChildFacts, ChildKind, Event, InsidePodFacts, Key, Kind, LeaseFacts,
    NamespaceFacts, NodeFacts, Object, PodFacts,
};
use super::subject::Subject;
use crate::identity::Uid;

/// Deleted UIDs that are remembered, so that neither a late answer nor a late watch
/// brings a ghost back.
const GONE_MAX: usize = 65_536;

/// An object that went.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub kind: Kind,
    pub child: Option<ChildKind>,
    pub key: Key,
    pub uid: Uid,
}

/// The newest known state of every object.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub(crate) gateways: Store<NATGateway>,
    pub(crate) pools: Store<EIPPool>,
    pub(crate) eips: Store<EIP>,
    pub(crate) fips: Store<FIP>,
    pub(crate) dnats: Store<DNAT>,
    pub(crate) snats: Store<SNAT>,
    pub(crate) configs: Store<GatewayConfig>,
    pub(crate) slices: Store<RuleSlice>,
    pub(crate) reports: Store<GatewayInstance>,
    pub(crate) claims: Store<AddressClaim>,
    pub(crate) leases: Store<LeaseFacts>,
    pub(crate) pods: Store<PodFacts>,
    pub(crate) nodes: Store<NodeFacts>,
    pub(crate) namespaces: Store<NamespaceFacts>,
    pub(crate) attachments: Store<AttachmentFacts>,
    pub(crate) children: BTreeMap<ChildKind, Store<ChildFacts>>,
    pub(crate) inside_pods: Store<InsidePodFacts>,

    pub(crate) rules_by_eip: Index<Key, (Kind, Key)>,
    /// FIPs by the Pod that they name.
    pub(crate) fips_by_pod: Index<Key, Key>,
    /// SNATs that select Pods: by their own namespace, or, those that select in
    /// namespaces by label, under the empty name.
    pub(crate) selecting: Index<String, Key>,
    pub(crate) eips_by_gateway: Index<Key, Key>,
    pub(crate) gateways_by_pool: Index<String, Key>,
    pub(crate) claims_by_owner: Index<Uid, String>,
    pub(crate) claims_by_owner_name: Index<OwnerName, String>,
    pub(crate) claims_by_pool: Index<String, String>,
    pub(crate) claims_by_address: BTreeMap<String, BTreeMap<IpAddr, String>>,
    pub(crate) reports_by_gateway: Index<Uid, Key>,
    pub(crate) pods_by_gateway: Index<Uid, Key>,
    pub(crate) slices_by_gateway: Index<Uid, Key>,
    pub(crate) children_by_gateway: Index<Uid, (ChildKind, Key)>,
    pub(crate) gateways_by_uid: BTreeMap<Uid, Key>,
    pub(crate) configs_by_gateway: Index<Uid, Key>,
    pub(crate) leases_by_gateway: Index<Uid, Key>,
    pub(crate) rendered: BTreeMap<Uid, BTreeMap<ChildKind, String>>,

    /// What was seen to take the place of what.
    pub(crate) succession: Succession,
    /// Gateways whose header names a slice that somebody deleted.
    pub(crate) lost_slices: BTreeSet<Uid>,
    /// Objects that went, and owners of claims that went or are another's now: for those
    /// who remember something of them.
    pub(crate) left: Vec<Left>,
    /// What reports tell of neighbours, with the UID of their gateway: each once.
    pub(crate) news: Vec<(Uid, String)>,
    /// What must be decided anew.
    pub(crate) dirty: BTreeSet<Subject>,
    in_sync: BTreeSet<Kind>,
    /// Whether all that must be listed was, when an event was last taken in.
    complete: bool,
    /// How often a watch broke.
    breaks: u64,
    seen: BTreeSet<Kind>,
    /// With the last resourceVersion that is known to be past.
    gone: BTreeMap<Uid, u64>,
    gone_order: VecDeque<Uid>,
}

impl World {
    /// Whether every kind has been listed and no watch is broken: but that of
    /// Pods as targets, on which no release and no sweep depends.
    pub(crate) fn all_in_sync(&self) -> bool {
        let mut kinds = Kind::ALL.iter().filter(|kind| **kind != Kind::InsidePod);
        kinds.all(|kind| self.in_sync.contains(kind))
    }

    /// Whether every kind that is needed has been listed at least once.
    pub(crate) fn all_listed(&self) -> bool {
        let mut needed = Kind::ALL
            .iter()
            .filter(|kind| **kind != Kind::InsidePod || self.wants_pods());
        needed.all(|kind| self.seen.contains(kind))
    }

    /// Whether any rule names or selects Pods.
    pub(crate) fn wants_pods(&self) -> bool {
        !self.fips_by_pod.is_empty() || !self.selecting.is_empty()
    }

    /// How often any watch broke.
    pub(crate) fn breaks(&self) -> u64 {
        self.breaks
    }

    /// Whether a kind's watch is in sync.
    pub(crate) fn in_sync(&self, kind: Kind) -> bool {
        self.in_sync.contains(&kind)
    }

    /// Marks a subject to be decided anew.
    pub(crate) fn mark(&mut self, subject: Subject) {
        self.dirty.insert(subject);
    }

    /// Takes in what the edge learned.
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Apply(object) => self.apply(*object),
            Event::Delete {
                kind,
                child,
                key,
                uid,
                version,
            } => self.delete(kind, child, &key, &uid, version),
            Event::Reset {
                kind,
                objects,
                versions,
            } => self.reset(kind, objects, &versions),
            Event::OutOfSync(kind) => {
                self.in_sync.remove(&kind);
                self.breaks += 1;
            }
            Event::Rendered {
                gateway: _,
                gateway_uid,
                digests,
            } => {
                if self.gateways_by_uid.contains_key(&gateway_uid) {
                    self.mark(Subject::Site(gateway_uid.clone()));
                    self.rendered.insert(gateway_uid, digests);
                }
            }
        }
        let complete = self.all_listed();
        if complete && !std::mem::replace(&mut self.complete, complete) {
            self.mark_everything();
        }
        self.complete = complete;
    }

    fn apply(&mut self, object: Object) {
        let (_, _, uid) = object.identity();
        if let Some(last) = self.gone.get(&uid) {
            if object.version() <= *last {
                return;
            }
            // It has the label again by which it is watched.
            self.gone.remove(&uid);
            self.gone_order.retain(|gone| *gone != uid);
        }
        self.put(object);
    }

    fn delete(&mut self, kind: Kind, child: Option<ChildKind>, key: &Key, uid: &Uid, version: u64) {
        let stands = self.uid_of(kind, child, key).as_ref() == Some(uid);
        if stands && self.version_of(kind, child, key) > Some(version) {
            return;
        }
        self.bury(uid, version);
        if stands {
            self.remove(kind, child, key);
        }
    }

    fn reset(
        &mut self,
        kind: Kind,
        objects: Vec<Object>,
        versions: &BTreeMap<Option<ChildKind>, u64>,
    ) {
        let listed: BTreeSet<(Option<ChildKind>, Key)> = objects
            .iter()
            .map(|o| (o.child_kind(), o.identity().1))
            .collect();
        for (child, key) in self.keys_of(kind) {
            let listed_at = versions.get(&child).copied().unwrap_or(u64::MAX);
            let came_since = || self.version_of(kind, child, &key) > Some(listed_at);
            if !listed.contains(&(child, key.clone())) && !came_since() {
                // What a newest list lacks is gone, whatever a late answer says.
                if let Some(uid) = self.uid_of(kind, child, &key) {
                    self.bury(&uid, listed_at);
                }
                self.remove(kind, child, &key);
            }
        }
        for object in objects {
            if object.identity().0 == kind {
                self.apply(object);
            }
        }
        let whole = self.in_sync.insert(kind) && self.all_in_sync();
        self.seen.insert(kind);
        // What was put off while a watch was broken has no other reason to be looked at.
        if whole {
            self.mark_everything();
        }
    }

    fn bury(&mut self, uid: &Uid, version: u64) {
        match self.gone.get_mut(uid) {
            Some(last) => *last = version.max(*last),
            None => {
                self.gone.insert(uid.clone(), version);
                self.gone_order.push_back(uid.clone());
            }
        }
        while self.gone_order.len() > GONE_MAX {
            if let Some(old) = self.gone_order.pop_front() {
                self.gone.remove(&old);
            }
        }
    }

    /// A namespace, where it is known.
    pub(crate) fn namespace(&self, name: &str) -> Option<&NamespaceFacts> {
        self.namespaces.get(&cluster_key(name))
    }

    /// The claim that has an address of a network.
    pub(crate) fn claim_address_taken(&self, network: &str, address: IpAddr) -> Option<&str> {
        self.claims_by_address
            .get(network)
            .and_then(|taken| taken.get(&address))
            .map(String::as_str)
    }
}
