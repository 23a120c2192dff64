//! GatewayInstance: what one gateway instance says of itself, checked against
//! its kernel.

use crate::cel;
use crate::user::Hosting;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// The report of a gateway pod's agent. Same namespace and name as its Pod,
/// owned by it, held by the finalizer `sluice.dev/fenced`.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "internal.sluice.dev",
    version = "v1alpha1",
    kind = "GatewayInstance",
    plural = "gatewayinstances",
    namespaced,
    status = "GatewayInstanceStatus",
    printcolumn = r#"{"name":"Gateway","type":"string","jsonPath":".spec.gateway"}"#,
    printcolumn = r#"{"name":"Node","type":"string","jsonPath":".spec.node"}"#,
    printcolumn = r#"{"name":"Applied","type":"integer","jsonPath":".status.applied.generation"}"#,
    printcolumn = r#"{"name":"Term","type":"integer","jsonPath":".status.active.term"}"#,
    printcolumn = r#"{"name":"Final","type":"boolean","jsonPath":".status.final"}"#,
    printcolumn = r#"{"name":"Repairs","type":"integer","jsonPath":".status.driftRepairs","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = cel::immutable("spec", "a GatewayInstance speaks for one Pod; create another"))]
pub struct GatewayInstanceSpec {
    /// Name of the NATGateway.
    #[schemars(length(min = 1, max = 40))]
    pub gateway: String,
    /// UID of the NATGateway.
    #[serde(rename = "gatewayUID")]
    #[schemars(length(min = 1, max = 64))]
    pub gateway_uid: String,
    /// UID of the Pod.
    #[serde(rename = "podUID")]
    #[schemars(length(min = 1, max = 64))]
    pub pod_uid: String,
    /// Name of the Pod's Node.
    #[schemars(length(min = 1, max = 253))]
    pub node: String,
}

/// The report itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayInstanceStatus {
    /// Which life of the kernel state speaks:
    /// `pod/<pod UID>/<boot ID>/<network namespace cookie>`.
    #[schemars(length(max = 253))]
    pub instance: String,
    /// Config formats that the agent knows.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub formats: Vec<i64>,
    /// What the kernel holds, verified. Unset: nothing yet, or nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// Entries of `applied` that the kernel refused, with its words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_024))]
    pub rejected: Vec<RejectedEntry>,
    /// The term at which the addresses answer. Set after the addresses of
    /// `applied` answer and the first announcement of that term is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Active>,
    /// The chassis of an OVN network that hosts the gateway's port, and has
    /// acknowledged `applied` since it does. Unset: none has, or no chassis serves
    /// the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosting: Option<Hosting>,
    /// Addresses of `applied` that do not answer or do not work, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_024))]
    pub unusable: Vec<UnusableAddress>,
    /// What is wrong with the instance as a whole; every address suffers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub problems: Vec<Problem>,
    /// What runs short while it still works. Changes when a threshold is
    /// crossed, and not with the figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub shortages: Vec<Shortage>,
    /// The uplinks' own addresses, as found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub uplinks: Vec<UplinkOwnAddress>,
    /// Next hops and own interfaces whose MAC changed, or does not fit: those that
    /// there was something to tell of since the process began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub neighbours: Vec<NeighbourChange>,
    /// Foreign changes that were noticed and undone since the instance began.
    #[serde(default)]
    pub drift_repairs: i64,
    /// The instance has given up: its kernel answers for nothing and never
    /// will again. Once true, it stays true.
    #[serde(default, rename = "final")]
    pub is_final: bool,
}

/// A verified revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// UID of the GatewayConfig.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Generation of the GatewayConfig.
    pub generation: i64,
    /// Digest of the content, computed by the agent from what it received.
    #[schemars(length(max = 64))]
    pub digest: String,
    /// Slices that the content came in.
    #[serde(default)]
    #[schemars(length(max = 2_048))]
    pub slices: Vec<String>,
}

/// A holder's fencing term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Active {
    /// UID of the gateway's Lease.
    #[serde(rename = "leaseUID")]
    #[schemars(length(max = 64))]
    pub lease_uid: String,
    /// `leaseTransitions` of the Lease at which the instance holds.
    pub term: i64,
}

/// An entry that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedEntry {
    /// Key of the entry: its text without generation.
    #[schemars(length(max = 1_024))]
    pub key: String,
    /// First 26 hex digits of SHA-256 of the entry's text.
    #[schemars(length(max = 64))]
    pub digest: String,
    /// What the kernel said.
    #[schemars(length(max = 512))]
    pub error: String,
}

/// An address that does not answer or does not work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnusableAddress {
    /// The address.
    #[schemars(length(max = 39))]
    pub address: String,
    /// Why, in CamelCase.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why, in a sentence.
    #[schemars(length(max = 512))]
    pub message: String,
}

/// What is wrong with the instance as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Why, in CamelCase: `ForwardingDisabled`, `RPFilterBlocks`, `ForeignRules`, …
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why, in a sentence with the remedy.
    #[schemars(length(max = 512))]
    pub message: String,
    /// Whether traffic suffers, so that nothing can be Ready.
    pub blocking: bool,
}

/// Something that runs short while it still works.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shortage {
    /// The EIP's address.
    #[schemars(length(max = 39))]
    pub address: String,
    /// What, in CamelCase: `PortsLow`, `PortsPerSourceReached`.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// UID of the SNAT that it concerns. Unset: every SNAT of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub rule: Option<String>,
    /// What, in a sentence with the remedy.
    #[schemars(length(max = 512))]
    pub message: String,
}

/// An uplink's own addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UplinkOwnAddress {
    /// Name of the uplink.
    #[schemars(length(max = 63))]
    pub name: String,
    /// MAC address of its interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 17))]
    pub mac: Option<String>,
    /// Own IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub ipv4: Option<String>,
    /// Own IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 39))]
    pub ipv6: Option<String>,
}

/// The last change of a MAC address: of a next hop, or of an own interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NeighbourChange {
    /// The interface.
    #[schemars(length(max = 15))]
    pub interface: String,
    /// The next hop; unset where it is the interface's own MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 39))]
    pub address: Option<String>,
    /// How many changes there were since the process began.
    pub changes: i64,
    /// How long the kernel sent to a wrong MAC, all times together, in
    /// milliseconds; what still lasts is not counted.
    #[serde(default)]
    pub mismatch_ms: i64,
    /// What was, what is, how long it lasted and what was done, in a sentence.
    #[schemars(length(max = 512))]
    pub message: String,
}
