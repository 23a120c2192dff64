//! What the kernel's answers mean.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use sluice_crds::internal::RejectedEntry;

use super::{Answering, Busy, FLUSH_AGAIN_MS, Goal, INSPECT_MS, PROBE_AGAIN_MS, Plane, Unacked};
use crate::agent::backoff::{Backoff, after};
use crate::agent::event::{Addresses, Inspection, KernelAnswer};
use crate::agent::{Agent, Millis};
use crate::config::difference;
use crate::entry::Entry;

impl Agent {
    pub(in crate::agent) fn kernel_answered(&mut self, now: Millis, answer: KernelAnswer) {
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
                plane.flush_at = None;
                if let Some(unacked) = &mut plane.unacked {
                    unacked.flush = false;
                }
                plane.failure = None;
            }
            (Busy::Announce(term, round), KernelAnswer::Announced) => {
                // Said in another term, it does not count for this one.
                if term.is_some() && term == held && term == plane.announcing {
                    plane.said.extend(&round);
                    if plane.has_said_all() {
                        plane.announced = term;
                    }
                }
                if let Some(unacked) = &mut plane.unacked {
                    unacked.fresh.retain(|address| !round.contains(address));
                }
                plane.failure = None;
            }
            (Busy::Probe, KernelAnswer::Probed(others)) => plane.probed(now, others),
            (Busy::Inspect, KernelAnswer::Inspected(inspection)) => {
                plane.inspected(now, inspection);
            }
            (Busy::Repair, KernelAnswer::Repaired(count)) => {
                plane.repairs = plane.repairs.saturating_add(count);
                // Neighbours that asked meanwhile had no answer, or a stranger's.
                plane.announce_all(now);
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

impl Plane {
    pub(super) fn applied(
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
        // What the kernel lost is told at once, what it won when acknowledged.
        if let Some(acked) = &mut self.acked {
            let keys: BTreeSet<&str> = rejected.iter().map(|entry| &*entry.key).collect();
            acked.rejected.retain(|known| !keys.contains(&*known.key));
            acked.rejected.extend(rejected.iter().cloned());
        }
        let before = match (&self.done, self.answering) {
            (Some(done), Answering::Yes) => done.answered(),
            _ => Arc::default(),
        };
        let answered = goal.answered();
        self.said.retain(|address| answered.contains(address));
        if goal.holding {
            self.answering = Answering::Yes;
        } else {
            self.silent();
        }
        let fresh: Addresses = answered.difference(&before).copied().collect();
        if self.inspection.drift.is_empty() {
            self.announce(now, &fresh);
        } else {
            // It was put right on the way.
            self.announce(now, &answered);
        }
        let unknown = std::mem::take(&mut self.flush_unknown);
        if flush_again || unknown {
            self.flush_at = Some(after(now, FLUSH_AGAIN_MS));
        }
        let owed = self.unacked.as_ref().is_some_and(|unacked| unacked.flush);
        // The kernel may have let go before, by refusing it, what is removed only now.
        let removed = unknown || (self.flush_at.is_some() && self.loses_entries(&goal));
        self.unacked = Some(Unacked {
            rejected,
            flush: removed || owed,
            fresh,
            inspected: false,
        });
        self.done = Some(goal);
        self.dirty = false;
        self.inspect_at = now;
        self.failure = None;
        self.withdraw_failed = false;
        self.apply_retry.reset();
    }

    /// Whether an entry that the kernel may hold is not in the goal.
    fn loses_entries(&self, goal: &Goal) -> bool {
        let Some(done) = &self.done else {
            return false;
        };
        if done.withheld != goal.withheld {
            return true;
        }
        let (gone, come) = difference(&done.config.snapshot, &goal.config.snapshot);
        let kept: BTreeSet<String> = come.into_iter().map(Entry::key).collect();
        gone.iter().any(|entry| !kept.contains(&entry.key()))
    }

    fn probed(&mut self, now: Millis, others: Vec<(IpAddr, String)>) {
        self.conflicts = others.into_iter().collect();
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
        self.repairs = self.repairs.saturating_add(inspection.mended);
        self.inspection = inspection;
        self.inspected_at = Some(now);
        self.inspect_at = after(now, INSPECT_MS);
        if let Some(unacked) = &mut self.unacked {
            unacked.inspected = true;
        }
    }

    /// Cleared: nothing is held, so nothing may be claimed. The rules are gone
    /// and their connections are not: whatever is applied next must flush them.
    fn gone(&mut self) {
        self.silent();
        self.flush_unknown = true;
        self.found = None;
        self.done = None;
        self.acked = None;
        self.unacked = None;
        self.flush_at = None;
        self.dirty = false;
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
                self.dirty = true;
                self.flush_unknown = true;
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
            Busy::Announce(..) => {
                // Removals must not wait for a link that is down; only the
                // term does, which is announced again.
                if let Some(unacked) = &mut self.unacked {
                    unacked.fresh.clear();
                }
                if self.announcing.is_some() && self.announced != self.announcing {
                    let due = self.rounds.entry(after(now, 1_000)).or_default();
                    due.extend(
                        self.done
                            .as_ref()
                            .map(Goal::answered)
                            .unwrap_or_default()
                            .iter(),
                    );
                }
                "AnnounceFailed"
            }
            Busy::Probe => {
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
