//! The API server: watches in, reads and compare-and-swap writes out.

use std::path::PathBuf;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use sluice_core::agent::{Action, Event, PodSeen};
use sluice_crds::{GatewayConfig, GatewayInstance, RuleSlice, names};
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::options::Options;

mod call;
mod config;
mod lease;
mod report;
mod watch;

pub use call::CallError;

use call::call;

/// The API server as one agent sees it. Every answer is sent as an event.
#[derive(Clone)]
pub struct Server {
    options: std::sync::Arc<Options>,
    configs: Api<GatewayConfig>,
    slices: Api<RuleSlice>,
    lease: lease::Leases,
    report: report::Reports,
    events: mpsc::Sender<Event>,
    metrics: Metrics,
}

/// How the API server is reached.
///
/// # Errors
/// Where the Pod's service account or the file cannot be read.
pub async fn connect(kubeconfig: Option<PathBuf>) -> Result<Client, CallError> {
    let unreadable = |error: &dyn std::fmt::Display| CallError::Other(error.to_string());
    let mut config = match kubeconfig {
        None => kube::Config::incluster().map_err(|e| unreadable(&e))?,
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(path).map_err(|e| unreadable(&e))?;
            kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default())
                .await
                .map_err(|e| unreadable(&e))?
        }
    };
    config.connect_timeout = Some(call::TIMEOUT);
    // The machine tries again by itself, and must know when nobody answers.
    config.default_retry = false;
    sluice_connection::connect(config).map_err(CallError::from)
}

impl Server {
    /// Works for the Pod and gateway of `options`; nothing is sent yet.
    #[must_use]
    pub fn new(
        client: &Client,
        options: &std::sync::Arc<Options>,
        events: mpsc::Sender<Event>,
        metrics: Metrics,
    ) -> Self {
        let namespace = &options.pod_namespace;
        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
        let instances: Api<GatewayInstance> = Api::namespaced(client.clone(), namespace);
        Self {
            configs: Api::namespaced(client.clone(), namespace),
            slices: Api::namespaced(client.clone(), namespace),
            lease: lease::Leases::new(leases, names::child_name(&options.gateway)),
            report: report::Reports::new(instances, options),
            options: std::sync::Arc::clone(options),
            events,
            metrics,
        }
    }

    /// Starts the watches of header and Lease, and makes or takes over the report.
    pub fn begin(&self) {
        let header = self.clone();
        tokio::spawn(async move {
            let name = header.options.gateway.clone();
            watch::one(header.configs.clone(), &name, header.clone(), |seen| {
                Event::Header(seen.and_then(config::header))
            })
            .await;
        });
        let lease = self.clone();
        tokio::spawn(async move {
            let leases = lease.lease.clone();
            let name = leases.name.clone();
            watch::one(leases.api.clone(), &name, lease.clone(), |seen| {
                Event::Lease(leases.remember(seen))
            })
            .await;
        });
        let report = self.clone();
        tokio::spawn(async move {
            let answer = report.report.ensure(&report).await;
            report.send(Event::Report(answer)).await;
        });
    }

    /// Carries out an action that is not the kernel's; the answer comes as an event.
    pub fn carry_out(&self, action: Action) {
        let server = self.clone();
        tokio::spawn(async move {
            let answer = match action {
                Action::ReadHeader => Event::HeaderRead(server.read_header().await),
                Action::FetchSlices(names) => server.fetch_slices(names).await,
                Action::ReadLease => Event::LeaseAnswer(server.lease.read(&server).await),
                Action::WriteLease(write) => {
                    Event::LeaseAnswer(server.lease.write(&server, &write).await)
                }
                Action::Report(status) => {
                    Event::Report(server.report.write(&server, *status).await)
                }
                Action::ReadReport => Event::Report(server.report.reread(&server).await),
                Action::ReadPod => Event::Pod(server.read_pod().await),
                Action::Kernel(_) | Action::Exit => return,
            };
            server.send(answer).await;
        });
    }

    async fn send(&self, event: Event) {
        // Closed: the agent has ended, and nobody wants to know any more.
        let _ = self.events.send(event).await;
    }

    /// Reads the own Pod by a client made anew, so that the token is the one
    /// that now stands in the file.
    async fn read_pod(&self) -> PodSeen {
        let read = async {
            let client = connect(self.options.kubeconfig.clone()).await?;
            let pods: Api<Pod> = Api::namespaced(client, &self.options.pod_namespace);
            call("pod", &self.metrics, pods.get(&self.options.pod_name)).await
        };
        let seen = match read.await {
            Ok(pod) if pod.metadata.uid.as_deref() != Some(&self.options.pod_uid) => PodSeen::Gone,
            Ok(pod) if pod.metadata.deletion_timestamp.is_some() => PodSeen::Terminating,
            Ok(_) => PodSeen::Lives,
            Err(CallError::NotFound) => PodSeen::Gone,
            Err(CallError::Unauthorized) => PodSeen::Refused,
            Err(error @ (CallError::Conflict | CallError::AlreadyExists | CallError::Other(_))) => {
                tracing::warn!(%error, "the own Pod could not be read");
                PodSeen::Unreachable
            }
        };
        tracing::info!(?seen, pod = self.options.pod_name, "own Pod read");
        seen
    }

    /// Tells the agent where an error means that the token is refused.
    async fn told<T>(&self, result: Result<T, CallError>) -> Result<T, CallError> {
        if matches!(result, Err(CallError::Unauthorized)) {
            self.send(Event::Unauthorized).await;
        }
        result
    }
}
