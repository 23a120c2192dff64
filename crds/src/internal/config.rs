//! GatewayConfig: the header of all that a gateway must have in its kernel.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// The header: which slices, together with which settings, make the config of
/// one gateway. Same namespace and name as the NATGateway. `metadata.uid` and
/// `metadata.generation` are its revision: the API server counts, nobody else.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "internal.sluice.dev",
    version = "v1alpha1",
    kind = "GatewayConfig",
    plural = "gatewayconfigs",
    namespaced,
    printcolumn = r#"{"name":"Generation","type":"integer","jsonPath":".metadata.generation"}"#,
    printcolumn = r#"{"name":"Entries","type":"integer","jsonPath":".spec.entries"}"#,
    printcolumn = r#"{"name":"Digest","type":"string","jsonPath":".spec.digest","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct GatewayConfigSpec {
    /// The gateway.
    pub gateway: OwnerGateway,
    /// Format of settings and entries. An agent that does not know it keeps
    /// what it has and says so.
    #[schemars(range(min = 1, max = 1_000))]
    pub format: i64,
    /// SHA-256 over format, settings and all entries in order, 64 hex digits;
    /// the same however the entries are cut into slices.
    #[schemars(length(min = 64, max = 64), extend("pattern" = "^[0-9a-f]{64}$"))]
    pub digest: String,
    /// Interfaces, subnets and policies of the gateway.
    pub settings: ConfigSettings,
    /// Names of the slices, in the order of their entries.
    #[serde(default)]
    #[schemars(length(max = 2_048), inner(length(min = 1, max = 67)))]
    pub slices: Vec<String>,
    /// How many entries the slices hold together.
    pub entries: i64,
}

/// A gateway, by name and life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnerGateway {
    /// Name of the NATGateway.
    #[schemars(length(max = 40))]
    pub name: String,
    /// UID of the NATGateway.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// What an agent must know besides entries. Everything is resolved: no
/// defaults are left to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSettings {
    /// The inside network.
    pub lan: ConfigLan,
    /// The external networks, in the gateway's order; at most 8.
    #[schemars(length(min = 1, max = 8))]
    pub uplinks: Vec<ConfigUplink>,
    /// Whether an EIP answers ping when no rule takes it.
    #[serde(rename = "pingEIPs")]
    pub ping_eips: bool,
    /// The largest TCP segment: `Auto` or bytes. Unset: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub mss_clamp: Option<String>,
    /// Whether translations are logged on standard output.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flow_log: bool,
    /// How next hops are watched. Left out where it is the default, so that a
    /// config is the same text as before there was a choice.
    #[serde(default, skip_serializing_if = "ConfigNeighbours::is_default")]
    pub neighbours: ConfigNeighbours,
    /// The annotations of the Nodes that the gateway's Pods are on, where there
    /// are any; by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub nodes: Vec<ConfigNode>,
}

impl ConfigSettings {
    /// These networks, and for the rest what a NATGateway has that says nothing more.
    #[must_use]
    pub fn new(lan: ConfigLan, uplinks: Vec<ConfigUplink>) -> Self {
        Self {
            lan,
            uplinks,
            ping_eips: true,
            mss_clamp: None,
            flow_log: false,
            neighbours: ConfigNeighbours::default(),
            nodes: Vec::new(),
        }
    }
}

/// How next hops are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigNeighbours {
    /// Whether a wrong entry of the kernel is replaced, not only told of.
    pub repair: bool,
    /// Seconds between two questions to a next hop.
    #[schemars(range(min = 1, max = 60))]
    pub probe_secs: i64,
}

impl Default for ConfigNeighbours {
    fn default() -> Self {
        Self {
            repair: true,
            probe_secs: 2,
        }
    }
}

impl ConfigNeighbours {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a Node overrides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigNode {
    /// Name of the Node.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its annotation `sluice.dev/uplink-address` as it was written, cut after
    /// 512 characters: the agent there judges it.
    #[schemars(length(max = 512))]
    pub uplink_address: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The inside network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigLan {
    /// Interface in the pod.
    #[schemars(length(max = 15))]
    pub interface: String,
    /// The pods' next hop, with prefix length; at most one per family. Empty
    /// where the LAN is eth0.
    #[serde(default)]
    #[schemars(length(max = 2))]
    pub addresses: Vec<String>,
    /// Inside subnets behind a router.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub routes: Vec<ConfigRoute>,
}

/// An inside subnet behind a router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRoute {
    /// The subnet.
    #[schemars(length(max = 43))]
    pub to: String,
    /// The router.
    #[schemars(length(max = 39))]
    pub via: String,
}

/// An external network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigUplink {
    /// Its name, which `addr` entries use.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Interface in the pod.
    #[schemars(length(max = 15))]
    pub interface: String,
    /// Subnets of its pools, sorted, each once.
    #[schemars(length(max = 128))]
    pub subnets: Vec<ConfigSubnet>,
    /// Own IPv4 address, where it is overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub ipv4: Option<String>,
    /// Own IPv6 address, where it is overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 39))]
    pub ipv6: Option<String>,
}

/// A subnet on an uplink.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSubnet {
    /// Its prefix.
    #[schemars(length(max = 43))]
    pub cidr: String,
    /// Next hop for what leaves by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 39))]
    pub gateway: Option<String>,
}
