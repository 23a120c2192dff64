//! What the kernel holds, and what is to be done to it next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_crds::internal::{Applied, Problem, RejectedEntry, UnusableAddress};

use super::backoff::{Backoff, after};
use super::event::{Addresses, Found, Inspection, KernelAnswer, Notice};
use super::tenure::Holder;
use super::{Agent, Good, KernelOp, Millis, addresses, next_hops};
use crate::config::Snapshot;
use crate::identity::Term;

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
}

/// Applied and verified, but not acknowledged yet.
#[derive(Debug)]
struct Unacked {
    rejected: Vec<RejectedEntry>,
    /// When connections must be flushed once more.
    flush_at: Option<Millis>,
    /// Addresses that were never announced.
    fresh: Addresses,
    inspected: bool,
}

/// What an apply brings about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Goal {
    config: Good,
    holding: bool,
    /// Addresses that another host answers for.
    withheld: BTreeMap<std::net::IpAddr, String>,
}

/// The operation under way.
#[derive(Debug)]
enum Busy {
    Apply(Goal),
    Flush,
    /// The term in which all addresses are announced, and the round.
    Announce(Option<Term>, Addresses),
    Probe(Addresses),
    Inspect,
    Repair,
    Clear,
}

/// The kernel's side.
#[derive(Debug)]
pub(super) struct Plane {
    busy: Option<Busy>,
    /// What an earlier process left, until the first own apply.
    found: Option<Found>,
    /// What was applied last, verified.
    done: Option<Goal>,
    answering: Answering,
    acked: Option<Acked>,
    unacked: Option<Unacked>,
    /// The term in which all addresses were announced.
    announced: Option<Term>,
    /// The term for which that was set going.
    announcing: Option<Term>,
    rounds: BTreeMap<Millis, Addresses>,
    /// Who else answers, by the last probe.
    conflicts: BTreeMap<std::net::IpAddr, String>,
    probed_at: Option<Millis>,
    inspection: Inspection,
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
            found,
            done: None,
            answering,
            acked: None,
            unacked: None,
            announced: None,
            announcing: None,
            rounds: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            probed_at: None,
            inspection: Inspection::default(),
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
        let same = status.applied.as_ref().is_some_and(|applied| {
            applied.uid == found.revision.uid.as_str()
                && applied.generation == found.revision.generation
                && applied.digest == found.digest
        });
        if !same || self.acked.is_some() || self.done.is_some() {
            return false;
        }
        self.acked = status.applied.clone().map(|applied| Acked {
            applied,
            rejected: status.rejected.clone(),
        });
        if self.is_answering() {
            self.announced = status.active.as_ref().map(|active| Term {
                lease_uid: crate::identity::Uid::new(&*active.lease_uid),
                transitions: active.term,
            });
            self.announcing.clone_from(&self.announced);
        }
        self.inspection = Inspection {
            drift: Vec::new(),
            unusable: status.unusable.clone(),
            problems: status.problems.clone(),
            uplinks: status.uplinks.clone(),
        };
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
        let all = addresses(&done.config.snapshot);
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
            Notice::Link => {
                if let Some(done) = self.done.as_ref().filter(|done| done.holding) {
                    let all = done.answered();
                    self.announce(now, &all);
                }
            }
        }
    }

    fn announce(&mut self, now: Millis, round: &Addresses) {
        if round.is_empty() {
            return;
        }
        for millis in ANNOUNCE_MS {
            let due = self.rounds.entry(after(now, millis)).or_default();
            due.extend(round);
        }
    }

    /// Forgets all that depends on answering.
    fn silent(&mut self) {
        self.answering = Answering::No;
        self.announced = None;
        self.announcing = None;
        self.rounds.clear();
        self.probed_at = None;
        if let Some(unacked) = &mut self.unacked {
            unacked.fresh.clear();
        }
    }

    fn try_ack(&mut self) {
        let ready = |u: &Unacked| u.flush_at.is_none() && u.fresh.is_empty() && u.inspected;
        let (Some(done), Some(unacked)) = (&self.done, self.unacked.take_if(|u| ready(u))) else {
            return;
        };
        let Good { revision, snapshot } = &done.config;
        self.acked = Some(Acked {
            applied: Applied {
                uid: revision.uid.to_string(),
                generation: revision.generation,
                digest: snapshot.digest.to_string(),
                slices: snapshot.slices.clone(),
            },
            rejected: unacked.rejected,
        });
    }
}

impl Goal {
    /// The addresses that are answered for once the goal is reached.
    fn answered(&self) -> Addresses {
        if !self.holding {
            return Addresses::new();
        }
        let mut all = addresses(&self.config.snapshot);
        all.retain(|address| !self.withheld.contains_key(address));
        all
    }

