//! Links, addresses, routes, rules, neighbours and classes of traffic, over route netlink (`linux/rtnetlink.h`).
//!
//! Small on purpose: it reads and writes what a gateway needs, many objects per system call,
//! and repeats a dump that the kernel marked as interrupted.

mod address;
#[cfg(test)]
mod fuzz;
mod link;
mod message;
mod neighbour;
mod route;
mod rule;
mod socket;
mod tc;

pub use address::{Address, flags as address_flags};
pub use link::{DevConf, Link};
pub use message::Request;
pub use neighbour::Proxy;
pub use route::{Hop, Route};
pub use rule::Rule;
pub use socket::{Rtnl, groups};
pub use tc::{Class, Discipline, Qdisc, ROOT};

/// `rtm_protocol` of what is ours (`linux/rtnetlink.h` leaves 128 to 255 to users by custom;
/// 115 is not assigned).
pub const PROTOCOL: u8 = 115;

/// `AF_INET` and `AF_INET6` (`linux/socket.h`).
pub const AF_INET: u8 = 2;
pub const AF_INET6: u8 = 10;

/// `AF_INET` or `AF_INET6`.
pub fn family(address: std::net::IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}
