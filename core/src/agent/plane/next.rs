//! What is to be done to the kernel next.

use std::collections::BTreeMap;

use sluice_crds::internal::RejectedEntry;

use super::{Answering, Busy, Goal, Plane};
use crate::agent::backoff::after;
use crate::agent::event::Addresses;
use crate::agent::tenure::Holder;
use crate::agent::{Agent, KernelOp, Millis};

impl Agent {
    /// What the kernel should hold now, if a config is known. Nothing is programmed by an
    /// instance that has no report: the operator may never have seen its Pod.
    fn goal(&self) -> Option<Goal> {
        if !self.reporter.stands() {
            return None;
        }
        let config = self.pursuit.good()?.clone();
        let holding = match self.tenure.holder(&self.me) {
            Holder::Me => true,
            Holder::Other => false,
            // Nobody else may answer before this instance has been asked.
            Holder::Unknown | Holder::Nobody => self.plane.answering == Answering::Yes,
        };
        let mut withheld = BTreeMap::new();
        if holding && !self.plane.conflicts.is_empty() {
            let conflicts = self.plane.conflicts.iter();
            withheld.extend(
                conflicts
                    .filter(|(address, _)| config.addresses.contains(address))
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
    pub(in crate::agent) fn next_kernel_op(&mut self, now: Millis) -> Option<KernelOp> {
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
        if superseded {
            plane.forget_conflicts();
        }
        if superseded && plane.answering != Answering::No {
            // Without a config, or when that failed, everything goes.
            return match goal {
                Some(goal) if !plane.withdraw_failed => Some(apply(goal)),
                _ if !self.wake.reached(now, plane.clear_retry.due()) => None,
                _ => Some((Busy::Clear, KernelOp::Clear)),
            };
        }
        if let Some(goal) = goal {
            let flushing = plane.unacked.as_ref().is_some_and(|u| u.flush);
            let changed = plane.done.as_ref() != Some(&goal) || plane.dirty;
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
        let drifted = !plane.inspection.drift.is_empty() && plane.done.is_some() && !plane.dirty;
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
        if plane.announced.as_ref() != Some(&term) {
            plane.announced = all.is_empty().then(|| term.clone());
        }
        plane.announcing = Some(term);
        plane.said.clear();
        plane.announce(now, &all);
    }

    /// Flushing, announcing, looking, probing.
    fn next_routine(&mut self, now: Millis) -> Option<(Busy, KernelOp)> {
        self.announce_term(now);
        let plane = &mut self.plane;
        if let Some(due) = plane.flush_at {
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
                let term = self.tenure.held(&self.me);
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
                Addresses::clone(&done.config.addresses)
            }
            (Holder::Me, Answering::Yes) => plane.conflicts.keys().copied().collect(),
            _ => Addresses::new(),
        };
        if probe.is_empty() || !self.wake.reached(now, plane.probe_retry.due()) {
            // Nothing to ask for: nobody can be in the way.
            if done.config.addresses.is_empty() {
                plane.probed_at = Some(now);
            }
            return None;
        }
        Some((Busy::Probe, KernelOp::Probe(probe)))
    }

    /// On the way out: whether to clear the kernel now.
    pub(in crate::agent) fn next_clear(&mut self, now: Millis) -> Option<()> {
        if self.plane.busy.is_some() || !self.wake.reached(now, self.plane.clear_retry.due()) {
            return None;
        }
        self.plane.busy = Some(Busy::Clear);
        Some(())
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
}