    /// What the kernel is given: without the entries of withheld addresses.
    fn snapshot(&self) -> Arc<Snapshot> {
        if self.withheld.is_empty() {
            return Arc::clone(&self.config.snapshot);
        }
        let mut snapshot = (*self.config.snapshot).clone();
        snapshot
            .entries
            .retain(|entry| !self.withheld.contains_key(&entry.body.address()));
        Arc::new(snapshot)
    }

    /// The entries that the kernel is not given, as refused ones.
    fn held_back(&self) -> impl Iterator<Item = RejectedEntry> + '_ {
        let entries = self.config.snapshot.entries.iter();
        entries.filter_map(|entry| {
            let who = self.withheld.get(&entry.body.address())?;
            Some(RejectedEntry {
                key: entry.key(),
                digest: entry.digest().short(),
                error: format!("{} is answered for by {who}", entry.body.address()),
            })
        })
    }
}

impl Agent {
    /// What the kernel should hold now, if a config is known.
    fn goal(&self) -> Option<Goal> {
        let config = self.pursuit.good()?.clone();
        let holding = match self.tenure.holder(&self.me) {
            Holder::Me => true,
            Holder::Other => false,
            // Nobody else may answer before this instance has been asked.
            Holder::Unknown | Holder::Nobody => self.plane.answering == Answering::Yes,
        };
        let mut withheld = BTreeMap::new();
        if holding {
            let known = addresses(&config.snapshot);
            let conflicts = self.plane.conflicts.iter();
            withheld.extend(
                conflicts
                    .filter(|(address, _)| known.contains(address))
                    .map(|(address, who)| (*address, who.clone())),
            );
        }
        Some(Goal {
            config,
            holding,
            withheld,
        })
    }

    /// The next operation, if none is under way.
    pub(super) fn next_kernel_op(&mut self, now: Millis) -> Option<KernelOp> {
        if self.plane.busy.is_some() {
            return None;
        }
        let (busy, op) = self.next_urgent(now).or_else(|| self.next_routine(now))?;
        self.plane.busy = Some(busy);
        Some(op)
    }

    /// Withdrawing, applying, repairing.
    fn next_urgent(&mut self, now: Millis) -> Option<(Busy, KernelOp)> {
        let goal = self.goal();
        let plane = &mut self.plane;
        let superseded = self.tenure.holder(&self.me) == Holder::Other;
        if superseded && plane.answering != Answering::No {
            // Without a config, or when that failed, everything goes.
            return match goal {
                Some(goal) if !plane.withdraw_failed => Some(apply(goal)),
                _ if !self.wake.reached(now, plane.clear_retry.due()) => None,
                _ => Some((Busy::Clear, KernelOp::Clear)),
            };
        }
        if let Some(goal) = goal {
            let flushing = plane.unacked.as_ref().is_some_and(|u| u.flush_at.is_some());
            let changed = plane.done.as_ref() != Some(&goal) || plane.answering == Answering::Maybe;
            // Removals are acknowledged one revision at a time.
            let waits = flushing
                && plane
                    .done
                    .as_ref()
                    .is_some_and(|done| done.holding == goal.holding);
            let refused = plane.has_rejected();
            let due = if changed {
                (!waits).then(|| plane.apply_retry.due())
            } else {
                refused.then(|| plane.rejected_retry.due())
            };
            if due.is_some_and(|due| self.wake.reached(now, due)) {
                return Some(apply(goal));
            }
        }
        let drifted = !plane.inspection.drift.is_empty() && plane.done.is_some();
        if drifted && self.wake.reached(now, plane.repair_retry.due()) {
            return Some((Busy::Repair, KernelOp::Repair));
        }
        None
    }

    /// In a new term all addresses are announced, also those that were
    /// answered for all along.
    fn announce_term(&mut self, now: Millis) {
        let plane = &mut self.plane;
        let (Some(term), Some(done)) = (self.tenure.held(&self.me), &plane.done) else {
            return;
        };
        if !done.holding
            || plane.answering != Answering::Yes
            || plane.announcing.as_ref() == Some(&term)
        {
            return;
        }
        let all = done.answered();
        plane.announced = all.is_empty().then(|| term.clone());
        plane.announcing = Some(term);
        plane.announce(now, &all);
    }

