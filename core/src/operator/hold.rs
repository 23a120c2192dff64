//! Finalizers of users' objects: set before the first programming, removed when
//! no kernel can hold anything of the object any more.

use sluice_crds::internal::ClaimOwnerKind;
use sluice_crds::names::{FINALIZER_IN_USE, FINALIZER_PROGRAMMED};

use super::Operator;
use super::action::{Action, Target};
use super::event::{Key, Kind};
use super::resolve::rules::holding;
use super::subject::Subject;
use super::teardown::without;
use super::world::{Meta, Record, cluster_key};
use crate::identity::Uid;

/// What shall become of a finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Keep,
    Set,
    Remove,
}

impl Operator {
    pub(super) fn decide_hold(&mut self, kind: Kind, key: &Key) {
        let subject = Subject::Hold(kind, key.clone());
        let target = Target::Object(kind, key.clone());
        let Some((uid, version, deleting)) = self.life_of(kind, key) else {
            self.forget_rule(kind, key);
            self.queue.set(&subject, target, None);
            return;
        };
        // Status and finalizers share the resourceVersion: one at a time.
        if self
            .queue
            .under_way(&Target::Status(kind, key.clone()))
            .is_some()
        {
            self.queue.set(&subject, target, None);
            return;
        }
        let finalizer = match kind {
            Kind::EIPPool | Kind::NATGateway => FINALIZER_IN_USE,
            _ => FINALIZER_PROGRAMMED,
        };
        let has = self
            .finalizers_of(kind, key)
            .is_some_and(|f| f.iter().any(|f| f == finalizer));
        let wish = match (deleting, has) {
            (false, false) if self.shall_be_held(kind, key) => Wish::Set,
            (true, true) if self.may_go(kind, key, &uid, &subject) => Wish::Remove,
            _ => Wish::Keep,
        };
        let current = self.finalizers_of(kind, key).unwrap_or_default();
        let finalizers = match wish {
            Wish::Keep => None,
            Wish::Set => {
                let mut all = current.to_vec();
                all.push(finalizer.to_owned());
                Some(all)
            }
            Wish::Remove => Some(without(current, finalizer)),
        };
        let action = finalizers.map(|finalizers| Action::SetFinalizers {
            kind,
            key: key.clone(),
            uid,
            resource_version: version,
            finalizers,
        });
        self.queue.set(&subject, target, action);
    }

    /// UID, resourceVersion and whether it is being deleted.
    pub(super) fn life_of(&self, kind: Kind, key: &Key) -> Option<(Uid, String, bool)> {
        fn of<T: Meta + Record>(object: &T) -> (Uid, String, bool) {
            (
                object.uid(),
                object.meta().resource_version.clone().unwrap_or_default(),
                object.deleting(),
            )
        }
        let world = &self.world;
        match kind {
            Kind::NATGateway => world.gateways.get(key).map(of),
            Kind::EIPPool => world.pools.get(key).map(of),
            Kind::EIP => world.eips.get(key).map(of),
            Kind::FIP => world.fips.get(key).map(of),
            Kind::DNAT => world.dnats.get(key).map(of),
            Kind::SNAT => world.snats.get(key).map(of),
            _ => None,
        }
    }

    fn shall_be_held(&self, kind: Kind, key: &Key) -> bool {
        match kind {
            Kind::EIPPool | Kind::NATGateway => true,
            Kind::EIP => self.views.eips.get(key).is_some_and(|v| v.verdict.ok),
            _ => self
                .views
                .rules
                .get(&(kind, key.clone()))
                .is_some_and(|v| v.verdict().ok),
        }
    }

    fn may_go(&mut self, kind: Kind, key: &Key, uid: &Uid, subject: &Subject) -> bool {
        if !self.world.all_in_sync() {
            return false;
        }
        match kind {
            Kind::EIPPool => self.world.claims_by_pool.count(&key.name) == 0,
            Kind::NATGateway => self.tearing_down(key) && self.trace(uid).is_none(),
            Kind::EIP => {
                if !holding(&self.world, key).is_empty() {
                    return false;
                }
                let sites = self.sites_of_eip(uid, key);
                self.gone_from(&sites, uid, subject)
            }
            _ => {
                let rule = self.views.rules.get(&(kind, key.clone()));
                let eips = rule.map_or_else(Vec::new, |v| v.eips().cloned().collect());
                let mut sites = Vec::new();
                for eip in eips {
                    let eip_uid = self.world.eips.get(&eip).map(Record::uid);
                    sites.extend(self.sites_of_eip(&eip_uid.unwrap_or_else(|| Uid::new("")), &eip));
                }
                self.gone_from(&sites, uid, subject)
            }
        }
    }

    /// Gateways that may have programmed an EIP and its rules: those that its
    /// claims name.
    fn sites_of_eip(&self, uid: &Uid, key: &Key) -> Vec<Uid> {
        let owner = (ClaimOwnerKind::EIP, key.namespace.clone(), key.name.clone());
        let mut sites: Vec<Uid> = self
            .world
            .claims_by_owner
            .of(uid)
            .chain(self.world.claims_by_owner_name.of(&owner))
            .filter_map(|name| self.world.claims.get(&cluster_key(name)))
            .map(|c| Uid::new(&c.spec.gateway_uid))
            .collect();
        sites.sort_unstable();
        sites.dedup();
        sites
    }

    fn gone_from(&mut self, claimed: &[Uid], uid: &Uid, subject: &Subject) -> bool {
        let mut sites: Vec<Uid> = claimed.to_vec();
        sites.extend(
            self.sites
                .iter()
                .filter(|(_, site)| site.history.published(uid).is_some())
                .map(|(site, _)| site.clone()),
        );
        sites.sort_unstable();
        sites.dedup();
        // Each is asked, so that each wakes us.
        let mut gone = true;
        for site in &sites {
            gone &= self.removed(site, uid, None, subject);
        }
        gone
    }
}
