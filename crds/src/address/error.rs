//! What can be wrong with an address, a prefix or a range.

use std::fmt;

use super::Prefix;
use crate::user::IpFamily;

/// What a user wrote, as an error repeats it: quoted, control characters
/// escaped, cut after 64 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// Keeps what is to be shown of `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut kept: String = text.chars().take(64).collect();
        if kept.len() < text.len() {
            kept.push('…');
        }
        Self(kept)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with a text that should be an address, a prefix or a range.
/// Each message names the value and the remedy; the caller adds object and field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an address at all, leading zeros included.
    #[error(
        "{value} is not an address: write IPv4 as four numbers of 0 to 255 without leading zeros, or IPv6 as hex groups"
    )]
    NotAnAddress {
        /// The text.
        value: Shown,
    },
    /// `fe80::1%eth0`.
    #[error("{value} names a zone: write the address without % and what follows")]
    Zone {
        /// The text.
        value: Shown,
    },
    /// `::ffff:192.0.2.1`, `64:ff9b::192.0.2.1`.
    #[error(
        "{value} writes an IPv4 address inside an IPv6 address: write the IPv4 address alone, or IPv6 in hex groups"
    )]
    EmbeddedIPv4 {
        /// The text.
        value: Shown,
    },
    /// A prefix where an address is asked.
    #[error("{value} has a prefix length: write the address alone")]
    UnwantedLength {
        /// The text.
        value: Shown,
    },
    /// An address that no host has.
    #[error("{value} lies in {block}: write a unicast address of a host")]
    NotAHost {
        /// The text.
        value: Shown,
        /// The block and what it is for.
        block: &'static str,
    },
    /// An address of the other family.
    #[error("{value} is not an {wanted} address: write one of {wanted}")]
    WrongFamily {
        /// The text.
        value: Shown,
        /// The family that the field is for.
        wanted: IpFamily,
    },
    /// Two addresses of one family.
    #[error("{value} is a second {family} address: write at most one per family")]
    SecondOfFamily {
        /// The second.
        value: Shown,
        /// Their family.
        family: IpFamily,
    },
    /// An address where a prefix is asked.
    #[error("{value} has no prefix length: {family} takes /1 to /{}", super::bits(*.family))]
    MissingLength {
        /// The text.
        value: Shown,
        /// Family of the address in it.
        family: IpFamily,
    },
    /// `10.0.0.0/33`, `/024`, `/+24`, `/`, `/0`.
    #[error(
        "{value} has a wrong prefix length: {family} takes /1 to /{}, in plain decimal digits",
        super::bits(*.family)
    )]
    WrongLength {
        /// The text.
        value: Shown,
        /// Family of the address in it.
        family: IpFamily,
    },
    /// `10.0.0.1/24` where a prefix is asked.
    #[error("{value} has host bits: write {network}")]
    HostBits {
        /// The text.
        value: Shown,
        /// The prefix without them.
        network: Prefix,
    },
    /// The first address of a subnet where a host's is asked.
    #[error("{value} is the network address of {subnet}: write the address of a host")]
    NetworkAddress {
        /// The text.
        value: Shown,
        /// The subnet.
        subnet: Prefix,
    },
    /// The last address of an IPv4 subnet where a host's is asked.
    #[error("{value} is the broadcast address of {subnet}: write the address of a host")]
    BroadcastAddress {
        /// The text.
        value: Shown,
        /// The subnet.
        subnet: Prefix,
    },
    /// `10.0.0.9-10.0.0.1`.
    #[error("{value} ends before it begins: write the lower address first")]
    RangeOrder {
        /// The text.
        value: Shown,
    },
    /// `10.0.0.1-2001:db8::1`.
    #[error("{value} begins in one family and ends in the other: write one range per family")]
    RangeFamilies {
        /// The text.
        value: Shown,
    },
    /// A claim's name that names no address.
    #[error("{value} is not the name of an address")]
    ClaimName {
        /// The text.
        value: Shown,
    },
}
