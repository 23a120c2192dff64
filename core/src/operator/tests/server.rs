//! An API server in memory: resourceVersion, generation, uid, finalizers,
//! deletion and preconditions as the real one has them, and a log of events per
//! kind that watchers read at their own pace.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

use crate::identity::Uid;
use crate::operator::action::{Action, Outcome, StatusWrite};
use crate::operator::event::{ChildFacts, ChildKind, Event, Key, Kind, LeaseFacts, Object};
use crate::operator::world::cluster_key;

pub type Slot = (Kind, Option<ChildKind>, Key);

#[derive(Default)]
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

fn meta_mut(object: &mut Object) -> Option<&mut ObjectMeta> {
    meta_of!(object, mutable)
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
            .iter()
            .filter(move |(slot, _)| slot.0 == kind)
            .map(|(_, o)| o)
    }

    /// How often anything changed.
    pub fn changes(&self) -> usize {
        self.log.values().map(Vec::len).sum()
    }

    /// A most-recent list, and where a watch goes on from it.
    pub fn list(&self, kind: Kind) -> (Event, usize) {
        let objects = self.all(kind).cloned().collect();
        (
            Event::Reset { kind, objects },
            self.log.get(&kind).map_or(0, Vec::len),
        )
    }

    pub fn live(&self, kind: Kind, key: &Key) -> Event {
        match self.get(kind, key) {
            Some(object) => Event::Apply(Box::new(object.clone())),
            None => Event::Delete {
                kind,
                child: None,
                key: key.clone(),
                uid: None,
            },
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
            self.log.entry(slot.0).or_default().push(Event::Delete {
                kind: slot.0,
                child: slot.1,
                key: slot.2.clone(),
                uid: Some(uid),
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
            match &mut object {
                Object::Lease(o) => {
                    o.uid = Uid::new(uid);
                    o.resource_version = version;
                }
                Object::Pod(o) => {
                    o.uid = Uid::new(uid);
                    o.resource_version = version;
                }
                Object::Child(o) => {
                    o.uid = Uid::new(uid);
                    o.resource_version = version;
                }
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
            match &mut object {
                Object::Lease(o) => o.resource_version = version,
                Object::Child(o) => o.resource_version = version,
                Object::Pod(o) => {
                    o.resource_version = version;
                    if o.deleting && o.containers_terminated && o.finalizers.is_empty() {
                        self.drop_slot(slot);
                        return true;
                    }
                }
                _ => {}
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

    fn uid_is(&self, slot: &Slot, uid: &Uid) -> bool {
        self.objects
            .get(slot)
            .is_some_and(|o| o.identity().2 == *uid)
    }

    fn version_is(&self, slot: &Slot, version: &str) -> bool {
        self.objects
            .get(slot)
            .is_some_and(|o| o.version().to_string() == version)
    }

    /// Carries out an action other than a status write. The events are what the
    /// edge feeds back before it reports the outcome.
    pub fn execute(&mut self, action: &Action, rendered: &str) -> (Outcome, Vec<Event>) {
        let claim_slot = |name: &str| (Kind::AddressClaim, None, cluster_key(name));
        match action {
            Action::CreateClaim(claim) => {
                let name = claim.metadata.name.clone().unwrap();
                let slot = claim_slot(&name);
                if self.create(Object::AddressClaim(claim.clone())) {
                    self.writes.push(format!("create claim {name}"));
                }
                self.answer(&slot, Outcome::Done)
            }
            Action::UpdateClaim(claim) => {
                let slot = claim_slot(claim.metadata.name.as_ref().unwrap());
                let version = claim.metadata.resource_version.clone().unwrap();
                if !self.version_is(&slot, &version) {
                    return self.answer(&slot, Outcome::Conflict);
                }
                self.writes.push(format!("update claim {:?}", slot.2.name));
                self.change(&slot, true, |o| {
                    if let Object::AddressClaim(o) = o {
                        o.spec = claim.spec.clone();
                    }
                });
                self.answer(&slot, Outcome::Done)
            }
            Action::DeleteClaim {
                name,
                uid,
                resource_version,
            } => {
                let slot = claim_slot(name);
                if !self.uid_is(&slot, uid) || !self.version_is(&slot, resource_version) {
                    return self.answer(&slot, Outcome::Conflict);
                }
                self.writes.push(format!("delete claim {name}"));
                self.delete(&slot);
                (Outcome::Done, vec![])
            }
            Action::SetFinalizers {
                kind,
                key,
                uid,
                resource_version,
                finalizers,
            } => {
                let slot = (*kind, None, key.clone());
                if !self.uid_is(&slot, uid) || !self.version_is(&slot, resource_version) {
                    return self.answer(&slot, Outcome::Conflict);
                }
                self.writes
                    .push(format!("finalizers {kind:?} {key:?} {finalizers:?}"));
                self.change(&slot, false, |o| match o {
                    Object::Pod(o) => o.finalizers = finalizers.clone(),
                    other => meta_mut(other).unwrap().finalizers = Some(finalizers.clone()),
                });
                self.answer(&slot, Outcome::Done)
            }
            Action::CreateSlice(slice) => {
                let object = Object::RuleSlice(slice.clone());
                let slot = slot_of(&object);
                if self.create(object) {
                    self.writes.push(format!("create slice {:?}", slot.2.name));
                }
                self.answer(&slot, Outcome::Done)
            }
            Action::DeleteSlice { key, uid } => {
                self.delete_if((Kind::RuleSlice, None, key.clone()), uid)
            }
            Action::WriteHeader(header) => {
                let object = Object::GatewayConfig(header.clone());
                let slot = slot_of(&object);
                match &header.metadata.resource_version {
                    None => {
                        if !self.create(object) {
                            return self.answer(&slot, Outcome::Conflict);
                        }
                        self.writes.push(format!("create header {:?}", slot.2.name));
                    }
                    Some(version) => {
                        if !self.version_is(&slot, version) {
                            return self.answer(&slot, Outcome::Conflict);
                        }
                        let fences = match self.objects.get(&slot) {
                            Some(Object::GatewayConfig(o)) => o.spec == header.spec,
                            _ => false,
                        };
                        let word = if fences { "fence" } else { "update" };
                        self.writes.push(format!("{word} header {:?}", slot.2.name));
                        self.change(&slot, !fences, |o| {
                            if let Object::GatewayConfig(o) = o {
                                o.spec = header.spec.clone();
                                o.metadata.annotations = header.metadata.annotations.clone();
                            }
                        });
                    }
                }
                self.answer(&slot, Outcome::Done)
            }
            Action::DeleteHeader { key, uid } => {
                self.delete_if((Kind::GatewayConfig, None, key.clone()), uid)
            }
            Action::WriteLease(lease) => {
                let slot = (Kind::Lease, None, lease.key.clone());
                if lease.uid.as_str().is_empty() {
                    if !self.create(Object::Lease(lease.clone())) {
                        return self.answer(&slot, Outcome::Conflict);
                    }
                } else {
                    if !self.version_is(&slot, &lease.resource_version) {
                        return self.answer(&slot, Outcome::Conflict);
                    }
                    self.set_lease(lease.clone());
                }
                self.writes.push(format!("lease {:?}", slot.2.name));
                self.answer(&slot, Outcome::Done)
            }
            Action::DeleteLease { key, uid } => {
                self.delete_if((Kind::Lease, None, key.clone()), uid)
            }
            Action::EnsureChild {
                child,
                gateway,
                gateway_uid,
            } => {
                let key = Key {
                    namespace: gateway.namespace.clone(),
                    name: sluice_crds::names::child_name(&gateway.name),
                };
                let facts = ChildFacts {
                    kind: *child,
                    key: key.clone(),
                    uid: Uid::new(""),
                    resource_version: String::new(),
                    gateway_uid: gateway_uid.clone(),
                    digest: rendered.to_owned(),
                    deleting: false,
                };
                let slot = (Kind::Child, Some(*child), key);
                if !self.create(Object::Child(facts)) {
                    self.change(&slot, true, |o| {
                        if let Object::Child(o) = o {
                            o.digest = rendered.to_owned();
                        }
                    });
                }
                self.writes.push(format!("child {child:?}"));
                self.answer(&slot, Outcome::Done)
            }
            Action::DeleteChild { child, key, uid } => {
                self.delete_if((Kind::Child, Some(*child), key.clone()), uid)
            }
            Action::DeleteInstance { key, uid } => {
                self.delete_if((Kind::GatewayInstance, None, key.clone()), uid)
            }
            Action::Read { kind, key } => (Outcome::Done, vec![self.live(*kind, key)]),
            Action::WriteStatus { .. } | Action::Emit(_) => (Outcome::Done, vec![]),
        }
    }

    fn delete_if(&mut self, slot: Slot, uid: &Uid) -> (Outcome, Vec<Event>) {
        if !self.objects.contains_key(&slot) {
            return (Outcome::Done, vec![]);
        }
        if !self.uid_is(&slot, uid) {
            return self.answer(&slot, Outcome::Conflict);
        }
        self.writes.push(format!("delete {slot:?}"));
        self.delete(&slot);
        if self.objects.contains_key(&slot) {
            return self.answer(&slot, Outcome::Done);
        }
        (Outcome::Done, vec![])
    }

    fn answer(&self, slot: &Slot, outcome: Outcome) -> (Outcome, Vec<Event>) {
        let event = match self.objects.get(slot) {
            Some(object) => Event::Apply(Box::new(object.clone())),
            None => Event::Delete {
                kind: slot.0,
                child: slot.1,
                key: slot.2.clone(),
                uid: None,
            },
        };
        (outcome, vec![event])
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

    /// A merge-patch of a status, with its precondition.
    pub fn patch_status(
        &mut self,
        kind: Kind,
        key: &Key,
        write: &StatusWrite,
    ) -> (Outcome, Vec<Event>) {
        let slot = (kind, None, key.clone());
        if !self.version_is(&slot, &write.resource_version) {
            return self.answer(&slot, Outcome::Conflict);
        }
        self.writes.push(format!(
            "status {kind:?} {}/{} {}",
            key.namespace, key.name, write.status
        ));
        macro_rules! patch {
            ($o:ident) => {{
                let mut status =
                    serde_json::to_value(&$o.status.clone().unwrap_or_default()).unwrap();
                for (name, value) in write.status.as_object().unwrap() {
                    if value.is_null() {
                        status.as_object_mut().unwrap().remove(name);
                    } else {
                        status[name] = value.clone();
                    }
                }
                $o.status = Some(serde_json::from_value(status).unwrap());
            }};
        }
        self.change(&slot, false, |o| match o {
            Object::NATGateway(o) => patch!(o),
            Object::EIPPool(o) => patch!(o),
            Object::EIP(o) => patch!(o),
            Object::FIP(o) => patch!(o),
            Object::DNAT(o) => patch!(o),
            Object::SNAT(o) => patch!(o),
            _ => {}
        });
        self.answer(&slot, Outcome::Done)
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
