//! What registers, keys and map entries hold: values and verdicts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{AttrMap, WireError, Writer};

/// `enum nft_data_attributes` (`linux/netfilter/nf_tables.h`).
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
/// `enum nft_verdict_attributes` (`linux/netfilter/nf_tables.h`).
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;

/// Bytes of an interface name with its final NUL (`IFNAMSIZ`, `linux/if.h`).
const IFNAMSIZ: usize = 16;

/// The bytes of a value, as the kernel compares them: at most 64
/// (`NFT_DATA_VALUE_MAXLEN`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Value(pub Vec<u8>);

impl Value {
    /// A number of one byte, such as a protocol.
    pub fn u8(number: u8) -> Self {
        Self(vec![number])
    }

    /// A port or another 16-bit number in network byte order.
    pub fn port(port: u16) -> Self {
        Self(port.to_be_bytes().to_vec())
    }

    /// A 32-bit number in host byte order: marks, interface indexes, conntrack bits,
    /// priorities, results of `numgen` and `jhash`.
    pub fn u32(number: u32) -> Self {
        Self(number.to_ne_bytes().to_vec())
    }

    /// An interface name, padded to 16 bytes. A longer name is cut at 15 bytes.
    pub fn ifname(name: &str) -> Self {
        let mut bytes: Vec<u8> = name.bytes().take(IFNAMSIZ - 1).collect();
        bytes.resize(IFNAMSIZ, 0);
        Self(bytes)
    }

    /// The beginning of interface names (`"eth*"` in `nft`), for [`super::expr::Cmp`] only.
    pub fn ifname_prefix(prefix: &str) -> Self {
        Self(prefix.bytes().take(IFNAMSIZ - 1).collect())
    }

    /// The fields of a concatenation, each padded to a multiple of 4 bytes.
    pub fn concat<I: IntoIterator<Item = Self>>(fields: I) -> Self {
        let mut bytes = Vec::new();
        for field in fields {
            bytes.extend(field.0);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Ipv4Addr> for Value {
    fn from(address: Ipv4Addr) -> Self {
        Self(address.octets().to_vec())
    }
}

impl From<Ipv6Addr> for Value {
    fn from(address: Ipv6Addr) -> Self {
        Self(address.octets().to_vec())
    }
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a rule or a verdict map decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// `NF_ACCEPT`.
    Accept,
    /// `NF_DROP`.
    Drop,
    /// `NFT_CONTINUE`: the next rule.
    Continue,
    /// `NFT_BREAK`: the next rule, skipping the rest of this one.
    Break,
    /// `NFT_JUMP`: to a chain, then back.
    Jump(String),
    /// `NFT_GOTO`: to a chain, not back.
    Goto(String),
    /// `NFT_RETURN`: back to where the jump came from.
    Return,
    /// A code that this crate has no word for, such as `NF_QUEUE` with its number.
    Other(i32),
}

impl Verdict {
    fn code(&self) -> i32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Continue => -1,
            Self::Break => -2,
            Self::Jump(_) => -3,
            Self::Goto(_) => -4,
            Self::Return => -5,
            Self::Other(code) => *code,
        }
    }

    fn write(&self, w: &mut Writer) {
        w.put(NFTA_VERDICT_CODE, &self.code().to_be_bytes());
        if let Self::Jump(chain) | Self::Goto(chain) = self {
            w.put_text(NFTA_VERDICT_CHAIN, chain);
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let attrs = AttrMap::parse(bytes)?;
        let code = attrs
            .need(NFTA_VERDICT_CODE, "NFTA_VERDICT_CODE")?
            .u32_be()?;
        let chain = || attrs.need(NFTA_VERDICT_CHAIN, "NFTA_VERDICT_CHAIN")?.text();
        Ok(match i32::from_be_bytes(code.to_be_bytes()) {
            0 => Self::Drop,
            1 => Self::Accept,
            -1 => Self::Continue,
            -2 => Self::Break,
            -3 => Self::Jump(chain()?),
            -4 => Self::Goto(chain()?),
            -5 => Self::Return,
            other => Self::Other(other),
        })
    }
}

/// A value or a verdict (`enum nft_data_attributes`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// Bytes.
    Value(Value),
    /// A verdict.
    Verdict(Verdict),
}

impl Data {
    pub(crate) fn write(&self, w: &mut Writer) {
        match self {
            Self::Value(value) => w.put(NFTA_DATA_VALUE, value.as_bytes()),
            Self::Verdict(verdict) => w.nest(NFTA_DATA_VERDICT, |w| verdict.write(w)),
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let attrs = AttrMap::parse(bytes)?;
        match (attrs.get(NFTA_DATA_VALUE), attrs.get(NFTA_DATA_VERDICT)) {
            (Some(value), _) => Ok(Self::Value(Value(value.payload.to_vec()))),
            (None, Some(verdict)) => Ok(Self::Verdict(Verdict::read(verdict.payload)?)),
            (None, None) => Err(WireError::Missing("NFTA_DATA_VALUE")),
        }
    }

    /// Reads data that must be a value.
    pub(crate) fn read_value(bytes: &[u8], name: &'static str) -> Result<Value, WireError> {
        match Self::read(bytes)? {
            Self::Value(value) => Ok(value),
            Self::Verdict(_) => Err(WireError::Missing(name)),
        }
    }
}

impl Value {
    pub(crate) fn write(&self, w: &mut Writer) {
        w.put(NFTA_DATA_VALUE, &self.0);
    }
}
