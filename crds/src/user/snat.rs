//! SNAT: outgoing traffic of inside prefixes and pods leaves with an EIP's address.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{EIPRef, LabelSelector, RuleStatus};
use crate::cel;

/// Source NAT: what inside prefixes and pods send out leaves with an EIP's
/// address. Of several SNATs of a gateway the longest prefix that covers the
/// source wins; the address of a selected pod is the longest there is.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "SNAT",
    plural = "snats",
    namespaced,
    status = "RuleStatus",
    category = "nat",
    category = "sluice",
    printcolumn = r#"{"name":"EIPs","type":"string","jsonPath":".spec.eips[*].name"}"#,
    printcolumn = r#"{"name":"Sources","type":"string","jsonPath":".spec.sources"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Programmed","type":"string","jsonPath":".status.conditions[?(@.type==\"Programmed\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = cel::some_source(), validation = cel::namespaces_of_pods())]
pub struct SNATSpec {
    /// The EIPs, in the same namespace and of one gateway, 1 to 16, each once. Of
    /// several each source has one, always the same as long as they are the same;
    /// each family is shared among those that have it. Immutable.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(
        validation = cel::fixed("self.all(x, self.exists_one(y, x.name == y.name))", "eips: one EIP stands there twice: name each once"),
        validation = cel::immutable("eips", "create another SNAT for other EIPs")
    )]
    pub eips: Vec<EIPRef>,
    /// Inside prefixes without host bits, of both families, 1 to 64. A prefix
    /// whose family no EIP has makes the SNAT not accepted. Required without
    /// `podSelector`. Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 64)))]
    #[x_kube(validation = cel::prefixes("sources"), validation = cel::unique_prefixes("sources"))]
    pub sources: Vec<String>,
    /// Pods whose addresses are sources beside `sources`, as a NetworkPolicy
    /// selects them: of the SNAT's namespace, or of those that
    /// `namespaceSelector` matches; `{}` is every one. Default: none. Mutable.
    ///
    /// Addresses are found as for `target.pod` of a FIP, and followed; families
    /// that the EIP lacks are left out. An address that an older SNAT of the
    /// gateway has is left to it, and the message of `Programmed` says so. More
    /// than 4,096 addresses make the SNAT not accepted.
    ///
    /// From another namespace than the gateway's, the gateway's
    /// `allowedTargets` have to cover the addresses; where `allowedTargets` is
    /// unset and the LAN is eth0, pods of the SNAT's own namespace are allowed
    /// without. Addresses that are not allowed are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces whose pods `podSelector` selects, by their labels; `{}` is
    /// every one. Default: only the SNAT's own. Not without `podSelector`.
    /// Mutable.
    ///
    /// On a LAN attachment a pod of another namespace than the gateway's counts
    /// only as far as the gateway's `allowedTargets` let rules of *that*
    /// namespace point at the address as well: its annotation is believed no
    /// further than its own rules would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Connections that one source address may hold at a time with each EIP, of
    /// all protocols and to all destinations together; 1 to 64,512. More are
    /// refused, which the source is told by ICMP: administratively prohibited.
    /// Default: no limit. Mutable: it holds for connections that begin after the
    /// change, and those that began before a first limit do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64_512))]
    pub ports_per_source: Option<i32>,
}
