//! NATGateway: the pods that hold EIPs and translate.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Hosting, NamespacesFrom, Ovn};
use crate::cel;

/// A NAT gateway: pods that hold EIPs and translate for one inside network.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "NATGateway",
    plural = "natgateways",
    shortname = "natgw",
    namespaced,
    status = "NATGatewayStatus",
    validation = cel::gateway_name(),
    category = "nat",
    category = "sluice",
    printcolumn = r#"{"name":"Holder","type":"string","jsonPath":".status.holder.pod"}"#,
    printcolumn = r#"{"name":"Node","type":"string","jsonPath":".status.holder.node"}"#,
    printcolumn = r#"{"name":"EIPs","type":"integer","jsonPath":".status.eips"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Revision","type":"integer","jsonPath":".status.revision","priority":1}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Programmed","type":"string","jsonPath":".status.conditions[?(@.type==\"Programmed\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = cel::lan_interface(),
    validation = cel::ovn_iff_asked(),
    validation = cel::attachments_of_pods(),
    validation = cel::not_with_ovn()
)]
pub struct NATGatewaySpec {
    /// Pods of this gateway: one holds the addresses. Only 1 is supported: high
    /// availability is not built yet. Default 1. Mutable.
    #[serde(default = "default_replicas")]
    #[x_kube(validation = cel::replicas())]
    pub replicas: i32,
    /// What translates. Default `nftables`. Immutable.
    #[serde(default)]
    #[x_kube(validation = cel::immutable("dataplane", "create another gateway for another data plane"))]
    pub dataplane: Dataplane,
    /// Where OVN serves the gateway. Required with `dataplane: OVN`, else not
    /// allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ovn: Option<Ovn>,
    /// External networks, 1 to 8; with `dataplane: OVN` 1, of a name and pools only. What comes in by one is answered by it; what
    /// inside hosts send leaves by the one that their EIP's pool stands on. Mutable:
    /// to add, remove or reorder uplinks replaces the pod.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(
        validation = cel::uplink_names(),
        validation = cel::uplink_interfaces(),
        validation = cel::uplink_pools()
    )]
    pub uplinks: Vec<Uplink>,
    /// The inside network. Default: the pod's own interface eth0, and inside
    /// hosts by its default next hop. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lan: Option<Lan>,
    /// Namespaces whose EIPs the gateway serves. Default `Same`. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<NamespacesFrom>,
    /// What rules of other namespaces may point at; up to 16. Unset: nothing,
    /// for an address does not tell whose pod has it; but where the LAN is eth0,
    /// pods of their own namespace that they name or select. Rules of the
    /// gateway's own namespace may point at any inside address, whatever stands
    /// here. Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub allowed_targets: Vec<AllowedTarget>,
    /// Settings of the gateway's pods. Mutable: a change replaces the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<GatewayTemplate>,
    /// Whether an EIP answers ping when no rule takes it. Default true. Mutable.
    #[serde(default = "default_true", rename = "pingEIPs")]
    pub ping_eips: bool,
    /// The largest TCP segment that connections through the gateway may agree
    /// on: `Auto`, what fits into packets of the LAN and of the uplink, of the
    /// two MTUs the smaller, as they are at any time; or bytes, 536 to 65495.
    /// Only ever lowers what the two ends say, in both directions and families.
    /// For hosts that do not see ICMP errors; it costs each packet one rule.
    /// Default: nothing is changed. Mutable: it holds for new connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 16))]
    #[x_kube(validation = cel::mss_clamp())]
    pub mss_clamp: Option<IntOrString>,
    /// A log of translations: who had which port of an EIP when. Default
    /// `Disabled`. Mutable.
    #[serde(default, skip_serializing_if = "FlowLog::is_disabled")]
    pub flow_log: FlowLog,
    /// How the gateway watches the MAC addresses of its next hops. Default:
    /// `Repair`, each `2s`. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<Neighbours>,
}

/// How a gateway watches the MAC addresses of its next hops. It asks each next hop
/// in use, on uplinks and LAN, by ARP or neighbour solicitation. What it finds
/// stands in the gateway's Ready condition, in Events and in metrics. Its own
/// addresses are announced anew when an interface's own MAC changes, whatever
/// stands here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Neighbours {
    /// What to do where the kernel sends to another MAC than the next hop answers
    /// from, because of a static entry. Default `Repair`. Mutable.
    #[serde(default)]
    pub mac_policy: MacPolicy,
    /// How often each next hop is asked, in seconds with unit `s`: 1s to 60s.
    /// Default `2s`, which finds a change within 5 s. Mutable.
    #[serde(default = "default_probe_interval")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = cel::probe_interval())]
    pub probe_interval: String,
}

