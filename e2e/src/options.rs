//! What a person can choose about a lab.

use serde::{Deserialize, Serialize};

use crate::families::{Families, NodePlan};
use crate::ovn::OvnOptions;

/// How a lab is brought up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpOptions {
    /// The lab's name.
    pub name: String,
    /// How many nodes, 1 to 9.
    pub nodes: u8,
    /// The IP families of all its networks.
    pub families: Families,
    /// Whether the operator is deployed.
    pub operator: bool,
    /// Whether our kinds are defined; the operator needs them.
    #[serde(default = "yes")]
    pub definitions: bool,
    /// Whether tenant pods are started.
    pub tenants: bool,
    /// Whether a dead node is noticed within 5 s and its pods are replaced 3 s
    /// later, instead of 50 s and 5 min.
    pub fast_node_timers: bool,
    /// The OVN network beside the cluster, if there is one.
    #[serde(default)]
    pub ovn: Option<OvnOptions>,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            name: "default".into(),
            nodes: 2,
            families: Families::Dual,
            operator: true,
            definitions: true,
            tenants: true,
            fast_node_timers: false,
            ovn: None,
        }
    }
}

/// Of labs that were brought up before one could choose.
fn yes() -> bool {
    true
}

impl UpOptions {
    /// The plan of every node.
    #[must_use]
    pub fn node_plans(&self) -> Vec<NodePlan> {
        (0..self.nodes).map(NodePlan::new).collect()
    }
}
