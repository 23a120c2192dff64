//! Wanted actions, those under way, and when a failed one may be tried again.

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, Target};
use super::event::Millis;
use super::subject::Subject;

#[cfg(test)]
mod tests;

/// First wait after a failure.
const BACKOFF_FIRST_MS: u64 = 100;
/// A conflict is the race with another writer: its wait is short at first.
const BACKOFF_CONFLICT_MS: u64 = 5;
/// Longest wait.
const BACKOFF_MAX_MS: u64 = 30_000;

#[derive(Clone, Debug)]
struct Wanted {
    action: Action,
    subject: Subject,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    failures: u32,
    until: Millis,
    /// What was wanted: something else is tried at once.
    conflict: bool,
}

/// Actions by target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    wanted: BTreeMap<Target, Wanted>,
    under_way: BTreeMap<Target, Wanted>,
    backoff: BTreeMap<Target, Backoff>,
    /// Targets wanted or under way, by subject.
    by_subject: BTreeMap<Subject, BTreeSet<Target>>,
    /// Targets of `wanted` that may be free to go.
    fresh: BTreeSet<Target>,
    /// Targets that wait for the end of their backoff.
    waiting: BTreeSet<(Millis, Target)>,
}

impl Queue {
    /// Says what is wanted of a target now; `None`: nothing.
    pub(crate) fn set(&mut self, subject: &Subject, target: Target, action: Option<Action>) {
        match action {
            Some(action) => {
                self.fresh.insert(target.clone());
                self.by_subject
                    .entry(subject.clone())
                    .or_default()
                    .insert(target.clone());
                let wanted = Wanted {
                    action,
                    subject: subject.clone(),
                };
                if let Some(old) = self.wanted.insert(target.clone(), wanted)
                    && old.subject != *subject
                {
                    self.unlink(&old.subject, &target);
                }
            }
            None => {
                if let Some(old) = self.wanted.remove(&target)
                    && !self.under_way.contains_key(&target)
                {
                    self.unlink(&old.subject, &target);
                }
                self.fresh.remove(&target);
                if !self.under_way.contains_key(&target) {
                    self.forgive(&target);
                }
            }
        }
    }

    /// Wants nothing more of a subject's targets that `of` chooses.
    pub(crate) fn clear(&mut self, subject: &Subject, of: impl Fn(&Target) -> bool) {
        let targets: Vec<Target> = self
            .by_subject
            .get(subject)
            .into_iter()
            .flatten()
            .filter(|t| of(t))
            .cloned()
            .collect();
        for target in targets {
            if self.wanted_by(&target, subject) {
                self.wanted.remove(&target);
                self.fresh.remove(&target);
                if !self.under_way.contains_key(&target) {
                    self.unlink(subject, &target);
                }
            }
        }
    }

    fn unlink(&mut self, subject: &Subject, target: &Target) {
        if let Some(targets) = self.by_subject.get_mut(subject) {
            targets.remove(target);
            if targets.is_empty() {
                self.by_subject.remove(subject);
            }
        }
    }

    /// A subject's actions that have been handed out and not ended.
    pub(crate) fn under_way_of(&self, subject: &Subject) -> impl Iterator<Item = &Action> {
        self.by_subject
            .get(subject)
            .into_iter()
            .flatten()
            .filter_map(|t| self.under_way.get(t))
            .filter(move |w| w.subject == *subject)
            .map(|w| &w.action)
    }

    /// Whether an action on the target has been handed out and not ended.
    pub(crate) fn under_way(&self, target: &Target) -> Option<&Action> {
        self.under_way.get(target).map(|w| &w.action)
    }

    /// Whether the subject wants an action on the target.
    pub(crate) fn wanted_by(&self, target: &Target, subject: &Subject) -> bool {
        self.wanted
            .get(target)
            .is_some_and(|w| w.subject == *subject)
    }

