//! Gateways, pools, EIPs and rules.

use sluice_crds::internal::ClaimOwnerKind;
use sluice_crds::{DNAT, EIP, EIPPool, FIP, NATGateway, SNAT};

use super::super::World;
use super::super::references::{cluster_key, eips_of, gateway_of, pools_of, sibling};
use super::super::store::{Meta, Record};
use crate::operator::event::{Key, Kind};
use crate::operator::subject::Subject;

impl World {
    pub(in crate::operator::world) fn gateway_changed(
        &mut self,
        key: &Key,
        old: Option<&NATGateway>,
        new: Option<&NATGateway>,
    ) {
        if let Some(old) = old {
            for pool in pools_of(old) {
                self.gateways_by_pool.remove(pool, key);
                self.mark(Subject::Hold(Kind::EIPPool, cluster_key(pool)));
            }
            self.gateways_by_uid.remove(&old.uid());
            self.mark(Subject::Site(old.uid()));
        }
        if let Some(new) = new {
            for pool in pools_of(new) {
                self.gateways_by_pool.insert(pool.clone(), key.clone());
            }
            self.gateways_by_uid.insert(new.uid(), key.clone());
            self.mark(Subject::Site(new.uid()));
        } else if let Some(old) = old {
            self.rendered.remove(&old.uid());
        }
        self.mark(Subject::Gateway(key.clone()));
        self.mark_object(Kind::NATGateway, key);
        // Claims for the gateway's own inside addresses, and those of another life.
        let owner = (
            ClaimOwnerKind::NATGateway,
            key.namespace.clone(),
            key.name.clone(),
        );
        self.mark_claims(&owner);
    }

    pub(in crate::operator::world) fn pool_changed(
        &mut self,
        key: &Key,
        _: Option<&EIPPool>,
        _: Option<&EIPPool>,
    ) {
        self.mark(Subject::Pool(key.name.clone()));
        self.mark_object(Kind::EIPPool, key);
    }

    pub(in crate::operator::world) fn eip_changed(
        &mut self,
        key: &Key,
        old: Option<&EIP>,
        new: Option<&EIP>,
    ) {
        if let Some(old) = old {
            let gateway = gateway_of(old);
            self.eips_by_gateway.remove(&gateway, key);
            if new.is_none_or(|new| gateway_of(new) != gateway) {
                self.mark_object(Kind::NATGateway, &gateway);
                self.mark(Subject::Gateway(gateway));
            }
        }
        if let Some(new) = new {
            let gateway = gateway_of(new);
            if old.is_none_or(|old| gateway_of(old) != gateway) {
                self.mark(Subject::Status(Kind::NATGateway, gateway.clone()));
            }
            self.eips_by_gateway.insert(gateway, key.clone());
        }
        self.mark(Subject::Eip(key.clone()));
        self.mark_object(Kind::EIP, key);
        let lives = |eip: Option<&EIP>| eip.map(|e| (e.uid(), e.deleting()));
        if lives(old) != lives(new) {
            self.mark(Subject::RulesOf(key.clone()));
            let owner = (ClaimOwnerKind::EIP, key.namespace.clone(), key.name.clone());
            self.mark_claims(&owner);
        }
    }

    fn rule_changed(&mut self, kind: Kind, key: &Key, old: &[Key], new: &[Key]) {
        for eip in old {
            self.rules_by_eip.remove(eip, &(kind, key.clone()));
        }
        for eip in new {
            self.rules_by_eip.insert(eip.clone(), (kind, key.clone()));
        }
        for eip in old.iter().chain(new) {
            self.mark(Subject::RulesOf(eip.clone()));
            // An EIP being deleted stays in service for the rules that hold it.
            let going = self.eips.get(eip).is_some_and(Meta::deleting);
            if old != new || going {
                self.mark(Subject::Eip(eip.clone()));
                self.mark_object(Kind::EIP, eip);
            }
        }
        self.mark_object(kind, key);
    }

    pub(in crate::operator::world) fn fip_changed(
        &mut self,
        key: &Key,
        old: Option<&FIP>,
        new: Option<&FIP>,
    ) {
        let eip = |o: Option<&FIP>| o.map(|o| sibling(key, &o.spec.eip.name));
        self.follow_target(key, old, new);
        self.rule_changed(Kind::FIP, key, eip(old).as_slice(), eip(new).as_slice());
    }

    pub(in crate::operator::world) fn dnat_changed(
        &mut self,
        key: &Key,
        old: Option<&DNAT>,
        new: Option<&DNAT>,
    ) {
        let eip = |o: Option<&DNAT>| o.map(|o| sibling(key, &o.spec.eip.name));
        self.rule_changed(Kind::DNAT, key, eip(old).as_slice(), eip(new).as_slice());
    }

    pub(in crate::operator::world) fn snat_changed(
        &mut self,
        key: &Key,
        old: Option<&SNAT>,
        new: Option<&SNAT>,
    ) {
        let eips = |o: Option<&SNAT>| o.map(eips_of).unwrap_or_default();
        self.follow_selection(key, old, new);
        self.rule_changed(Kind::SNAT, key, &eips(old), &eips(new));
    }
}
