//! Keeps what was decided about each object up to date, and marks whom a
//! changed decision concerns.

use std::collections::BTreeSet;
use std::net::IpAddr;

use sluice_crds::AddressClaim;
use sluice_crds::internal::ClaimOwnerKind;

use super::Operator;
use super::event::{Key, Kind, Millis};
use super::resolve::rules::{Ask, RuleView};
use super::resolve::{self};
use super::subject::Subject;
use super::world::{Record, cluster_key};

impl Operator {
    pub(super) fn decide_pool(&mut self, name: &str) {
        let own = self.own_addresses(name);
        let new = resolve::pool::resolve(&self.world, name, &own);
        let old = match &new {
            Some(view) => self.views.pools.insert(name.to_owned(), view.clone()),
            None => self.views.pools.remove(name),
        };
        if old == new {
            return;
        }
        // Pools that share its network may overlap it, or do so no more.
        let ranges = |v: &Option<resolve::pool::PoolView>| {
            v.as_ref()
                .map(|v| (v.spec.network.clone(), v.ranges.clone()))
        };
        if ranges(&old) != ranges(&new) {
            let networks: BTreeSet<String> = [&old, &new]
                .into_iter()
                .flatten()
                .map(|v| v.spec.network.clone())
                .collect();
            let others: Vec<String> = self
                .world
                .pools
                .iter()
                .filter(|(k, p)| k.name != name && networks.contains(&p.spec.network))
                .map(|(k, _)| k.name.clone())
                .collect();
            for other in others {
                self.mark(Subject::Pool(other));
            }
        }
        // Freed addresses rest for as long as the pool says now.
        let claims: Vec<String> = self
            .world
            .claims_by_pool
            .of(&name.to_owned())
            .cloned()
            .collect();
        for claim in claims {
            self.mark(Subject::Claim(claim));
        }
        let gateways: Vec<Key> = self
            .world
            .gateways_by_pool
            .of(&name.to_owned())
            .cloned()
            .collect();
        for gateway in gateways {
            self.mark_eips_of(&gateway);
            self.mark(Subject::Gateway(gateway));
        }
        self.mark(Subject::Hold(Kind::EIPPool, cluster_key(name)));
        self.mark(Subject::Status(Kind::EIPPool, cluster_key(name)));
    }

    /// The own addresses of uplinks that the pool stands on, as agents report them.
    fn own_addresses(&self, pool: &str) -> BTreeSet<IpAddr> {
        let mut own = BTreeSet::new();
        for key in self.world.gateways_by_pool.of(&pool.to_owned()) {
            let Some(gateway) = self.world.gateways.get(key) else {
                continue;
            };
            let uplinks: BTreeSet<&str> = gateway
                .spec
                .uplinks
                .iter()
                .filter(|u| u.pools.iter().any(|p| p == pool))
                .map(|u| u.name.as_str())
                .collect();
            for report in self.world.reports_by_gateway.of(&gateway.uid()) {
                let status = self
                    .world
                    .reports
                    .get(report)
                    .and_then(|r| r.status.as_ref());
                for uplink in status.iter().flat_map(|s| &s.uplinks) {
                    if uplinks.contains(uplink.name.as_str()) {
                        own.extend(uplink.ipv4.as_ref().and_then(|a| a.parse::<IpAddr>().ok()));
                        own.extend(uplink.ipv6.as_ref().and_then(|a| a.parse::<IpAddr>().ok()));
                    }
                }
            }
        }
        own
    }

    pub(super) fn mark_eips_of(&mut self, gateway: &Key) {
        let eips: Vec<Key> = self.world.eips_by_gateway.of(gateway).cloned().collect();
        for eip in eips {
            self.mark(Subject::Eip(eip));
        }
    }