    /// Whether an action on the target is wanted or under way.
    pub(crate) fn busy(&self, target: &Target) -> bool {
        self.under_way.contains_key(target) || self.wanted.contains_key(target)
    }

    /// Whether a target waits for the end of its backoff.
    pub(crate) fn backing_off(&self, target: &Target, now: Millis) -> bool {
        self.backoff.get(target).is_some_and(|b| b.until > now)
    }

    /// Forgets the failures of a target: what it is about has changed.
    pub(crate) fn forgive(&mut self, target: &Target) {
        if let Some(backoff) = self.backoff.remove(target) {
            self.waiting.remove(&(backoff.until, target.clone()));
            if self.wanted.contains_key(target) {
                self.fresh.insert(target.clone());
            }
        }
    }

    /// Hands out all that may go now.
    pub(crate) fn take(&mut self, now: Millis) -> Vec<Action> {
        while let Some((at, target)) = self.waiting.first().cloned() {
            if at > now {
                break;
            }
            self.waiting.remove(&(at, target.clone()));
            self.fresh.insert(target);
        }
        let mut out = Vec::new();
        for target in std::mem::take(&mut self.fresh) {
            if let Some(under_way) = self.under_way.get_mut(&target) {
                // What has become more urgent shall not wait behind what is not.
                if let Some(wanted) = self.wanted.get(&target)
                    && let (Action::WriteStatus { .. }, Action::WriteStatus { .. }) =
                        (&wanted.action, &under_way.action)
                    && wanted.action.urgency() < under_way.action.urgency()
                {
                    under_way.action = wanted.action.clone();
                    out.push(wanted.action.clone());
                }
                continue;
            }
            if let Some(backoff) = self.backoff.get(&target)
                && backoff.until > now
            {
                self.waiting.insert((backoff.until, target));
                continue;
            }
            if let Some(wanted) = self.wanted.remove(&target) {
                out.push(wanted.action.clone());
                self.under_way.insert(target, wanted);
            }
        }
        out
    }

    /// An action has ended well. Returns whom it concerns.
    pub(crate) fn succeeded(&mut self, target: &Target) -> Option<(Subject, Action)> {
        self.forgive(target);
        self.ended(target)
    }

    /// An action has failed; the target is tried again later.
    pub(crate) fn failed(
        &mut self,
        target: &Target,
        conflict: bool,
        now: Millis,
    ) -> Option<(Subject, Action)> {
        let failures = self.backoff.get(target).map_or(0, |b| b.failures);
        let first = if conflict {
            BACKOFF_CONFLICT_MS
        } else {
            BACKOFF_FIRST_MS
        };
        let wait = first
            .saturating_mul(1u64 << failures.min(16))
            .min(BACKOFF_MAX_MS);
        self.forgive(target);
        let until = Millis(now.0.saturating_add(wait));
        self.backoff.insert(
            target.clone(),
            Backoff {
                failures: failures.saturating_add(1),
                until,
                conflict,
            },
        );
        self.ended(target)
    }

    fn ended(&mut self, target: &Target) -> Option<(Subject, Action)> {
        let ended = self.under_way.remove(target)?;
        match self.wanted.get(target) {
            Some(wanted) => {
                let other = wanted.subject != ended.subject;
                self.fresh.insert(target.clone());
                if other {
                    self.unlink(&ended.subject, target);
                }
            }
            None => self.unlink(&ended.subject, target),
        }
        Some((ended.subject, ended.action))
    }

    /// When the next target's backoff ends.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Whether something may go at once.
    pub(crate) fn has_fresh(&self) -> bool {
        self.fresh.iter().any(|t| !self.under_way.contains_key(t))
    }

    /// Everything that is remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.wanted.len()
            + self.under_way.len()
            + self.backoff.len()
            + self.by_subject.len()
            + self.fresh.len()
            + self.waiting.len()
    }

    /// How many targets wait after a failure other than a conflict.
    pub(crate) fn failing(&self) -> usize {
        self.backoff.values().filter(|b| !b.conflict).count()
    }
}
