//! Publication: slices, then the header, then the end of slices that nobody names.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sluice_crds::internal::{
    ConfigNode, ConfigSettings, GatewayConfigSpec, OwnerGateway, RuleSliceSpec,
};
use sluice_crds::names::{LABEL_GATEWAY, LABEL_GATEWAY_UID};
use sluice_crds::{GatewayConfig, RuleSlice};

use super::Operator;
use super::action::{Action, Target};
use super::entries::Placed;
use super::event::{Key, Kind, Millis};
use super::history::{Content, Lines};
use super::site::Site;
use super::subject::Subject;
use super::world::{Meta, Record, World, cluster_key, sibling};
use crate::config;
use crate::identity::Uid;

/// The most Nodes that a config names, and the longest text of each (as in the schema).
const NODES_MAX: usize = 64;
const NODE_TEXT_MAX: usize = 512;

/// A revision on its way.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub header: GatewayConfigSpec,
    /// Its slices that the header before does not name, or that were not seen when it was
    /// compiled: they may have to be written, also again.
    fresh: BTreeMap<String, RuleSliceSpec>,
    /// What objects have in it whose entries have changed since it was compiled.
    before: Lines,
}

/// What decides which slices nobody names: header, next header, reports, and
/// how many slices there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Swept {
    header: Option<String>,
    next: Option<String>,
    reports: Vec<(Key, u64)>,
    slices: usize,
}

/// The content of a header that follows another one, or stands by itself.
pub(super) fn content(site: &Site, world: &World, header: &GatewayConfig) -> Content {
    let entries = |name: &String| -> Option<&[String]> {
        let key = sibling(&site.key, name);
        let fresh = || site.pending.as_ref()?.fresh.get(name);
        let spec = world
            .slices
            .get(&key)
            .map(|slice| &slice.spec)
            .or_else(fresh);
        Some(&spec?.entries)
    };
    let spec = &header.spec;
    if site
        .history
        .is_followed_by(&header.uid(), header.generation())
        && let Some(followed) = &site.followed
    {
        let (had, has): (BTreeSet<_>, BTreeSet<_>) = (
            followed.slices.iter().collect(),
            spec.slices.iter().collect(),
        );
        let gone = lines(followed, had.difference(&has).map(|name| entries(name)));
        let come = lines(spec, has.difference(&had).map(|name| entries(name)));
        if let (Some(gone), Some(come)) = (gone, come) {
            return Content::Change { gone, come };
        }
    }
    match lines(spec, spec.slices.iter().map(entries)) {
        Some(lines) => Content::Whole(lines),
        None => Content::Unknown,
    }
}

/// Sorts entries of slices by the object that asked for them, and adds what the settings
/// hold for the gateway itself, its inside addresses. `None`: a slice is not known.
fn lines<'a>(
    header: &GatewayConfigSpec,
    slices: impl Iterator<Item = Option<&'a [String]>>,
) -> Option<Lines> {
    let mut lines = Lines::new();
    for slice in slices {
        for line in slice? {
            let uid = line.split(' ').nth(1).unwrap_or_default();
            lines.entry(Uid::new(uid)).or_default().push(line.clone());
        }
    }
    let own = inside_addresses(header);
    lines.insert(Uid::new(&header.gateway.uid), own.collect());
    for list in lines.values_mut() {
        list.sort_unstable();
    }
    Some(lines)
}

fn is_present(world: &World, uid: &Uid, gateway: &Key, name: &str) -> bool {
    let key = sibling(gateway, name);
    let slice = world.slices.get(&key);
    slice.is_some_and(|s| s.label(LABEL_GATEWAY_UID) == Some(uid.as_str()) && !s.deleting())
}

/// What a header has for the gateway itself.
fn inside_addresses(header: &GatewayConfigSpec) -> impl Iterator<Item = String> {
    let addresses = header.settings.lan.addresses.iter();
    addresses.map(|address| format!("lan {address}"))
}

impl Site {
    /// What an object shall have in the config from now on.
    pub(super) fn place(&mut self, uid: &Uid, placed: Option<Placed>) {
        let old = match placed {
            Some(placed) => {
                self.cutter.touch(&placed.rank, true);
                self.desired.insert(uid.clone(), placed)
            }
            None => {
                let old = self.desired.remove(uid);
                if let Some(old) = &old {
                    self.cutter.touch(&old.rank, false);
                }
                old
            }
        };
        if let Some(pending) = &mut self.pending {
            let before = pending.before.entry(uid.clone());
            before.or_insert_with(|| old.map(|old| old.lines).unwrap_or_default());
        }
    }

