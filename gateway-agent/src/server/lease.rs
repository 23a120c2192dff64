//! The gateway's Lease: read, and written by compare-and-swap only.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::PostParams;
use sluice_core::agent::{self, LeaseAnswer, LeaseWrite};
use sluice_core::identity::Uid;

use super::{CallError, Server, call};

/// The Lease of one gateway.
#[derive(Clone)]
pub(super) struct Leases {
    pub(super) api: Api<Lease>,
    pub(super) name: String,
    /// The object as last seen, for the fields that a write leaves alone.
    last: Arc<Mutex<Option<Lease>>>,
}

impl Leases {
    pub(super) fn new(api: Api<Lease>, name: String) -> Self {
        Self {
            api,
            name,
            last: Arc::default(),
        }
    }

    /// Keeps the object and gives what the agent wants of it.
    pub(super) fn remember(&self, lease: Option<Lease>) -> Option<agent::Lease> {
        let lease = lease?;
        let spec = lease.spec.clone().unwrap_or_default();
        let seen = agent::Lease {
            uid: Uid::new(lease.metadata.uid.clone()?),
            resource_version: lease.metadata.resource_version.clone()?,
            holder: spec.holder_identity.unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or_default().into(),
            duration_secs: spec.lease_duration_seconds.unwrap_or_default().into(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
        Some(seen)
    }

    /// Reads it live.
    pub(super) async fn read(&self, server: &Server) -> LeaseAnswer {
        let read = call("lease", &server.metrics, self.api.get(&self.name)).await;
        match server.told(read).await {
            Ok(lease) => LeaseAnswer::Stands(self.remember(Some(lease))),
            Err(CallError::NotFound) => LeaseAnswer::Stands(None),
            Err(error) => LeaseAnswer::Unknown(error.to_string()),
        }
    }

    /// Writes it, if nobody else did since.
    pub(super) async fn write(&self, server: &Server, write: &LeaseWrite) -> LeaseAnswer {
        let Some(lease) = self.changed(write) else {
            return self.conflict(server).await;
        };
        let params = PostParams::default();
        let put = self.api.replace(&self.name, &params, &lease);
        match server.told(call("lease", &server.metrics, put).await).await {
            Ok(lease) => {
                if write.acquire || write.holder.is_empty() {
                    let (term, holder) = (write.transitions, &write.holder);
                    tracing::info!(lease = self.name, term, holder, "lease changed hands");
                }
                LeaseAnswer::Stands(self.remember(Some(lease)))
            }
            Err(CallError::Conflict | CallError::NotFound) => self.conflict(server).await,
            Err(error) => {
                tracing::warn!(lease = self.name, %error, "lease not written");
                LeaseAnswer::Unknown(error.to_string())
            }
        }
    }

    async fn conflict(&self, server: &Server) -> LeaseAnswer {
        match self.read(server).await {
            LeaseAnswer::Stands(lease) => LeaseAnswer::Conflict(lease),
            other @ (LeaseAnswer::Conflict(_) | LeaseAnswer::Unknown(_)) => other,
        }
    }

    /// The whole object to put; none where another life of it was seen since.
    fn changed(&self, write: &LeaseWrite) -> Option<Lease> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lease = last.clone()?;
        if lease.metadata.uid.as_deref() != Some(write.uid.as_str()) {
            return None;
        }
        lease.metadata.resource_version = Some(write.resource_version.clone());
        lease.metadata.managed_fields = None;
        // For people only: no decision hangs on a wall clock.
        let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = (!write.holder.is_empty()).then(|| write.holder.clone());
        spec.lease_transitions = Some(i32::try_from(write.transitions).unwrap_or(i32::MAX));
        if write.acquire {
            spec.acquire_time = Some(now.clone());
        }
        spec.renew_time = Some(now);
        Some(lease)
    }
}
