//! Ranges of addresses: `first-last`, a prefix, or one address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{AddressError, Prefix, Shown, family, parse_host};
use crate::user::IpFamily;

/// The addresses from `first` to `last`, both included, of one family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// The range; `None` where the families differ or last is before first.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (family(first) == family(last) && first <= last).then_some(Self { first, last })
    }

    /// The first address.
    #[must_use]
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        self.last
    }

    /// The family.
    #[must_use]
    pub fn family(self) -> IpFamily {
        family(self.first)
    }

    /// How many addresses there are; never 0.
    #[must_use]
    pub fn count(self) -> u128 {
        number(self.last)
            .saturating_sub(number(self.first))
            .saturating_add(1)
    }

    /// Whether the address lies in it; never for one of the other family.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        family(address) == self.family() && self.first <= address && address <= self.last
    }

    /// Whether some address lies in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.family() == other.family() && self.first <= other.last && other.first <= self.last
    }

    /// Whether all of it lies in the prefix.
    #[must_use]
    pub fn lies_in(self, prefix: Prefix) -> bool {
        prefix.contains(self.first) && prefix.contains(self.last)
    }

    /// The address `offset` after the first; `None` after the last.
    #[must_use]
    pub fn nth(self, offset: u128) -> Option<IpAddr> {
        let wanted = number(self.first).checked_add(offset)?;
        if wanted > number(self.last) {
            return None;
        }
        Some(match self.first {
            IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(wanted).ok()?).into(),
            IpAddr::V6(_) => Ipv6Addr::from(wanted).into(),
        })
    }
}

impl From<Prefix> for AddressRange {
    fn from(prefix: Prefix) -> Self {
        Self {
            first: prefix.network(),
            last: prefix.last(),
        }
    }
}

impl FromStr for AddressRange {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (parse_host(first)?, parse_host(last)?);
            if family(first) != family(last) {
                return Err(AddressError::RangeFamilies {
                    value: Shown::new(text),
                });
            }
            return Self::new(first, last).ok_or_else(|| AddressError::RangeOrder {
                value: Shown::new(text),
            });
        }
        if text.contains('/') {
            return text.parse::<Prefix>().map(Self::from);
        }
        parse_host(text).map(|address| Self {
            first: address,
            last: address,
        })
    }
}

/// One address alone, else `first-last`.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl fmt::Debug for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u32::from(a).into(),
        IpAddr::V6(a) => a.into(),
    }
}
