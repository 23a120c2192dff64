//! FIP: one-to-one NAT between an EIP and an inside address.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{EIPRef, RuleStatus};
use crate::cel;

/// A floating IP: the EIP's whole address stands for one inside address per
/// family, in both directions, ports unchanged.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "FIP",
    plural = "fips",
    namespaced,
    status = "RuleStatus",
    category = "nat",
    category = "sluice",
    printcolumn = r#"{"name":"EIP","type":"string","jsonPath":".spec.eip.name"}"#,
    printcolumn = r#"{"name":"Target","type":"string","jsonPath":".spec.target.ips"}"#,
    printcolumn = r#"{"name":"Pod","type":"string","jsonPath":".spec.target.pod.name"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Programmed","type":"string","jsonPath":".status.conditions[?(@.type==\"Programmed\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    selectable = ".spec.eip.name",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct FIPSpec {
    /// The EIP, in the same namespace. Immutable.
    #[x_kube(validation = cel::immutable("eip", "create another FIP for another EIP"))]
    pub eip: EIPRef,
    /// What the EIP stands for. Mutable: open connections to the old target end.
    pub target: FIPTarget,
}

/// An inside host: a pod by its name, or addresses. Exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = cel::pod_or_ips())]
pub struct FIPTarget {
    /// A pod whose addresses are followed. Not with `ips`. Mutable.
    ///
    /// They are those on the gateway's LAN: with `lan.networkAttachment` those
    /// that Multus tells of this attachment in the pod's annotation
    /// `k8s.v1.cni.cncf.io/network-status` (of several entries the first), else
    /// `status.podIPs`. A family that either pod or EIP lacks is left out. As
    /// long as there is no such pod, or none of its addresses can be used,
    /// `Programmed` is False and nothing is translated.
    ///
    /// From another namespace than the gateway's, the gateway's
    /// `allowedTargets` have to cover the addresses: who may patch a pod can
    /// write any into the annotation. Only where `allowedTargets` is unset and
    /// the LAN is eth0 every pod of the namespace is allowed without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// Its addresses without prefix length, one or two, at most one per family.
    /// A family that the EIP lacks makes the FIP not accepted. Not with `pod`.
    /// Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2), inner(length(max = 64)))]
    #[x_kube(validation = cel::hosts("target.ips"), validation = cel::at_most_one_per_family("target.ips"))]
    pub ips: Vec<String>,
}

/// A pod of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodRef {
    /// Name of the pod, in the namespace of the object that names it. It need
    /// not exist yet. Mutable.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::dns_subdomain("target.pod.name"))]
    pub name: String,
}
