//! Publication: slices, then the header, then the end of slices that nobody names.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sluice_crds::internal::{ConfigSettings, GatewayConfigSpec, OwnerGateway, RuleSliceSpec};
use sluice_crds::names::{LABEL_GATEWAY, LABEL_GATEWAY_UID};
use sluice_crds::{GatewayConfig, RuleSlice};

use super::Operator;
use super::action::{Action, Target};
use super::event::{Key, Kind, Millis};
use super::history::Lines;
use super::subject::Subject;
use super::world::{Meta, Record};
use crate::config::{Config, compile};
use crate::identity::Uid;

/// A revision on its way.
pub(crate) struct Pending {
    pub config: Config,
    pub lines: Lines,
    /// Its slices that were not seen yet.
    missing: Vec<(String, RuleSliceSpec)>,
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

/// Sorts a slice's lines by the object that asked for them.
pub(crate) fn sort_lines(entries: &[String], lines: &mut Lines) {
    for line in entries {
        let uid = line.split(' ').nth(1).unwrap_or_default();
        lines.entry(Uid::new(uid)).or_default().push(line.clone());
    }
}

/// Adds what the settings hold for the gateway itself: its inside addresses.
pub(crate) fn finish_lines(header: &GatewayConfigSpec, lines: &mut Lines) {
    let own = lines.entry(Uid::new(&header.gateway.uid)).or_default();
    own.extend(
        header
            .settings
            .lan
            .addresses
            .iter()
            .map(|a| format!("lan {a}")),
    );
    for list in lines.values_mut() {
        list.sort_unstable();
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
        if view.settings.is_some() && self.lan_claimed(view) == Ok(true) {
            return view.settings.clone();
        }
        self.header_of(uid, key).map(|h| h.spec.settings.clone())
    }

    pub(super) fn header_of(&self, uid: &Uid, key: &Key) -> Option<&GatewayConfig> {
        self.world
            .configs
            .get(key)
            .filter(|h| h.spec.gateway.uid == uid.as_str())
    }

    fn slice_present(&self, uid: &Uid, key: &Key, name: &str) -> bool {
        self.world
            .slices
            .get(&Key {
                namespace: key.namespace.clone(),
                name: name.to_owned(),
            })
            .is_some_and(|s| s.label(LABEL_GATEWAY_UID) == Some(uid.as_str()) && !s.deleting())
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
            spec: pending.config.header.clone(),
        };
        self.queue
            .set(&subject, target, Some(Action::WriteHeader(header)));
    }

    /// Wants the next revision's slices that are not there; whether there are any.
    fn slices_are_missing(&mut self, uid: &Uid, key: &Key) -> bool {
        let Some(pending) = self.sites.get_mut(uid).and_then(|s| s.pending.as_mut()) else {
            return false;
        };
        let mut missing = std::mem::take(&mut pending.missing);
        missing.retain(|(name, _)| !self.slice_present(uid, key, name));
        for (name, spec) in &missing {
            let mut slice = RuleSlice::new(name, spec.clone());
            slice.metadata.namespace = Some(key.namespace.clone());
            slice.metadata.labels = Some(Self::site_labels(uid, key));
            let slice_key = slice.key();
            if self.world.slices.get(&slice_key).is_none() {
                self.queue.set(
                    &Subject::Site(uid.clone()),
                    Target::Object(Kind::RuleSlice, slice_key),
                    Some(Action::CreateSlice(slice)),
                );
            }
        }
        let any = !missing.is_empty();
        if let Some(pending) = self.sites.get_mut(uid).and_then(|s| s.pending.as_mut()) {
            pending.missing = missing;
        }
        any
    }

    /// Compiles the next revision where one is due.
    fn prepare(&mut self, uid: &Uid, key: &Key, now: Millis) {
        let Some(site) = self.sites.get(uid) else {
            return;
        };
        if !site.stale {
            return;
        }
        if let Some(pending) = &site.pending {
            // What has begun is ended first, unless it is stuck.
            let stuck = pending.missing.iter().any(|(name, _)| {
                let slice = Key {
                    namespace: key.namespace.clone(),
                    name: name.clone(),
                };
                !self.slice_present(uid, key, name)
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
        let entries = site
            .desired
            .values()
            .flat_map(|p| p.entries.iter().map(|e| (p.rank.clone(), e.clone())));
        let config = compile(&owner, settings, entries);
        let stands = header.is_some_and(|h| {
            h.spec.digest == config.header.digest
                && h.spec
                    .slices
                    .iter()
                    .all(|name| self.slice_present(uid, key, name))
        });
        let slices = config.header.slices.len();
        let too_large = (slices > self.settings.slices_max).then_some(slices);
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        site.stale = false;
        site.too_large = too_large;
        if stands || too_large.is_some() {
            site.pending = None;
            return;
        }
        let mut lines = Lines::new();
        for (_, slice) in &config.slices {
            sort_lines(&slice.entries, &mut lines);
        }
        finish_lines(&config.header, &mut lines);
        site.pending = Some(Pending {
            missing: config.slices.clone(),
            config,
            lines,
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
            next: site
                .pending
                .as_ref()
                .map(|p| p.config.header.digest.clone()),
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
            named.extend(pending.config.header.slices.iter().map(String::as_str));
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
