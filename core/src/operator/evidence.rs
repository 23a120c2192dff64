//! Evidence: what the holder has proved by its report, and whether a live read
//! of the Lease has confirmed it.

use k8s_openapi::jiff::Timestamp;

use super::action::{Action, Target};
use super::event::{Key, Kind, Millis};
use super::lease::Holder;
use super::site::Site;
use super::subject::Subject;
use super::world::Record;
use super::{Operator, capability};
use crate::identity::Uid;
use sluice_crds::internal::{GatewayInstanceStatus, Problem, Shortage};
use sluice_crds::user::Hosting;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What the holder has proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Who holds.
    pub holder: Holder,
    /// The holder's report, made while active at the current term.
    pub active: bool,
    /// Generation of the current header's life that the report proves.
    pub proven: Option<i64>,
    /// What the kernel refused: key → digest and words.
    pub rejected: BTreeMap<String, (String, String)>,
    /// Addresses that do not work: reason and words.
    pub unusable: BTreeMap<IpAddr, (String, String)>,
    /// Why no address of the instance works, if so.
    pub blocked: Option<(String, String)>,
    /// What keeps a part of it from working, or works otherwise than was asked:
    /// an uplink of several that is down, a next hop that does not answer, an
    /// override that does not fit, a log of flows that the kernel says nothing to. Reason
    /// and words.
    pub impaired: Option<(String, String)>,
    /// What runs short while it still works.
    pub shortages: Vec<Shortage>,
    /// The chassis that has acknowledged what is proved, where chassis serve the gateway.
    pub hosting: Option<Hosting>,
}

/// Evidence as it stood when a live read of the Lease began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmation {
    pub seq: u64,
    pub proven: Option<i64>,
}

impl Operator {
    /// Weighs the reports against Lease and header, and marks whom a change concerns.
    pub(super) fn weigh(&mut self, uid: &Uid, key: &Key, changed: &[Uid], now: Millis) {
        let lease = self.lease_of(uid).cloned();
        let in_sync = self.world.in_sync(Kind::Lease) && self.world.in_sync(Kind::GatewayInstance);
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        let (holder, deadline) = site.clock.look(lease.as_ref(), in_sync, now);
        if let Some(at) = deadline {
            self.wake(Subject::Site(uid.clone()), at);
        }
        let mut dropped: Vec<(Key, u64)> = Vec::new();
        let mut new = Evidence {
            holder,
            ..Evidence::default()
        };
        let hosted = capability::is_hosted(&self.world, uid);
        let Some(site) = self.sites.get(uid) else {
            return;
        };
        for report in self.world.reports_by_gateway.of(uid) {
            let Some(report) = self.world.reports.get(report) else {
                continue;
            };
            let Some(status) = &report.status else {
                continue;
            };
            if new.counts(status) {
                new.take(status, site, hosted);
            } else {
                dropped.push((report.key(), report.version()));
            }
        }
        let old = site.evidence.clone();
        let mut concerned: BTreeSet<Uid> = changed.iter().cloned().collect();
        if old != new {
            let only_further = Evidence {
                proven: new.proven,
                ..old.clone()
            } == new;
            match (old.proven, new.proven) {
                (Some(before), Some(after)) if only_further && after > before => {
                    concerned.extend(site.history.since_within(before, after));
                }
                _ => concerned.extend(site.desired.keys().cloned()),
            }
        }
        let mut marks: BTreeSet<Subject> = BTreeSet::new();
        for object in concerned {
            let Some(placed) = site.desired.get(&object) else {
                continue;
            };
            marks.insert(Subject::Status(placed.kind, placed.key.clone()));
            if placed.kind == Kind::EIP {
                for (kind, rule) in self.world.rules_by_eip.of(&placed.key) {
                    marks.insert(Subject::Status(*kind, rule.clone()));
                }
            } else if let Some(view) = self.views.rules.get(&(placed.kind, placed.key.clone())) {
                marks.extend(view.eips().map(|e| Subject::Status(Kind::EIP, e.clone())));
            }
        }
        if !changed.is_empty() || old != new {
            // A rule that has left or is covered lets its EIP turn Ready.
            marks.extend(
                site.turning
                    .iter()
                    .map(|eip| Subject::Status(Kind::EIP, eip.clone())),
            );
        }
        let same_holder = old.holder.named() == new.holder.named();
        if let Some(site) = self.sites.get_mut(uid) {
            site.dropped
                .retain(|key, _| self.world.reports.get(key).is_some());
            for (key, version) in dropped {
                if site.dropped.insert(key, version) != Some(version) {
                    self.counters.dropped_reports += 1;
                }
            }
        }
        if let Some(site) = self.sites.get_mut(uid)
            && old != new
        {
            let further = old.proven.is_some() && old.proven <= new.proven;
            let same = Evidence {
                proven: old.proven,
                ..new.clone()
            } == old;
            if !(further && same) {
                site.evidence_seq += 1;
            }
            site.evidence = new;
            if let Some(proven) = site.evidence.proven {
                site.history.prove(proven);
                site.shown.retain(|generation, _| *generation > proven);
            }
            if !same_holder {
                self.announcer.holder_changed(key.clone());
            }
        }
        marks.insert(Subject::Status(Kind::NATGateway, key.clone()));
        self.world.dirty.extend(marks);
    }

