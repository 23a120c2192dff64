//! Families of tables.

use crate::wire::WireError;

/// Family of a table (`NFPROTO_*`, `linux/netfilter.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `NFPROTO_INET`: IPv4 and IPv6.
    Inet,
    /// `NFPROTO_IPV4`.
    Ipv4,
    /// `NFPROTO_ARP`.
    Arp,
    /// `NFPROTO_NETDEV`: hooks of single devices.
    Netdev,
    /// `NFPROTO_BRIDGE`.
    Bridge,
    /// `NFPROTO_IPV6`.
    Ipv6,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 6] = [
        Self::Inet,
        Self::Ipv4,
        Self::Arp,
        Self::Netdev,
        Self::Bridge,
        Self::Ipv6,
    ];

    /// The kernel's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ipv4 => 2,
            Self::Arp => 3,
            Self::Netdev => 5,
            Self::Bridge => 7,
            Self::Ipv6 => 10,
        }
    }

    /// The word that `nft` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ipv4 => "ip",
            Self::Arp => "arp",
            Self::Netdev => "netdev",
            Self::Bridge => "bridge",
            Self::Ipv6 => "ip6",
        }
    }
}

impl TryFrom<u8> for Family {
    type Error = WireError;

    fn try_from(number: u8) -> Result<Self, WireError> {
        Self::ALL
            .into_iter()
            .find(|family| family.number() == number)
            .ok_or(WireError::Value {
                attribute: "nfgen_family",
                value: number.into(),
            })
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
