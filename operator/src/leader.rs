//! Leadership: the edge of [`sluice_core::lease`].
//!
//! Whoever writes asks [`Leadership::held`] first: it is true only while the
//! leader's own clock says that nobody else can have taken over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use serde_json::Value;
use sluice_core::lease::{Election, Record, Step, Write};
use sluice_core::operator::event::{Key, Millis};
use tokio::sync::Notify;

use crate::clock;
use crate::rest::{Failure, Rest};

#[cfg(test)]
mod tests;

/// Whether this process surely leads, for everybody in it to see.
#[derive(Debug, Default)]
pub struct Leadership {
    /// Milliseconds of [`clock::now`]; 0: never led.
    sure_until: AtomicU64,
    gained: Notify,
}

impl Leadership {
    /// Whether this process surely leads now.
    #[must_use]
    pub fn held(&self) -> bool {
        clock::now().0 < self.sure_until.load(Ordering::Acquire)
    }

    /// Waits until this process leads.
    pub async fn gained(&self) {
        loop {
            let gained = self.gained.notified();
            if self.held() {
                return;
            }
            gained.await;
        }
    }

    fn set(&self, until: Option<Millis>) {
        self.sure_until
            .store(until.map_or(0, |until| until.0), Ordering::Release);
        self.gained.notify_waiters();
    }
}

/// The operator's Lease, and this process' attempts to hold it.
pub struct Elector {
    rest: Rest,
    path: String,
    collection: String,
    key: Key,
    election: Election,
    leadership: Arc<Leadership>,
}

impl Elector {
    /// Contends for the Lease `key` as `identity`. `rest` must have a shorter
    /// time limit than the Lease's duration.
    #[must_use]
    pub fn new(
        rest: Rest,
        key: Key,
        identity: &str,
        duration_secs: u32,
        leadership: Arc<Leadership>,
    ) -> Self {
        let collection = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
            key.namespace
        );
        Self {
            rest,
            path: format!("{collection}/{}", key.name),
            collection,
            key,
            election: Election::new(identity, duration_secs),
            leadership,
        }
    }

    /// Contends and renews until leadership is lost; then the process must end.
    pub async fn run(&mut self) {
        loop {
            match self.election.next(clock::now()) {
                Step::Lost => {
                    self.leadership.set(None);
                    tracing::error!(lease = %self.key.name, "leadership lost");
                    return;
                }
                Step::Wait(until) => {
                    tokio::time::sleep(clock::until(until).max(Duration::from_millis(1))).await;
                    self.election.waited();
                }
                Step::Read => match self.rest.get(&self.path).await {
                    Ok(lease) => self.election.read(record(&lease), clock::now()),
                    Err(Failure::NotFound) => self.election.read(None, clock::now()),
                    Err(failure) => self.failed("read", &failure),
                },
                Step::Write(write) => self.write(&write).await,
            }
        }
    }

    async fn write(&mut self, write: &Write) {
        let sent = clock::now();
        let before = self.election.leads(sent);
        match self.store(write).await {
            Ok(lease) => match record(&lease) {
                Some(record) => {
                    self.election.wrote(record, sent);
                    self.leadership.set(self.election.sure_until());
                    if !before {
                        tracing::info!(lease = %self.key.name, identity = %write.holder, transitions = write.transitions, "leading");
                    }
                }
                None => self.election.conflicted(),
            },
            Err(Failure::Conflict(_) | Failure::AlreadyExists | Failure::NotFound) => {
                self.election.conflicted()
            }
            Err(failure) => self.failed("write", &failure),
        }
    }

    fn failed(&mut self, doing: &str, failure: &Failure) {
        tracing::warn!(lease = %self.key.name, %failure, "cannot {doing} the leader Lease");
        self.election.failed(clock::now());
    }

    /// Gives leadership up, so that the next leader need not wait. Nothing may
    /// be written afterwards.
    pub async fn release(&mut self) {
        self.leadership.set(None);
        // A renewal may have been under way when the process was asked to end.
        if let Ok(lease) = self.rest.get(&self.path).await {
            self.election.read(record(&lease), clock::now());
        }
        if let Some(write) = self.election.release(clock::now()) {
            match self.store(&write).await {
                Ok(_) => tracing::info!(lease = %self.key.name, "leadership released"),
                Err(failure) => {
                    tracing::warn!(lease = %self.key.name, %failure, "leadership not released: the next leader waits")
                }
            }
        }
    }

    async fn store(&self, write: &Write) -> Result<Value, Failure> {
        let body = lease(&self.key, write, &jiff::Timestamp::now());
        let body =
            serde_json::to_value(body).map_err(|error| Failure::Unknown(error.to_string()))?;
        match &write.base {
            None => self.rest.create(&self.collection, &body).await,
            // A merge-patch keeps what a replaced object would lose: labels, acquireTime.
            Some(_) => self.rest.merge(&self.path, &body).await,
        }
    }
}

/// The Lease to send. Times are for people: nobody decides on them.
fn lease(key: &Key, write: &Write, now: &jiff::Timestamp) -> Lease {
    let base = write.base.as_ref();
    Lease {
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            uid: base.map(|base| base.uid.clone()),
            resource_version: base.map(|base| base.resource_version.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(write.holder.clone()),
            lease_transitions: Some(i32::try_from(write.transitions).unwrap_or(i32::MAX)),
            lease_duration_seconds: Some(i32::try_from(write.duration_secs).unwrap_or(i32::MAX)),
            renew_time: Some(MicroTime(*now)),
            acquire_time: write.acquires.then_some(MicroTime(*now)),
            ..LeaseSpec::default()
        }),
    }
}

/// What of a Lease the election looks at; nothing if it is no stored Lease.
fn record(lease: &Value) -> Option<Record> {
    let text = |path: &str| {
        lease
            .pointer(path)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let number = |path: &str| {
        lease
            .pointer(path)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    Some(Record {
        uid: text("/metadata/uid")?,
        resource_version: text("/metadata/resourceVersion")?,
        holder: text("/spec/holderIdentity").unwrap_or_default(),
        transitions: number("/spec/leaseTransitions"),
        duration_secs: number("/spec/leaseDurationSeconds"),
    })
}
