//! What a changed object means for the look-ups, and for what must be decided anew.

use sluice_crds::internal::ClaimOwnerKind;
use sluice_crds::names::LABEL_GATEWAY_UID;
use sluice_crds::{
    AddressClaim, DNAT, EIP, EIPPool, FIP, GatewayConfig, GatewayInstance, NATGateway, RuleSlice,
    SNAT,
};

use super::super::event::{
    AttachmentFacts, ChildFacts, Key, Kind, LeaseFacts, NamespaceFacts, NodeFacts, PodFacts,
};
use super::super::subject::Subject;
use super::store::{Index, Meta, Record};
use super::{Left, OwnerName, World};
use crate::identity::Uid;

/// The gateway that an EIP names.
pub(crate) fn gateway_of(eip: &EIP) -> Key {
    let reference = &eip.spec.gateway;
    Key {
        namespace: reference
            .namespace
            .clone()
            .or_else(|| eip.metadata.namespace.clone())
            .unwrap_or_default(),
        name: reference.name.clone(),
    }
}

/// `namespace/name`, or `name` in the given namespace.
pub(crate) fn attachment_key(text: &str, namespace: &str) -> Key {
    let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
    Key {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn sibling(of: &Key, name: &str) -> Key {
    Key {
        namespace: of.namespace.clone(),
        name: name.to_owned(),
    }
}

/// EIPs that a SNAT names.
fn eips_of(snat: &SNAT) -> Vec<Key> {
    let key = snat.key();
    snat.spec
        .eips
        .iter()
        .map(|e| sibling(&key, &e.name))
        .collect()
}

fn owner_name(claim: &AddressClaim) -> OwnerName {
    let owner = &claim.spec.owner;
    (owner.kind, owner.namespace.clone(), owner.name.clone())
}

fn pools_of(gateway: &NATGateway) -> impl Iterator<Item = &String> {
    gateway.spec.uplinks.iter().flat_map(|u| &u.pools)
}

fn site_label<T: Meta>(object: &T) -> Uid {
    Uid::new(object.label(LABEL_GATEWAY_UID).unwrap_or_default())
}

impl World {
    /// Marks everything: at the start, once all kinds are listed.
    pub(super) fn mark_everything(&mut self) {
        let mut marks: Vec<Subject> = Vec::new();
        marks.extend(
            self.pools
                .iter()
                .map(|(k, _)| Subject::Pool(k.name.clone())),
        );
        marks.extend(
            self.gateways
                .iter()
                .map(|(k, _)| Subject::Gateway(k.clone())),
        );
        marks.extend(self.eips.iter().map(|(k, _)| Subject::Eip(k.clone())));
        marks.extend(
            self.rules_by_eip
                .keys()
                .map(|k| Subject::RulesOf(k.clone())),
        );
        marks.extend(
            self.claims
                .iter()
                .map(|(k, _)| Subject::Claim(k.name.clone())),
        );
        marks.extend(
            self.gateways_by_uid
                .keys()
                .map(|u| Subject::Site(u.clone())),
        );
        marks.extend(
            self.reports_by_gateway
                .keys()
                .map(|u| Subject::Site(u.clone())),
        );
        marks.extend(
            self.pods_by_gateway
                .keys()
                .map(|u| Subject::Site(u.clone())),
        );
        marks.extend(
            self.slices_by_gateway
                .keys()
                .map(|u| Subject::Site(u.clone())),
        );
        marks.extend(
            self.children_by_gateway
                .keys()
                .map(|u| Subject::Site(u.clone())),
        );
        marks.extend(
            self.configs_by_gateway
                .keys()
                .map(|u| Subject::Site(u.clone())),
        );
        marks.extend(
            self.leases_by_gateway
                .keys()
                .map(|u| Subject::Site(u.clone())),
        );
        for (kind, keys) in [
            (Kind::NATGateway, self.keys_of(Kind::NATGateway)),
            (Kind::EIPPool, self.keys_of(Kind::EIPPool)),
            (Kind::EIP, self.keys_of(Kind::EIP)),
            (Kind::FIP, self.keys_of(Kind::FIP)),
            (Kind::DNAT, self.keys_of(Kind::DNAT)),
            (Kind::SNAT, self.keys_of(Kind::SNAT)),
        ] {
            for (_, key) in keys {
                if !matches!(kind, Kind::NATGateway | Kind::EIPPool) {
                    marks.push(Subject::Entries(kind, key.clone()));
                }
                marks.push(Subject::Hold(kind, key.clone()));
                marks.push(Subject::Status(kind, key));
            }
        }
        self.dirty.extend(marks);
    }

    fn mark_object(&mut self, kind: Kind, key: &Key) {
        if matches!(kind, Kind::EIP | Kind::FIP | Kind::DNAT | Kind::SNAT) {
            self.mark(Subject::Entries(kind, key.clone()));
        }
        self.mark(Subject::Hold(kind, key.clone()));
        self.mark(Subject::Status(kind, key.clone()));
    }

    pub(super) fn gateway_changed(
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

    fn mark_claims(&mut self, owner: &OwnerName) {
        let names: Vec<String> = self.claims_by_owner_name.of(owner).cloned().collect();
        for name in names {
            self.mark(Subject::Claim(name));
        }
    }

    pub(super) fn pool_changed(&mut self, key: &Key, _: Option<&EIPPool>, _: Option<&EIPPool>) {
        self.mark(Subject::Pool(key.name.clone()));
        self.mark_object(Kind::EIPPool, key);
    }

    pub(super) fn eip_changed(&mut self, key: &Key, old: Option<&EIP>, new: Option<&EIP>) {
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

    pub(super) fn fip_changed(&mut self, key: &Key, old: Option<&FIP>, new: Option<&FIP>) {
        let eip = |o: Option<&FIP>| o.map(|o| sibling(key, &o.spec.eip.name));
        self.rule_changed(Kind::FIP, key, eip(old).as_slice(), eip(new).as_slice());
    }

    pub(super) fn dnat_changed(&mut self, key: &Key, old: Option<&DNAT>, new: Option<&DNAT>) {
        let eip = |o: Option<&DNAT>| o.map(|o| sibling(key, &o.spec.eip.name));
        self.rule_changed(Kind::DNAT, key, eip(old).as_slice(), eip(new).as_slice());
    }

    pub(super) fn snat_changed(&mut self, key: &Key, old: Option<&SNAT>, new: Option<&SNAT>) {
        let eips = |o: Option<&SNAT>| o.map(eips_of).unwrap_or_default();
        self.rule_changed(Kind::SNAT, key, &eips(old), &eips(new));
    }

    pub(super) fn config_changed(
        &mut self,
        key: &Key,
        old: Option<&GatewayConfig>,
        new: Option<&GatewayConfig>,
    ) {
        let site = |h: &GatewayConfig| Uid::new(&h.spec.gateway.uid);
        let sites = (old.map(site), new.map(site));
        self.follow_site(|w| &mut w.configs_by_gateway, key, sites);
        self.mark_site_named(key);
    }

    /// Keeps a look-up by the gateway's UID, and marks the sites that something
    /// left or came to, or changed in.
    fn follow_site<V: Ord + Clone>(
        &mut self,
        index: impl Fn(&mut Self) -> &mut Index<Uid, V>,
        value: &V,
        (old, new): (Option<Uid>, Option<Uid>),
    ) {
        if let Some(site) = &old {
            index(self).remove(site, value);
        }
        if let Some(site) = &new {
            index(self).insert(site.clone(), value.clone());
        }
        for site in old.into_iter().chain(new) {
            self.mark(Subject::Site(site));
        }
    }

    /// Marks the gateway of that name: the name of its header or Lease may have
    /// been taken or left by another life.
    fn mark_site_named(&mut self, gateway: &Key) {
        if let Some(gateway) = self.gateways.get(gateway) {
            let uid = gateway.uid();
            self.mark(Subject::Site(uid));
        }
    }

    pub(super) fn slice_changed(
        &mut self,
        key: &Key,
        old: Option<&RuleSlice>,
        new: Option<&RuleSlice>,
    ) {
        let sites = (old.map(site_label), new.map(site_label));
        self.follow_site(|w| &mut w.slices_by_gateway, key, sites);
        if let (Some(old), None) = (old, new) {
            let site = site_label(old);
            let named = self.configs_by_gateway.of(&site).any(|header| {
                let header = self.configs.get(header);
                header.is_some_and(|h| h.spec.slices.contains(&key.name))
            });
            if named {
                self.lost_slices.insert(site);
            }
        }
        // A slice that another life left behind frees its name for this one.
        if new.is_none() {
            let gateway = key.name.rsplit_once('-').map_or("", |(gateway, _)| gateway);
            self.mark_site_named(&sibling(key, gateway));
        }
    }

    pub(super) fn report_changed(
        &mut self,
        key: &Key,
        old: Option<&GatewayInstance>,
        new: Option<&GatewayInstance>,
    ) {
        if let Some(new) = new
            && let Some(status) = &new.status
        {
            self.succession
                .instance_shown(&new.spec.pod_uid, &status.instance);
        }
        let uplinks = |r: Option<&GatewayInstance>| {
            r.and_then(|r| r.status.as_ref().map(|s| s.uplinks.clone()))
        };
        let site = |r: &GatewayInstance| Uid::new(&r.spec.gateway_uid);
        if uplinks(old) != uplinks(new) {
            for site in old.iter().chain(&new).map(|r| site(r)) {
                self.mark_pools_of(&site);
            }
        }
        let sites = (old.map(site), new.map(site));
        self.follow_site(|w| &mut w.reports_by_gateway, key, sites);
        if new.is_none() {
            self.forget_lives();
        }
    }

    /// Own addresses of uplinks must not lie in the pools' ranges.
    fn mark_pools_of(&mut self, site: &Uid) {
        let pools: Vec<String> = self
            .gateways_by_uid
            .get(site)
            .and_then(|key| self.gateways.get(key))
            .map(|g| pools_of(g).cloned().collect())
            .unwrap_or_default();
        for pool in pools {
            self.mark(Subject::Pool(pool));
        }
    }

    pub(super) fn claim_changed(
        &mut self,
        key: &Key,
        old: Option<&AddressClaim>,
        new: Option<&AddressClaim>,
    ) {
        for (claim, add) in [(old, false), (new, true)] {
            let Some(claim) = claim else { continue };
            let (uid, name) = (Uid::new(&claim.spec.owner.uid), key.name.clone());
            let (owner, pool) = (owner_name(claim), claim.spec.pool.clone());
            let network = claim.spec.network.clone();
            let address = claim.spec.address.parse().ok();
            self.mark(match owner.0 {
                ClaimOwnerKind::EIP => Subject::Eip(Key {
                    namespace: owner.1.clone(),
                    name: owner.2.clone(),
                }),
                ClaimOwnerKind::NATGateway => Subject::Gateway(Key {
                    namespace: owner.1.clone(),
                    name: owner.2.clone(),
                }),
            });
            self.mark_object(Kind::EIPPool, &cluster_key(&pool));
            let taken = self.claims_by_address.entry(network).or_default();
            if add {
                if let Some(address) = address {
                    taken.insert(address, name.clone());
                }
                self.claims_by_owner.insert(uid, name.clone());
                self.claims_by_owner_name.insert(owner, name.clone());
                self.claims_by_pool.insert(pool, name);
            } else {
                if let Some(address) = address {
                    taken.remove(&address);
                }
                if taken.is_empty() {
                    self.claims_by_address.remove(&claim.spec.network);
                }
                if new.is_none() {
                    self.left.push(Left {
                        kind: Kind::AddressClaim,
                        child: None,
                        key: key.clone(),
                        uid: uid.clone(),
                    });
                }
                self.claims_by_owner.remove(&uid, &name);
                self.claims_by_owner_name.remove(&owner, &name);
                self.claims_by_pool.remove(&pool, &name);
            }
        }
        self.mark(Subject::Claim(key.name.clone()));
    }

    pub(super) fn lease_changed(
        &mut self,
        key: &Key,
        old: Option<&LeaseFacts>,
        new: Option<&LeaseFacts>,
    ) {
        let site = |l: &LeaseFacts| l.gateway_uid.clone();
        let sites = (old.map(site), new.map(site));
        self.follow_site(|w| &mut w.leases_by_gateway, key, sites);
        let gateway = key
            .name
            .strip_prefix(sluice_crds::names::CHILD_PREFIX)
            .unwrap_or_default();
        self.mark_site_named(&sibling(key, gateway));
    }

    pub(super) fn pod_changed(
        &mut self,
        key: &Key,
        old: Option<&PodFacts>,
        new: Option<&PodFacts>,
    ) {
        let site = |p: &PodFacts| p.gateway_uid.clone();
        let sites = (old.map(site), new.map(site));
        self.follow_site(|w| &mut w.pods_by_gateway, key, sites);
        if new.is_none() {
            self.forget_lives();
        }
    }

    pub(super) fn node_changed(
        &mut self,
        key: &Key,
        _: Option<&NodeFacts>,
        new: Option<&NodeFacts>,
    ) {
        if let Some(new) = new {
            self.succession.boot_shown(&new.name, &new.boot_id);
        } else {
            self.forget_lives();
        }
        let of_pods = self
            .pods
            .iter()
            .filter(|(_, p)| p.node == key.name)
            .map(|(_, p)| p.gateway_uid.clone());
        let of_reports = self
            .reports
            .iter()
            .filter(|(_, r)| r.spec.node == key.name)
            .map(|(_, r)| Uid::new(&r.spec.gateway_uid));
        let sites: Vec<Uid> = of_pods.chain(of_reports).collect();
        for site in sites {
            self.mark(Subject::Site(site));
        }
    }

    pub(super) fn namespace_changed(
        &mut self,
        key: &Key,
        _: Option<&NamespaceFacts>,
        _: Option<&NamespaceFacts>,
    ) {
        let eips: Vec<Key> = self
            .eips
            .in_namespace(&key.name)
            .map(|(k, _)| k.clone())
            .collect();
        for eip in eips {
            self.mark(Subject::RulesOf(eip.clone()));
            self.mark(Subject::Eip(eip));
        }
        let gateways: Vec<(Key, Uid)> = self
            .gateways
            .in_namespace(&key.name)
            .map(|(k, g)| (k.clone(), g.uid()))
            .collect();
        for (gateway, uid) in gateways {
            self.mark_object(Kind::NATGateway, &gateway);
            self.mark(Subject::Gateway(gateway));
            self.mark(Subject::Site(uid));
        }
        for (_, config) in self.configs.in_namespace(&key.name) {
            self.dirty
                .insert(Subject::Site(Uid::new(&config.spec.gateway.uid)));
        }
    }

    pub(super) fn attachment_changed(
        &mut self,
        key: &Key,
        _: Option<&AttachmentFacts>,
        _: Option<&AttachmentFacts>,
    ) {
        let gateways: Vec<Key> = self
            .gateways
            .iter()
            .filter(|(gateway, g)| {
                let lan = g
                    .spec
                    .lan
                    .iter()
                    .filter_map(|l| l.network_attachment.as_ref());
                let uplinks = g.spec.uplinks.iter().map(|u| &u.network_attachment);
                lan.chain(uplinks)
                    .any(|text| attachment_key(text, &gateway.namespace) == *key)
            })
            .map(|(gateway, _)| gateway.clone())
            .collect();
        for gateway in gateways {
            self.mark(Subject::Gateway(gateway));
        }
    }

    pub(super) fn child_changed(
        &mut self,
        key: &Key,
        old: Option<&ChildFacts>,
        new: Option<&ChildFacts>,
    ) {
        let Some(kind) = old.or(new).map(|c| c.kind) else {
            return;
        };
        let site = |c: &ChildFacts| c.gateway_uid.clone();
        let sites = (old.map(site), new.map(site));
        let value = (kind, key.clone());
        self.follow_site(|w| &mut w.children_by_gateway, &value, sites);
        let gateway = key
            .name
            .strip_prefix(sluice_crds::names::CHILD_PREFIX)
            .unwrap_or_default();
        self.mark_site_named(&sibling(key, gateway));
    }
}

/// The name of a cluster-scoped object.
pub(crate) fn cluster_key(name: &str) -> Key {
    Key {
        namespace: String::new(),
        name: name.to_owned(),
    }
}
