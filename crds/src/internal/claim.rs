//! AddressClaim: the lock that gives an address to one owner.

use crate::cel;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address that is taken. Cluster-scoped; the uniqueness of its name
/// `<network>.<address>` (IPv6: 8 groups joined by `-`) is the allocator's lock.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "internal.sluice.dev",
    version = "v1alpha1",
    kind = "AddressClaim",
    plural = "addressclaims",
    printcolumn = r#"{"name":"Address","type":"string","jsonPath":".spec.address"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".spec.phase"}"#,
    printcolumn = r#"{"name":"Owner","type":"string","jsonPath":".spec.owner.kind"}"#,
    printcolumn = r#"{"name":"Namespace","type":"string","jsonPath":".spec.owner.namespace"}"#,
    printcolumn = r#"{"name":"Name","type":"string","jsonPath":".spec.owner.name"}"#,
    printcolumn = r#"{"name":"Pool","type":"string","jsonPath":".spec.pool","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = cel::claim_kept())]
pub struct AddressClaimSpec {
    /// External network of the address; `lan.<namespace>.<attachment>` for an
    /// inside one. Immutable.
    #[schemars(length(max = 400))]
    pub network: String,
    /// The address, in canonical form. Immutable.
    #[schemars(length(max = 39))]
    #[x_kube(validation = cel::canonical("address"))]
    pub address: String,
    /// Pool that it came from; empty for an inside address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub pool: String,
    /// Who has it.
    pub owner: ClaimOwner,
    /// UID of the gateway that may program it.
    #[serde(rename = "gatewayUID")]
    #[schemars(length(max = 64))]
    pub gateway_uid: String,
    /// Whether it is in use or on its way back to the pool.
    pub phase: ClaimPhase,
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimOwner {
    /// Kind of the owner.
    pub kind: ClaimOwnerKind,
    /// UID of the owner.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Namespace of the owner.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name of the owner.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// Kinds that hold addresses.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[allow(missing_docs, reason = "the names are the meaning")]
pub enum ClaimOwnerKind {
    EIP,
    NATGateway,
}

/// Life of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClaimPhase {
    /// The owner has the address.
    Bound,
    /// The owner is gone and no kernel holds the address; the pool's cooldown runs.
    Releasing,
}
