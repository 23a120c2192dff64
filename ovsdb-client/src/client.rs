//! A client that stays: it finds a server, keeps a copy of the rows that it monitors, and comes
//! back after faults where it was.

mod config;
mod session;
mod watch;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Semaphore, watch as cell};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::TransactError;
use crate::operation::Operation;
use crate::outcome::Outcome;
use crate::replica::{Changes, Replica};
use crate::schema::DatabaseSchema;

pub use config::Config;
pub use watch::{Event, Watch};

/// A client of one database on one or several servers.
///
/// Dropping it closes the connection.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// Where a client stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// No server serves it yet, or none any more.
    Away {
        /// Why the last one tried does not.
        reason: String,
    },
    /// The copy follows the database.
    Synced {
        /// Served by this one.
        remote: String,
        /// Counts connections: a higher one may have seen rows go back to what they were.
        epoch: u64,
    },
}

#[derive(Debug)]
struct Shared {
    config: Config,
    replica: RwLock<Replica>,
    live: cell::Sender<Live>,
    window: Arc<Semaphore>,
    watches: Mutex<Vec<std::sync::Weak<watch::Pending>>>,
    /// Updates of the connection that the copy has taken in.
    applied: cell::Sender<(u64, u64)>,
}

#[derive(Debug, Clone)]
struct Live {
    status: Status,
    connection: Option<Arc<Connection>>,
    schema: Option<Arc<DatabaseSchema>>,
    epoch: u64,
}

impl Client {
    /// Starts a client in the background, on the runtime of the caller.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn start(config: Config) -> Self {
        let away = Status::Away {
            reason: "not connected yet".to_owned(),
        };
        let live = Live {
            status: away,
            connection: None,
            schema: None,
            epoch: 0,
        };
        let shared = Arc::new(Shared {
            window: Arc::new(Semaphore::new(config.window)),
            config,
            replica: RwLock::default(),
            live: cell::Sender::new(live),
            watches: Mutex::default(),
            applied: cell::Sender::new((0, 0)),
        });
        let task = tokio::spawn(session::serve(shared.clone()));
        Self { shared, task }
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.shared.live.borrow().status.clone()
    }

    /// The schema of the database as last seen.
    pub fn schema(&self) -> Option<Arc<DatabaseSchema>> {
        self.shared.live.borrow().schema.clone()
    }

    /// Waits until the copy follows the database.
    pub async fn synced(&self) {
        let mut live = self.shared.live.subscribe();
        // The sender lives as long as this.
        let _ = live
            .wait_for(|live| matches!(live.status, Status::Synced { .. }))
            .await;
    }

    /// Looks at the copy. It is as of the last update, and stays when the connection goes:
    /// [`Self::status`] tells which. Nothing is taken in meanwhile: do not wait in it.
    pub fn read<T>(&self, look: impl FnOnce(&Replica) -> T) -> T {
        look(
            &self
                .shared
                .replica
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Tells from now on which rows change.
    pub fn watch(&self) -> Watch {
        let (watch, pending) = Watch::new(self.shared.live.subscribe());
        self.shared.watches().push(pending);
        watch
    }

    /// Does all of these, or nothing. At most [`Config::window`] are on their way at once, others
    /// wait. When it is done the copy has what it did, as far as the server told of it before it
    /// answered: always, with servers that are not clustered.
    ///
    /// # Errors
    /// [`TransactError::NotSent`] and [`TransactError::Refused`]: nothing happened.
    /// [`TransactError::Unknown`]: it may have, or may yet.
    pub async fn transact(&self, operations: &[Operation]) -> Result<Vec<Outcome>, TransactError> {
        let (connection, epoch, _place) = self.ready().await?;
        let outcome = connection
            .transact(&self.shared.config.database, operations)
            .await;
        if outcome.is_ok() {
            self.caught_up(&connection, epoch).await;
        }
        outcome
    }

    /// A connection, and a place among the transactions on their way.
    async fn ready(
        &self,
    ) -> Result<(Arc<Connection>, u64, tokio::sync::OwnedSemaphorePermit), TransactError> {
        let deadline = Instant::now() + self.shared.config.limits.answer;
        let late = |reason: String| TransactError::NotSent { reason };
        let place = within(deadline, self.shared.window.clone().acquire_owned()).await;
        let place = place.and_then(Result::ok);
        let place =
            place.ok_or_else(|| late("too many transactions are on their way".to_owned()))?;
        let mut live = self.shared.live.subscribe();
        let connected = within(deadline, live.wait_for(|live| live.connection.is_some())).await;
        let connected = connected
            .and_then(Result::ok)
            .map(|live| (live.connection.clone(), live.epoch));
        match connected {
            Some((Some(connection), epoch)) => Ok((connection, epoch, place)),
            Some((None, _)) | None => Err(late(match self.status() {
                Status::Away { reason } => format!("no server: {reason}"),
                Status::Synced { .. } => "no server".to_owned(),
            })),
        }
    }

    /// Waits until the copy has the updates that came before now.
    async fn caught_up(&self, connection: &Connection, epoch: u64) {
        let queued = connection.queued_updates();
        let mut applied = self.shared.applied.subscribe();
        let done = applied.wait_for(|(of, count)| *of != epoch || *count >= queued);
        let _ = tokio::time::timeout(Duration::from_secs(5), done).await;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn watches(&self) -> MutexGuard<'_, Vec<std::sync::Weak<watch::Pending>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all watches of changes.
    fn tell(&self, changes: &Changes) {
        self.watches().retain(|watch| match watch.upgrade() {
            Some(pending) => {
                pending.add(changes);
                true
            }
            None => false,
        });
    }
}

async fn within<T>(deadline: Instant, what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline, what).await.ok()
}
