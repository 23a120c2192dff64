//! Settings of interfaces and of the namespace that decide whether packets pass.

use super::rtnl::DevConf;

/// IPv4 settings of the LAN and uplink interfaces that the data plane needs.
///
/// Strict reverse-path filters drop all that is routed by mark; `arp_ignore` silences local
/// routes, which is what EIPs are.
pub const NEEDED: [(DevConf, u32); 3] = [
    (DevConf::RpFilter, 0),
    (DevConf::ArpIgnore, 0),
    (DevConf::SendRedirects, 0),
];

/// On the LAN the address that asks for a neighbour is the next hop's, never an EIP.
pub const LAN_ANNOUNCE: (DevConf, u32) = (DevConf::ArpAnnounce, 2);

/// A number under `/proc/sys/net` of the calling thread's network namespace; `None` where
/// it cannot be read.
pub fn sysctl(path: &str) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?;
    text.trim().parse().ok()
}
