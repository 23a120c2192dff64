//! Prefixes and interface addresses: an address with a length, per family.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AddressError, Shown, bits, family, parse_host};
use crate::user::IpFamily;

/// A prefix without host bits, of length 1 to 32 or 1 to 128: `10.244.0.0/16`.
/// Its first address is unicast; /0 does not exist.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` that `address` lies in; `None` where the length
    /// is 0 or above 32 or 128.
    #[must_use]
    pub fn of(address: IpAddr, length: u8) -> Option<Self> {
        (1..=bits(family(address))).contains(&length).then(|| Self {
            network: first_of(address, length),
            length,
        })
    }

    /// The prefix that holds one address only.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self {
            network: address,
            length: bits(family(address)),
        }
    }

    /// The first address, all host bits 0.
    #[must_use]
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// The last address, all host bits 1.
    #[must_use]
    pub fn last(self) -> IpAddr {
        match self.network {
            IpAddr::V4(a) => Ipv4Addr::from(u32::from(a) | !mask_v4(self.length)).into(),
            IpAddr::V6(a) => Ipv6Addr::from(u128::from(a) | !mask_v6(self.length)).into(),
        }
    }

    /// The length, 1 to 32 or 1 to 128 bits.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// The family.
    #[must_use]
    pub fn family(self) -> IpFamily {
        family(self.network)
    }

    /// Whether the address lies in it; never for one of the other family.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        family(address) == self.family() && first_of(address, self.length) == self.network
    }

    /// Whether all of the other prefix lies in it.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.length <= other.length && self.contains(other.network)
    }

    /// Whether some address lies in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The address that names the subnet and no host: the first one. None in
    /// /31, /32, /127 and /128. In IPv6 it is the subnet-router anycast address
    /// (RFC 4291 section 2.6.1).
    #[must_use]
    pub fn network_address(self) -> Option<IpAddr> {
        (self.length + 1 < bits(self.family())).then_some(self.network)
    }

    /// The broadcast address of an IPv4 subnet; none in /31, /32 and in IPv6.
    #[must_use]
    pub fn broadcast(self) -> Option<IpAddr> {
        (self.family() == IpFamily::IPv4 && self.length < 31).then(|| self.last())
    }

    /// Refuses the network and the broadcast address of this subnet.
    ///
    /// # Errors
    /// [`AddressError::NetworkAddress`] or [`AddressError::BroadcastAddress`].
    pub fn check_host(self, address: IpAddr) -> Result<(), AddressError> {
        let value = || Shown::new(&address.to_string());
        if self.network_address() == Some(address) {
            return Err(AddressError::NetworkAddress {
                value: value(),
                subnet: self,
            });
        }
        if self.broadcast() == Some(address) {
            return Err(AddressError::BroadcastAddress {
                value: value(),
                subnet: self,
            });
        }
        Ok(())
    }
}

impl FromStr for Prefix {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (address, length) = parse_with_length(text)?;
        let prefix = Self {
            network: first_of(address, length),
            length,
        };
        if prefix.network == address {
            Ok(prefix)
        } else {
            Err(AddressError::HostBits {
                value: Shown::new(text),
                network: prefix,
            })
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A host's address together with the length of its subnet's prefix:
/// `10.244.0.254/16`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceAddress {
    address: IpAddr,
    length: u8,
}

impl InterfaceAddress {
    /// The address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Length of the subnet's prefix, 1 to 32 or 1 to 128 bits.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// The subnet.
    #[must_use]
    pub fn subnet(self) -> Prefix {
        Prefix {
            network: first_of(self.address, self.length),
            length: self.length,
        }
    }

    /// The family.
    #[must_use]
    pub fn family(self) -> IpFamily {
        family(self.address)
    }
}

impl FromStr for InterfaceAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (address, length) = parse_with_length(text)?;
        let interface = Self { address, length };
        interface.subnet().check_host(address)?;
        Ok(interface)
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Debug for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! serde_as_text {
    ($($type:ty),+) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+ };
}

serde_as_text!(Prefix, InterfaceAddress, super::AddressRange);

/// Splits `address/length`, both strict.
fn parse_with_length(text: &str) -> Result<(IpAddr, u8), AddressError> {
    let value = || Shown::new(text);
    let Some((address, length)) = text.split_once('/') else {
        let address = parse_host(text)?;
        return Err(AddressError::MissingLength {
            value: value(),
            family: family(address),
        });
    };
    let address = parse_host(address)?;
    let family = family(address);
    let plain = matches!(length.as_bytes(), [b'1'..=b'9', rest @ ..]
        if rest.len() <= 2 && rest.iter().all(u8::is_ascii_digit));
    match length.parse::<u8>() {
        Ok(length) if plain && length <= bits(family) => Ok((address, length)),
        _ => Err(AddressError::WrongLength {
            value: value(),
            family,
        }),
    }
}

/// The address with all bits after the first `length` cleared.
fn first_of(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => Ipv4Addr::from(u32::from(a) & mask_v4(length)).into(),
        IpAddr::V6(a) => Ipv6Addr::from(u128::from(a) & mask_v6(length)).into(),
    }
}

fn mask_v4(length: u8) -> u32 {
    u32::MAX
        .checked_shl(32_u32.saturating_sub(length.into()))
        .unwrap_or(0)
}

fn mask_v6(length: u8) -> u128 {
    u128::MAX
        .checked_shl(128_u32.saturating_sub(length.into()))
        .unwrap_or(0)
}
