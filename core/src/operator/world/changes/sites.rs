//! What belongs to one life of a gateway: header, slices, Lease, reports, Pods, children.

use sluice_crds::{GatewayConfig, GatewayInstance, RuleSlice};

use super::super::World;
use super::super::references::{gateway_of_child, pools_of, sibling, site_label};
use super::super::store::Index;
use crate::identity::Uid;
use crate::operator::dead::runs_no_more;
use crate::operator::event::{ChildFacts, Key, LeaseFacts, PodFacts};
use crate::operator::subject::Subject;

impl World {
    pub(in crate::operator::world) fn config_changed(
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

    pub(in crate::operator::world) fn slice_changed(
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

    pub(in crate::operator::world) fn report_changed(
        &mut self,
        key: &Key,
        old: Option<&GatewayInstance>,
        new: Option<&GatewayInstance>,
    ) {
        if let Some(new) = new
            && let Some(status) = &new.status
        {
            let pod = &new.spec.pod_uid;
            self.succession.instance_shown(pod, &status.instance);
            // It gives up when its pod is deleted: no other comes after it.
            if status.is_final {
                self.succession.pod_ended(pod);
            }
        }
        if let (Some(old), Some(new)) = (old, new) {
            let gateway = Uid::new(&new.spec.gateway_uid);
            let fresh = fresh_changes(old, new);
            self.news
                .extend(fresh.map(|words| (gateway.clone(), words)));
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

    pub(in crate::operator::world) fn lease_changed(
        &mut self,
        key: &Key,
        old: Option<&LeaseFacts>,
        new: Option<&LeaseFacts>,
    ) {
        let site = |l: &LeaseFacts| l.gateway_uid.clone();
        let sites = (old.map(site), new.map(site));
        self.follow_site(|w| &mut w.leases_by_gateway, key, sites);
        self.mark_site_named(&gateway_of_child(key));
    }

    pub(in crate::operator::world) fn pod_changed(
        &mut self,
        key: &Key,
        old: Option<&PodFacts>,
        new: Option<&PodFacts>,
    ) {
        let site = |p: &PodFacts| p.gateway_uid.clone();
        let sites = (old.map(site), new.map(site));
        self.follow_site(|w| &mut w.pods_by_gateway, key, sites);
        if let Some(ended) = new.filter(|pod| runs_no_more(pod)) {
            self.succession.pod_ended(ended.uid.as_str());
        }
        if new.is_none() {
            self.forget_lives();
        }
    }

    pub(in crate::operator::world) fn child_changed(
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
        self.mark_site_named(&gateway_of_child(key));
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
}

/// What a report tells of neighbours that the one before did not. Of a report that is seen
/// for the first time nobody knows what was told before.
fn fresh_changes<'a>(
    old: &'a GatewayInstance,
    new: &'a GatewayInstance,
) -> impl Iterator<Item = String> + 'a {
    let told = |report: &'a GatewayInstance| report.status.iter().flat_map(|s| &s.neighbours);
    told(new)
        .filter(move |change| {
            let known = told(old)
                .find(|old| old.interface == change.interface && old.address == change.address);
            known.map(|known| known.changes) != Some(change.changes)
        })
        .map(|change| change.message.clone())
}
