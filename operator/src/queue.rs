//! What waits to be written: one place per target, the last value wins, urgent
//! targets first, at most one write per target under way.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sluice_core::operator::action::{Action, Target};
use sluice_core::operator::urgency::Urgency;
use tokio::sync::Notify;

#[cfg(test)]
mod tests;

/// The queue between deciding and writing.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    ready: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: HashMap<Target, (Action, Urgency)>,
    lanes: [VecDeque<Target>; Urgency::COUNT],
    busy: BTreeSet<Target>,
}

impl Queue {
    /// Puts an action in, in the place of an earlier one for the same target.
    /// [`Action::Emit`] has no target and does not belong here: it is given back.
    pub fn push(&self, action: Action) -> Option<Action> {
        let Some(target) = action.target() else {
            return Some(action);
        };
        let urgency = action.urgency();
        let mut inner = self.lock();
        let place = inner
            .waiting
            .insert(target.clone(), (action, urgency))
            .map(|(_, urgency)| urgency);
        // A more urgent value gets a better place; the worse one is skipped when it comes up.
        if place.is_none_or(|place| urgency < place) && !inner.busy.contains(&target) {
            inner.lane(urgency).push_back(target);
            drop(inner);
            self.ready.notify_one();
        } else if let (Some(place), Some((_, kept))) = (place, inner.waiting.get_mut(&target)) {
            *kept = place.min(urgency);
        }
        None
    }

    /// Waits for the next action; its target is busy until [`Queue::finish`].
    pub async fn take(&self) -> (Target, Action) {
        loop {
            let ready = self.ready.notified();
            if let Some(taken) = self.try_take() {
                return taken;
            }
            ready.await;
        }
    }

    fn try_take(&self) -> Option<(Target, Action)> {
        let mut inner = self.lock();
        for lane in Urgency::ALL {
            while let Some(target) = inner.lane(lane).pop_front() {
                // A place that was left for a better one; what has come since for a
                // target under way gets its own when that ends.
                let left = inner
                    .waiting
                    .get(&target)
                    .is_none_or(|(_, urgency)| *urgency != lane);
                if left || inner.busy.contains(&target) {
                    continue;
                }
                let Some((action, _)) = inner.waiting.remove(&target) else {
                    continue;
                };
                inner.busy.insert(target.clone());
                if inner.lanes.iter().any(|lane| !lane.is_empty()) {
                    // One notice may have stood for several pushes.
                    self.ready.notify_one();
                }
                return Some((target, action));
            }
        }
        None
    }

    /// Ends the write of a target; what came in for it meanwhile is next in line.
    pub fn finish(&self, target: &Target) {
        let mut inner = self.lock();
        inner.busy.remove(target);
        if let Some(urgency) = inner.waiting.get(target).map(|(_, urgency)| *urgency) {
            inner.lane(urgency).push_back(target.clone());
            drop(inner);
            self.ready.notify_one();
        }
    }

    /// How many targets wait, and how many are being written.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.waiting.len(), inner.busy.len())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn lane(&mut self, urgency: Urgency) -> &mut VecDeque<Target> {
        let [first, correction, groundwork, address, other] = &mut self.lanes;
        match urgency {
            Urgency::First => first,
            Urgency::Correction => correction,
            Urgency::Groundwork => groundwork,
            Urgency::Address => address,
            Urgency::Other => other,
        }
    }
}
