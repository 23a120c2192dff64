//! EIP: one external address per family, held by a gateway.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HolderRef;
use crate::cel;

/// An elastic IP: an external address, of one family or of both, that a gateway
/// answers for. FIP, DNAT and SNAT of the same namespace say what it does.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "EIP",
    plural = "eips",
    namespaced,
    status = "EIPStatus",
    category = "nat",
    category = "sluice",
    printcolumn = r#"{"name":"IPv4","type":"string","jsonPath":".status.ipv4"}"#,
    printcolumn = r#"{"name":"IPv6","type":"string","jsonPath":".status.ipv6"}"#,
    printcolumn = r#"{"name":"Gateway","type":"string","jsonPath":".spec.gateway.name"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Pool","type":"string","jsonPath":".status.pool","priority":1}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Programmed","type":"string","jsonPath":".status.conditions[?(@.type==\"Programmed\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    selectable = ".spec.gateway.name",
    validation = cel::addresses_once_assigned(),
    validation = cel::pool_once_chosen(),
    validation = cel::primary_family_once_chosen(),
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = cel::pool_once_set(),
    validation = cel::family_policy_downgrade(),
    validation = cel::primary_family_kept(),
    validation = cel::single_stack_families(),
    validation = cel::single_stack_addresses(),
    validation = cel::addresses_of_families()
)]
pub struct EIPSpec {
    /// The gateway that holds the address. Mutable: changing it moves the EIP.
    pub gateway: GatewayRef,
    /// The pool that the addresses come from. Default: the first pool of the
    /// gateway's first uplink; what was chosen stands in status. Immutable
    /// once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::dns_subdomain("pool"))]
    pub pool: Option<String>,
    /// Families wanted, the first is the primary one; as in a Service. Default:
    /// by `ipFamilyPolicy`, beginning with the family of the pool's first
    /// subnet. The primary family is immutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    #[x_kube(validation = cel::unique_items("ipFamilies"))]
    pub ip_families: Vec<IpFamily>,
    /// `SingleStack`: one address. `PreferDualStack`: both families where the
    /// pool has both. `RequireDualStack`: both or none. Default `SingleStack`
    /// (with two `ipFamilies`: `RequireDualStack`). May be lowered, from
    /// `RequireDualStack` to `PreferDualStack` to `SingleStack`, never raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// Addresses asked for, at most one per family, without prefix length; they
    /// must lie in the pool's ranges. Two need `ipFamilyPolicy` `PreferDualStack`
    /// or `RequireDualStack`. Default: the operator chooses. Immutable once
    /// assigned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), inner(length(max = 64)))]
    #[x_kube(validation = cel::hosts("addresses"), validation = cel::at_most_one_per_family("addresses"))]
    pub addresses: Vec<String>,
    /// How fast the EIP's traffic may be, in bits per second of link-layer
    /// frames: `10M`, `1.5G`, from `10k` to `1T`. Each direction by itself, both
    /// families together. What is faster waits in a queue of 100 ms (128 KiB at
    /// least, 16 MiB at most) and is dropped beyond that. What inside hosts send
    /// each other by way of the EIP neither comes from outside nor leaves to it,
    /// and is not limited. Default: no limit. Mutable, without touching
    /// connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
}

/// How fast an EIP's traffic may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bandwidth {
    /// From outside to what the EIP stands for, limited where it leaves the
    /// gateway for the LAN. What the gateway answers itself, such as a ping to
    /// an EIP without FIP, is not counted. Default: not limited. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 24))]
    #[x_kube(validation = cel::rate("bandwidth.ingress"))]
    pub ingress: Option<String>,
    /// From the EIP to outside, limited on the uplink that the EIP stands on.
    /// Default: not limited. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 24))]
    #[x_kube(validation = cel::rate("bandwidth.egress"))]
    pub egress: Option<String>,
}

/// A NATGateway, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Name of the NATGateway, up to 40 characters. Mutable.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = cel::dns_label("gateway.name"))]
    pub name: String,
    /// Namespace of the NATGateway. Default: the EIP's own. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = cel::dns_label("gateway.namespace"))]
    pub namespace: Option<String>,
}

/// An IP family, spelled as in a Service.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[allow(missing_docs, reason = "the names are the meaning")]
pub enum IpFamily {
    IPv4,
    IPv6,
}

impl IpFamily {
    /// Both, IPv4 first.
    pub const BOTH: [Self; 2] = [Self::IPv4, Self::IPv6];
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IPv4 => "IPv4",
            Self::IPv6 => "IPv6",
        })
    }
}

/// How many families an EIP has, spelled as in a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "described at the field that holds it")]
pub enum IpFamilyPolicy {
    SingleStack,
    PreferDualStack,
    RequireDualStack,
}

/// What is known of an EIP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EIPStatus {
    /// Generation of the spec that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The pool that the addresses came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pool: Option<String>,
    /// Families resolved for this EIP, the primary first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub ip_families: Vec<IpFamily>,
    /// The IPv4 address, without prefix length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub ipv4: Option<String>,
    /// The IPv6 address, without prefix length, in RFC 5952 form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 39))]
    pub ipv6: Option<String>,
    /// The instance that made the EIP Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderRef>,
    /// `Accepted`, `Programmed`, `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}
