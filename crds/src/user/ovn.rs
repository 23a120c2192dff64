//! Where OVN serves a gateway, and which chassis does.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::cel;

/// Where OVN serves a gateway: its databases, and where in them the gateway is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = cel::secret_for_ssl())]
pub struct Ovn {
    /// Servers of the northbound database, with commas between, as in `ovn-nbctl --db`:
    /// `tcp:HOST:PORT` or `ssl:HOST:PORT`, IPv6 addresses in brackets. Name all
    /// servers of a cluster: the agent finds the leader. Mutable, for servers of the
    /// same database: a change replaces the pod.
    #[schemars(length(min = 1, max = 1_024))]
    #[x_kube(validation = cel::ovsdb_remotes("ovn.northbound"))]
    pub northbound: String,
    /// Servers of the southbound database, likewise. It is only read: by it the
    /// chassis acknowledge. Mutable as `northbound`.
    #[schemars(length(min = 1, max = 1_024))]
    #[x_kube(validation = cel::ovsdb_remotes("ovn.southbound"))]
    pub southbound: String,
    /// Name of the logical router that the gateway's rows go to; one that no other
    /// controller cleans up. Immutable.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::immutable("ovn.router", "create another gateway for another router"))]
    pub router: String,
    /// Name of its port by which traffic comes and goes: the chassis that hosts it
    /// translates. Immutable.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::immutable("ovn.gatewayPort", "create another gateway for another port"))]
    pub gateway_port: String,
    /// Secret in the gateway's namespace with `ca.crt`, `tls.crt` and `tls.key`, for
    /// `ssl:` servers, which need it. Read when the pod starts. Mutable: a change
    /// replaces the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::dns_subdomain("ovn.tlsSecret"))]
    pub tls_secret: Option<String>,
}

/// The chassis of an OVN network that hosts a gateway's port, and has acknowledged all
/// that its holder has applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hosting {
    /// Name of the chassis.
    #[schemars(length(max = 253))]
    pub chassis: String,
    /// Counts how often a chassis, this one or another, began to host the port.
    pub epoch: i64,
}
