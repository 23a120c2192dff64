//! DNAT: port forwarding from an EIP to an inside host.

use std::fmt;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EIPRef, RuleStatus};
use crate::cel;

/// Port forwarding: ports of an EIP go to ports of inside hosts, which see the
/// client's address.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "DNAT",
    plural = "dnats",
    namespaced,
    status = "RuleStatus",
    category = "nat",
    category = "sluice",
    printcolumn = r#"{"name":"EIP","type":"string","jsonPath":".spec.eip.name"}"#,
    printcolumn = r#"{"name":"Ports","type":"string","jsonPath":".spec.ports"}"#,
    printcolumn = r#"{"name":"Protocols","type":"string","jsonPath":".spec.protocols"}"#,
    printcolumn = r#"{"name":"Target","type":"string","jsonPath":".spec.targets[0].ips"}"#,
    printcolumn = r#"{"name":"TargetPorts","type":"string","jsonPath":".spec.targetPorts"}"#,
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
#[x_kube(validation = cel::same_length())]
pub struct DNATSpec {
    /// The EIP, in the same namespace. Immutable.
    #[x_kube(validation = cel::immutable("eip", "create another DNAT for another EIP"))]
    pub eip: EIPRef,
    /// Transport protocols, 1 to 3 of `TCP`, `UDP` and `SCTP`. Default `[TCP]`.
    /// Mutable.
    #[serde(default = "default_protocols")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(validation = cel::unique_items("protocols"))]
    pub protocols: Vec<Protocol>,
    /// Ports of the EIP: one (`8080`), a range (`"8000-8099"`) or all (`"*"`);
    /// 1 to 65535. Mutable.
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = cel::ports("ports"))]
    pub ports: IntOrString,
    /// Where connections go, 1 to 16 inside hosts. Several share new
    /// connections by weight, each family over those that have it; their order
    /// does not matter. A connection stays with its target until that is
    /// removed from here. Mutable.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = cel::distinct_targets())]
    pub targets: Vec<DNATTarget>,
    /// Ports of the targets: as many as `ports`. Default: the same as `ports`,
    /// the only choice where that is `"*"`. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = cel::ports("targetPorts"))]
    pub target_ports: Option<IntOrString>,
}

/// One inside host that connections go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DNATTarget {
    /// Its addresses without prefix length, one or two, at most one per family.
    /// A family that the EIP lacks makes the DNAT not accepted. Mutable.
    #[schemars(length(min = 1, max = 2), inner(length(max = 64)))]
    #[x_kube(validation = cel::hosts("targets.ips"), validation = cel::at_most_one_per_family("targets.ips"))]
    pub ips: Vec<String>,
    /// Its part of new connections, beside the weights of the others: 0 to 100,
    /// kept to one 64th. 0 drains it: it keeps its connections and takes no new
    /// ones. One target of each family needs more than 0. Default 1. Mutable.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0, max = 100))]
    pub weight: i32,
}

/// A transport protocol.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[allow(missing_docs, reason = "the names are the meaning")]
pub enum Protocol {
    TCP,
    UDP,
    SCTP,
}

/// A port or a range of ports, both ends included, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// All ports.
    pub const ALL: Self = Self {
        first: 1,
        last: u16::MAX,
    };

    /// Ports `first` to `last`; `None` where first is 0 or above last.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first != 0 && first <= last).then_some(Self { first, last })
    }

    /// The first port.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports there are, 1 to 65535.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }

    /// Whether a port is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Parses `8080`, `8000-8099` or `*`: plain decimal digits, no sign, no
    /// leading zero. `None` for everything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let port = |s: &str| -> Option<u16> {
            let plain =
                !s.is_empty() && !s.starts_with('0') && s.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| s.parse().ok()).flatten()
        };
        if text == "*" {
            return Some(Self::ALL);
        }
        match text.split_once('-') {
            Some((first, last)) => Self::new(port(first)?, port(last)?),
            None => port(text).and_then(|p| Self::new(p, p)),
        }
    }

    /// The same from a field that is a number or a string.
    #[must_use]
    pub fn from_field(field: &IntOrString) -> Option<Self> {
        match field {
            IntOrString::Int(n) => u16::try_from(*n).ok().and_then(|p| Self::new(p, p)),
            IntOrString::String(s) => Self::parse(s),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            f.write_str("*")
        } else if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

fn default_weight() -> i32 {
    1
}

fn default_protocols() -> Vec<Protocol> {
    vec![Protocol::TCP]
}