/// What to do about a wrong MAC of a next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MacPolicy {
    /// Replace the kernel's entry, and tell.
    #[default]
    Repair,
    /// Leave the entry, and tell as long as it is wrong.
    Report,
}

/// Where a gateway writes its log of translations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FlowLog {
    /// Nowhere.
    #[default]
    Disabled,
    /// To the standard output of the agent, one JSON object a line, with the
    /// key `kind` of value `flow`.
    Stdout,
}

impl FlowLog {
    fn is_disabled(&self) -> bool {
        *self == Self::Disabled
    }
}

/// What [`NATGatewaySpec::mss_clamp`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MssClamp {
    /// What fits the MTUs of both interfaces.
    Auto,
    /// So many bytes.
    Bytes(u16),
}

impl MssClamp {
    /// The least and the most that can be asked for.
    pub const BYTES: RangeInclusive<u16> = 536..=65_495;

    /// Parses `Auto` or a plain decimal number in the range. `None` for everything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "Auto" {
            return Some(Self::Auto);
        }
        let plain = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        let bytes = plain.then(|| text.parse().ok()).flatten()?;
        Self::BYTES.contains(&bytes).then_some(Self::Bytes(bytes))
    }

    /// The same from a field that is a number or a string.
    #[must_use]
    pub fn from_field(field: &IntOrString) -> Option<Self> {
        match field {
            IntOrString::Int(n) => Self::parse(&n.to_string()),
            IntOrString::String(text) => Self::parse(text),
        }
    }
}

impl fmt::Display for MssClamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("Auto"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

/// What translates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dataplane {
    /// The kernel of the gateway pod, by nftables.
    #[default]
    #[serde(rename = "nftables")]
    Nftables,
    /// The chassis of an OVN network, by rows of its northbound database, which a
    /// pod of the gateway writes. No bandwidth, portsPerSource, SNAT of several EIPs,
    /// unequal weights, ports `"*"`, flowLog, mssClamp.
    #[serde(rename = "OVN")]
    Ovn,
}

/// One external network of a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uplink {
    /// Name, unique within the gateway: a DNS label. Mutable.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = cel::dns_label("uplinks.name"))]
    pub name: String,
    /// Names of the EIPPools that stand on this uplink, 1 to 16, each once, and on
    /// no other uplink of the gateway. An EIP that names no pool takes the first of
    /// the first uplink. Mutable.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = cel::dns_subdomains("uplinks.pools"), validation = cel::unique_items("uplinks.pools"))]
    pub pools: Vec<String>,
    /// NetworkAttachmentDefinition that puts the uplink into the pod:
    /// `namespace/name`, or `name` in the gateway's namespace. Required, but
    /// with `dataplane: OVN` not allowed. Mutable: a change replaces the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    #[x_kube(validation = cel::attachment("uplinks.networkAttachment"))]
    pub network_attachment: Option<String>,
    /// Interface name in the pod, up to 15 characters, not `eth0`, which is the
    /// pod network's, and not that of another uplink. Default `eth1`, for the one
    /// that names none. Mutable: a change replaces the pod.
    #[serde(default = "default_uplink_interface")]
    #[schemars(length(min = 1, max = 15))]
    #[x_kube(validation = cel::interface_name("uplinks.interface"))]
    pub interface: String,
    /// The uplink's own addresses instead of those found on the interface; before
    /// the annotation `sluice.dev/uplink-address` of the Node. One that the
    /// interface does not have is told of, and no other is used in its place.
    /// Default: the annotation, else as found. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<UplinkAddress>,
}

/// Own addresses of an uplink, each on the interface already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UplinkAddress {
    /// Own IPv4 address, without prefix length. Default: found on the
    /// interface. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = cel::host_field("uplinks.address.ipv4", Some("IPv4")))]
    pub ipv4: Option<String>,
    /// Own IPv6 address, without prefix length. Default: found on the
    /// interface. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = cel::host_field("uplinks.address.ipv6", Some("IPv6")))]
    pub ipv6: Option<String>,
}