    /// Flushing, announcing, looking, probing.
    fn next_routine(&mut self, now: Millis) -> Option<(Busy, KernelOp)> {
        self.announce_term(now);
        let plane = &mut self.plane;
        if let Some(due) = plane.unacked.as_ref().and_then(|u| u.flush_at) {
            let due = due.max(plane.flush_retry.due());
            if self.wake.reached(now, due) {
                return Some((Busy::Flush, KernelOp::Flush));
            }
        }
        if let Some(first) = plane.rounds.keys().next().copied()
            && plane.answering == Answering::Yes
            && self.wake.reached(now, first)
        {
            let later = plane.rounds.split_off(&after(now, 1));
            let due = std::mem::replace(&mut plane.rounds, later);
            let round: Addresses = due.into_values().flatten().collect();
            let all = plane.done.as_ref().map(Goal::answered).unwrap_or_default();
            let round: Addresses = round.intersection(&all).copied().collect();
            if !round.is_empty() {
                let whole = round == all;
                let term = self.tenure.held(&self.me).filter(|_| whole);
                return Some((
                    Busy::Announce(term, round.clone()),
                    KernelOp::Announce(round),
                ));
            }
        }
        let Some(done) = &plane.done else { return None };
        if self.wake.reached(now, plane.inspect_at) {
            return Some((Busy::Inspect, KernelOp::Inspect));
        }
        let probe = match (self.tenure.holder(&self.me), plane.answering) {
            (Holder::Nobody, Answering::No) if !plane.is_probe_fresh(now) || !plane.is_free() => {
                addresses(&done.config.snapshot)
            }
            (Holder::Me, Answering::Yes) => plane.conflicts.keys().copied().collect(),
            _ => Addresses::new(),
        };
        if probe.is_empty() || !self.wake.reached(now, plane.probe_retry.due()) {
            // Nothing to ask for: nobody can be in the way.
            if addresses(&done.config.snapshot).is_empty() {
                plane.probed_at = Some(now);
            }
            return None;
        }
        Some((Busy::Probe(probe.clone()), KernelOp::Probe(probe)))
    }

    /// On the way out: whether to clear the kernel now.
    pub(super) fn next_clear(&mut self, now: Millis) -> Option<()> {
        if self.plane.busy.is_some() || !self.wake.reached(now, self.plane.clear_retry.due()) {
            return None;
        }
        self.plane.busy = Some(Busy::Clear);
        Some(())
    }

    pub(super) fn kernel_answered(&mut self, now: Millis, answer: KernelAnswer) {
        let Some(busy) = self.plane.busy.take() else {
            return;
        };
        let held = self.tenure.held(&self.me);
        let plane = &mut self.plane;
        match (busy, answer) {
            (
                Busy::Apply(goal),
                KernelAnswer::Applied {
                    rejected,
                    flush_again,
                },
            ) => {
                plane.applied(now, goal, rejected, flush_again);
            }
            (Busy::Flush, KernelAnswer::Flushed) => {
                plane.flush_retry.reset();
                if let Some(unacked) = &mut plane.unacked {
                    unacked.flush_at = None;
                }
                plane.failure = None;
            }
            (Busy::Announce(term, round), KernelAnswer::Announced) => {
                // Said in another term, it does not count for this one.
                if term.is_some() && term == held {
                    plane.announced = term;
                }
                if let Some(unacked) = &mut plane.unacked {
                    unacked.fresh.retain(|address| !round.contains(address));
                }
                plane.failure = None;
            }
            (Busy::Probe(asked), KernelAnswer::Probed(others)) => {
                plane.probed(now, &asked, others);
            }
            (Busy::Inspect, KernelAnswer::Inspected(inspection)) => {
                plane.inspected(now, inspection);
            }
            (Busy::Repair, KernelAnswer::Repaired(count)) => {
                plane.repairs = plane.repairs.saturating_add(count);
                // The drift is told until a look shows that it is gone.
                plane.repair_retry.failed(now);
                plane.inspect_at = now;
            }
            (Busy::Clear, KernelAnswer::Cleared) => {
                plane.gone();
                self.cleared();
            }
            (busy, KernelAnswer::Failed(error)) => plane.failed(now, busy, error),
            // An answer to another question: the operation is begun again.
            (
                _,
                KernelAnswer::Applied { .. }
                | KernelAnswer::Flushed
                | KernelAnswer::Announced
                | KernelAnswer::Probed(_)
                | KernelAnswer::Inspected(_)
                | KernelAnswer::Repaired(_)
                | KernelAnswer::Cleared,
            ) => {}
        }
        self.plane.try_ack();
    }
}

fn apply(goal: Goal) -> (Busy, KernelOp) {
    let op = KernelOp::Apply {
        snapshot: goal.snapshot(),
        revision: goal.config.revision.clone(),
        holding: goal.holding,
    };
    (Busy::Apply(goal), op)
}

