//! What waits to be written: one place per target, the last value wins, urgent
//! targets first, at most one write per target under way. Among targets of one urgency
//! namespaces take turns, and while several have something to write none has more than its
//! share of the writers: a flood of objects in one does not delay another's.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sluice_core::operator::Turns;
use sluice_core::operator::action::{Action, Target};
use sluice_core::operator::urgency::Urgency;
use tokio::sync::Notify;

#[cfg(test)]
mod tests;

/// A namespace's share of the writers, while it is not alone, is that of so many.
const SHARES: usize = 8;
/// A namespace whose users have asked for nothing for this long does not count.
const LATELY: Duration = Duration::from_secs(2);

/// The queue between deciding and writing.
pub struct Queue {
    inner: Mutex<Inner>,
    ready: Notify,
    /// So many writes of one namespace may be under way while others wait for theirs,
    /// corrections aside.
    share: usize,
}

#[derive(Default)]
struct Inner {
    waiting: HashMap<Target, (Action, Urgency)>,
    lanes: [Turns; Urgency::COUNT],
    /// What is under way, and on whose behalf.
    busy: BTreeMap<Target, String>,
    /// How many of them, by namespace.
    under_way: BTreeMap<String, usize>,
    /// When the users of a namespace last asked for something.
    asked: BTreeMap<String, Instant>,
}

impl Queue {
    /// An empty queue, for so many writers.
    #[must_use]
    pub fn new(writers: usize) -> Self {
        Self {
            inner: Mutex::default(),
            ready: Notify::new(),
            share: (writers / SHARES).max(1),
        }
    }

    /// Puts an action in, in the place of an earlier one for the same target.
    /// [`Action::Emit`] has no target and does not belong here: it is given back.
    pub fn push(&self, action: Action) -> Option<Action> {
        let Some(target) = action.target() else {
            return Some(action);
        };
        let urgency = action.urgency();
        let namespace = action.on_behalf_of().to_owned();
        let mut inner = self.lock();
        if action.is_for_users() {
            inner.asked.insert(namespace.clone(), Instant::now());
        }
        let place = inner
            .waiting
            .insert(target.clone(), (action, urgency))
            .map(|(_, urgency)| urgency);
        // A more urgent value gets a better place; the worse one is skipped when it comes up.
        if place.is_none_or(|place| urgency < place) && !inner.busy.contains_key(&target) {
            inner.lane(urgency).push(&namespace, target);
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
            while let Some(target) = inner.next(lane, self.share) {
                // A place that was left for a better one; what has come since for a
                // target under way gets its own when that ends.
                let left = inner
                    .waiting
                    .get(&target)
                    .is_none_or(|(_, urgency)| *urgency != lane);
                if left || inner.busy.contains_key(&target) {
                    continue;
                }
                let Some((action, _)) = inner.waiting.remove(&target) else {
                    continue;
                };
                inner.begin(&target, action.on_behalf_of());
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
        inner.end(target);
        let next = inner.waiting.get(target);
        let next = next.map(|(action, urgency)| (action.on_behalf_of().to_owned(), *urgency));
        if let Some((namespace, urgency)) = next {
            inner.lane(urgency).push(&namespace, target.clone());
        }
        // Also what waited for its namespace's share may go now.
        if inner.lanes.iter().any(|lane| !lane.is_empty()) {
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
    /// The next of a lane. What corrects a True that does not hold any more, or what
    /// kernels wait for, is bound by no share.
    fn next(&mut self, lane: Urgency, share: usize) -> Option<Target> {
        let now = Instant::now();
        self.asked.retain(|_, at| now.duration_since(*at) < LATELY);
        let free = lane <= Urgency::Correction;
        let (under_way, asked) = (&self.under_way, &self.asked);
        let may = |namespace: &str| {
            let alone = asked.keys().all(|other| other == namespace);
            free || alone || under_way.get(namespace).is_none_or(|n| *n < share)
        };
        lane_of(&mut self.lanes, lane).pop(may)
    }

    fn begin(&mut self, target: &Target, namespace: &str) {
        self.busy.insert(target.clone(), namespace.to_owned());
        *self.under_way.entry(namespace.to_owned()).or_default() += 1;
    }

    fn end(&mut self, target: &Target) {
        let Some(namespace) = self.busy.remove(target) else {
            return;
        };
        if let Some(count) = self.under_way.get_mut(&namespace) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.under_way.remove(&namespace);
            }
        }
    }

    fn lane(&mut self, urgency: Urgency) -> &mut Turns {
        lane_of(&mut self.lanes, urgency)
    }
}

fn lane_of(lanes: &mut [Turns; Urgency::COUNT], urgency: Urgency) -> &mut Turns {
    let [first, correction, groundwork, address, other] = lanes;
    match urgency {
        Urgency::First => first,
        Urgency::Correction => correction,
        Urgency::Groundwork => groundwork,
        Urgency::Address => address,
        Urgency::Other => other,
    }
}
