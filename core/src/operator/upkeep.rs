//! A gateway's Lease and children: made in order, and kept as they shall be.

use sluice_crds::names::{FINALIZER_IN_USE, child_name};

use super::Operator;
use super::action::{Action, Target};
use super::dead;
use super::event::{ChildKind, Key, Kind, LeaseFacts, Millis};
use super::lease::Holder;
use super::subject::Subject;
use crate::identity::Uid;

/// How often a Lease is read that stands in the way.
const TAKEN_LEASE_MS: u64 = 10_000;

/// The name of a gateway's Lease and children.
pub(crate) fn child_key(gateway: &Key) -> Key {
    Key {
        namespace: gateway.namespace.clone(),
        name: child_name(&gateway.name),
    }
}

impl Operator {
    /// Makes the Lease, and takes it from a holder that is dead.
    pub(super) fn keep_lease(&mut self, uid: &Uid, key: &Key, now: Millis) {
        let lease_key = child_key(key);
        if !self.may_make(key) || !self.world.all_in_sync() {
            return;
        }
        self.look_at_taken_lease(uid, &lease_key, now);
        let holder = self.sites.get(uid).map(|site| &site.evidence.holder);
        let lost = matches!(holder, Some(Holder::Lost { .. }));
        let stands = self.world.leases.get(&lease_key);
        let wanted = match stands {
            None => Some(LeaseFacts {
                key: lease_key.clone(),
                uid: Uid::new(""),
                resource_version: String::new(),
                gateway_uid: uid.clone(),
                holder: String::new(),
                transitions: self.highest_term(uid).map_or(0, |t| t.saturating_add(1)),
                duration_secs: self.settings.lease_duration_secs,
                renew_time: String::new(),
                acquire_time: String::new(),
                deleting: false,
            }),
            Some(lease)
                if lease.gateway_uid == *uid
                    && !lease.deleting
                    && !lease.holder.is_empty()
                    && dead::holder_is_dead(&self.world, uid, &lease.holder, lost) =>
            {
                Some(LeaseFacts {
                    holder: String::new(),
                    ..lease.clone()
                })
            }
            Some(_) => None,
        };
        if let Some(lease) = wanted {
            self.queue.set(
                &Subject::Site(uid.clone()),
                Target::Object(Kind::Lease, lease_key),
                Some(Action::WriteLease(lease)),
            );
        }
    }

    /// A Lease under the gateway's name that nobody labelled: no watch shows it
    /// going, so it is read from time to time.
    fn look_at_taken_lease(&mut self, uid: &Uid, lease: &Key, now: Millis) {
        let stands = self.world.leases.get(lease);
        let taken = stands.is_some_and(|l| l.gateway_uid.as_str().is_empty());
        let subject = Subject::Site(uid.clone());
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        if !taken {
            site.lease_taken = None;
            return;
        }
        let later = |at: Millis| Millis(at.0.saturating_add(TAKEN_LEASE_MS));
        let mut again = later(*site.lease_taken.get_or_insert(now));
        if now >= again {
            site.lease_taken = Some(now);
            again = later(now);
            let read = Action::Read {
                kind: Kind::Lease,
                key: lease.clone(),
                known: None,
            };
            let target = Target::Read(Kind::Lease, lease.clone());
            self.queue.set(&subject, target, Some(read));
        }
        self.wake(subject, again);
    }

    /// The highest term that any report or the last Lease names.
    fn highest_term(&self, uid: &Uid) -> Option<i64> {
        let reported = self.world.reports_by_gateway.of(uid).filter_map(|key| {
            let status = self.world.reports.get(key)?.status.as_ref()?;
            Some(status.active.as_ref()?.term)
        });
        let known = self
            .sites
            .get(uid)
            .and_then(|s| s.evidence.holder.named())
            .map(|(_, term)| term.transitions);
        reported.chain(known).max()
    }

    /// Whether things may be made for a gateway: it is held by our finalizer,
    /// and its namespace takes new objects.
    fn may_make(&self, key: &Key) -> bool {
        let held = self
            .finalizers_of(Kind::NATGateway, key)
            .is_some_and(|f| f.iter().any(|f| f == FINALIZER_IN_USE));
        held && !self
            .world
            .namespace(&key.namespace)
            .is_some_and(|n| n.terminating)
    }

    /// Wants the children that are missing or stale.
    pub(super) fn keep_children(&mut self, uid: &Uid, key: &Key, now: Millis) {
        let Some(rendered) = self.world.rendered.get(uid).cloned() else {
            return;
        };
        if !self.may_make(key) {
            return;
        }
        let view = self.views.gateways.get(key);
        let accepted = view.is_some_and(|v| v.verdict.ok);
        let serves_on = view.is_some_and(|v| v.deleting);
        let child = child_key(key);
        let mut others = self.header_of(uid, key).is_some() && self.lease_of(uid).is_some();
        for kind in ChildKind::ALL {
            let stands = self.world.children.get(&kind).and_then(|s| s.get(&child));
            let free = stands.is_none();
            let mine = stands.filter(|c| c.gateway_uid == *uid).cloned();
            let mine = mine.as_ref();
            let current =
                mine.is_some_and(|c| !c.deleting && Some(&c.digest) == rendered.get(&kind));
            let due = rendered.contains_key(&kind)
                && !current
                && (free || mine.is_some_and(|c| !c.deleting))
                && (mine.is_some() || accepted)
                && (kind != ChildKind::Deployment || others);
            let rolls = kind == ChildKind::Deployment && mine.is_some();
            let due = due && (!rolls || self.may_roll(uid, now));
            if due {
                self.queue.set(
                    &Subject::Site(uid.clone()),
                    Target::Child(kind, child.clone()),
                    Some(Action::EnsureChild {
                        child: kind,
                        gateway: key.clone(),
                        gateway_uid: uid.clone(),
                        serves_on,
                    }),
                );
            }
            others &= mine.is_some();
        }
    }
}
