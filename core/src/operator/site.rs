//! A site: what one life of a gateway has in the cluster.

use std::collections::{BTreeMap, BTreeSet};

use sluice_crds::internal::{ConfigNode, GatewayConfigSpec};

use super::Operator;
use super::action::{Action, Outcome, Target};
use super::dead::{self, Instances};
use super::disagree::Disagreements;
use super::entries::Placed;
use super::event::{ChildKind, Key, Kind, LeaseFacts, Millis};
use super::evidence::{Confirmation, Evidence};
use super::history::History;
use super::lease::LeaseClock;
use super::publish::{self, Pending, Swept};
use super::roll::Roll;
use super::subject::Subject;
use super::world::{Meta, Record, gateway_of};
use crate::config::Cutter;
use crate::identity::Uid;

/// Revisions whose first sight is remembered.
const SHOWN_MAX: usize = 64;

/// What one life of a gateway has in the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Site {
    /// The gateway's name.
    pub key: Key,
    /// What each object shall have in the config.
    pub desired: BTreeMap<Uid, Placed>,
    /// Which of that stands in which slice.
    pub cutter: Cutter,
    /// What the Nodes of its Pods override.
    pub nodes: Vec<ConfigNode>,
    /// Whether `desired` or the settings may differ from what is published.
    pub stale: bool,
    pub pending: Option<Pending>,
    pub history: History,
    /// Whose lines the history saw change, until that is weighed.
    pub changed: Vec<Uid>,
    /// The header whose content the history has taken in last.
    pub followed: Option<GatewayConfigSpec>,
    pub clock: LeaseClock,
    pub instances: Instances,
    pub evidence: Evidence,
    /// Counts changes of `evidence`, but not that it proves more than before.
    pub evidence_seq: u64,
    /// The evidence that a live read of the Lease has confirmed, and when.
    pub confirmed: Option<(Confirmation, Millis)>,
    /// The evidence for which a live read is wanted or under way.
    pub confirming: Option<Confirmation>,
    /// Until then nothing turns Ready: the Lease was found as nobody had renewed it for its
    /// duration.
    pub doubted: Option<Millis>,
    /// When this leader first saw revisions that are not acknowledged yet, by
    /// generation.
    pub shown: BTreeMap<i64, Millis>,
    /// EIPs whose address is programmed, and whose rules are not covered yet.
    pub turning: BTreeSet<Key>,
    /// Reports that did not count, by resourceVersion.
    pub dropped: BTreeMap<Key, u64>,
    /// Statuses that wait for a live read.
    pub unconfirmed: BTreeSet<(Kind, Key)>,
    pub published_at: Option<Millis>,
    /// A header write that ended without an answer may still land until then.
    pub unsettled: Option<Millis>,
    /// What names different lives of one thing.
    pub disagreements: Disagreements,
    /// UID of the header that this leader has written itself.
    pub fenced: Option<Uid>,
    /// Whether somebody waits for that.
    pub fence_wanted: bool,
    /// How many slices the config would need, where those are too many.
    pub too_large: Option<usize>,
    /// When a Lease of that name that is not ours was last read; `None`: there is none.
    pub lease_taken: Option<Millis>,
    /// What the API server refused for the gateway last, and in which words.
    pub refused: BTreeMap<Target, String>,
    pub roll: Roll,
    /// What the last sweep of slices rested on.
    pub swept: Option<Swept>,
    /// Who waits for something to be removed here.
    pub waiters: BTreeSet<Subject>,
    /// Whether a live read has shown that the gateway is gone.
    pub proven_gone: bool,
}

impl Site {
    /// When this leader first saw the revision that a generation came with, or
    /// the next one that it remembers; `None`: it is acknowledged.
    pub(super) fn shown_at(&self, generation: i64) -> Option<Millis> {
        self.shown.range(generation..).next().map(|(_, at)| *at)
    }
}

impl Operator {
    /// The site of a gateway's UID.
    pub(super) fn site(&mut self, uid: &Uid, key: Option<Key>) -> &mut Site {
        let site = self.sites.entry(uid.clone()).or_default();
        if let Some(key) = key {
            site.key = key;
        }
        site
    }