    pub(super) fn decide_gateway(&mut self, key: &Key) {
        let new = self
            .world
            .gateways
            .get(key)
            .map(|g| resolve::gateway::resolve(&self.world, g));
        let old = match &new {
            Some(view) => self.views.gateways.insert(key.clone(), view.clone()),
            None => self.views.gateways.remove(key),
        };
        if let Some(view) = &new {
            self.claim_lan(key, view);
            self.site(&view.uid, Some(key.clone())).stale = true;
            self.mark(Subject::Site(view.uid.clone()));
        }
        if let Some(view) = &old {
            self.mark(Subject::Site(view.uid.clone()));
        }
        if old == new {
            return;
        }
        self.mark_eips_of(key);
        // Rules may point at what the gateway's spec allows.
        let eips: Vec<Key> = self.world.eips_by_gateway.of(key).cloned().collect();
        for eip in eips {
            self.mark(Subject::RulesOf(eip));
        }
        let owner = (
            ClaimOwnerKind::NATGateway,
            key.namespace.clone(),
            key.name.clone(),
        );
        let claims: Vec<String> = self
            .world
            .claims_by_owner_name
            .of(&owner)
            .cloned()
            .collect();
        for claim in claims {
            self.mark(Subject::Claim(claim));
        }
        self.mark(Subject::Hold(Kind::NATGateway, key.clone()));
        self.mark(Subject::Status(Kind::NATGateway, key.clone()));
    }

    pub(super) fn decide_eip(&mut self, key: &Key, now: Millis) {
        self.catch_up_for(key, now);
        let Some(eip) = self.world.eips.get(key) else {
            if let Some(old) = self.views.eips.remove(key) {
                self.no_longer_turns(key, old.gateway_uid.as_ref());
                self.held_back.remove(&old.uid);
                self.eip_changed(key, None);
            }
            self.starving.remove(key);
            self.queue.set(
                &Subject::Eip(key.clone()),
                super::action::Target::Status(Kind::EIP, key.clone()),
                None,
            );
            return;
        };
        let releasing = |claim: &AddressClaim| self.is_releasing(claim);
        let handed_to = |claim: &AddressClaim| self.handed_to(claim).cloned();
        let sure = |claim: &AddressClaim| self.is_sure(claim);
        let mut view =
            resolve::eip::resolve(&self.world, &self.views, eip, releasing, handed_to, sure);
        self.allocate(key, &mut view);
        if self.views.eips.get(key) != Some(&view) {
            let before = self.views.eips.get(key).and_then(|v| v.gateway_uid.clone());
            if before != view.gateway_uid {
                self.no_longer_turns(key, before.as_ref());
            }
            let pool = view.pool.clone();
            self.views.eips.insert(key.clone(), view);
            // What it has no use for any more goes back.
            let owner = (ClaimOwnerKind::EIP, key.namespace.clone(), key.name.clone());
            let claims = self.world.claims_by_owner_name.of(&owner);
            let claims: Vec<String> = claims.cloned().collect();
            for claim in claims {
                self.mark(Subject::Claim(claim));
            }
            self.eip_changed(key, pool);
        }
    }

    fn no_longer_turns(&mut self, eip: &Key, site: Option<&crate::identity::Uid>) {
        if let Some(site) = site.and_then(|uid| self.sites.get_mut(uid)) {
            site.turning.remove(eip);
        }
    }

    fn eip_changed(&mut self, key: &Key, pool: Option<String>) {
        self.mark(Subject::RulesOf(key.clone()));
        self.mark(Subject::Entries(Kind::EIP, key.clone()));
        self.mark(Subject::Hold(Kind::EIP, key.clone()));
        self.mark(Subject::Status(Kind::EIP, key.clone()));
        if let Some(pool) = pool {
            self.mark(Subject::Status(Kind::EIPPool, cluster_key(&pool)));
        }
        let rules: Vec<(Kind, Key)> = self.world.rules_by_eip.of(key).cloned().collect();
        for (kind, rule) in rules {
            self.mark(Subject::Entries(kind, rule.clone()));
            self.mark(Subject::Hold(kind, rule.clone()));
            self.mark(Subject::Status(kind, rule));
        }
    }