/// The inside network of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = cel::route_in_one_family(),
    validation = cel::router_before_subnet(),
    validation = cel::router_is_neighbour(),
    validation = cel::one_route_each(),
    validation = cel::addresses_of_attachment()
)]
pub struct Lan {
    /// NetworkAttachmentDefinition of the inside network: `namespace/name`, or
    /// `name` in the gateway's namespace. Default: none, the inside network is
    /// the pod's own interface eth0, by which the agent must reach the API
    /// server too. Mutable: a change replaces the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    #[x_kube(validation = cel::attachment("lan.networkAttachment"))]
    pub network_attachment: Option<String>,
    /// Interface name of the attachment in the pod, up to 15 characters, not
    /// `eth0` and not that of an uplink. Default `lan0`. Mutable: a change
    /// replaces the pod.
    #[serde(default = "default_lan_interface")]
    #[schemars(length(min = 1, max = 15))]
    #[x_kube(validation = cel::interface_name("lan.interface"))]
    pub interface: String,
    /// The pods' next hop, with the inside network's prefix length, at most one
    /// per family: `10.244.0.254/16`. Default: the gateway address of the
    /// attachment's IPAM. Not with eth0, whose address is the pod's. Mutable: a
    /// change breaks open connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), inner(length(max = 64)))]
    #[x_kube(
        validation = cel::interface_addresses("lan.addresses"),
        validation = cel::at_most_one_per_family("lan.addresses")
    )]
    pub addresses: Vec<String>,
    /// Inside subnets behind a router, up to 64. Default: none; on eth0, what
    /// has no route here goes to eth0's own default next hop. Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub routes: Vec<LanRoute>,
}

/// An inside subnet behind a router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LanRoute {
    /// The subnet, without host bits. Mutable.
    #[schemars(length(max = 64))]
    #[x_kube(validation = cel::prefix_field("lan.routes.to"))]
    pub to: String,
    /// The router, an address of the inside network, of the same family.
    /// Mutable.
    #[schemars(length(max = 64))]
    #[x_kube(validation = cel::host_field("lan.routes.via", None))]
    pub via: String,
}

/// Inside addresses that rules may point at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedTarget {
    /// Namespaces of the rules that this entry allows. Mutable.
    pub namespaces: NamespacesFrom,
    /// Prefixes without host bits that those rules may point at, 1 to 16.
    /// Mutable.
    #[schemars(length(min = 1, max = 16), inner(length(max = 64)))]
    #[x_kube(validation = cel::prefixes("allowedTargets.cidrs"))]
    pub cidrs: Vec<String>,
}

/// Settings of a gateway's pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayTemplate {
    /// Image of the agent. Default: the one that the operator was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Node labels that the pods need, up to 32. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Resources of the agent's container. Default: requests of 50m CPU and 64Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Annotations of the pods, up to 64; those of Multus are not allowed.
    /// Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 4096}))]
    #[x_kube(validation = cel::no_multus_annotation())]
    pub annotations: BTreeMap<String, String>,
    /// PriorityClass of the pods. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// How IPv6 forwarding and proxy ND are turned on. Default `Pod`.
    #[serde(default)]
    pub sysctls: SysctlsMode,
}

/// How IPv6 forwarding and proxy ND are turned on in the pod's namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SysctlsMode {
    /// By the pod's `securityContext.sysctls`; the kubelet must allow them.
    #[default]
    Pod,
}

/// What is known of a gateway. Written at most once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NATGatewayStatus {
    /// Generation of the spec that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Who answers for the gateway's addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<GatewayHolder>,
    /// Generation of the GatewayConfig that the holder has acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Pods that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Pods whose agent has acknowledged the current revision.
    #[serde(default)]
    pub ready_replicas: i32,
    /// EIPs that the gateway serves.
    #[serde(default, rename = "eips")]
    pub eips: i32,
    /// The first of them by name, up to 5, as `namespace/name`: those that stand in
    /// the way of a deletion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), inner(length(max = 317)))]
    pub used_by: Vec<String>,
    /// `Accepted`, `Programmed`, `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// Who answers for a gateway's addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayHolder {
    /// Instance: `pod/<pod UID>/<boot ID>/<network namespace cookie>`.
    #[schemars(length(max = 253))]
    pub instance: String,
    /// Its Pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// The Pod's Node.
    #[schemars(length(max = 253))]
    pub node: String,
    /// Its fencing term: `leaseTransitions` of the gateway's Lease.
    pub term: i64,
    /// Since when it holds: `acquireTime` of the Lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// With `dataplane: OVN`: which chassis translates. Unset while the one that
    /// hosts the gateway's port has acknowledged nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosting: Option<Hosting>,
}

fn default_replicas() -> i32 {
    1
}

fn default_true() -> bool {
    true
}

fn default_probe_interval() -> String {
    "2s".to_owned()
}

fn default_uplink_interface() -> String {
    "eth1".to_owned()
}

fn default_lan_interface() -> String {
    "lan0".to_owned()
}
