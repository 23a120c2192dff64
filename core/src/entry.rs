//! Entries: the compiled rules and addresses that a gateway's kernel must hold.
//!
//! An entry is one canonical line of text, fields separated by one space
//! (format 1):
//!
//! ```text
//! addr <uid> <generation> <address> <uplink>
//! fip  <uid> <generation> <address> <inside address> both|in
//! dnat <uid> <generation> <address> tcp|udp|sctp <ports> <targets> <ports>
//! snat <uid> <generation> <inside prefix> <address> [<connections>]
//! shape <uid> <generation> <address> <rate>|- <rate>|-
//! ```
//!
//! `uid` and `generation` are those of the EIP, FIP, DNAT or SNAT that asked
//! for the entry. `both` marks the FIP that is also the source of what its
//! inside address sends out; a second FIP to the same inside address is `in`.
//! Ports are `80`, `8000-8099` or `*`. Targets are inside addresses with their
//! weights, [`Targets`]: all of one family in one entry. `connections` is what one
//! source may hold at a time with the address; without it there is no limit.
//! Rates are bits per second, towards the target and to outside: the addresses of one
//! uid share them, and `-` is no limit.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use ipnet::IpNet;
use sluice_crds::user::{Ports, Protocol, Rate};

use crate::identity::{Digest, Uid};

pub mod cost;
mod targets;

pub use targets::{SLOTS, TARGETS_MAX, Targets, WEIGHT_MAX};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// The format that this module reads and writes.
pub const FORMAT: i64 = 1;

/// One compiled rule or address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// UID of the object that asked for it.
    pub uid: Uid,
    /// Generation of that object's spec.
    pub generation: i64,
    /// What the kernel must do.
    pub body: Body,
}

/// What the kernel must do for an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    /// Answer for an external address on an uplink.
    Addr {
        /// The address.
        address: IpAddr,
        /// Name of the uplink.
        uplink: String,
    },
    /// Translate the whole address to an inside address and back.
    Fip {
        /// The EIP's address.
        address: IpAddr,
        /// The inside address, same family.
        inside: IpAddr,
        /// Whether what the inside address sends out leaves with `address`.
        source: bool,
    },
    /// Forward ports of the address to inside addresses.
    Dnat {
        /// The EIP's address.
        address: IpAddr,
        /// Transport protocol.
        protocol: Protocol,
        /// Ports of the EIP.
        ports: Ports,
        /// The inside addresses, same family, which share new connections.
        targets: Targets,
        /// Ports of the inside addresses, as many as `ports`.
        inside_ports: Ports,
    },
    /// What an inside prefix sends out leaves with the address.
    Snat {
        /// Inside prefix, same family.
        source: IpNet,
        /// The EIP's address.
        address: IpAddr,
        /// How many connections one source may hold with the address.
        per_source: Option<NonZeroU16>,
    },
    /// Limit the address's traffic, together with that of the other address of
    /// the same uid. One direction at least.
    Shape {
        /// The EIP's address.
        address: IpAddr,
        /// From outside to what the address stands for.
        ingress: Option<Rate>,
        /// From the address to outside.
        egress: Option<Rate>,
    },
}

impl Entry {
    /// The entry's text without its generation: the same as long as the kernel
    /// has the same to do.
    #[must_use]
    pub fn key(&self) -> String {
        let (word, rest) = self.body.words();
        format!("{word} {} {rest}", self.uid)
    }

    /// Digest of the entry's text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }
}

impl Body {
    /// The EIP's address that the entry needs.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match self {
            Body::Addr { address, .. }
            | Body::Fip { address, .. }
            | Body::Dnat { address, .. }
            | Body::Snat { address, .. }
            | Body::Shape { address, .. } => *address,
        }
    }

    /// The address that the entry itself asks to answer for; rules ask for none.
    #[must_use]
    pub fn held(&self) -> Option<IpAddr> {
        match self {
            Body::Addr { address, .. } => Some(*address),
            Body::Fip { .. } | Body::Dnat { .. } | Body::Snat { .. } | Body::Shape { .. } => None,
        }
    }

    fn words(&self) -> (&'static str, String) {
        match self {
            Body::Addr { address, uplink } => ("addr", format!("{address} {uplink}")),
            Body::Fip {
                address,
                inside,
                source,
            } => (
                "fip",
                format!("{address} {inside} {}", if *source { "both" } else { "in" }),
            ),
            Body::Dnat {
                address,
                protocol,
                ports,
                targets,
                inside_ports,
            } => {
                let protocol = match protocol {
                    Protocol::TCP => "tcp",
                    Protocol::UDP => "udp",
                    Protocol::SCTP => "sctp",
                };
                (
                    "dnat",
                    format!("{address} {protocol} {ports} {targets} {inside_ports}"),
                )
            }
            Body::Snat {
                source,
                address,
                per_source,
            } => (
                "snat",
                match per_source {
                    Some(limit) => format!("{source} {address} {limit}"),
                    None => format!("{source} {address}"),
                },
            ),
            Body::Shape {
                address,
                ingress,
                egress,
            } => {
                let rate = |rate: &Option<Rate>| {
                    rate.map_or_else(|| NO_RATE.to_owned(), |rate| rate.to_string())
                };
                (
                    "shape",
                    format!("{address} {} {}", rate(ingress), rate(egress)),
                )
            }
        }
    }
}

