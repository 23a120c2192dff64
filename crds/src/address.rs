//! Addresses, prefixes and ranges as users write them: strict parsers per
//! family. What they refuse, the CEL rules of the kinds refuse at admission;
//! the operator and the agents parse again, because nothing that a user writes
//! may surprise or stop a process.
//!
//! Text is canonical on the way out: `Display` of the standard library's types
//! is RFC 5952. Upper case and uncompressed IPv6 are taken on the way in.

mod claim_name;
mod dual;
mod error;
mod prefix;
mod range;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use claim_name::{claim_name, parse_claim_name};
pub use dual::DualAddress;
pub use error::{AddressError, Shown};
pub use prefix::{InterfaceAddress, Prefix};
pub use range::AddressRange;

use crate::user::IpFamily;

/// Longest text that can be an address: IPv6 with an embedded IPv4 address,
/// which is parsed only to be refused by name.
const LONGEST_ADDRESS: usize = 45;

/// The family of an address.
#[must_use]
pub fn family(address: IpAddr) -> IpFamily {
    match address {
        IpAddr::V4(_) => IpFamily::IPv4,
        IpAddr::V6(_) => IpFamily::IPv6,
    }
}

/// Longest prefix length of a family, in bits.
#[must_use]
pub fn bits(family: IpFamily) -> u8 {
    match family {
        IpFamily::IPv4 => 32,
        IpFamily::IPv6 => 128,
    }
}

/// Parses the address of one host: unicast, without prefix length, zone,
/// leading zeros or an IPv4 address inside an IPv6 one.
///
/// # Errors
/// Text that is no address, and 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16,
/// 224.0.0.0/4, 255.255.255.255, ::/80 (unspecified, loopback, embedded IPv4),
/// fe80::/10 and ff00::/8.
pub fn parse_host(text: &str) -> Result<IpAddr, AddressError> {
    let address = parse_plain(text)?;
    match special(address) {
        None => Ok(address),
        Some(block) => Err(AddressError::NotAHost {
            value: Shown::new(text),
            block,
        }),
    }
}

/// Parses a next hop: a host address, or a link-local one.
///
/// # Errors
/// As [`parse_host`], without the refusal of 169.254.0.0/16 and fe80::/10.
pub fn parse_next_hop(text: &str) -> Result<IpAddr, AddressError> {
    let address = parse_plain(text)?;
    match special(address) {
        None | Some(V4_LINK_LOCAL | V6_LINK_LOCAL) => Ok(address),
        Some(block) => Err(AddressError::NotAHost {
            value: Shown::new(text),
            block,
        }),
    }
}

/// Parses the host address of one family, for fields that take only that.
///
/// # Errors
/// As [`parse_host`], and an address of the other family.
pub fn parse_host_of(text: &str, wanted: IpFamily) -> Result<IpAddr, AddressError> {
    let address = parse_host(text)?;
    if family(address) == wanted {
        Ok(address)
    } else {
        Err(AddressError::WrongFamily {
            value: Shown::new(text),
            wanted,
        })
    }
}

/// Parses one or two host addresses, at most one per family.
///
/// # Errors
/// As [`parse_host`] for the first that is wrong, and a second address of one
/// family.
pub fn parse_hosts<T: AsRef<str>>(texts: &[T]) -> Result<DualAddress, AddressError> {
    let mut dual = DualAddress::default();
    for text in texts {
        let text = text.as_ref();
        let address = parse_host(text)?;
        if !dual.insert(address) {
            return Err(AddressError::SecondOfFamily {
                value: Shown::new(text),
                family: family(address),
            });
        }
    }
    Ok(dual)
}

/// Parses text that is an address of any kind, but no IPv6 address with an
/// IPv4 address in it.
fn parse_plain(text: &str) -> Result<IpAddr, AddressError> {
    let value = || Shown::new(text);
    if text.contains('%') {
        return Err(AddressError::Zone { value: value() });
    }
    if text.contains('/') {
        return Err(AddressError::UnwantedLength { value: value() });
    }
    if text.contains(':') && text.contains('.') {
        return Err(AddressError::EmbeddedIPv4 { value: value() });
    }
    if text.len() > LONGEST_ADDRESS {
        return Err(AddressError::NotAnAddress { value: value() });
    }
    text.parse()
        .map_err(|_| AddressError::NotAnAddress { value: value() })
}

const V4_LINK_LOCAL: &str = "169.254.0.0/16 (link-local)";
const V6_LINK_LOCAL: &str = "fe80::/10 (link-local)";

/// The block of an address that no host on a routed network has.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [first, ..] = address.octets();
    if first == 0 {
        Some("0.0.0.0/8 (this network)")
    } else if address.is_loopback() {
        Some("127.0.0.0/8 (loopback)")
    } else if address.is_link_local() {
        Some(V4_LINK_LOCAL)
    } else if address.is_multicast() {
        Some("224.0.0.0/4 (multicast)")
    } else if address.is_broadcast() {
        Some("255.255.255.255 (broadcast)")
    } else {
        None
    }
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if u128::from(address) >> 48 == 0 {
        Some("::/80 (unspecified, loopback, embedded IPv4)")
    } else if address.is_unicast_link_local() {
        Some(V6_LINK_LOCAL)
    } else if address.is_multicast() {
        Some("ff00::/8 (multicast)")
    } else {
        None
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