    pub(super) fn decide_site(&mut self, uid: &Uid, now: Millis) {
        if uid.as_str().is_empty() {
            return;
        }
        let subject = Subject::Site(uid.clone());
        self.queue
            .clear(&subject, |t| !matches!(t, Target::Read(Kind::Lease, _)));
        let exists = self.world.gateways_by_uid.contains_key(uid);
        let lost = self.world.lost_slices.remove(uid);
        let Some(key) = self
            .world
            .gateways_by_uid
            .get(uid)
            .cloned()
            .or_else(|| self.trace(uid))
        else {
            self.forget_site(uid);
            return;
        };
        self.follow_disagreements(uid, now);
        let instances = dead::instances(&self.world, uid);
        let site = self.site(uid, Some(key.clone()));
        site.instances = instances;
        site.stale |= lost;
        self.follow_header(uid, &key, now);
        let changed = self
            .sites
            .get_mut(uid)
            .map(|site| std::mem::take(&mut site.changed))
            .unwrap_or_default();
        self.settle(uid);
        self.weigh(uid, &key, &changed, now);
        self.fence(uid);
        if exists && !self.tearing_down(&key) {
            self.keep_lease(uid, &key, now);
            self.follow_roll(uid, now);
            self.keep_children(uid, &key, now);
            self.publish(uid, &key, now);
        } else {
            self.tear_down(uid, &key, exists);
        }
        self.sweep_slices(uid);
        if let Some(site) = self.sites.get_mut(uid) {
            for waiter in std::mem::take(&mut site.waiters) {
                self.world.mark(waiter);
            }
        }
    }

    fn forget_site(&mut self, uid: &Uid) {
        self.queue.clear(&Subject::Site(uid.clone()), |_| true);
        if let Some(site) = self.sites.remove(uid) {
            for waiter in site.waiters {
                self.mark(waiter);
            }
        }
    }

