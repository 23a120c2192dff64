//! RuleSlice: an immutable part of a gateway's config.

use crate::cel;
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
#[x_kube(validation = cel::immutable("spec", "a RuleSlice is named by its content; create another"))]
pub struct RuleSliceSpec {
    /// Canonical text lines, one entry each; 1 to 256, each up to 1,024 characters.
    /// Immutable.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 1_024)))]
    pub entries: Vec<String>,
}
