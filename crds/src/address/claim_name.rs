//! How an address is written in the name of an object, where `:` is not allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{AddressError, Shown};

/// The address as part of an object's name: IPv4 as it is (`10.155.30.242`),
/// IPv6 as eight groups of four lower-case hex digits joined by `-`
/// (`2001-0db8-0001-0000-0000-0000-000e-0001`), so that each address has one
/// name and names sort as addresses do. Inverse: [`parse_claim_name`].
#[must_use]
pub fn claim_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address
            .segments()
            .map(|group| format!("{group:04x}"))
            .join("-"),
    }
}

/// The address of a name that [`claim_name`] made.
///
/// # Errors
/// Every other text, other spellings of an address included.
pub fn parse_claim_name(name: &str) -> Result<IpAddr, AddressError> {
    let address = if name.contains('-') {
        name.replace('-', ":")
            .parse::<Ipv6Addr>()
            .ok()
            .map(IpAddr::V6)
    } else {
        name.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    };
    address
        .filter(|address| claim_name(*address) == name)
        .ok_or_else(|| AddressError::ClaimName {
            value: Shown::new(name),
        })
}