    /// Whether the Lease has been read live since the evidence came that proves
    /// a generation; if not, it is read, and the status is looked at again then.
    pub(super) fn confirmed(
        &mut self,
        uid: &Uid,
        rests_on: Option<i64>,
        (kind, key): (Kind, &Key),
        (now, wall): (Millis, Option<Timestamp>),
    ) -> bool {
        let age = self.settings.confirmed_ms;
        let Some(found) = self.lease_of(uid).cloned() else {
            return false;
        };
        let lease = found.key.clone();
        let Some(site) = self.sites.get_mut(uid) else {
            return false;
        };
        if wall.is_some_and(|wall| !site.clock.is_fresh(&found, wall)) {
            site.doubted = Some(Millis(now.0.saturating_add(age)));
        }
        let doubted = site.doubted.filter(|_| !site.clock.is_witnessed());
        if let Some(until) = doubted.filter(|until| now < *until) {
            self.wake(Subject::Status(kind, key.clone()), until);
            return false;
        }
        if site.confirmed.is_some_and(|(confirmed, at)| {
            confirmed.seq == site.evidence_seq
                && rests_on.is_none_or(|g| confirmed.proven.is_some_and(|p| g <= p))
                && now.0 <= at.0.saturating_add(age)
        }) {
            return true;
        }
        site.unconfirmed.insert((kind, key.clone()));
        let target = Target::Read(Kind::Lease, lease.clone());
        if site.confirming.is_none() {
            site.confirming = Some(Confirmation {
                seq: site.evidence_seq,
                proven: site.evidence.proven,
            });
            self.queue.set(
                &Subject::Site(uid.clone()),
                target,
                Some(Action::Read {
                    kind: Kind::Lease,
                    key: lease,
                    known: None,
                }),
            );
        }
        false
    }
}

impl Evidence {
    /// Whether a report counts: made by the holder, at the current term.
    fn counts(&self, status: &GatewayInstanceStatus) -> bool {
        self.holder.named().is_some_and(|(instance, term)| {
            status.instance == instance
                && !status.is_final
                && status.active.as_ref().is_some_and(|a| {
                    a.lease_uid == term.lease_uid.as_str() && a.term == term.transitions
                })
        })
    }

    fn take(&mut self, status: &GatewayInstanceStatus, site: &Site, hosted: bool) {
        self.active = true;
        self.proven = site.history.proven(status.applied.as_ref());
        for rejected in &status.rejected {
            self.rejected.insert(
                rejected.key.clone(),
                (rejected.digest.clone(), rejected.error.clone()),
            );
        }
        for unusable in &status.unusable {
            if let Ok(address) = unusable.address.parse() {
                self.unusable
                    .insert(address, (unusable.reason.clone(), unusable.message.clone()));
            }
        }
        self.shortages.clone_from(&status.shortages);
        self.blocked = status
            .problems
            .iter()
            .find(|p| p.blocking)
            .map(|p| (p.reason.clone(), p.message.clone()));
        if hosted {
            self.hosting.clone_from(&status.hosting);
            if self.hosting.is_none() && self.blocked.is_none() {
                let words = "the chassis that hosts the gateway's port has not acknowledged anything since it does";
                self.blocked = Some(("ChassisBehind".to_owned(), words.to_owned()));
            }
        }
        let told = |p: &&Problem| !p.blocking && TOLD.iter().any(|t| p.reason.starts_with(t));
        self.impaired = status
            .problems
            .iter()
            .find(told)
            .map(|p| (p.reason.clone(), p.message.clone()));
    }
}

/// How the reasons begin of what a gateway's Ready tells although it is True.
const TOLD: [&str; 5] = [
    "Interface",
    "AddressNotOnInterface",
    "AnnotationInvalid",
    "NextHop",
    "FlowLogSilent",
];