impl Plane {
    fn has_rejected(&self) -> bool {
        let withheld = self
            .done
            .as_ref()
            .map_or(0, |done| done.held_back().count());
        let of_kernel = |list: &Vec<RejectedEntry>| list.len() > withheld;
        match &self.unacked {
            Some(unacked) => of_kernel(&unacked.rejected),
            None => self.acked.as_ref().is_some_and(|a| of_kernel(&a.rejected)),
        }
    }

    fn applied(
        &mut self,
        now: Millis,
        goal: Goal,
        mut rejected: Vec<RejectedEntry>,
        flush_again: bool,
    ) {
        if self
            .done
            .as_ref()
            .is_none_or(|done| done.config != goal.config)
        {
            self.rejected_retry.reset();
        }
        if !rejected.is_empty() {
            self.rejected_retry.failed(now);
        }
        rejected.extend(goal.held_back());
        let before = match (&self.done, self.answering) {
            (Some(done), Answering::Yes) => done.answered(),
            _ => Addresses::new(),
        };
        let answered = goal.answered();
        if goal.holding {
            self.answering = Answering::Yes;
        } else {
            self.silent();
        }
        let fresh: Addresses = answered.difference(&before).copied().collect();
        self.announce(now, &fresh);
        let flush_at = flush_again.then(|| after(now, FLUSH_AGAIN_MS));
        let owed = self.unacked.take().and_then(|unacked| unacked.flush_at);
        self.unacked = Some(Unacked {
            rejected,
            flush_at: flush_at.or(owed),
            fresh,
            inspected: false,
        });
        self.done = Some(goal);
        self.found = None;
        self.inspect_at = now;
        self.failure = None;
        self.withdraw_failed = false;
        self.apply_retry.reset();
    }

    fn probed(&mut self, now: Millis, asked: &Addresses, others: Vec<(std::net::IpAddr, String)>) {
        self.conflicts.retain(|address, _| !asked.contains(address));
        self.conflicts.extend(others);
        self.probed_at = Some(now);
        self.failure = None;
        self.probe_retry = if self.answering == Answering::Yes {
            Backoff::new(PROBE_AGAIN_MS, PROBE_AGAIN_MS)
        } else {
            Backoff::new(500, PROBE_AGAIN_MS)
        };
        if !self.conflicts.is_empty() {
            self.probe_retry.failed(now);
        }
    }

    fn inspected(&mut self, now: Millis, inspection: Inspection) {
        if inspection.drift.is_empty() {
            self.repair_retry.reset();
        }
        self.inspection = inspection;
        self.inspected_at = Some(now);
        self.inspect_at = after(now, INSPECT_MS);
        if let Some(unacked) = &mut self.unacked {
            unacked.inspected = true;
        }
    }

    /// Cleared: nothing is held, so nothing may be claimed.
    fn gone(&mut self) {
        self.silent();
        self.found = None;
        self.done = None;
        self.acked = None;
        self.unacked = None;
        self.conflicts = BTreeMap::new();
        self.inspection = Inspection::default();
        self.failure = None;
        self.withdraw_failed = false;
    }

    fn failed(&mut self, now: Millis, busy: Busy, error: String) {
        let reason = match busy {
            Busy::Apply(goal) => {
                let before = match self.answering {
                    Answering::Yes => true,
                    Answering::No => false,
                    Answering::Maybe => !goal.holding,
                };
                if before != goal.holding {
                    self.answering = Answering::Maybe;
                }
                self.withdraw_failed = !goal.holding && before;
                self.apply_retry.failed(now);
                if let Some(unacked) = &mut self.unacked {
                    unacked.inspected = false;
                }
                self.inspect_at = now;
                "ApplyFailed"
            }
            Busy::Flush => {
                self.flush_retry.failed(now);
                "FlushFailed"
            }
            Busy::Announce(_, round) => {
                // Removals must not wait for a link that is down; only the
                // term does, which is announced again.
                if let Some(unacked) = &mut self.unacked {
                    unacked.fresh.clear();
                }
                if self.announced.is_none() {
                    let due = self.rounds.entry(after(now, 1_000)).or_default();
                    due.extend(self.done.as_ref().map(Goal::answered).unwrap_or(round));
                }
                "AnnounceFailed"
            }
            Busy::Probe(_) => {
                self.probe_retry.failed(now);
                "ProbeFailed"
            }
            Busy::Inspect => {
                self.inspect_at = after(now, INSPECT_MS);
                "InspectFailed"
            }
            Busy::Repair => {
                self.repair_retry.failed(now);
                "RepairFailed"
            }
            Busy::Clear => {
                self.clear_retry.failed(now);
                "ClearFailed"
            }
        };
        self.failure = Some((reason, error));
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