    /// Takes in the header of an EIP's gateway, before what the EIP has there is decided.
    pub(super) fn catch_up_for(&mut self, eip: &Key, now: Millis) {
        let Some(eip) = self.world.eips.get(eip) else {
            return;
        };
        let key = gateway_of(eip);
        let Some(uid) = self.world.gateways.get(&key).map(Record::uid) else {
            return;
        };
        let behind = match (self.header_of(&uid, &key), self.sites.get(&uid)) {
            (Some(header), Some(site)) => !site.history.is_at(header),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if behind {
            self.site(&uid, Some(key.clone()));
            self.follow_header(&uid, &key, now);
            self.mark(Subject::Site(uid));
        }
    }

    /// Takes in the header as it stands, and notes whose lines changed.
    fn follow_header(&mut self, uid: &Uid, key: &Key, now: Millis) {
        let header = self
            .world
            .configs
            .get(key)
            .filter(|h| h.spec.gateway.uid == uid.as_str());
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        let Some(header) = header else {
            // One that somebody deleted is made again.
            site.stale |= site.history.uid().is_some();
            let lost = site.history.lose();
            site.changed.extend(lost);
            return;
        };
        let (header_uid, generation) = (header.uid(), header.generation());
        let news = site.history.uid() != Some(&header_uid)
            || site.history.current() != generation
            || !site.history.known();
        if !news {
            return;
        }
        let content = publish::content(site, &self.world, header);
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        let is_ours = |p: &Pending| {
            p.header.digest == header.spec.digest && p.header.slices == header.spec.slices
        };
        if site.pending.as_ref().is_some_and(is_ours) {
            site.pending = None;
        }
        site.unsettled = None;
        site.stale = true;
        if site.history.uid() != Some(&header_uid) {
            site.shown.clear();
        }
        site.shown.entry(generation).or_insert(now);
        while site.shown.len() > SHOWN_MAX {
            site.shown.pop_first();
        }
        let digest = &header.spec.digest;
        let changed = site
            .history
            .advance(&header_uid, generation, digest, content);
        if site.history.is_at(header) {
            site.followed = Some(header.spec.clone());
        }
        site.changed.extend(changed);
    }

    /// Lets the history forget what all instances have left behind.
    fn settle(&mut self, uid: &Uid) {
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        if !site.instances.silent.is_empty() || site.instances.alive.is_empty() {
            return;
        }
        let header = site.history.uid().map(|u| u.as_str().to_owned());
        let acked = site.instances.alive.iter().map(|key| {
            let status = self.world.reports.get(key)?.status.as_ref()?;
            let applied = status.applied.as_ref()?;
            (Some(&applied.uid) == header.as_ref()).then_some(applied.generation)
        });
        if let Some(Some(acked)) = acked.min() {
            site.history.settle(acked);
        }
    }

    /// The gateway's Lease.
    pub(super) fn lease_of(&self, uid: &Uid) -> Option<&LeaseFacts> {
        self.world
            .leases_by_gateway
            .of(uid)
            .filter_map(|key| self.world.leases.get(key))
            .find(|l| !l.deleting)
    }

    /// Keeps what was refused for the gateway until it is done, for its status.
    fn note_refusal(&mut self, uid: &Uid, target: &Option<Target>, outcome: &Outcome) {
        let (Some(site), Some(target)) = (self.sites.get_mut(uid), target) else {
            return;
        };
        let changed = match outcome {
            Outcome::Refused(why) => {
                site.refused.insert(target.clone(), why.clone()).as_ref() != Some(why)
            }
            Outcome::Done => site.refused.remove(target).is_some(),
            Outcome::Conflict | Outcome::Unknown(_) => false,
        };
        if changed {
            let gateway = site.key.clone();
            self.world.mark(Subject::Status(Kind::NATGateway, gateway));
        }
    }

    /// What the end of an action means for its site.
    pub(super) fn site_done(
        &mut self,
        subject: &Subject,
        action: &Action,
        outcome: &Outcome,
        now: Millis,
    ) {
        let Subject::Site(uid) = subject else { return };
        self.note_refusal(uid, &action.target(), outcome);
        let unsettled_ms = self.settings.unsettled_ms;
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        match (action, outcome) {
            (Action::WriteHeader(header), Outcome::Done) => {
                self.counters.published += 1;
                site.published_at = Some(now);
                site.stale = true;
                site.unsettled = None;
                site.fence_wanted = false;
                let written = self.world.configs.get(&site.key);
                site.fenced = written
                    .filter(|h| h.spec.gateway.uid == uid.as_str())
                    .map(Record::uid);
                let stands = written.map(|h| &h.spec.digest);
                // Where the history does not know it yet, only this tells what it has.
                let followed = written.is_some_and(|h| site.history.is_at(h));
                if followed && stands == Some(&header.spec.digest) {
                    site.pending = None;
                }
            }
            (Action::WriteHeader(_), Outcome::Conflict | Outcome::Refused(_)) => {
                site.pending = None;
                site.stale = true;
            }
            (Action::WriteHeader(_), Outcome::Unknown(_)) => {
                let until = Millis(now.0.saturating_add(unsettled_ms));
                site.unsettled = Some(until);
                site.fenced = None;
                site.stale = true;
                self.wake(subject.clone(), until);
            }
            (
                Action::Read {
                    kind: Kind::Lease,
                    key,
                    ..
                },
                outcome,
            ) => {
                let lease = self.world.leases.get(key);
                let shown =
                    *outcome == Outcome::Done && lease.is_some_and(|l| l.gateway_uid == *uid);
                let confirming = site.confirming.take();
                if let Some(confirming) = confirming.filter(|_| shown) {
                    site.confirmed = Some((confirming, now));
                }
                let waiting = std::mem::take(&mut site.unconfirmed);
                // The queue says when it is read again.
                let statuses = waiting
                    .into_iter()
                    .map(|(kind, key)| Subject::Status(kind, key));
                self.world.dirty.extend(statuses);
            }
            (
                Action::EnsureChild {
                    child: ChildKind::Deployment,
                    ..
                },
                Outcome::Done,
            ) => self.rolled(uid, now),
            _ => {}
        }
    }
}
