//! Which rows changed since somebody looked: bounded by the rows that there are.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Notify, watch as cell};

use super::{Live, Status};
use crate::replica::Changes;

/// Tells which rows changed. A row that changed often before it is asked for is told once.
#[derive(Debug)]
pub struct Watch {
    pending: Arc<Pending>,
    live: cell::Receiver<Live>,
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: Mutex<Changes>,
    notify: Notify,
}

impl Pending {
    pub(super) fn add(&self, changes: &Changes) {
        let mut pending = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, rows) in changes {
            pending.entry(table.clone()).or_default().extend(rows);
        }
        self.notify.notify_one();
    }

    fn take(&self) -> Changes {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// These rows differ from what they were when last told.
    Rows(Changes),
    /// The client stands otherwise.
    Status(Status),
}

impl Watch {
    pub(super) fn new(mut live: cell::Receiver<Live>) -> (Self, Weak<Pending>) {
        // Where it stands is told at first.
        live.mark_changed();
        let pending = Arc::new(Pending::default());
        let weak = Arc::downgrade(&pending);
        (Self { pending, live }, weak)
    }

    /// Waits for a change; the client's status comes first. `None` when the client was dropped.
    /// Waiting may be broken off without losing any.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            changed = self.live.changed() => {
                changed.ok()?;
                Some(Event::Status(self.live.borrow_and_update().status.clone()))
            }
            () = self.pending.notify.notified() => Some(Event::Rows(self.pending.take())),
        }
    }
}
