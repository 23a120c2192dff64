//! Reads the cluster into a [`World`].

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::options::Cluster;
use crate::target::Kind;
use crate::world::World;

/// Objects a page of a list.
const PAGE: usize = 500;

/// Why the cluster cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No usable kubeconfig.
    #[error("no usable kubeconfig: {0}")]
    Kubeconfig(String),
    /// A request failed.
    #[error("{0}: {1}")]
    Request(String, String),
}

/// Access to a cluster.
pub struct Access {
    /// The client.
    pub client: Client,
    /// Namespace of the objects that are named.
    pub namespace: String,
    /// Namespace of the operator.
    pub operator_namespace: String,
}

/// What is listed: group and version, kind, plural, and what of it.
const LISTS: [(&str, &str, &str, &str); 15] = [
    ("apis/sluice.dev/v1alpha1", "NATGateway", "natgateways", ""),
    ("apis/sluice.dev/v1alpha1", "EIPPool", "eippools", ""),
    ("apis/sluice.dev/v1alpha1", "EIP", "eips", ""),
    ("apis/sluice.dev/v1alpha1", "FIP", "fips", ""),
    ("apis/sluice.dev/v1alpha1", "DNAT", "dnats", ""),
    ("apis/sluice.dev/v1alpha1", "SNAT", "snats", ""),
    (
        "apis/internal.sluice.dev/v1alpha1",
        "GatewayConfig",
        "gatewayconfigs",
        "",
    ),
    (
        "apis/internal.sluice.dev/v1alpha1",
        "RuleSlice",
        "ruleslices",
        "",
    ),
    (
        "apis/internal.sluice.dev/v1alpha1",
        "GatewayInstance",
        "gatewayinstances",
        "",
    ),
    (
        "apis/internal.sluice.dev/v1alpha1",
        "AddressClaim",
        "addressclaims",
        "",
    ),
    (
        "apis/coordination.k8s.io/v1",
        "Lease",
        "leases",
        "sluice.dev%2Fgateway",
    ),
    ("api/v1", "Pod", "pods", "sluice.dev%2Fgateway"),
    (
        "apis/apps/v1",
        "Deployment",
        "deployments",
        "sluice.dev%2Fgateway",
    ),
    ("api/v1", "Node", "nodes", ""),
    (
        "api/v1",
        "Pod",
        "pods",
        "app.kubernetes.io%2Fname%3Dsluice-operator",
    ),
];

/// Kinds that are in no namespace.
const CLUSTER_SCOPED: [&str; 3] = ["eippools", "addressclaims", "nodes"];

impl Access {
    /// By flags, else as kubectl does: KUBECONFIG, `~/.kube/config`, the Pod's account.
    ///
    /// # Errors
    /// [`FetchError::Kubeconfig`].
    pub async fn new(cluster: &Cluster) -> Result<Self, FetchError> {
        let bad = |error: &dyn std::error::Error| {
            let cause = error.source().map(|s| format!(": {s}")).unwrap_or_default();
            FetchError::Kubeconfig(format!("{error}{cause}"))
        };
        let options = KubeConfigOptions {
            context: cluster.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = match &cluster.kubeconfig {
            Some(path) => {
                let text = Kubeconfig::read_from(path).map_err(|e| bad(&e))?;
                Config::from_custom_kubeconfig(text, &options)
                    .await
                    .map_err(|e| bad(&e))?
            }
            None if cluster.context.is_some() => Config::from_kubeconfig(&options)
                .await
                .map_err(|e| bad(&e))?,
            None => Config::infer().await.map_err(|e| bad(&e))?,
        };
        let namespace = cluster
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        Ok(Self {
            client: Client::try_from(config).map_err(|e| bad(&e))?,
            namespace,
            operator_namespace: cluster.operator_namespace.clone(),
        })
    }

    /// Reads all that an explanation may need. What the asker may not read is left out
    /// and remembered; of what he may read in his own namespace only, that is read.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn world(&self) -> Result<World, FetchError> {
        let mut world = World {
            now: Timestamp::now(),
            operator_namespace: self.operator_namespace.clone(),
            ..World::default()
        };
        let mut hidden = BTreeSet::new();
        for (group, kind, plural, labels) in LISTS {
            let everywhere = format!("/{group}/{plural}");
            let here = format!("/{group}/namespaces/{}/{plural}", self.namespace);
            let mut items = self.list(&everywhere, labels).await?;
            if items.is_none() && !CLUSTER_SCOPED.contains(&plural) {
                items = self.list(&here, labels).await?;
            }
            let Some(items) = items else {
                hidden.insert(plural.to_owned());
                continue;
            };
            add_all(&mut world, items, group, kind);
        }
        for (group, kind, plural) in [
            ("apis/coordination.k8s.io/v1", "Lease", "leases"),
            ("apis/apps/v1", "Deployment", "deployments"),
        ] {
            let path = format!(
                "/{group}/namespaces/{}/{plural}/{}",
                self.operator_namespace,
                crate::world::OPERATOR
            );
            if let Some(object) = self.get(&path).await? {
                add_all(&mut world, vec![object], group, kind);
            }
        }
        world.hidden = hidden;
        Ok(world)
    }

