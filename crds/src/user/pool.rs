//! EIPPool: an external network and the addresses of it that may be handed out.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::NamespacesFrom;
use crate::cel;

/// An external network and what may be handed out of it. Cluster-scoped.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "EIPPool",
    plural = "eippools",
    status = "EIPPoolStatus",
    category = "nat",
    category = "sluice",
    printcolumn = r#"{"name":"Network","type":"string","jsonPath":".spec.network"}"#,
    printcolumn = r#"{"name":"IPv4-Used","type":"integer","jsonPath":".status.ipv4.used"}"#,
    printcolumn = r#"{"name":"IPv4-Total","type":"string","jsonPath":".status.ipv4.total"}"#,
    printcolumn = r#"{"name":"IPv6-Used","type":"integer","jsonPath":".status.ipv6.used"}"#,
    printcolumn = r#"{"name":"Exhausted","type":"string","jsonPath":".status.conditions[?(@.type==\"Exhausted\")].status"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct EIPPoolSpec {
    /// The external network that the addresses belong to: a DNS label. An
    /// address is given out once per network, whatever pools there are.
    /// Default `default`. Immutable.
    #[serde(default = "default_network")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(
        validation = cel::dns_label("network"),
        validation = cel::immutable("network", "create another pool for another network")
    )]
    pub network: String,
    /// Subnets of that network, 1 to 8. Mutable: addresses in use outside the
    /// new ranges stay with their EIPs.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(validation = cel::subnets_apart())]
    pub subnets: Vec<PoolSubnet>,
    /// How long a freed address is not given to another EIP, in seconds with
    /// unit `s`, or minutes with unit `m`. 0s to 24h. Default `60s`. Mutable.
    #[serde(default = "default_cooldown")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = cel::cooldown())]
    pub cooldown: String,
    /// Namespaces whose EIPs, and whose gateways, may use the pool: `All` or
    /// `Selector`. Default `All`. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = cel::no_same())]
    pub allowed_namespaces: Option<NamespacesFrom>,
}

/// One subnet of an external network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = cel::gateway_family(),
    validation = cel::gateway_is_host(),
    validation = cel::ranges_inside("ranges"),
    validation = cel::ranges_inside("exclude"),
    validation = cel::ranges_of_hosts(),
    validation = cel::ranges_apart()
)]
pub struct PoolSubnet {
    /// The subnet's prefix without host bits, e.g. `10.155.30.0/24` or
    /// `2001:db8:1::/64`.
    /// Subnets of a pool do not overlap. Mutable.
    #[schemars(length(max = 64))]
    #[x_kube(validation = cel::prefix_field("subnets.cidr"))]
    pub cidr: String,
    /// Next hop of the uplink that the pool stands on, for this family; the
    /// same in all its pools. May lie outside the subnet or be link-local.
    /// Unset everywhere: only neighbours are reachable. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = cel::next_hop_field("subnets.gateway"))]
    pub gateway: Option<String>,
    /// What may be handed out: `first-last`, a prefix, or one address; 1 to 32.
    /// In the subnet, without overlap; `first-last` without the network and the
    /// broadcast address. Those two and the gateway are never handed out,
    /// whatever a prefix covers. Unset: the whole subnet. Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 96)))]
    #[x_kube(validation = cel::ranges("subnets.ranges"))]
    pub ranges: Vec<String>,
    /// What is never handed out, in the same forms as `ranges`; up to 32.
    /// Default: none. Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 96)))]
    #[x_kube(validation = cel::ranges("subnets.exclude"))]
    pub exclude: Vec<String>,
}

/// What is known of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EIPPoolStatus {
    /// Generation of the spec that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// IPv4 addresses: how many there are and how many are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<FamilyUsage>,
    /// IPv6 addresses: how many there are and how many are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<FamilyUsage>,
    /// EIPs that have an address of it, up to 5 of them, as `namespace/name`:
    /// those that stand in the way of a deletion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), inner(length(max = 317)))]
    pub used_by: Vec<String>,
    /// `Accepted`, `Ready`, `Exhausted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// Use of one family of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FamilyUsage {
    /// Addresses that the pool may hand out, in decimal (an IPv6 prefix has
    /// more than a JSON number holds exactly).
    #[schemars(length(max = 40))]
    pub total: String,
    /// Addresses that are claimed, cooling down included.
    pub used: i64,
}

fn default_network() -> String {
    "default".to_owned()
}

fn default_cooldown() -> String {
    "60s".to_owned()
}