    /// Whether the revision on its way has a line of an object that `is_meant`.
    pub(super) fn is_pending(&self, object: &Uid, is_meant: impl Fn(&str) -> bool) -> bool {
        let Some(pending) = &self.pending else {
            return false;
        };
        if object.as_str() == pending.header.gateway.uid {
            return inside_addresses(&pending.header).any(|line| is_meant(&line));
        }
        let desired = || self.desired.get(object).map(|placed| &placed.lines);
        let lines = pending.before.get(object).or_else(desired);
        lines.is_some_and(|lines| lines.iter().any(|line| is_meant(line)))
    }
}

impl Operator {
    fn site_labels(uid: &Uid, key: &Key) -> std::collections::BTreeMap<String, String> {
        [
            (LABEL_GATEWAY_UID.to_owned(), uid.to_string()),
            (LABEL_GATEWAY.to_owned(), key.name.clone()),
        ]
        .into()
    }

    /// The settings to publish: those of the spec, once its inside addresses are
    /// claimed; else those that stand.
    fn settings_of(&self, uid: &Uid, key: &Key) -> Option<ConfigSettings> {
        let view = self.views.gateways.get(key)?;
        if let Some(settings) = &view.settings
            && self.lan_claimed(view) == Ok(true)
        {
            return Some(ConfigSettings {
                nodes: self.nodes_of(uid),
                ..settings.clone()
            });
        }
        self.header_of(uid, key).map(|h| h.spec.settings.clone())
    }

    /// What the Nodes override that the gateway's Pods are on, by name.
    fn nodes_of(&self, uid: &Uid) -> Vec<ConfigNode> {
        let pods = self.world.pods_by_gateway.of(uid);
        let names: BTreeSet<&str> = pods
            .filter_map(|pod| self.world.pods.get(pod))
            .map(|pod| pod.node.as_str())
            .collect();
        let node = |name: &str| {
            let node = self.world.nodes.get(&cluster_key(name))?;
            let text = node.uplink_address.as_ref()?;
            Some(ConfigNode {
                name: name.to_owned(),
                uplink_address: text.chars().take(NODE_TEXT_MAX).collect(),
            })
        };
        names.into_iter().filter_map(node).take(NODES_MAX).collect()
    }

    pub(super) fn header_of(&self, uid: &Uid, key: &Key) -> Option<&GatewayConfig> {
        self.world
            .configs
            .get(key)
            .filter(|h| h.spec.gateway.uid == uid.as_str())
    }

