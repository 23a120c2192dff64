//! When the objects of the bench turned Ready, as a watcher sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::error::{LabError, Result};
use crate::evidence::watcher::resource;

/// An object as last seen.
#[derive(Debug, Clone)]
pub struct Seen {
    ready: Option<Instant>,
    /// Last time that Ready was written True with another holder than before.
    again: Option<Instant>,
    holder: Value,
    versions: usize,
}

/// How often what changes all the time is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// What is Ready since when.
#[derive(Default)]
pub struct Board {
    shared: Arc<Shared>,
    /// They end with the board.
    watches: JoinSet<()>,
}

/// What the tasks that watch tell.
#[derive(Default)]
struct Shared {
    /// By kind, then by name.
    seen: Mutex<BTreeMap<&'static str, BTreeMap<String, Seen>>>,
    /// Something has changed.
    news: Notify,
}

impl Board {
    /// Begins to watch gateways, EIPs and rules of all namespaces.
    #[must_use]
    pub fn watch(client: &Client) -> Self {
        let mut board = Self::default();
        for kind in ["NATGateway", "EIP", "FIP", "DNAT", "SNAT"] {
            let Some(resource) = resource(kind) else {
                continue;
            };
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let shared = Arc::clone(&board.shared);
            board.watches.spawn(async move {
                let events = watcher(api, watcher::Config::default());
                let mut events = events.default_backoff().boxed();
                while let Some(event) = events.next().await {
                    match event {
                        Ok(watcher::Event::Apply(o) | watcher::Event::InitApply(o)) => {
                            shared.see(kind, &o)
                        }
                        Ok(watcher::Event::Delete(o)) => {
                            shared.lock().entry(kind).or_default().remove(&o.name_any());
                        }
                        _ => continue,
                    }
                    shared.news.notify_waiters();
                }
            });
        }
        board
    }

    /// Forgets when things became Ready, before a fault.
    pub fn forget(&self) {
        for seen in self
            .shared
            .lock()
            .values_mut()
            .flat_map(|all| all.values_mut())
        {
            seen.again = None;
        }
    }

    /// For each EIP and rule, how often its status was written: versions seen
    /// but for its creation and its finalizer.
    #[must_use]
    pub fn status_writes(&self) -> Vec<usize> {
        self.shared
            .lock()
            .iter()
            .filter(|(kind, _)| **kind != "NATGateway")
            .flat_map(|(_, all)| all.values())
            .map(|seen| seen.versions.saturating_sub(2))
            .collect()
    }

    /// Asks again after each change, until there is an answer; `None`: there was none
    /// for so long.
    async fn until<T>(
        &self,
        patience: Duration,
        mut answer: impl FnMut(&BTreeMap<&'static str, BTreeMap<String, Seen>>) -> Option<T>,
    ) -> Option<T> {
        let start = Instant::now();
        loop {
            let news = self.shared.news.notified();
            if let Some(answer) = answer(&self.shared.lock()) {
                return Some(answer);
            }
            let left = patience.checked_sub(start.elapsed())?;
            let _ = timeout(left, news).await;
            sleep(LOOK).await;
        }
    }

    /// Waits until `n` objects of a kind are Ready; when the last became so.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn wait(&self, kind: &str, n: usize, patience: Duration) -> Result<Instant> {
        self.wait_for(kind, n, patience, |s| s.ready).await
    }

    /// The same after [`Board::forget`], for kinds that name their holder: each
    /// must have become Ready by another one.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn wait_again(&self, kind: &str, n: usize, patience: Duration) -> Result<Instant> {
        self.wait_for(kind, n, patience, |s| s.again.and(s.ready))
            .await
    }

    /// Waits until `n` objects of a kind are Ready and none has changed for
    /// `quiet`; when the last became Ready.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn wait_settled(
        &self,
        kind: &str,
        n: usize,
        quiet: Duration,
        patience: Duration,
    ) -> Result<Instant> {
        let start = Instant::now();
        loop {
            let last = self
                .wait(kind, n, patience.saturating_sub(start.elapsed()))
                .await?;
            sleep(quiet.saturating_sub(last.elapsed()).max(quiet / 4)).await;
            let again = self.wait(kind, n, Duration::ZERO).await;
            if again.is_ok_and(|at| at == last) && last.elapsed() >= quiet {
                return Ok(last);
            }
        }
    }

    /// Waits until one object is Ready.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn wait_one(&self, kind: &str, name: &str, patience: Duration) -> Result<Instant> {
        let ready = self.until(patience, |seen| seen.get(kind)?.get(name)?.ready);
        ready.await.ok_or_else(|| {
            LabError::Content(format!(
                "{kind} {name} is not Ready after {} s",
                patience.as_secs()
            ))
        })
    }

    /// Waits until no object of these kinds is left.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn wait_gone(&self, kinds: &[&str], patience: Duration) -> Result<()> {
        let mut left = 0;
        let gone = self.until(patience, |seen| {
            let all = kinds.iter().filter_map(|kind| seen.get(kind));
            left = all.map(BTreeMap::len).sum();
            (left == 0).then_some(())
        });
        gone.await.ok_or_else(|| {
            LabError::Content(format!(
                "{left} of {kinds:?} are left after {} s",
                patience.as_secs()
            ))
        })
    }

    async fn wait_for(
        &self,
        kind: &str,
        n: usize,
        patience: Duration,
        when: impl Fn(&Seen) -> Option<Instant>,
    ) -> Result<Instant> {
        let mut count = 0;
        let all = self.until(patience, |seen| {
            let ready = seen.get(kind).into_iter().flat_map(BTreeMap::values);
            let times: Vec<Instant> = ready.filter_map(&when).collect();
            count = times.len();
            (count >= n).then(|| times.into_iter().max().unwrap_or_else(Instant::now))
        });
        all.await.ok_or_else(|| {
            LabError::Content(format!(
                "{count} of {n} {kind} are Ready after {} s",
                patience.as_secs()
            ))
        })
    }
}

impl Shared {
    /// What was seen, also after another holder panicked.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, BTreeMap<String, Seen>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, kind: &'static str, object: &DynamicObject) {
        let now = Instant::now();
        let status = object.data.get("status");
        let conditions = status
            .and_then(|s| s.get("conditions"))
            .and_then(Value::as_array);
        let is_ready = conditions.into_iter().flatten().any(|c| {
            c.get("type").and_then(Value::as_str) == Some("Ready")
                && c.get("status").and_then(Value::as_str) == Some("True")
        });
        let holder = status
            .and_then(|s| s.get("holder"))
            .cloned()
            .unwrap_or(Value::Null);
        let mut all = self.lock();
        let seen = all
            .entry(kind)
            .or_default()
            .entry(object.name_any())
            .or_insert(Seen {
                ready: None,
                again: None,
                holder: Value::Null,
                versions: 0,
            });
        seen.versions += 1;
        if !is_ready {
            seen.ready = None;
        } else if seen.ready.is_none() || seen.holder != holder {
            seen.ready = Some(now);
            seen.again = Some(now);
            seen.holder = holder;
        }
    }
}
