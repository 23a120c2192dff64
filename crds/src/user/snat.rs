//! SNAT: outgoing traffic of inside prefixes leaves with an EIP's address.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{EIPRef, RuleStatus};
use crate::cel;

/// Source NAT: what inside prefixes send out leaves with an EIP's address. Of
/// several SNATs of a gateway the longest prefix that covers the source wins.
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
    /// whose family no EIP has makes the SNAT not accepted. Mutable.
    #[schemars(length(min = 1, max = 64), inner(length(max = 64)))]
    #[x_kube(validation = cel::prefixes("sources"), validation = cel::unique_prefixes("sources"))]
    pub sources: Vec<String>,
}
