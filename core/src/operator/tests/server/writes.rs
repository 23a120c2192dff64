//! The operator's writes, with their preconditions.

use super::{Server, Slot, meta_mut, slot_of};
use crate::identity::Uid;
use crate::operator::action::{Action, Outcome, StatusWrite};
use crate::operator::event::{ChildFacts, Event, Key, Kind, Object};
use crate::operator::world::cluster_key;

impl Server {
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
                self.answer(&slot, None, Outcome::Done)
            }
            Action::UpdateClaim(claim) => {
                let slot = claim_slot(claim.metadata.name.as_ref().unwrap());
                let version = claim.metadata.resource_version.clone().unwrap();
                if !self.version_is(&slot, &version) {
                    return self.answer(
                        &slot,
                        claim.metadata.uid.clone().map(Uid::new).as_ref(),
                        Outcome::Conflict,
                    );
                }
                self.writes.push(format!("update claim {:?}", slot.2.name));
                self.change(&slot, true, |o| {
                    if let Object::AddressClaim(o) = o {
                        o.spec = claim.spec.clone();
                        o.metadata.annotations = claim.metadata.annotations.clone();
                    }
                });
                self.answer(&slot, None, Outcome::Done)
            }
            Action::DeleteClaim {
                name,
                uid,
                resource_version,
            } => {
                let slot = claim_slot(name);
                if !self.uid_is(&slot, uid) || !self.version_is(&slot, resource_version) {
                    return self.answer(&slot, Some(uid), Outcome::Conflict);
                }
                self.writes.push(format!("delete claim {name}"));
                self.delete(&slot);
                (Outcome::Done, vec![gone(&slot, uid)])
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
                    return self.answer(&slot, Some(uid), Outcome::Conflict);
                }
                self.writes
                    .push(format!("finalizers {kind:?} {key:?} {finalizers:?}"));
                self.change(&slot, false, |o| match o {
                    Object::Pod(o) => o.finalizers = finalizers.clone(),
                    other => meta_mut(other).unwrap().finalizers = Some(finalizers.clone()),
                });
                self.answer(&slot, Some(uid), Outcome::Done)
            }
            Action::CreateSlice(slice) => {
                let object = Object::RuleSlice(slice.clone());
                let slot = slot_of(&object);
                if self.create(object) {
                    self.writes.push(format!("create slice {:?}", slot.2.name));
                }
                self.answer(&slot, None, Outcome::Done)
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
                            return self.answer(&slot, None, Outcome::Conflict);
                        }
                        self.writes.push(format!("create header {:?}", slot.2.name));
                    }
                    Some(version) => {
                        if !self.version_is(&slot, version) {
                            return self.answer(
                                &slot,
                                header.metadata.uid.clone().map(Uid::new).as_ref(),
                                Outcome::Conflict,
                            );
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
                self.answer(&slot, None, Outcome::Done)
            }
            Action::DeleteHeader { key, uid } => {
                self.delete_if((Kind::GatewayConfig, None, key.clone()), uid)
            }
            Action::WriteLease(lease) => {
                let slot = (Kind::Lease, None, lease.key.clone());
                if lease.uid.as_str().is_empty() {
                    if !self.create(Object::Lease(lease.clone())) {
                        return self.answer(&slot, None, Outcome::Conflict);
                    }
                } else {
                    if !self.version_is(&slot, &lease.resource_version) {
                        return self.answer(&slot, Some(&lease.uid), Outcome::Conflict);
                    }
                    self.set_lease(lease.clone());
                }
                self.writes.push(format!("lease {:?}", slot.2.name));
                self.answer(&slot, None, Outcome::Done)
            }
            Action::DeleteLease { key, uid } => {
                self.delete_if((Kind::Lease, None, key.clone()), uid)
            }
            Action::EnsureChild {
                child,
                gateway,
                gateway_uid,
                ..
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
                self.answer(&slot, None, Outcome::Done)
            }
            Action::DeleteChild { child, key, uid } => {
                self.delete_if((Kind::Child, Some(*child), key.clone()), uid)
            }
            Action::DeleteInstance { key, uid } => {
                self.delete_if((Kind::GatewayInstance, None, key.clone()), uid)
            }
            Action::Read { kind, key, known } => {
                let slot = (*kind, None, key.clone());
                self.answer(&slot, known.as_ref(), Outcome::Done)
            }
            Action::WriteStatus { .. } | Action::Emit(_) => (Outcome::Done, vec![]),
        }
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
            return self.answer(&slot, Some(&write.uid), Outcome::Conflict);
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
        self.answer(&slot, None, Outcome::Done)
    }

    fn delete_if(&mut self, slot: Slot, uid: &Uid) -> (Outcome, Vec<Event>) {
        if !self.objects.contains_key(&slot) {
            return self.answer(&slot, Some(uid), Outcome::Done);
        }
        if !self.uid_is(&slot, uid) {
            return self.answer(&slot, Some(uid), Outcome::Conflict);
        }
        self.writes.push(format!("delete {slot:?}"));
        self.delete(&slot);
        if self.objects.contains_key(&slot) {
            return self.answer(&slot, Some(uid), Outcome::Done);
        }
        (Outcome::Done, vec![gone(&slot, uid)])
    }

    fn answer(&self, slot: &Slot, known: Option<&Uid>, outcome: Outcome) -> (Outcome, Vec<Event>) {
        (outcome, Vec::from_iter(self.live(slot, known)))
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
}

/// What the edge feeds back of an object that went at once.
pub(super) fn gone(slot: &Slot, uid: &Uid) -> Event {
    Event::Delete {
        kind: slot.0,
        child: slot.1,
        key: slot.2.clone(),
        uid: uid.clone(),
        version: u64::MAX,
    }
}
