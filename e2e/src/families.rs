//! The address plan: which addresses the lab's networks use, per family.
//!
//! All of it lies inside the lab's own network namespaces, so that any number
//! of labs can use the same numbers at once.

use serde::{Deserialize, Serialize};

/// The IP families that a lab uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both; IPv4 is the primary.
    #[default]
    Dual,
}

impl Families {
    /// Whether IPv4 is in use.
    #[must_use]
    pub fn v4(self) -> bool {
        self != Self::V6
    }

    /// Whether IPv6 is in use.
    #[must_use]
    pub fn v6(self) -> bool {
        self != Self::V4
    }

    /// Of a pair of an IPv4 and an IPv6 text, those in use, primary first.
    #[must_use]
    pub fn of(self, v4: &str, v6: &str) -> Vec<String> {
        let mut out = Vec::new();
        if self.v4() {
            out.push(v4.to_owned());
        }
        if self.v6() {
            out.push(v6.to_owned());
        }
        out
    }

    /// Like [`Families::of`], joined by commas.
    #[must_use]
    pub fn list(self, v4: &str, v6: &str) -> String {
        self.of(v4, v6).join(",")
    }

    /// Whether a textual address or prefix is of a family in use.
    #[must_use]
    pub fn uses(self, address: &str) -> bool {
        if address.contains(':') {
            self.v6()
        } else {
            self.v4()
        }
    }
}

/// The network that connects nodes and control plane.
pub const UNDERLAY: (&str, &str) = ("172.30.0.0/24", "fd00:172:30::/64");
/// The control plane's address on it.
pub const API: (&str, &str) = ("172.30.0.1", "fd00:172:30::1");
/// The API server's port there.
pub const API_PORT: u16 = 6443;
/// All pod networks together.
pub const PODS: (&str, &str) = ("10.250.0.0/16", "fd00:10:250::/56");
/// The Services' addresses.
pub const SERVICES: (&str, &str) = ("10.96.0.0/16", "fd00:10:96::/112");
/// The address of the Service `kubernetes`.
pub const API_SERVICE: (&str, &str) = ("10.96.0.1", "fd00:10:96::1");
/// The tenant LAN.
pub const LAN: (&str, &str) = ("10.244.0.0/16", "fd00:10:244::/64");
/// The next hop of tenants, held by a gateway.
pub const LAN_GATEWAY: (&str, &str) = ("10.244.0.254", "fd00:10:244::fe");
/// The outside segment.
pub const EXTERNAL: (&str, &str) = ("10.155.30.0/24", "2001:db8:1::/64");
/// The router on the outside segment.
pub const ROUTER: (&str, &str) = ("10.155.30.1", "2001:db8:1::1");
/// The client on the outside segment.
pub const CLIENT: (&str, &str) = ("10.155.30.9", "2001:db8:1::9");
/// The second outside segment, on which the same router and client are.
pub const SECOND: (&str, &str) = ("10.155.40.0/24", "2001:db8:3::/64");
/// The router on the second outside segment.
pub const SECOND_ROUTER: (&str, &str) = ("10.155.40.1", "2001:db8:3::1");
/// The client on the second outside segment.
pub const SECOND_CLIENT: (&str, &str) = ("10.155.40.9", "2001:db8:3::9");
/// The segment behind the router, and the router's address on it.
pub const FAR_ROUTER: (&str, &str) = ("198.51.100.1", "2001:db8:2::1");
/// The client behind the router.
pub const FAR_CLIENT: (&str, &str) = ("198.51.100.9", "2001:db8:2::9");

/// The addresses of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Its Kubernetes name, `node-a` and so on.
    pub name: String,
    /// On the underlay.
    pub address: (String, String),
    /// Its part of the pod network.
    pub pods: (String, String),
}

impl NodePlan {
    /// The plan of the node number `index`, counted from 0; at most 26.
    #[must_use]
    pub fn new(index: u8) -> Self {
        let letter = char::from(b'a' + index.min(25));
        let n = u16::from(index.min(25)) + 1;
        Self {
            name: format!("node-{letter}"),
            address: (
                format!("172.30.0.{}", 10 + n),
                format!("fd00:172:30::{}", 10 + n),
            ),
            pods: (
                format!("10.250.{n}.0/24"),
                format!("fd00:10:250:{n:x}::/64"),
            ),
        }
    }

    /// The address of its network card, which a power cycle does not change.
    #[must_use]
    pub fn mac(&self) -> String {
        let letter = self.name.bytes().last().unwrap_or(b'a');
        format!("02:5c:00:00:01:{letter:02x}")
    }
}
