//! What the kernel holds, and what is to be done to it next.

use std::collections::{BTreeMap, BTreeSet};

use sluice_crds::internal::{Applied, Problem, RejectedEntry, Shortage, UnusableAddress};

use super::backoff::{Backoff, after};
use super::event::{Addresses, Found, Inspection, Notice};
use super::{Good, Millis, next_hops};
use crate::identity::Term;

mod answers;
mod goal;
mod next;

#[cfg(test)]
mod tests;

use goal::Goal;

/// Between a flush of connections and the one after it: a packet in flight at
/// commit can still confirm a connection by the old rule.
const FLUSH_AGAIN_MS: u64 = 50;
/// How often the kernel is looked at when nothing tells to.
const INSPECT_MS: u64 = 1_000;
/// The least time between two looks.
const INSPECT_GAP_MS: u64 = 50;
/// When announcements are sent, from their cause.
const ANNOUNCE_MS: [u64; 4] = [0, 1_000, 2_000, 5_000];
/// A probe that found nobody is good for this long.
const PROBE_VALID_MS: u64 = 5_000;
/// How often withheld addresses are probed again.
const PROBE_AGAIN_MS: u64 = 5_000;

/// Whether the kernel answers for the gateway's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answering {
    /// Surely not.
    No,
    /// Verified, or found so at start.
    Yes,
    /// A change failed half-way.
    Maybe,
}

/// A verified and acknowledged revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acked {
    pub(super) applied: Applied,
    pub(super) rejected: Vec<RejectedEntry>,
    /// Whether it was acknowledged as that of a holder: what a standby holds
    /// says nothing of what is withheld from a holder.
    pub(super) holding: bool,
}

/// Applied and verified, but not acknowledged yet.
#[derive(Clone, Debug)]
struct Unacked {
    rejected: Vec<RejectedEntry>,
    /// Entries were removed: connections must be flushed once more first.
    flush: bool,
    /// Addresses that were never announced.
    fresh: Addresses,
    inspected: bool,
}

/// The operation under way.
#[derive(Clone, Debug)]
enum Busy {
    Apply(Goal),
    Flush,
    /// The term in which the addresses are announced, and which.
    Announce(Option<Term>, Addresses),
    Probe,
    Inspect,
    Repair,
    Clear,
}

/// The kernel's side.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    busy: Option<Busy>,
    /// What an earlier process left, until something of this one's is
    /// acknowledged.
    found: Option<Found>,
    /// What was applied last, verified.
    done: Option<Goal>,
    answering: Answering,
    acked: Option<Acked>,
    unacked: Option<Unacked>,
    /// The last apply failed, perhaps half-way: only another one mends that, a
    /// repair would bring back what was there before.
    dirty: bool,
    /// Rules may have gone without that their connections were flushed: by an
    /// earlier process, also one that left no rules, by an apply that failed
    /// half-way, or by a clear.
    flush_unknown: bool,
    /// When connections must be flushed once more.
    flush_at: Option<Millis>,
    /// The term in which all addresses were announced.
    announced: Option<Term>,
    /// The term for which that was set going.
    announcing: Option<Term>,
    /// The addresses that were announced in that term.
    said: Addresses,
    rounds: BTreeMap<Millis, Addresses>,
    /// Who else answers, by the last probe.
    conflicts: BTreeMap<std::net::IpAddr, String>,
    probed_at: Option<Millis>,
    inspection: Inspection,
    /// What runs short by the last sample.
    pub(super) shortages: Vec<Shortage>,
    inspect_at: Millis,
    inspected_at: Option<Millis>,
    repairs: i64,
    failure: Option<(&'static str, String)>,
    apply_retry: Backoff,
    /// Retry of entries that the kernel refused.
    rejected_retry: Backoff,
    repair_retry: Backoff,
    probe_retry: Backoff,
    flush_retry: Backoff,
    clear_retry: Backoff,
    withdraw_failed: bool,
}

