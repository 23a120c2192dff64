//! The objects as they were read, and how they hang together.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_crds::names::{LABEL_GATEWAY, child_name};
use sluice_crds::{
    AddressClaim, DNAT, EIP, EIPPool, FIP, GatewayConfig, GatewayInstance, NATGateway, RuleSlice,
    SNAT,
};

/// Namespace and name; the namespace is empty for cluster-scoped kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key of these two.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// That of an object.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self::new(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        )
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// All that was read, at one moment.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each list is named for its kind")]
pub struct World {
    /// When it was read.
    pub now: Timestamp,
    /// Where the operator runs.
    pub operator_namespace: String,
    /// Kinds, by plural, that the asker may not read.
    pub hidden: BTreeSet<String>,
    pub gateways: Vec<NATGateway>,
    pub pools: Vec<EIPPool>,
    pub eips: Vec<EIP>,
    pub fips: Vec<FIP>,
    pub dnats: Vec<DNAT>,
    pub snats: Vec<SNAT>,
    pub configs: Vec<GatewayConfig>,
    pub slices: Vec<RuleSlice>,
    pub instances: Vec<GatewayInstance>,
    pub claims: Vec<AddressClaim>,
    pub leases: Vec<Lease>,
    pub pods: Vec<Pod>,
    pub nodes: Vec<Node>,
    pub deployments: Vec<Deployment>,
}

/// Name of the operator's Deployment and of its Lease.
pub const OPERATOR: &str = "sluice-operator";

impl World {
    /// Takes an object in; one that does not fit its kind is left out.
    ///
    /// # Errors
    /// When the object is of no kind that is looked at, or does not fit it.
    pub fn add(&mut self, object: Value) -> Result<(), String> {
        let kind = object
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        match kind.as_str() {
            "NATGateway" => push(&mut self.gateways, object),
            "EIPPool" => push(&mut self.pools, object),
            "EIP" => push(&mut self.eips, object),
            "FIP" => push(&mut self.fips, object),
            "DNAT" => push(&mut self.dnats, object),
            "SNAT" => push(&mut self.snats, object),
            "GatewayConfig" => push(&mut self.configs, object),
            "RuleSlice" => push(&mut self.slices, object),
            "GatewayInstance" => push(&mut self.instances, object),
            "AddressClaim" => push(&mut self.claims, object),
            "Lease" => push(&mut self.leases, object),
            "Pod" => push(&mut self.pods, object),
            "Node" => push(&mut self.nodes, object),
            "Deployment" => push(&mut self.deployments, object),
            _ => Err(format!("{kind:?} is no kind that is looked at")),
        }
    }

    /// Whether the asker may not read a kind.
    #[must_use]
    pub fn hides(&self, plural: &str) -> bool {
        self.hidden.contains(plural)
    }

    /// The gateway of that name.
    #[must_use]
    pub fn gateway(&self, key: &Key) -> Option<&NATGateway> {
        self.gateways.iter().find(|g| Key::of(&g.metadata) == *key)
    }

    /// The EIP of that name.
    #[must_use]
    pub fn eip(&self, key: &Key) -> Option<&EIP> {
        self.eips.iter().find(|e| Key::of(&e.metadata) == *key)
    }

    /// The Lease of a gateway.
    #[must_use]
    pub fn lease(&self, gateway: &Key) -> Option<&Lease> {
        let key = Key::new(&gateway.namespace, child_name(&gateway.name));
        self.leases.iter().find(|l| Key::of(&l.metadata) == key)
    }

    /// The Deployment of a gateway.
    #[must_use]
    pub fn deployment(&self, gateway: &Key) -> Option<&Deployment> {
        let key = Key::new(&gateway.namespace, child_name(&gateway.name));
        self.deployments
            .iter()
            .find(|d| Key::of(&d.metadata) == key)
    }

    /// The Pods of a gateway, the youngest first.
    #[must_use]
    pub fn pods_of(&self, gateway: &Key) -> Vec<&Pod> {
        let labelled = |pod: &&Pod| {
            let labels = pod.metadata.labels.as_ref();
            pod.metadata.namespace.as_deref() == Some(gateway.namespace.as_str())
                && labels.and_then(|all| all.get(LABEL_GATEWAY)) == Some(&gateway.name)
        };
        let mut pods: Vec<&Pod> = self.pods.iter().filter(labelled).collect();
        pods.sort_by_key(|pod| {
            std::cmp::Reverse(pod.metadata.creation_timestamp.as_ref().map(|t| t.0))
        });
        pods
    }

    /// The config of a gateway.
    #[must_use]
    pub fn config(&self, gateway: &Key) -> Option<&GatewayConfig> {
        self.configs
            .iter()
            .find(|c| Key::of(&c.metadata) == *gateway)
    }

    /// Reports of a gateway's instances.
    pub fn reports_of(&self, gateway: &Key) -> impl Iterator<Item = &GatewayInstance> {
        let gateway = gateway.clone();
        self.instances.iter().filter(move |i| {
            i.metadata.namespace.as_deref() == Some(gateway.namespace.as_str())
                && i.spec.gateway == gateway.name
        })
    }

    /// A Node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes
            .iter()
            .find(|n| n.metadata.name.as_deref() == Some(name))
    }

    /// The entries of an object in a gateway's config, with the slices they stand in.
    #[must_use]
    pub fn entries_of(&self, config: &GatewayConfig, uid: &str) -> Vec<(&str, &str)> {
        let namespace = config.metadata.namespace.as_deref();
        let mut found = Vec::new();
        for slice in &self.slices {
            let Some(name) = slice.metadata.name.as_deref() else {
                continue;
            };
            let named = config.spec.slices.iter().any(|s| s == name);
            if slice.metadata.namespace.as_deref() != namespace || !named {
                continue;
            }
            let own = slice
                .spec
                .entries
                .iter()
                .filter(|line| line.split(' ').nth(1) == Some(uid));
            found.extend(own.map(|line| (name, line.as_str())));
        }
        found
    }
}

fn push<T: DeserializeOwned>(list: &mut Vec<T>, object: Value) -> Result<(), String> {
    list.push(serde_json::from_value(object).map_err(|error| error.to_string())?);
    Ok(())
}
