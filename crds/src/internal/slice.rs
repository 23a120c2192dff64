//! RuleSlice: an immutable part of a gateway's config.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Some entries of a gateway's config. Named by its content,
/// `<gateway>-<26 hex digits of SHA-256>`, and never changed.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "internal.sluice.dev",
    version = "v1alpha1",
    kind = "RuleSlice",
    plural = "ruleslices",
    namespaced,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct RuleSliceSpec {
    /// Canonical text lines, one entry each; 1 to 256.
    #[schemars(length(min = 1, max = 256))]
    pub entries: Vec<String>,
}