impl Plane {
    pub(super) fn new(found: Option<Found>) -> Self {
        let answering = match &found {
            Some(found) if found.answering => Answering::Yes,
            _ => Answering::No,
        };
        Self {
            busy: None,
            dirty: false,
            flush_unknown: true,
            found,
            done: None,
            answering,
            acked: None,
            unacked: None,
            flush_at: None,
            announced: None,
            announcing: None,
            said: Addresses::new(),
            rounds: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            probed_at: None,
            inspection: Inspection::default(),
            shortages: Vec::new(),
            inspect_at: Millis(0),
            inspected_at: None,
            repairs: 0,
            failure: None,
            apply_retry: Backoff::new(100, 5_000),
            rejected_retry: Backoff::new(1_000, 60_000),
            repair_retry: Backoff::new(200, 5_000),
            probe_retry: Backoff::new(500, 5_000),
            flush_retry: Backoff::new(50, 1_000),
            clear_retry: Backoff::new(100, 1_000),
            withdraw_failed: false,
        }
    }

    pub(super) fn acked(&self) -> Option<&Acked> {
        self.acked.as_ref()
    }

    pub(super) fn is_answering(&self) -> bool {
        self.answering == Answering::Yes
    }

    pub(super) fn announced(&self) -> Option<&Term> {
        self.announced.as_ref()
    }

    pub(super) fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    pub(super) fn repairs(&self) -> i64 {
        self.repairs
    }