    pub(super) fn decide_rules(&mut self, eip: &Key) {
        let new = resolve::rules::resolve(&self.world, &self.views, eip);
        for (name, mut view) in new {
            let old = self.views.rules.get(&name);
            if let Some(old) = old {
                view.conflict = old.conflict.clone();
                if name.0 == Kind::DNAT && !view.needs_room() {
                    view.conflict = None;
                }
                view.lost = old.lost.clone();
                if *old == view {
                    continue;
                }
            }
            let old = self.views.rules.insert(name.clone(), view.clone());
            self.rule_changed(&name, old.as_ref(), Some(&view));
        }
    }

    /// Forgets a rule that is gone.
    pub(super) fn forget_rule(&mut self, kind: Kind, key: &Key) {
        let name = (kind, key.clone());
        if let Some(old) = self.views.rules.remove(&name) {
            self.held_back.remove(&old.uid);
            self.rule_changed(&name, Some(&old), None);
        }
    }

    fn rule_changed(&mut self, name: &(Kind, Key), old: Option<&RuleView>, new: Option<&RuleView>) {
        let snats_of = |v: Option<&RuleView>| {
            v.filter(|v| matches!(v.ask, Some(Ask::Snat(..))))
                .and_then(|v| v.gateway.clone())
        };
        let (before, after) = (snats_of(old), snats_of(new));
        if let Some(gateway) = &before
            && before != after
            && let Some(set) = self.snats.get_mut(gateway)
        {
            set.remove(name);
        }
        if let Some(gateway) = &after {
            self.snats
                .entry(gateway.clone())
                .or_default()
                .insert(name.clone());
        }
        for gateway in [before, after].into_iter().flatten() {
            self.mark(Subject::Snats(gateway));
        }
        self.room_changed(&name.1, old, new);
        for (view, add) in [(old, false), (new, true)] {
            let Some(view) = view.filter(|v| v.competes()) else {
                continue;
            };
            let (Some(Ask::Fip(target)), Some(gateway)) = (&view.ask, &view.gateway) else {
                continue;
            };
            for address in target.iter() {
                let slot = (gateway.clone(), address);
                let member = (view.age.clone(), name.1.clone());
                let set = self.inside.entry(slot.clone()).or_default();
                if add {
                    set.insert(member);
                } else {
                    set.remove(&member);
                }
                if set.is_empty() {
                    self.inside.remove(&slot);
                }
                self.mark(Subject::Inside(gateway.clone(), address));
            }
        }
        self.mark(Subject::Entries(name.0, name.1.clone()));
        self.mark(Subject::Hold(name.0, name.1.clone()));
        self.mark(Subject::Status(name.0, name.1.clone()));
        for view in [old, new].into_iter().flatten() {
            for eip in view.eips() {
                self.mark(Subject::Status(Kind::EIP, eip.clone()));
            }
        }
    }

    pub(super) fn decide_snats(&mut self, gateway: &Key) {
        let Some(names) = self.snats.get(gateway) else {
            return;
        };
        let names: Vec<(Kind, Key)> = names.iter().cloned().collect();
        if names.is_empty() {
            self.snats.remove(gateway);
        }
        for (name, loss) in resolve::rivals::snat_conflicts(&self.views, &names) {
            if let Some(view) = self.views.rules.get_mut(&name)
                && (&view.conflict, &view.lost) != (&loss.conflict, &loss.lost)
            {
                view.conflict = loss.conflict;
                view.lost = loss.lost;
                self.mark(Subject::Entries(name.0, name.1.clone()));
                self.mark(Subject::Hold(name.0, name.1.clone()));
                self.mark(Subject::Status(name.0, name.1));
            }
        }
    }

    /// The oldest FIP to an inside address is its source: the first two are
    /// those whose place can have changed.
    pub(super) fn decide_inside(&mut self, gateway: &Key, address: IpAddr) {
        let fips: Vec<Key> = self
            .inside
            .get(&(gateway.clone(), address))
            .into_iter()
            .flatten()
            .take(2)
            .map(|(_, key)| key.clone())
            .collect();
        for fip in fips {
            self.mark(Subject::Entries(Kind::FIP, fip));
        }
    }
}
