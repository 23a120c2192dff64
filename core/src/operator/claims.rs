//! Release: an address goes back to its pool when no kernel can hold it any more.

use std::net::IpAddr;

use sluice_crds::AddressClaim;
use sluice_crds::address::family;
use sluice_crds::internal::{ClaimOwnerKind, ClaimPhase};

use super::Operator;
use super::action::{Action, Target};
use super::addresses::adoptable;
use super::event::{Key, Kind, Millis};
use super::subject::Subject;
use super::world::{Record, cluster_key};
use crate::identity::Uid;

/// What becomes of a claim.
enum Fate {
    /// Its owner has it.
    Keep,
    /// Its owner may be gone: a live read shall tell.
    Ask(Kind, Key),
    /// Its owner is surely gone, or does not want it.
    Release,
}

impl Operator {
    pub(super) fn decide_claim(&mut self, name: &str, now: Millis) {
        let subject = Subject::Claim(name.to_owned());
        let key = cluster_key(name);
        let target = Target::Object(Kind::AddressClaim, key.clone());
        let Some(claim) = self.world.claims.get(&key).cloned() else {
            // One address more for those who lack one.
            for eip in std::mem::take(&mut self.starving) {
                self.mark(Subject::Eip(eip));
            }
            for gateway in std::mem::take(&mut self.crowded) {
                self.mark(Subject::Gateway(gateway));
            }
            self.releasing.remove(name);
            self.handing.remove(name);
            self.queue.clear(&subject, |_| true);
            return;
        };
        if claim.spec.phase == ClaimPhase::Releasing {
            self.releasing.remove(name);
        }
        if self.handed_to(&claim).is_none() {
            self.handing.remove(name);
        }
        // A release that has begun is ended: its write may land at any time.
        let fate = match self.is_releasing(&claim) {
            true => Fate::Release,
            false => self.fate(&claim),
        };
        if let Fate::Ask(kind, owner) = &fate {
            let read = Action::Read {
                kind: *kind,
                key: owner.clone(),
                known: None,
            };
            self.queue
                .set(&subject, Target::Read(*kind, owner.clone()), Some(read));
        }
        let action = match (fate, claim.spec.phase) {
            (Fate::Release, ClaimPhase::Bound) => self.release(&claim, &subject),
            (Fate::Release, ClaimPhase::Releasing) => self.rest(&claim, &subject, now),
            (Fate::Keep | Fate::Ask(..), _) => None,
        };
        if action.is_some() || self.queue.wanted_by(&target, &subject) {
            self.queue.set(&subject, target, action);
        }
    }

    /// Whether a pool is being deleted, or gone: nobody gets an address of it.
    pub(super) fn pool_is_going(&self, pool: &str) -> bool {
        self.views.pools.get(pool).is_none_or(|p| p.deleting)
    }

    fn fate(&self, claim: &AddressClaim) -> Fate {
        let owner = &claim.spec.owner;
        let key = Key {
            namespace: owner.namespace.clone(),
            name: owner.name.clone(),
        };
        let uid = Uid::new(&owner.uid);
        let address: Option<IpAddr> = claim.spec.address.parse().ok();
        match owner.kind {
            ClaimOwnerKind::EIP => {
                let Some(eip) = self.world.eips.get(&key) else {
                    return if self.proven_gone.contains(&uid) {
                        Fate::Release
                    } else {
                        Fate::Ask(Kind::EIP, key)
                    };
                };
                let Some(view) = self.views.eips.get(&key) else {
                    return Fate::Keep;
                };
                let resolved = view.gateway_uid.is_some() && !view.deleting;
                let wanted = address.is_some_and(|a| {
                    let family = family(a);
                    if eip.uid() == uid {
                        view.addresses.get(family) == Some(a)
                    } else {
                        view.addresses.get(family).is_none()
                            && view.families.contains(&family)
                            && adoptable(claim, view, family)
                            && !self.pool_is_going(&claim.spec.pool)
                    }
                });
                match (eip.uid() == uid, resolved) {
                    // A new EIP that is going, too, adopts nothing.
                    (false, false) if view.deleting => Fate::Release,
                    (_, true) if !wanted => Fate::Release,
                    _ => Fate::Keep,
                }
            }
            ClaimOwnerKind::NATGateway => {
                let Some(gateway) = self.world.gateways.get(&key) else {
                    return if self.proven_gone.contains(&uid) {
                        Fate::Release
                    } else {
                        Fate::Ask(Kind::NATGateway, key)
                    };
                };
                let view = self.views.gateways.get(&key);
                let resolved = view.is_some_and(|v| v.settings.is_some() && !v.deleting);
                let wanted = view.is_some_and(|v| {
                    v.lan
                        .iter()
                        .any(|l| Some(l.address) == address && l.network == claim.spec.network)
                });
                match (gateway.uid() == uid, resolved) {
                    (_, true) if !wanted => Fate::Release,
                    _ => Fate::Keep,
                }
            }
        }
    }

