//! An API server in memory: resourceVersion, generation, uid, finalizers,
//! deletion and preconditions as the real one has them, and a log of events per
//! kind that watchers read at their own pace.

mod writes;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

use crate::identity::Uid;
use crate::operator::event::{ChildKind, Event, Key, Kind, LeaseFacts, Object};

pub type Slot = (Kind, Option<ChildKind>, Key);

#[derive(Clone, Default)]
pub struct Server {
    pub objects: BTreeMap<Slot, Object>,
    /// Events by kind, in order.
    pub log: BTreeMap<Kind, Vec<Event>>,
    version: u64,
    uids: u64,
    /// Seconds since the epoch, for creation times.
    pub clock: i64,
    /// Writes that changed something, by a word that says what.
    pub writes: Vec<String>,
}

macro_rules! meta_of {
    ($object:expr, $how:tt) => {
        match $object {
            Object::NATGateway(o) => Some(meta_of!(@ $how o)),
            Object::EIPPool(o) => Some(meta_of!(@ $how o)),
            Object::EIP(o) => Some(meta_of!(@ $how o)),
            Object::FIP(o) => Some(meta_of!(@ $how o)),
            Object::DNAT(o) => Some(meta_of!(@ $how o)),
            Object::SNAT(o) => Some(meta_of!(@ $how o)),
            Object::GatewayConfig(o) => Some(meta_of!(@ $how o)),
            Object::RuleSlice(o) => Some(meta_of!(@ $how o)),
            Object::GatewayInstance(o) => Some(meta_of!(@ $how o)),
            Object::AddressClaim(o) => Some(meta_of!(@ $how o)),
            _ => None,
        }
    };
    (@ mutable $o:ident) => { &mut $o.metadata };
    (@ shared $o:ident) => { &$o.metadata };
}

pub fn meta(object: &Object) -> Option<&ObjectMeta> {
    meta_of!(object, shared)
}

/// The resourceVersion of facts, which have no metadata.
fn version_mut(object: &mut Object) -> Option<&mut String> {
    Some(match object {
        Object::Lease(o) => &mut o.resource_version,
        Object::Pod(o) => &mut o.resource_version,
        Object::Child(o) => &mut o.resource_version,
        Object::Node(o) => &mut o.resource_version,
        Object::Namespace(o) => &mut o.resource_version,
        Object::Attachment(o) => &mut o.resource_version,
        Object::InsidePod(o) => &mut o.resource_version,
        _ => return None,
    })
}

fn meta_mut(object: &mut Object) -> Option<&mut ObjectMeta> {
    meta_of!(object, mutable)
}

/// What the status of a user's object says.
pub fn conditions(object: &Object) -> &[Condition] {
    let conditions = match object {
        Object::NATGateway(o) => o.status.as_ref().map(|s| &s.conditions),
        Object::EIPPool(o) => o.status.as_ref().map(|s| &s.conditions),
        Object::EIP(o) => o.status.as_ref().map(|s| &s.conditions),
        Object::FIP(o) => o.status.as_ref().map(|s| &s.conditions),
        Object::DNAT(o) => o.status.as_ref().map(|s| &s.conditions),
        Object::SNAT(o) => o.status.as_ref().map(|s| &s.conditions),
        _ => None,
    };
    conditions.map_or(&[], Vec::as_slice)
}

pub fn slot_of(object: &Object) -> Slot {
    let (kind, key, _) = object.identity();
    (kind, object.child_kind(), key)
}

impl Server {
    pub fn new() -> Self {
        Self {
            version: 100,
            ..Self::default()
        }
    }

    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn new_uid(&mut self, kind: Kind) -> String {
        self.uids += 1;
        format!("{kind:?}-{}", self.uids).to_lowercase()
    }