    /// One object of a user, if it exists.
    ///
    /// # Errors
    /// When the asker may not read it, or the API server does not answer.
    pub async fn object(&self, kind: Kind, name: &str) -> Result<Option<Value>, FetchError> {
        let path = match kind.is_namespaced() {
            true => format!(
                "/apis/sluice.dev/v1alpha1/namespaces/{}/{}/{name}",
                self.namespace,
                kind.plural()
            ),
            false => format!("/apis/sluice.dev/v1alpha1/{}/{name}", kind.plural()),
        };
        match self.send("GET", &path, Vec::new()).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// One object, if there is one that the asker may read.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, FetchError> {
        match self.send("GET", path, Vec::new()).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(None),
            Err(error) => Err(failed(path, &error)),
        }
    }

    /// All objects of a path, page by page; nothing where the asker may not list them.
    /// A kind that the API server does not know has no objects.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn list(&self, path: &str, labels: &str) -> Result<Option<Vec<Value>>, FetchError> {
        let mut items = Vec::new();
        let mut from = String::new();
        loop {
            let page = format!("{path}?limit={PAGE}&labelSelector={labels}{from}");
            let mut answer = match self.send("GET", &page, Vec::new()).await {
                Ok(answer) => answer,
                Err(kube::Error::Api(status)) if status.code == 403 => return Ok(None),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Some(items)),
                Err(error) => return Err(failed(path, &error)),
            };
            if let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match answer.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => from = format!("&continue={token}"),
                _ => return Ok(Some(items)),
            }
        }
    }

    /// Sends one request; the answer is JSON.
    ///
    /// # Errors
    /// As kube has them.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Value, kube::Error> {
        let content = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content)
            .body(body)
            .map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }

    /// The text that a path answers with; nothing where there is none to be had.
    pub async fn text(&self, path: &str) -> Option<String> {
        let request = http::Request::get(path).body(Vec::new()).ok()?;
        self.client.request_text(request).await.ok()
    }
}

/// Items of a list do not say what they are.
fn add_all(world: &mut World, items: Vec<Value>, group: &str, kind: &str) {
    let version = group.trim_start_matches("apis/").trim_start_matches("api/");
    for mut item in items {
        if let Some(fields) = item.as_object_mut() {
            fields.insert("kind".to_owned(), json!(kind));
            fields.insert("apiVersion".to_owned(), json!(version));
        }
        if let Err(error) = world.add(item) {
            eprintln!("note: a {kind} is left out: {error}");
        }
    }
}

fn failed(what: &str, error: &kube::Error) -> FetchError {
    FetchError::Request(what.to_owned(), error.to_string())
}
