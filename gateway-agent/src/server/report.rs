//! The report: a GatewayInstance of the Pod's name, owned by the Pod.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use sluice_core::agent::ReportAnswer;
use sluice_crds::internal::{GatewayInstanceSpec, GatewayInstanceStatus};
use sluice_crds::{GatewayInstance, names};
use tokio::sync::Mutex;
use tracing::Instrument as _;

use super::{CallError, Server, call};
use crate::options::Options;

/// The report of one Pod.
#[derive(Clone)]
pub(super) struct Reports {
    api: Api<GatewayInstance>,
    new: Arc<GatewayInstance>,
    /// The object as last seen.
    last: Arc<Mutex<Option<GatewayInstance>>>,
}

impl Reports {
    pub(super) fn new(api: Api<GatewayInstance>, options: &Options) -> Self {
        let mut new = GatewayInstance::new(
            &options.pod_name,
            GatewayInstanceSpec {
                gateway: options.gateway.clone(),
                gateway_uid: options.gateway_uid.clone(),
                pod_uid: options.pod_uid.clone(),
                node: options.node_name.clone(),
            },
        );
        new.metadata = ObjectMeta {
            name: Some(options.pod_name.clone()),
            namespace: Some(options.pod_namespace.clone()),
            finalizers: Some(vec![names::FINALIZER_FENCED.to_owned()]),
            labels: Some(
                [
                    (names::LABEL_GATEWAY, &options.gateway),
                    (names::LABEL_GATEWAY_UID, &options.gateway_uid),
                ]
                .map(|(key, value)| (key.to_owned(), value.clone()))
                .into(),
            ),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                name: options.pod_name.clone(),
                uid: options.pod_uid.clone(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        };
        Self {
            api,
            new: Arc::new(new),
            last: Arc::default(),
        }
    }

    /// Makes the object, or takes over the one that an earlier process made.
    pub(super) async fn ensure(&self, server: &Server) -> ReportAnswer {
        let mut last = self.last.lock().await;
        let mut wait = std::time::Duration::from_millis(100);
        loop {
            match self.make_or_read(server).await {
                Ok(object) => {
                    let status = object.status.clone().unwrap_or_default();
                    *last = Some(object);
                    return ReportAnswer::Stands(Box::new(status));
                }
                Err(error) => tracing::warn!(%error, "report could not be made: trying again"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(std::time::Duration::from_secs(5));
        }
    }

    async fn make_or_read(&self, server: &Server) -> Result<GatewayInstance, CallError> {
        let params = PostParams::default();
        let create = self.api.create(&params, &self.new);
        let made = server
            .told(call("report", &server.metrics, create).await)
            .await;
        match made {
            Err(CallError::AlreadyExists) => self.read(server).await,
            made => made,
        }
    }

    async fn read(&self, server: &Server) -> Result<GatewayInstance, CallError> {
        let read = call("report", &server.metrics, self.api.get(self.name())).await;
        let object = server.told(read).await?;
        if object.spec.pod_uid != self.new.spec.pod_uid {
            return Err(CallError::Other(format!(
                "GatewayInstance {} belongs to Pod {}, this one is {}: waiting until it is gone",
                self.name(),
                object.spec.pod_uid,
                self.new.spec.pod_uid
            )));
        }
        Ok(object)
    }

    fn name(&self) -> &str {
        self.new.metadata.name.as_deref().unwrap_or_default()
    }

    /// Reads the object, and makes it anew where it is gone.
    pub(super) async fn reread(&self, server: &Server) -> ReportAnswer {
        let mut last = self.last.lock().await;
        let seen = match self.read(server).await {
            Err(CallError::NotFound) => self.make_or_read(server).await,
            seen => seen,
        };
        stands(seen, &mut last)
    }

    /// Writes the status, if nobody else wrote the object since.
    pub(super) async fn write(
        &self,
        server: &Server,
        status: GatewayInstanceStatus,
    ) -> ReportAnswer {
        let mut last = self.last.lock().await;
        let Some(mut object) = last.clone() else {
            return ReportAnswer::Failed("the report was not made yet".to_owned());
        };
        object.metadata.managed_fields = None;
        object.status = Some(status);
        let params = PostParams::default();
        let span = tracing::info_span!(
            target: sluice_spans::TARGET, "report",
            applied = object.status.iter().find_map(|s| Some(s.applied.as_ref()?.generation)),
        );
        let put = self.api.replace_status(self.name(), &params, &object);
        let put = call("report", &server.metrics, put).instrument(span);
        let wrote = server.told(put.await).await;
        let again = match wrote {
            Ok(object) => {
                let status = object.status.clone().unwrap_or_default();
                tracing::info!(
                    instance = status.instance,
                    applied = status.applied.as_ref().map(|a| a.generation),
                    active = status.active.as_ref().map(|a| a.term),
                    rejected = status.rejected.len(),
                    unusable = status.unusable.len(),
                    problems = status.problems.len(),
                    is_final = status.is_final,
                    "report written"
                );
                *last = Some(object);
                return ReportAnswer::Written;
            }
            Err(CallError::Conflict) => self.read(server).await,
            Err(CallError::NotFound) => self.make_or_read(server).await,
            Err(error) => Err(error),
        };
        stands(again, &mut last)
    }
}

/// Keeps the object as it now is, and tells of it.
fn stands(
    seen: Result<GatewayInstance, CallError>,
    last: &mut Option<GatewayInstance>,
) -> ReportAnswer {
    match seen {
        Ok(object) => {
            let status = object.status.clone().unwrap_or_default();
            *last = Some(object);
            ReportAnswer::Stands(Box::new(status))
        }
        Err(error) => {
            tracing::warn!(%error, "report neither written nor read");
            ReportAnswer::Failed(error.to_string())
        }
    }
}