/// A direction without a limit.
const NO_RATE: &str = "-";

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, rest) = self.body.words();
        write!(f, "{word} {} {} {rest}", self.uid, self.generation)
    }
}

/// A line that is not an entry of format 1 in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an entry of format {FORMAT}")]
pub struct BadEntry(pub String);

impl FromStr for Entry {
    type Err = BadEntry;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let bad = || BadEntry(line.to_owned());
        let words: Vec<&str> = line.split(' ').collect();
        let [word, uid, generation, rest @ ..] = words.as_slice() else {
            return Err(bad());
        };
        let body = parse_body(word, rest).ok_or_else(bad)?;
        let entry = Self {
            uid: Uid::new(*uid),
            generation: generation.parse().map_err(|_| bad())?,
            body,
        };
        // One entry has one text: what does not print as it was read is refused.
        (entry.to_string() == line && !uid.is_empty())
            .then_some(entry)
            .ok_or_else(bad)
    }
}

fn parse_body(word: &str, rest: &[&str]) -> Option<Body> {
    let body = match (word, rest) {
        ("addr", [address, uplink]) => Body::Addr {
            address: address.parse().ok()?,
            uplink: (*uplink).to_owned(),
        },
        ("fip", [address, inside, direction]) => Body::Fip {
            address: address.parse().ok()?,
            inside: inside.parse().ok()?,
            source: match *direction {
                "both" => true,
                "in" => false,
                _ => return None,
            },
        },
        ("dnat", [address, protocol, ports, targets, inside_ports]) => Body::Dnat {
            address: address.parse().ok()?,
            protocol: match *protocol {
                "tcp" => Protocol::TCP,
                "udp" => Protocol::UDP,
                "sctp" => Protocol::SCTP,
                _ => return None,
            },
            ports: Ports::parse(ports)?,
            targets: Targets::parse(targets)?,
            inside_ports: Ports::parse(inside_ports)?,
        },
        ("snat", [source, address, limit @ ..]) => Body::Snat {
            source: source.parse().ok()?,
            address: address.parse().ok()?,
            per_source: match limit {
                [] => None,
                [limit] => Some(limit.parse().ok()?),
                _ => return None,
            },
        },
        ("shape", [address, ingress, egress]) => Body::Shape {
            address: address.parse().ok()?,
            ingress: parse_rate(ingress)?,
            egress: parse_rate(egress)?,
        },
        _ => return None,
    };
    body.is_consistent().then_some(body)
}

fn parse_rate(word: &str) -> Option<Option<Rate>> {
    if word == NO_RATE {
        return Some(None);
    }
    Rate::new(word.parse().ok()?).map(Some)
}

impl Body {
    /// One family throughout, as many ports inside as outside, no host bits.
    fn is_consistent(&self) -> bool {
        match self {
            Body::Addr { uplink, .. } => !uplink.is_empty(),
            Body::Fip {
                address, inside, ..
            } => address.is_ipv4() == inside.is_ipv4(),
            Body::Dnat {
                address,
                ports,
                targets,
                inside_ports,
                ..
            } => {
                targets
                    .addresses()
                    .all(|a| a.is_ipv4() == address.is_ipv4())
                    && ports.count() == inside_ports.count()
            }
            Body::Snat {
                source, address, ..
            } => source.addr().is_ipv4() == address.is_ipv4() && source.trunc() == *source,
            Body::Shape {
                ingress, egress, ..
            } => ingress.is_some() || egress.is_some(),
        }
    }
}
