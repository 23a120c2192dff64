//! When the objects of the bench turned Ready, as a watcher sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tokio::time::sleep;

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

/// What is Ready since when.
#[derive(Clone)]
pub struct Board {
    /// By kind and name; shared with the tasks that watch.
    seen: Arc<Mutex<BTreeMap<(String, String), Seen>>>,
}

impl Board {
    /// Begins to watch gateways, EIPs and rules of all namespaces.
    #[must_use]
    pub fn watch(client: &Client) -> Self {
        let board = Self {
            seen: Arc::default(),
        };
        for kind in ["NATGateway", "EIP", "FIP", "DNAT", "SNAT"] {
            let Some(resource) = resource(kind) else {
                continue;
            };
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let board = board.clone();
            tokio::spawn(async move {
                let mut events = watcher(api, watcher::Config::default()).boxed();
                while let Some(event) = events.next().await {
                    match event {
                        Ok(watcher::Event::Apply(o) | watcher::Event::InitApply(o)) => {
                            board.see(kind, &o)
                        }
                        Ok(watcher::Event::Delete(o)) => {
                            board.lock().remove(&(kind.to_owned(), o.name_any()));
                        }
                        _ => {}
                    }
                }
            });
        }
        board
    }

    /// What was seen, also after another holder panicked.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, kind: &str, object: &DynamicObject) {
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
            .entry((kind.to_owned(), object.name_any()))
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

    /// Forgets when things became Ready, before a fault.
    pub fn forget(&self) {
        for seen in self.lock().values_mut() {
            seen.again = None;
        }
    }

    /// For each EIP and FIP, how often its status was written: versions seen
    /// but for its creation and its finalizer.
    #[must_use]
    pub fn status_writes(&self) -> Vec<usize> {
        self.lock()
            .iter()
            .filter(|((kind, _), _)| kind != "NATGateway")
            .map(|(_, seen)| seen.versions.saturating_sub(2))
            .collect()
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
        let key = (kind.to_owned(), name.to_owned());
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(at) = self.lock().get(&key).and_then(|s| s.ready) {
                return Ok(at);
            }
            sleep(Duration::from_millis(1)).await;
        }
        Err(LabError::Content(format!(
            "{kind} {name} is not Ready after {} s",
            patience.as_secs()
        )))
    }

    /// Waits until no object of these kinds is left.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn wait_gone(&self, kinds: &[&str], patience: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let left = self
                .lock()
                .keys()
                .filter(|(kind, _)| kinds.contains(&kind.as_str()))
                .count();
            if left == 0 {
                return Ok(());
            }
            if start.elapsed() > patience {
                return Err(LabError::Content(format!(
                    "{left} of {kinds:?} are left after {} s",
                    patience.as_secs()
                )));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn wait_for(
        &self,
        kind: &str,
        n: usize,
        patience: Duration,
        when: impl Fn(&Seen) -> Option<Instant>,
    ) -> Result<Instant> {
        let start = Instant::now();
        loop {
            let at: Vec<Instant> = self
                .lock()
                .iter()
                .filter(|((k, _), _)| k == kind)
                .filter_map(|(_, s)| when(s))
                .collect();
            if at.len() >= n {
                return Ok(at.into_iter().max().unwrap_or(start));
            }
            if start.elapsed() > patience {
                return Err(LabError::Content(format!(
                    "{} of {n} {kind} are Ready after {} s",
                    at.len(),
                    patience.as_secs()
                )));
            }
            sleep(Duration::from_millis(2)).await;
        }
    }
}
