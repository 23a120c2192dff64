//! The addresses that scenarios use: the lab's outside and its tenants.

use sluice_e2e::families::{CLIENT, FAR_CLIENT};

/// A pair of addresses, IPv4 and IPv6.
pub type Pair = (&'static str, &'static str);

/// The client on the outside segment.
pub const OUTSIDE: Pair = CLIENT;
/// The client behind the outside router.
pub const FAR: Pair = FAR_CLIENT;
/// Tenant pods by name, with their addresses on the LAN.
pub const TENANTS: [(&str, Pair); 4] = [
    ("web", ("10.244.0.5", "fd00:10:244::5")),
    ("web2", ("10.244.0.6", "fd00:10:244::6")),
    ("client-a", ("10.244.0.7", "fd00:10:244::7")),
    ("client-b", ("10.244.0.8", "fd00:10:244::8")),
];
/// The namespace of the tenant pods.
pub const TENANT_NAMESPACE: &str = "tenants";

/// A URL on an address.
pub fn url(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("http://[{address}]:{port}/")
    } else {
        format!("http://{address}:{port}/")
    }
}
