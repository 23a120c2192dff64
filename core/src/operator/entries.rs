//! What each object asks of a gateway's kernel now.

use std::iter;
use std::net::IpAddr;

use ipnet::IpNet;
use sluice_crds::address::{DualAddress, family};
use sluice_crds::names::FINALIZER_PROGRAMMED;

use super::Operator;
use super::event::{Key, Kind};
use super::resolve::rules::{Ask, RuleView};
use super::subject::Subject;
use super::world::Meta;
use crate::config::Rank;
use crate::entry::{Body, Entry};
use crate::identity::Uid;

/// What an object has in a gateway's config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub kind: Kind,
    pub key: Key,
    pub rank: Rank,
    pub entries: Vec<Entry>,
    /// The entries' texts, sorted.
    pub lines: Vec<String>,
}

impl Operator {
    /// Whether an object carries the finalizer that must stand before the first
    /// programming.
    pub(super) fn finalized(&self, kind: Kind, key: &Key) -> bool {
        self.finalizers_of(kind, key)
            .is_some_and(|f| f.iter().any(|f| f == FINALIZER_PROGRAMMED))
    }

    pub(super) fn finalizers_of(&self, kind: Kind, key: &Key) -> Option<&[String]> {
        let world = &self.world;
        match kind {
            Kind::EIP => world.eips.get(key).map(Meta::finalizers),
            Kind::FIP => world.fips.get(key).map(Meta::finalizers),
            Kind::DNAT => world.dnats.get(key).map(Meta::finalizers),
            Kind::SNAT => world.snats.get(key).map(Meta::finalizers),
            Kind::EIPPool => world.pools.get(key).map(Meta::finalizers),
            Kind::NATGateway => world.gateways.get(key).map(Meta::finalizers),
            Kind::GatewayInstance => world.reports.get(key).map(Meta::finalizers),
            Kind::Pod => world.pods.get(key).map(|p| p.finalizers.as_slice()),
            _ => None,
        }
    }

    /// Whether an EIP is in service: one being deleted stays so for the rules
    /// that hold it.
    fn in_service(&self, key: &Key) -> bool {
        self.views.eips.get(key).is_some_and(|view| {
            let site = view.gateway_uid.as_ref();
            view.verdict.ok
                && self.finalized(Kind::EIP, key)
                && site.is_some_and(|site| self.stands(&view.uid, site))
                && (!view.deleting || !super::resolve::rules::holding(&self.world, key).is_empty())
        })
    }

    pub(super) fn decide_entries(&mut self, kind: Kind, key: &Key) {
        self.ask_whether_it_stands(kind, key);
        let wanted = match kind {
            Kind::EIP => self.address_entries(key),
            _ => self.rule_entries(kind, key),
        };
        let name = (kind, key.clone());
        let new = wanted
            .as_ref()
            .map(|(site, uid, _)| (site.clone(), uid.clone()));
        let old = self.placed.get(&name).cloned();
        if old == new {
            if let Some((site, uid, placed)) = wanted
                && let Some(site_state) = self.sites.get_mut(&site)
                && site_state.desired.get(&uid) != Some(&placed)
            {
                site_state.place(&uid, Some(placed));
                self.entries_changed(kind, key, &[site]);
            }
            return;
        }
        let mut touched = Vec::new();
        if let Some((site, uid)) = old {
            if let Some(state) = self.sites.get_mut(&site) {
                state.place(&uid, None);
            }
            self.placed.remove(&name);
            touched.push(site);
        }
        if let Some((site, uid, placed)) = wanted {
            let gateway = self
                .views
                .eips
                .get(&self.eip_of(kind, key))
                .map(|v| v.gateway.clone());
            self.site(&site, gateway).place(&uid, Some(placed));
            self.placed.insert(name, (site.clone(), uid));
            touched.push(site);
        }
        self.entries_changed(kind, key, &touched);
    }

    fn eip_of(&self, kind: Kind, key: &Key) -> Key {
        match kind {
            Kind::EIP => key.clone(),
            _ => self
                .views
                .rules
                .get(&(kind, key.clone()))
                .map(|v| v.eip.clone())
                .unwrap_or_default(),
        }
    }

    fn entries_changed(&mut self, kind: Kind, key: &Key, sites: &[Uid]) {
        for site in sites {
            if let Some(state) = self.sites.get_mut(site) {
                state.stale = true;
            }
            self.mark(Subject::Site(site.clone()));
        }
        let eips: Vec<Key> = match kind {
            Kind::EIP => vec![key.clone()],
            _ => {
                let view = self.views.rules.get(&(kind, key.clone()));
                view.map_or_else(Vec::new, |v| v.eips().cloned().collect())
            }
        };
        if kind == Kind::EIP {
            // Rules are programmed where their EIP's address is.
            let rules: Vec<(Kind, Key)> = self.world.rules_by_eip.of(key).cloned().collect();
            for (kind, rule) in rules {
                self.mark(Subject::Entries(kind, rule.clone()));
                self.mark(Subject::Status(kind, rule));
            }
        }
        self.mark(Subject::Hold(kind, key.clone()));
        self.mark(Subject::Status(kind, key.clone()));
        for eip in eips {
            self.mark(Subject::Status(Kind::EIP, eip));
        }
    }