    /// Addresses that are not answered for because another host does.
    pub(super) fn conflicts(&self) -> impl Iterator<Item = UnusableAddress> + '_ {
        self.conflicts.iter().map(|(address, who)| UnusableAddress {
            address: address.to_string(),
            reason: "AddressConflict".to_owned(),
            message: format!("{address} is answered for by {who}: free it there"),
        })
    }

    /// What went wrong with the last operation of a kind.
    pub(super) fn failure(&self) -> Option<Problem> {
        let (reason, message) = self.failure.as_ref()?;
        Some(Problem {
            reason: (*reason).to_owned(),
            message: message.clone(),
            blocking: self.answering == Answering::Maybe,
        })
    }

    /// Takes over what an earlier process reported, if the kernel still holds
    /// exactly that.
    pub(super) fn resume(&mut self, status: &sluice_crds::internal::GatewayInstanceStatus) -> bool {
        let Some(found) = &self.found else {
            return false;
        };
        let answering = found.answering;
        let same = status.applied.as_ref().is_some_and(|applied| {
            applied.uid == found.revision.uid.as_str()
                && applied.generation == found.revision.generation
                && applied.digest == found.digest
        });
        if !same || self.acked.is_some() {
            return false;
        }
        self.acked = status.applied.clone().map(|applied| Acked {
            applied,
            rejected: status.rejected.clone(),
            holding: status.active.is_some(),
        });
        // Answered for without a break since then.
        if self.is_answering() && answering {
            self.announced = status.active.as_ref().map(|active| Term {
                lease_uid: crate::identity::Uid::new(&*active.lease_uid),
                transitions: active.term,
            });
            self.announcing.clone_from(&self.announced);
        }
        if self.inspected_at.is_none() {
            self.inspection = Inspection {
                drift: Vec::new(),
                unusable: status.unusable.clone(),
                problems: status.problems.clone(),
                uplinks: status.uplinks.clone(),
                neighbours: status.neighbours.clone(),
                hosting: status.hosting.clone(),
                mended: 0,
            };
            // Until the first sample, as it was.
            self.shortages.clone_from(&status.shortages);
        }
        true
    }

    /// Continues the count of an earlier process.
    pub(super) fn resume_repairs(&mut self, repairs: i64) {
        self.repairs = self.repairs.max(repairs);
    }

    /// Whether the empty Lease may be taken: the addresses are answered for
    /// already, or a config is warm and nobody else answered a fresh probe.
    pub(super) fn may_take(&self, now: Millis) -> bool {
        match self.answering {
            Answering::Yes => true,
            Answering::Maybe => false,
            Answering::No => self.is_probe_fresh(now) && self.is_free(),
        }
    }

    fn is_probe_fresh(&self, now: Millis) -> bool {
        let fresh = |at: Millis| now < after(at, PROBE_VALID_MS);
        self.done.is_some() && self.probed_at.is_some_and(fresh)
    }

    /// A foreign host on some addresses does not keep the others from their
    /// owner; on all of them, or on the LAN's next hop, it is a predecessor.
    fn is_free(&self) -> bool {
        let Some(done) = &self.done else { return false };
        let all = &done.config.addresses;
        let taken = |address| self.conflicts.contains_key(&address);
        self.conflicts.is_empty()
            || !(all.iter().copied().all(taken) || next_hops(&done.config.snapshot).any(taken))
    }

    pub(super) fn noticed(&mut self, now: Millis, notice: Notice) {
        let soon = self
            .inspected_at
            .map_or(now, |at| after(at, INSPECT_GAP_MS));
        self.inspect_at = self.inspect_at.min(soon.max(now));
        match notice {
            Notice::Changed => {}
            Notice::Link => self.announce_all(now),
        }
    }

    /// Announces again all that the kernel was made to answer for.
    fn announce_all(&mut self, now: Millis) {
        if let Some(done) = self.done.as_ref().filter(|done| done.holding) {
            let all = done.answered();
            self.announce(now, &all);
        }
    }

    fn announce(&mut self, now: Millis, round: &Addresses) {
        if round.is_empty() {
            return;
        }
        // Rounds that are overdue are one: nothing is announced while a change fails.
        let later = self.rounds.split_off(&now);
        let overdue = std::mem::replace(&mut self.rounds, later);
        if !overdue.is_empty() {
            let due = self.rounds.entry(now).or_default();
            due.extend(overdue.into_values().flatten());
        }
        for millis in ANNOUNCE_MS {
            let due = self.rounds.entry(after(now, millis)).or_default();
            due.extend(round);
        }
    }

    /// Another instance holds: that it answers is no conflict.
    fn forget_conflicts(&mut self) {
        self.conflicts.clear();
        self.probed_at = None;
    }

    /// Forgets all that depends on answering.
    fn silent(&mut self) {
        self.answering = Answering::No;
        self.announced = None;
        self.announcing = None;
        if let Some(found) = &mut self.found {
            found.answering = false;
        }
        self.rounds.clear();
        self.probed_at = None;
        if let Some(unacked) = &mut self.unacked {
            unacked.fresh.clear();
        }
        // What a holder acknowledged says nothing of the next tenure.
        if let Some(acked) = &mut self.acked {
            acked.holding = false;
        }
    }

    /// Whether all addresses were announced in the term under way.
    fn has_said_all(&self) -> bool {
        let all = self.done.as_ref().map(Goal::answered).unwrap_or_default();
        all.is_subset(&self.said)
    }

    fn try_ack(&mut self) {
        let ready = |u: &Unacked| !u.flush && u.fresh.is_empty() && u.inspected;
        let (Some(done), Some(unacked)) = (&self.done, self.unacked.take_if(|u| ready(u))) else {
            return;
        };
        let Good {
            revision, snapshot, ..
        } = &done.config;
        self.found = None;
        self.acked = Some(Acked {
            applied: Applied {
                uid: revision.uid.to_string(),
                generation: revision.generation,
                digest: snapshot.digest.to_string(),
                slices: snapshot.names.clone(),
            },
            rejected: unacked.rejected,
            holding: done.holding,
        });
    }
}

/// Merges what others hold and what the look showed, one line an address.
pub(super) fn unusable(plane: &Plane) -> Vec<UnusableAddress> {
    let conflicts: Vec<UnusableAddress> = plane.conflicts().collect();
    let named: BTreeSet<String> = conflicts.iter().map(|c| c.address.clone()).collect();
    let seen = plane.inspection().unusable.iter();
    let mut all: Vec<UnusableAddress> = seen
        .filter(|u| !named.contains(&u.address))
        .cloned()
        .chain(conflicts)
        .collect();
    all.sort();
    all
}