    pub fn get(&self, kind: Kind, key: &Key) -> Option<&Object> {
        self.objects.get(&(kind, None, key.clone()))
    }

    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects
            .range((kind, None, Key::default())..)
            .take_while(move |(slot, _)| slot.0 == kind)
            .map(|(_, o)| o)
    }

    /// How often anything changed.
    pub fn changes(&self) -> usize {
        self.log.values().map(Vec::len).sum()
    }

    /// A most-recent list, and where a watch goes on from it.
    pub fn list(&self, kind: Kind) -> (Event, usize) {
        let objects = self.all(kind).cloned().collect();
        let parts = match kind {
            Kind::Child => ChildKind::ALL.map(Some).to_vec(),
            _ => vec![None],
        };
        let versions = parts.into_iter().map(|part| (part, self.version));
        let versions = versions.collect();
        (
            Event::Reset {
                kind,
                objects,
                versions,
            },
            self.log.get(&kind).map_or(0, Vec::len),
        )
    }

    /// What a live read feeds back, when that UID was known before, if any.
    pub fn live(&self, slot: &Slot, known: Option<&Uid>) -> Option<Event> {
        match self.objects.get(slot) {
            Some(object) => Some(Event::Apply(Box::new(object.clone()))),
            None => known.map(|uid| writes::gone(slot, uid)),
        }
    }

    fn store(&mut self, object: Object) {
        let slot = slot_of(&object);
        self.log
            .entry(slot.0)
            .or_default()
            .push(Event::Apply(Box::new(object.clone())));
        self.objects.insert(slot, object);
    }

    fn drop_slot(&mut self, slot: &Slot) {
        if let Some(object) = self.objects.remove(slot) {
            let uid = object.identity().2;
            self.version += 1;
            let version = self.version;
            self.log.entry(slot.0).or_default().push(Event::Delete {
                kind: slot.0,
                child: slot.1,
                key: slot.2.clone(),
                uid,
                version,
            });
        }
    }

    /// Creates; false where the name is taken.
    pub fn create(&mut self, mut object: Object) -> bool {
        let slot = slot_of(&object);
        if self.objects.contains_key(&slot) {
            return false;
        }
        let version = self.next();
        let uid = self.new_uid(slot.0);
        let clock = self.clock;
        if let Some(meta) = meta_mut(&mut object) {
            meta.uid = Some(uid);
            meta.resource_version = Some(version);
            meta.generation = Some(1);
            meta.creation_timestamp = Some(Time(Timestamp::from_second(clock).unwrap()));
        } else {
            *version_mut(&mut object).unwrap() = version;
            match &mut object {
                Object::Lease(o) => o.uid = Uid::new(uid),
                Object::Pod(o) => o.uid = Uid::new(uid),
                Object::Child(o) => o.uid = Uid::new(uid),
                Object::InsidePod(o) => o.uid = Uid::new(uid),
                _ => {}
            }
        }
        self.store(object);
        true
    }

    /// Changes an object in place; a change of spec moves the generation.
    pub fn change(&mut self, slot: &Slot, spec: bool, change: impl FnOnce(&mut Object)) -> bool {
        let Some(mut object) = self.objects.get(slot).cloned() else {
            return false;
        };
        let before = object.clone();
        change(&mut object);
        if object == before {
            return false;
        }
        let version = self.next();
        if let Some(meta) = meta_mut(&mut object) {
            meta.resource_version = Some(version);
            if spec {
                meta.generation = meta.generation.map(|g| g + 1);
            }
            if meta.deletion_timestamp.is_some()
                && meta.finalizers.as_deref().unwrap_or_default().is_empty()
            {
                self.drop_slot(slot);
                return true;
            }
        } else {
            *version_mut(&mut object).unwrap() = version;
            if let Object::Pod(o) = &object
                && o.deleting
                && o.containers_terminated
                && o.finalizers.is_empty()
            {
                self.drop_slot(slot);
                return true;
            }
        }
        self.store(object);
        true
    }

    /// Deletes as a user would: objects with finalizers stay until those go.
    pub fn delete(&mut self, slot: &Slot) -> bool {
        let Some(object) = self.objects.get(slot) else {
            return false;
        };
        let clock = self.clock;
        match object {
            Object::Pod(pod) => {
                if pod.deleting {
                    return false;
                }
                self.change(slot, false, |o| {
                    if let Object::Pod(pod) = o {
                        pod.deleting = true;
                        pod.containers_terminated |= pod.node.is_empty();
                    }
                })
            }
            _ => {
                let meta = meta(object);
                let held =
                    meta.is_some_and(|m| !m.finalizers.as_deref().unwrap_or_default().is_empty());
                if !held {
                    self.drop_slot(slot);
                    return true;
                }
                if meta.is_some_and(|m| m.deletion_timestamp.is_some()) {
                    return false;
                }
                self.change(slot, true, |o| {
                    if let Some(meta) = meta_mut(o) {
                        meta.deletion_timestamp =
                            Some(Time(Timestamp::from_second(clock).unwrap()));
                    }
                })
            }
        }
    }

    pub fn set_lease(&mut self, lease: LeaseFacts) {
        let slot = (Kind::Lease, None, lease.key.clone());
        self.change(&slot, true, |o| {
            if let Object::Lease(o) = o {
                let (uid, version) = (o.uid.clone(), o.resource_version.clone());
                *o = lease;
                o.uid = uid;
                o.resource_version = version;
            }
        });
    }

    /// All kinds' lists.
    pub fn lists(&self) -> Vec<(Event, Kind, usize)> {
        Kind::ALL
            .iter()
            .map(|kind| {
                let (event, at) = self.list(*kind);
                (event, *kind, at)
            })
            .collect()
    }
}