    pub(super) fn publish(&mut self, uid: &Uid, key: &Key, now: Millis) {
        let subject = Subject::Site(uid.clone());
        let target = Target::Object(Kind::GatewayConfig, key.clone());
        // The name is another life's until that is swept.
        if self.world.configs.get(key).is_some() && self.header_of(uid, key).is_none() {
            return;
        }
        if self.queue.under_way(&target).is_some() {
            return;
        }
        if let Some(site) = self.sites.get_mut(uid)
            && let Some(until) = site.unsettled
        {
            if now >= until {
                site.unsettled = None;
            } else {
                self.wake(subject.clone(), until);
            }
        }
        self.prepare(uid, key, now);
        self.fence_header(uid, key);
        if self.slices_are_missing(uid, key) {
            return;
        }
        let Some(pending) = self.sites.get(uid).and_then(|s| s.pending.as_ref()) else {
            return;
        };
        let old = self.header_of(uid, key);
        let header = GatewayConfig {
            metadata: ObjectMeta {
                name: Some(key.name.clone()),
                namespace: Some(key.namespace.clone()),
                labels: Some(Self::site_labels(uid, key)),
                uid: old.and_then(|h| h.metadata.uid.clone()),
                resource_version: old.and_then(|h| h.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: pending.header.clone(),
        };
        self.queue
            .set(&subject, target, Some(Action::WriteHeader(header)));
    }

    /// Wants the next revision's slices that are not there; whether there are any.
    fn slices_are_missing(&mut self, uid: &Uid, key: &Key) -> bool {
        let Some(pending) = self.sites.get(uid).and_then(|s| s.pending.as_ref()) else {
            return false;
        };
        let missing: Vec<RuleSlice> = pending
            .fresh
            .iter()
            .filter(|(name, _)| !is_present(&self.world, uid, key, name))
            .map(|(name, spec)| {
                let mut slice = RuleSlice::new(name, spec.clone());
                slice.metadata.namespace = Some(key.namespace.clone());
                slice.metadata.labels = Some(Self::site_labels(uid, key));
                slice
            })
            .collect();
        let any = !missing.is_empty();
        for slice in missing {
            let slice_key = slice.key();
            if self.world.slices.get(&slice_key).is_none() {
                self.queue.set(
                    &Subject::Site(uid.clone()),
                    Target::Object(Kind::RuleSlice, slice_key),
                    Some(Action::CreateSlice(slice)),
                );
            }
        }
        any
    }

    /// Compiles the next revision where one is due.
    fn prepare(&mut self, uid: &Uid, key: &Key, now: Millis) {
        let nodes = self.nodes_of(uid);
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        if site.nodes != nodes {
            site.nodes = nodes;
            site.stale = true;
        }
        let Some(site) = self.sites.get(uid).filter(|site| site.stale) else {
            return;
        };
        if let Some(pending) = &site.pending {
            // What has begun is ended first, unless it is stuck.
            let stuck = pending.fresh.keys().any(|name| {
                let slice = sibling(key, name);
                !is_present(&self.world, uid, key, name)
                    && self
                        .queue
                        .backing_off(&Target::Object(Kind::RuleSlice, slice), now)
            });
            if !stuck {
                return;
            }
        }
        let header = self.header_of(uid, key);
        let acked = header.is_none() || site.evidence.proven == Some(site.history.current());
        if !acked && let Some(at) = site.published_at {
            let due = Millis(at.0.saturating_add(self.settings.silence_ms));
            if now < due {
                self.wake(Subject::Site(uid.clone()), due);
                return;
            }
        }
        let Some(settings) = self.settings_of(uid, key) else {
            return;
        };
        let owner = OwnerGateway {
            name: key.name.clone(),
            uid: uid.to_string(),
        };
        // A slice that the header does not name may be on its way out.
        let header = self.header_of(uid, key);
        let named = header.into_iter().flat_map(|h| &h.spec.slices);
        let named: BTreeSet<String> = named.cloned().collect();
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        let desired = &site.desired;
        let lines = |uid: &Uid| desired.get(uid).map_or(&[][..], |p| p.lines.as_slice());
        let slices = site.cutter.slices(&key.name, lines);
        let header = config::header(&owner, settings, &slices);
        let present = |name: &str| is_present(&self.world, uid, key, name);
        let is_safe = |name: &str| named.contains(name) && present(name);
        let fresh = site.cutter.contents(|name| !is_safe(name), lines);
        let digest = self.header_of(uid, key).map(|h| &h.spec.digest);
        let stands = digest == Some(&header.digest) && fresh.is_empty();
        let too_large = (slices.len() > self.settings.slices_max).then_some(slices.len());
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        site.stale = false;
        site.too_large = too_large;
        site.pending = (!stands && too_large.is_none()).then(|| Pending {
            header,
            fresh: fresh.into_iter().collect(),
            before: Lines::new(),
        });
    }

    /// Deletes slices that neither the header, nor the next one, nor any report names.
    pub(super) fn sweep_slices(&mut self, uid: &Uid) {
        if !self.world.all_in_sync() {
            return;
        }
        let Some(site) = self.sites.get(uid) else {
            return;
        };
        let swept = Swept {
            header: self
                .header_of(uid, &site.key)
                .and_then(|h| h.metadata.resource_version.clone()),
            next: site.pending.as_ref().map(|p| p.header.digest.clone()),
            reports: self
                .world
                .reports_by_gateway
                .of(uid)
                .filter_map(|key| Some((key.clone(), self.world.reports.get(key)?.version())))
                .collect(),
            slices: self.world.slices_by_gateway.count(uid),
        };
        if site.swept.as_ref() == Some(&swept) {
            return;
        }
        let mut named: BTreeSet<&str> = BTreeSet::new();
        if let Some(header) = self.header_of(uid, &site.key) {
            named.extend(header.spec.slices.iter().map(String::as_str));
        }
        if let Some(pending) = &site.pending {
            named.extend(pending.header.slices.iter().map(String::as_str));
        }
        for report in self.world.reports_by_gateway.of(uid) {
            let applied = self
                .world
                .reports
                .get(report)
                .and_then(|r| r.status.as_ref()?.applied.as_ref());
            if let Some(applied) = applied {
                named.extend(applied.slices.iter().map(String::as_str));
            }
        }
        let gone: Vec<(Key, Uid)> = self
            .world
            .slices_by_gateway
            .of(uid)
            .filter(|key| !named.contains(key.name.as_str()))
            .filter_map(|key| Some((key.clone(), self.world.slices.get(key)?)))
            .filter(|(_, slice)| !slice.deleting())
            .map(|(key, slice)| (key, slice.uid()))
            .collect();
        if let Some(site) = self.sites.get_mut(uid)
            && gone.is_empty()
        {
            site.swept = Some(swept);
        }
        for (key, slice_uid) in gone {
            self.queue.set(
                &Subject::Site(uid.clone()),
                Target::Object(Kind::RuleSlice, key.clone()),
                Some(Action::DeleteSlice {
                    key,
                    uid: slice_uid,
                }),
            );
        }
    }
}