    fn release(&mut self, claim: &AddressClaim, subject: &Subject) -> Option<Action> {
        let site = Uid::new(&claim.spec.gateway_uid);
        let owner = Uid::new(&claim.spec.owner.uid);
        let address = claim.spec.address.parse().ok();
        self.removed(&site, &owner, address, subject).then(|| {
            let mut claim = claim.clone();
            claim.spec.phase = ClaimPhase::Releasing;
            let name = claim.metadata.name.clone().unwrap_or_default();
            if self.releasing.insert(name, claim.uid()) == Some(claim.uid()) {
                return Action::UpdateClaim(claim);
            }
            let owner = Key {
                namespace: claim.spec.owner.namespace.clone(),
                name: claim.spec.owner.name.clone(),
            };
            self.mark(match claim.spec.owner.kind {
                ClaimOwnerKind::EIP => Subject::Eip(owner),
                ClaimOwnerKind::NATGateway => Subject::Gateway(owner),
            });
            Action::UpdateClaim(claim)
        })
    }

    /// The gateway that a claim is handed to, by a write that may land at any time as long
    /// as the claim is what it was.
    pub(super) fn handed_to(&self, claim: &AddressClaim) -> Option<&Uid> {
        let handover = self.handing.get(claim.metadata.name.as_ref()?)?;
        (handover.uid == claim.uid() && handover.version == claim.version()).then_some(&handover.to)
    }

    /// Whether the release of a claim has begun.
    pub(super) fn is_releasing(&self, claim: &AddressClaim) -> bool {
        claim
            .metadata
            .name
            .as_ref()
            .and_then(|name| self.releasing.get(name))
            .is_some_and(|uid| *uid == claim.uid())
    }

    /// The cooldown, counted by this leader from when it first saw the claim rest.
    fn rest(&mut self, claim: &AddressClaim, subject: &Subject, now: Millis) -> Option<Action> {
        let uid = claim.uid();
        let since = *self.resting.entry(uid.clone()).or_insert(now);
        let cooldown = match claim.spec.owner.kind {
            ClaimOwnerKind::NATGateway => 0,
            ClaimOwnerKind::EIP => self
                .views
                .pools
                .get(&claim.spec.pool)
                .filter(|p| !p.deleting)
                // Nobody is left who would hand it out.
                .map_or(0, |p| p.cooldown_ms),
        };
        let until = Millis(since.0.saturating_add(cooldown));
        if now < until {
            self.wake(subject.clone(), until);
            return None;
        }
        // Asked again: between two leaders the release may have been decided
        // on what was no longer so.
        let site = Uid::new(&claim.spec.gateway_uid);
        let owner = Uid::new(&claim.spec.owner.uid);
        let address = claim.spec.address.parse().ok();
        if !self.removed(&site, &owner, address, subject) {
            return None;
        }
        Some(Action::DeleteClaim {
            name: claim.metadata.name.clone().unwrap_or_default(),
            uid,
            resource_version: claim.metadata.resource_version.clone().unwrap_or_default(),
        })
    }

    /// A live read of a claim's owner has ended: whoever does not stand under
    /// that name now is gone for good.
    pub(super) fn owner_read(&mut self, kind: Kind, key: &Key) {
        let owner_kind = match kind {
            Kind::NATGateway => ClaimOwnerKind::NATGateway,
            _ => ClaimOwnerKind::EIP,
        };
        let current = self.world.uid_of(kind, None, key);
        let owner = (owner_kind, key.namespace.clone(), key.name.clone());
        let names: Vec<String> = self
            .world
            .claims_by_owner_name
            .of(&owner)
            .cloned()
            .collect();
        for name in names {
            if let Some(claim) = self.world.claims.get(&cluster_key(&name)) {
                let uid = Uid::new(&claim.spec.owner.uid);
                if current.as_ref() != Some(&uid) {
                    self.proven_gone.insert(uid);
                }
            }
            self.mark(Subject::Claim(name));
        }
        if kind == Kind::NATGateway {
            self.gateway_read(key, current.as_ref());
        }
    }
}