    fn address_entries(&self, key: &Key) -> Option<(Uid, Uid, Placed)> {
        let view = self.views.eips.get(key)?;
        self.world.eips.get(key)?;
        if !self.in_service(key) || view.granted.is_empty() {
            return None;
        }
        let site = view.gateway_uid.clone()?;
        let answers = |address| Body::Addr {
            address,
            uplink: view.uplink.clone(),
        };
        let limits = |address| {
            let (ingress, egress) = view.limits;
            (ingress.is_some() || egress.is_some()).then_some(Body::Shape {
                address,
                ingress,
                egress,
            })
        };
        let granted = view.granted.iter();
        let bodies = granted
            .flat_map(|address| iter::once(answers(address)).chain(limits(address)))
            .collect();
        let rank = Rank {
            created_secs: view.created_secs,
            uid: view.uid.clone(),
        };
        Some(placed(Kind::EIP, key, site, rank, view.generation, bodies))
    }

    fn rule_entries(&self, kind: Kind, key: &Key) -> Option<(Uid, Uid, Placed)> {
        self.finalizers_of(kind, key)?;
        let rule = self.views.rules.get(&(kind, key.clone()))?;
        let eip = self.views.eips.get(&rule.eip)?;
        if !rule.verdict().ok
            || rule.deleting
            || !self.finalized(kind, key)
            || !rule.eips().all(|eip| self.in_service(eip))
        {
            return None;
        }
        let site = eip.gateway_uid.clone()?;
        if !self.stands(&rule.uid, &site) {
            return None;
        }
        let granted = rule.eips().filter_map(|eip| self.views.eips.get(eip));
        let granted: Vec<DualAddress> = granted.map(|view| view.granted).collect();
        let bodies = self.bodies(key, rule, &granted)?;
        if bodies.is_empty() {
            return None;
        }
        let rank = Rank {
            created_secs: rule.created_secs,
            uid: rule.uid.clone(),
        };
        Some(placed(kind, key, site, rank, rule.generation, bodies))
    }

    fn bodies(&self, key: &Key, rule: &RuleView, eips: &[DualAddress]) -> Option<Vec<Body>> {
        // All but SNATs name one EIP.
        let first = eips.first()?;
        let pair = |inside: IpAddr| {
            first
                .get(sluice_crds::address::family(inside))
                .map(|address| (address, inside))
        };
        let gateway = rule.gateway.as_ref()?;
        Some(match rule.ask.as_ref()? {
            Ask::Fip(target) => target
                .iter()
                .filter_map(pair)
                .map(|(address, inside)| Body::Fip {
                    address,
                    inside,
                    source: self
                        .inside
                        .get(&(gateway.clone(), inside))
                        .and_then(|set| set.first())
                        .is_some_and(|(_, first)| first == key),
                })
                .collect(),
            Ask::Dnat(forward) => first
                .iter()
                .filter_map(|address| Some((address, forward.targets(family(address))?)))
                .flat_map(|(address, targets)| {
                    forward.protocols.iter().map(move |protocol| Body::Dnat {
                        address,
                        protocol: *protocol,
                        ports: forward.ports,
                        targets: targets.clone(),
                        inside_ports: forward.target_ports,
                    })
                })
                .collect(),
            Ask::Snat(prefixes, per_source) => prefixes
                .iter()
                .copied()
                .chain(rule.pod_sources())
                .flat_map(|prefix| eips.iter().map(move |granted| (prefix, granted)))
                .filter_map(|(prefix, granted)| {
                    Some(Body::Snat {
                        source: IpNet::new(prefix.network(), prefix.length()).ok()?,
                        address: granted.get(prefix.family())?,
                        per_source: *per_source,
                    })
                })
                .collect(),
        })
    }
}

fn placed(
    kind: Kind,
    key: &Key,
    site: Uid,
    rank: Rank,
    generation: i64,
    bodies: Vec<Body>,
) -> (Uid, Uid, Placed) {
    let uid = rank.uid.clone();
    let entries: Vec<Entry> = bodies
        .into_iter()
        .map(|body| Entry {
            uid: uid.clone(),
            generation,
            body,
        })
        .collect();
    let mut lines: Vec<String> = entries.iter().map(Entry::to_string).collect();
    lines.sort_unstable();
    (
        site,
        uid,
        Placed {
            kind,
            key: key.clone(),
            rank,
            entries,
            lines,
        },
    )
}
