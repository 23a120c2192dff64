//! Pieces that several user kinds share.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Hosting;
use crate::{cel, condition};

/// An EIP of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EIPRef {
    /// Name of the EIP, in the namespace of the object that names it.
    /// Immutable with the reference.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::dns_subdomain("eip.name"))]
    pub name: String,
}

/// Which namespaces may refer to this object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = cel::selector_iff_asked())]
pub struct NamespacesFrom {
    /// `Same`: only the object's own namespace. `All`: every namespace.
    /// `Selector`: namespaces whose labels match `selector`. Mutable.
    pub from: NamespacesFromKind,
    /// Labels that a namespace must carry, all of them. Required with
    /// `from: Selector`, else not allowed. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelectorTerm>,
}

/// How namespaces are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "described at the field that holds it")]
pub enum NamespacesFromKind {
    Same,
    All,
    Selector,
}

/// Labels to match, all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelectorTerm {
    /// Label keys and the values they must have, all of them; 1 to 16 pairs,
    /// values up to 63 characters. Mutable.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub match_labels: BTreeMap<String, String>,
}

/// Status of FIP, DNAT and SNAT.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleStatus {
    /// Generation of the spec that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `Programmed`, `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// The instance whose report makes an address Ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HolderRef {
    /// Instance: `pod/<pod UID>/<boot ID>/<network namespace cookie>`.
    #[schemars(length(max = 253))]
    pub instance: String,
    /// Fencing term: `leaseTransitions` of the gateway's Lease.
    pub term: i64,
    /// UID of the Lease that the term counts on.
    #[serde(rename = "leaseUID")]
    #[schemars(length(max = 64))]
    pub lease_uid: String,
    /// With a gateway of `dataplane: OVN`: the chassis that has acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosting: Option<Hosting>,
}

/// What `status.conditions` of a gateway, an EIP or a rule holds before anybody
/// has looked: `Accepted`, `Programmed` and `Ready`, all Unknown. The schema
/// gives this as default, so that `kubectl wait`, kstatus and Argo CD never take
/// a fresh object for a finished one.
#[must_use]
pub fn unknown_conditions() -> Vec<Condition> {
    unknown([condition::ACCEPTED, condition::PROGRAMMED, condition::READY])
}

/// The same for a pool, which nobody programs: `Accepted`, `Ready` and
/// `Exhausted`, all Unknown.
#[must_use]
pub fn unknown_pool_conditions() -> Vec<Condition> {
    unknown([condition::ACCEPTED, condition::READY, condition::EXHAUSTED])
}

fn unknown(types: [&str; 3]) -> Vec<Condition> {
    types
        .into_iter()
        .map(|type_| Condition {
            type_: type_.to_owned(),
            status: "Unknown".to_owned(),
            reason: "Pending".to_owned(),
            message: "waiting for the operator".to_owned(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        })
        .collect()
}
