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

/// An inside host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FIPTarget {
    /// Its addresses without prefix length, one or two, at most one per family.
    /// A family that the EIP lacks makes the FIP not accepted. Mutable.
    #[schemars(length(min = 1, max = 2), inner(length(max = 64)))]
    #[x_kube(validation = cel::hosts("target.ips"), validation = cel::at_most_one_per_family("target.ips"))]
    pub ips: Vec<String>,
}
