//! The addresses of one object, per family.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::user::IpFamily;

/// The addresses of one object. Both keys stand in every record of it, in JSON
/// (`null` where there is none) and in text (`-`), and an address cannot stand
/// under the other family's key.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct DualAddress {
    /// The IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
}

impl DualAddress {
    /// The record of one address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self {
                ipv4: Some(address),
                ipv6: None,
            },
            IpAddr::V6(address) => Self {
                ipv4: None,
                ipv6: Some(address),
            },
        }
    }

    /// Adds an address; false, and nothing changed, where its family has one.
    pub fn insert(&mut self, address: IpAddr) -> bool {
        let free = self.get(super::family(address)).is_none();
        if free {
            match address {
                IpAddr::V4(address) => self.ipv4 = Some(address),
                IpAddr::V6(address) => self.ipv6 = Some(address),
            }
        }
        free
    }

    /// The address of a family.
    #[must_use]
    pub fn get(self, family: IpFamily) -> Option<IpAddr> {
        match family {
            IpFamily::IPv4 => self.ipv4.map(IpAddr::V4),
            IpFamily::IPv6 => self.ipv6.map(IpAddr::V6),
        }
    }

    /// Whether there is no address at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.ipv4.is_none() && self.ipv6.is_none()
    }

    /// The addresses, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        self.ipv4
            .map(IpAddr::V4)
            .into_iter()
            .chain(self.ipv6.map(IpAddr::V6))
    }
}

/// `ipv4=10.0.0.1 ipv6=-`.
impl fmt::Display for DualAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ipv4 {
            Some(address) => write!(f, "ipv4={address} ")?,
            None => f.write_str("ipv4=- ")?,
        }
        match self.ipv6 {
            Some(address) => write!(f, "ipv6={address}"),
            None => f.write_str("ipv6=-"),
        }
    }
}
