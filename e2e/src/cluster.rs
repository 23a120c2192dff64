//! Working on the cluster through its API: waiting, applying, tokens.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use kube::api::{Api, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::Runtime;

use crate::command::run_with_input;
use crate::error::{Doing, LabError, Result};
use crate::paths::LabPaths;

/// How long a token of a service account lasts, in seconds: a year.
const TOKEN_SECS: i64 = 365 * 24 * 3600;

/// A client of the lab's API server, as administrator.
///
/// # Errors
/// When the kubeconfig is not there.
pub async fn client(paths: &LabPaths) -> Result<Client> {
    let file = paths.kubeconfig();
    let wrong = |error: String| LabError::Content(format!("{}: {error}", file.display()));
    let kubeconfig = Kubeconfig::read_from(&file).map_err(|error| wrong(error.to_string()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| wrong(error.to_string()))?;
    Client::try_from(config).doing(|| "make an API client".into())
}

/// Our kubectl, aimed at the lab.
#[must_use]
pub fn kubectl(paths: &LabPaths) -> Command {
    let mut command = Command::new(paths.bin().join("kubectl"));
    command.env("KUBECONFIG", paths.kubeconfig());
    command
}

/// A blocking view of the cluster, for bringing a lab up.
pub struct Cluster {
    paths: LabPaths,
    runtime: Runtime,
    client: Client,
}

impl Cluster {
    /// Connects; the API server need not be up yet.
    ///
    /// # Errors
    /// When the kubeconfig is not there.
    pub fn new(paths: &LabPaths) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .doing(|| "start the runtime".into())?;
        let client = runtime.block_on(client(paths))?;
        Ok(Self {
            paths: paths.clone(),
            runtime,
            client,
        })
    }

    /// Waits until the API server says that it is ready.
    ///
    /// # Errors
    /// When it is not within `secs`.
    pub fn wait_ready(&self, secs: u64) -> Result<()> {
        let log = self.paths.control_plane().join("kube-apiserver.log");
        self.wait(
            "the API server",
            secs,
            &format!("see {}", log.display()),
            || async {
                // A list's URL is the bare path, which is what is wanted here.
                let request = kube::core::Request::new("/readyz").list(&ListParams::default());
                match request {
                    Ok(request) => self
                        .client
                        .request_text(request)
                        .await
                        .is_ok_and(|text| text == "ok"),
                    Err(_) => false,
                }
            },
        )
    }

    /// A token of a service account, made by the API server.
    ///
    /// # Errors
    /// When the account does not exist.
    pub fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = self
            .runtime
            .block_on(api.create_token_request(account, &PostParams::default(), &request))
            .doing(|| format!("get a token of {namespace}/{account}"))?;
        answer.status.map(|status| status.token).ok_or_else(|| {
            LabError::Content(format!(
                "the API server gave no token for {namespace}/{account}"
            ))
        })
    }

    /// Waits until `count` nodes are Ready.
    ///
    /// # Errors
    /// When they are not within `secs`.
    pub fn wait_nodes(&self, count: usize, secs: u64) -> Result<()> {
        let api: Api<Node> = Api::all(self.client.clone());
        let hint = format!(
            "see kubelet.log and containerd.log below {}",
            self.paths.dir.join("nodes").display()
        );
        self.wait(
            &format!("readiness of {count} nodes"),
            secs,
            &hint,
            || async {
                let ready = |node: &Node| {
                    let conditions = node
                        .status
                        .as_ref()
                        .and_then(|status| status.conditions.as_ref());
                    conditions.is_some_and(|all| {
                        all.iter().any(|c| c.type_ == "Ready" && c.status == "True")
                    })
                };
                api.list(&ListParams::default())
                    .await
                    .is_ok_and(|list| list.items.iter().filter(|node| ready(node)).count() >= count)
            },
        )
    }

    /// Waits until every pod of a namespace is Ready.
    ///
    /// # Errors
    /// When one is not within `secs`.
    pub fn wait_pods(&self, namespace: &str, secs: u64) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let hint = format!("see `sluice-lab kubectl -n {namespace} describe pods`");
        self.wait(
            &format!("readiness of the pods of {namespace}"),
            secs,
            &hint,
            || async {
                let ready = |pod: &Pod| {
                    let conditions = pod
                        .status
                        .as_ref()
                        .and_then(|status| status.conditions.as_ref());
                    conditions.is_some_and(|all| {
                        all.iter().any(|c| c.type_ == "Ready" && c.status == "True")
                    })
                };
                api.list(&ListParams::default())
                    .await
                    .is_ok_and(|list| list.items.iter().all(ready))
            },
        )
    }

    /// Waits until every replica of each Deployment of a namespace is available.
    ///
    /// # Errors
    /// When one is not within `secs`.
    pub fn wait_deployments(&self, namespace: &str, secs: u64) -> Result<()> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let hint = format!("see `sluice-lab kubectl -n {namespace} get pods`");
        self.wait(
            &format!("availability of {namespace}"),
            secs,
            &hint,
            || async {
                let done = |deployment: &Deployment| {
                    let wanted = deployment
                        .spec
                        .as_ref()
                        .and_then(|spec| spec.replicas)
                        .unwrap_or(1);
                    let have = deployment
                        .status
                        .as_ref()
                        .and_then(|status| status.available_replicas);
                    have.unwrap_or(0) >= wanted
                };
                api.list(&ListParams::default())
                    .await
                    .is_ok_and(|list| list.items.iter().all(done))
            },
        )
    }

    /// Applies manifests given as text. What another object's absence refuses
    /// (a namespace's service account, a new kind) is tried again for `secs`.
    ///
    /// # Errors
    /// With kubectl's words of the last try.
    pub fn apply(&self, manifests: &str, secs: u64) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(secs);
        loop {
            let mut command = kubectl(&self.paths);
            command.args([
                "apply",
                "--server-side",
                "--force-conflicts",
                "--field-manager=sluice-lab",
                "-f",
                "-",
            ]);
            match run_with_input(&mut command, manifests) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(100)),
            }
        }
    }

    fn wait<F: Future<Output = bool>>(
        &self,
        what: &str,
        secs: u64,
        hint: &str,
        done: impl Fn() -> F,
    ) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(secs);
        let step = Duration::from_secs(5);
        while !self
            .runtime
            .block_on(async { tokio::time::timeout(step, done()).await.unwrap_or(false) })
        {
            if Instant::now() > deadline {
                return Err(LabError::Timeout {
                    what: what.to_owned(),
                    secs,
                    hint: hint.to_owned(),
                });
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
