//! Queues of updates, one for each monitor, bounded by bytes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What a monitor's queue holds.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The parameters of an update; room in the queue is given back when this is dropped.
    Update {
        params: String,
        _room: Option<OwnedSemaphorePermit>,
    },
    /// The server ended the monitor.
    Canceled,
}

/// The queues of a connection by their monitors' names.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    queues: Mutex<BTreeMap<String, Entry>>,
    unclaimed: AtomicU64,
    queued: AtomicU64,
}

#[derive(Debug, Clone)]
struct Entry {
    sender: mpsc::UnboundedSender<Notice>,
    room: Arc<Semaphore>,
    bytes: u32,
}

/// The reading end of a queue.
#[derive(Debug)]
pub(crate) struct Queue {
    receiver: mpsc::UnboundedReceiver<Notice>,
    name: String,
    queues: Arc<Queues>,
}

impl Queues {
    /// Makes a queue for a monitor. Its updates wait in it from then on.
    pub(crate) fn open(self: &Arc<Self>, name: &str, bytes: u32) -> Queue {
        let (sender, receiver) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(bytes as usize));
        self.lock().insert(
            name.to_owned(),
            Entry {
                sender,
                room,
                bytes,
            },
        );
        Queue {
            receiver,
            name: name.to_owned(),
            queues: self.clone(),
        }
    }

    /// Room for so many bytes in a monitor's queue; `None` if nobody reads it any more.
    pub(crate) async fn room(&self, name: &str, bytes: usize) -> Option<Place<'_>> {
        let entry = self.lock().get(name).cloned();
        let Some(entry) = entry else {
            self.unclaimed.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        // One update may be larger than the queue: it then has the queue for itself.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(entry.bytes);
        let room = entry.room.acquire_many_owned(bytes).await.ok();
        Some(Place {
            sender: entry.sender,
            room,
            queues: self,
        })
    }

    /// How many updates were queued since the connection began.
    pub(crate) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Acquire)
    }

    /// How many updates were of monitors that nobody reads.
    pub(crate) fn unclaimed(&self) -> u64 {
        self.unclaimed.load(Ordering::Relaxed)
    }

    /// Tells a monitor's reader that there will be no more.
    pub(crate) fn cancel(&self, name: &str) {
        if let Some(entry) = self.lock().get(name) {
            // A reader that is gone needs not be told.
            let _ = entry.sender.send(Notice::Canceled);
        }
    }

    /// Ends all queues: their readers get what is in them, then the end.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a queue.
pub(crate) struct Place<'a> {
    sender: mpsc::UnboundedSender<Notice>,
    room: Option<OwnedSemaphorePermit>,
    queues: &'a Queues,
}

impl Place<'_> {
    pub(crate) fn put(self, params: String) {
        let notice = Notice::Update {
            params,
            _room: self.room,
        };
        // A reader that went meanwhile wants no updates.
        if self.sender.send(notice).is_ok() {
            self.queues.queued.fetch_add(1, Ordering::Release);
        }
    }
}

impl Queue {
    /// The next of the queue; `None` when the connection is closed and all was read.
    pub(crate) async fn next(&mut self) -> Option<Notice> {
        self.receiver.recv().await
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The receiver may wait for room in this queue: it shall go on.
        if let Some(entry) = self.queues.lock().remove(&self.name) {
            entry.room.close();
        }
    }
}
