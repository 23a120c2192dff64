//! A few gateways at a time: after an upgrade of the operator, or a change that
//! concerns many, Deployments are not all replaced at once.
//!
//! Whether a gateway is being rolled is read off the cluster, so that a new
//! leader goes on where the last one stopped: its Deployment is as it shall be,
//! and its pods or its holder are not.

use std::collections::BTreeSet;

use super::Operator;
use super::action::Target;
use super::event::{ChildKind, Key, Millis};
use super::lease::Holder;
use super::subject::Subject;
use super::upkeep::child_key;
use crate::identity::Uid;

/// How soon the cluster has begun what a changed Deployment asks.
const BEGINS_MS: u64 = 15_000;
/// How often a gateway that must wait asks again.
const ASKS_MS: u64 = 1_000;

/// What this leader remembers of a gateway's roll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roll {
    /// When this leader replaced the Deployment, and the pods of that moment.
    replaced: Option<(Millis, BTreeSet<Uid>)>,
    /// Since when this leader has seen it not serve.
    unsettled: Option<Millis>,
}

impl Operator {
    /// The Deployment of a gateway has been replaced.
    pub(super) fn rolled(&mut self, uid: &Uid, now: Millis) {
        let pods = self.pod_uids(uid);
        if let Some(site) = self.sites.get_mut(uid) {
            site.roll.replaced = Some((now, pods));
        }
    }

    /// Follows whether a gateway serves.
    pub(super) fn follow_roll(&mut self, uid: &Uid, now: Millis) {
        let settled = self.is_settled(uid);
        let old_pods_left = self.sites.get(uid).is_some_and(|site| {
            site.roll.replaced.as_ref().is_some_and(|(at, old)| {
                now.0 < at.0.saturating_add(BEGINS_MS)
                    && self.pod_uids(uid).intersection(old).next().is_some()
            })
        });
        if let Some(site) = self.sites.get_mut(uid) {
            if !old_pods_left {
                site.roll.replaced = None;
            }
            if settled {
                site.roll.unsettled = None;
            } else {
                site.roll.unsettled.get_or_insert(now);
            }
        }
    }

    /// Whether a gateway's Deployment may be replaced now; if not, it asks again.
    pub(super) fn may_roll(&mut self, uid: &Uid, now: Millis) -> bool {
        let rolling = self
            .sites
            .keys()
            .filter(|other| *other != uid && self.is_rolling(other, now))
            .take(self.settings.rolling_max)
            .count();
        if rolling < self.settings.rolling_max {
            return true;
        }
        let again = Millis(now.0.saturating_add(ASKS_MS));
        self.wake(Subject::Site(uid.clone()), again);
        false
    }

    /// Whether a gateway has its new Deployment and does not serve by it yet.
    /// One that has not served for long holds up nobody.
    fn is_rolling(&self, uid: &Uid, now: Millis) -> bool {
        let Some(site) = self.sites.get(uid) else {
            return false;
        };
        let begins = site
            .roll
            .replaced
            .as_ref()
            .is_some_and(|(at, _)| now.0 < at.0.saturating_add(BEGINS_MS));
        let patience = self.settings.rolling_ms;
        let deployment = Target::Child(ChildKind::Deployment, child_key(&site.key));
        begins
            || self.queue.busy(&deployment)
            || (self.has_new_deployment(uid)
                && !self.is_settled(uid)
                && site
                    .roll
                    .unsettled
                    .is_none_or(|since| now.0 < since.0.saturating_add(patience)))
    }

    fn has_new_deployment(&self, uid: &Uid) -> bool {
        let wanted = self
            .world
            .rendered
            .get(uid)
            .and_then(|all| all.get(&ChildKind::Deployment));
        self.world.children_by_gateway.of(uid).any(|(kind, key)| {
            *kind == ChildKind::Deployment
                && self
                    .world
                    .children
                    .get(kind)
                    .and_then(|all| all.get(key))
                    .is_some_and(|child| Some(&child.digest) == wanted)
        })
    }

    /// Whether all of a gateway's pods stay and are ready, and one of them holds it.
    fn is_settled(&self, uid: &Uid) -> bool {
        let held = self
            .sites
            .get(uid)
            .is_some_and(|s| matches!(s.evidence.holder, Holder::Held { .. }) && s.evidence.active);
        let pod_settled = |key: &Key| {
            let pod = self.world.pods.get(key);
            pod.is_some_and(|p| !p.deleting && p.ready)
        };
        held && self.world.pods_by_gateway.of(uid).all(pod_settled)
    }

    fn pod_uids(&self, uid: &Uid) -> BTreeSet<Uid> {
        self.world
            .pods_by_gateway
            .of(uid)
            .filter_map(|key| Some(self.world.pods.get(key)?.uid.clone()))
            .collect()
    }
}
