//! Sets and maps, without their elements.

use super::TableId;
use super::expr::Expr;
use super::rule::{read_exprs, write_exprs};
use super::userdata::{ByteOrder, SetUserdata};
use crate::wire::{AttrMap, Attrs, WireError, Writer};

/// `enum nft_set_attributes` (`linux/netfilter/nf_tables.h`).
pub(crate) const NFTA_SET_TABLE: u16 = 1;
pub(crate) const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_POLICY: u16 = 8;
const NFTA_SET_DESC: u16 = 9;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_TIMEOUT: u16 = 11;
const NFTA_SET_GC_INTERVAL: u16 = 12;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_EXPR: u16 = 17;
const NFTA_SET_EXPRESSIONS: u16 = 18;
/// `enum nft_set_desc_attributes`, `enum nft_set_field_attributes`.
const NFTA_SET_DESC_SIZE: u16 = 1;
const NFTA_SET_DESC_CONCAT: u16 = 2;
const NFTA_SET_FIELD_LEN: u16 = 1;
const NFTA_LIST_ELEM: u16 = 1;
/// `NFT_DATA_VERDICT` (`enum nft_data_types`).
const NFT_DATA_VERDICT: u32 = 0xffff_ff00;

bitflags::bitflags! {
    /// `enum nft_set_flags` (`linux/netfilter/nf_tables.h`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct SetFlags: u32 {
        /// `NFT_SET_ANONYMOUS`: made by `nft` for one rule.
        const ANONYMOUS = 0x1;
        /// `NFT_SET_CONSTANT`: elements cannot change once a rule uses the set.
        const CONSTANT = 0x2;
        /// `NFT_SET_INTERVAL`: elements are ranges.
        const INTERVAL = 0x4;
        /// `NFT_SET_MAP`: elements carry data.
        const MAP = 0x8;
        /// `NFT_SET_TIMEOUT`: elements may expire.
        const TIMEOUT = 0x10;
        /// `NFT_SET_EVAL` (nft: `dynamic`): rules add elements.
        const EVAL = 0x20;
        /// `NFT_SET_OBJECT`: elements name stateful objects.
        const OBJECT = 0x40;
        /// `NFT_SET_CONCAT`: ranges of concatenated fields; needs [`KeyType::fields`].
        const CONCAT = 0x80;
        /// `NFT_SET_EXPR`: elements carry several expressions.
        const EXPR = 0x100;
        /// Bits of newer kernels are kept.
        const _ = !0;
    }
}

/// `enum nft_set_policies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum SetPolicy {
    /// `NFT_SET_POL_PERFORMANCE`.
    #[default]
    Performance,
    /// `NFT_SET_POL_MEMORY`.
    Memory,
}

/// A data type that `nft` knows by number (nftables `include/datatype.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// nft's number (`enum datatypes`).
    pub id: u32,
    /// Bytes.
    pub len: u32,
    /// How nft prints it.
    pub order: ByteOrder,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = ($id:literal, $len:literal, $order:ident);)*) => {
        impl Field {
            $($(#[$doc])* pub const $name: Self = Self { id: $id, len: $len, order: ByteOrder::$order };)*
        }
    };
}

fields! {
    /// `nf_proto`.
    NF_PROTO = (2, 1, Host);
    /// `lladdr`-less Ethernet address: `ether_addr`.
    ETHER_ADDR = (9, 6, Network);
    /// `ipv4_addr`.
    IPV4_ADDR = (7, 4, Network);
    /// `ipv6_addr`.
    IPV6_ADDR = (8, 16, Network);
    /// `inet_proto`.
    INET_PROTO = (12, 1, Network);
    /// `inet_service`: a port.
    INET_SERVICE = (13, 2, Network);
    /// `mark`: packet and conntrack marks.
    MARK = (19, 4, Host);
    /// `iface_index`.
    IFACE_INDEX = (20, 4, Host);
    /// `classid`: traffic class of `meta priority`.
    CLASSID = (23, 4, Host);
    /// `ct_state`.
    CT_STATE = (26, 4, Host);
    /// `ct_dir`.
    CT_DIR = (27, 1, Host);
    /// `ct_status`.
    CT_STATUS = (28, 4, Host);
    /// `ifname`.
    IFNAME = (41, 16, Host);
}

impl Field {
    /// `integer` in host byte order, as `numgen` and `jhash` yield it; nft can print such
    /// a set only with a `typeof` in its user data.
    pub const fn integer(len: u32) -> Self {
        Self {
            id: 4,
            len,
            order: ByteOrder::Host,
        }
    }

    /// `integer` cut from the packet, in network byte order.
    pub const fn packet_integer(len: u32) -> Self {
        Self {
            id: 4,
            len,
            order: ByteOrder::Network,
        }
    }
}

/// Type and length of a key or of a map's data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyType {
    /// nft's number; of a concatenation the numbers of the fields, 6 bits each.
    pub id: u32,
    /// Bytes, with the padding of concatenated fields.
    pub len: u32,
    /// Bytes of each field, where the kernel must know them ([`SetFlags::CONCAT`]).
    pub fields: Vec<u32>,
}

impl KeyType {
    /// One field, or the concatenation of several.
    pub fn of(fields: &[Field]) -> Self {
        match fields {
            [only] => Self {
                id: only.id,
                len: only.len,
                fields: Vec::new(),
            },
            _ => Self {
                id: fields.iter().fold(0, |id, field| (id << 6) | field.id),
                len: fields.iter().map(|f| f.len.next_multiple_of(4)).sum(),
                fields: Vec::new(),
            },
        }
    }
}

/// What the elements of a map carry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapType {
    /// Verdicts.
    Verdict,
    /// Values.
    Value {
        /// nft's number of the type.
        id: u32,
        /// Bytes.
        len: u32,
    },
}

/// A set or a map, without its elements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set {
    /// Its name, up to 255 bytes.
    pub name: String,
    /// Flags.
    pub flags: SetFlags,
    /// The key.
    pub key: KeyType,
    /// What elements carry, for maps.
    pub data: Option<MapType>,
    /// Most elements allowed, and the size that the hash is made for.
    pub size: Option<u32>,
    /// Milliseconds after which an element expires that says nothing else. The kernel
    /// rounds to its ticks (4 ms at 250 Hz).
    pub timeout_ms: Option<u64>,
    /// Milliseconds between collections of expired elements.
    pub gc_interval_ms: Option<u32>,
    /// What to optimize for.
    pub policy: SetPolicy,
    /// Statements that each new element gets, such as a counter.
    pub exprs: Vec<Expr>,
    /// User data; see [`SetUserdata`].
    pub userdata: Vec<u8>,
}

impl Set {
    /// A set with the user data that `nft` would write.
    pub fn new(name: impl Into<String>, key: &[Field]) -> Self {
        Self {
            name: name.into(),
            flags: SetFlags::empty(),
            key: KeyType::of(key),
            data: None,
            size: None,
            timeout_ms: None,
            gc_interval_ms: None,
            policy: SetPolicy::default(),
            exprs: Vec::new(),
            userdata: SetUserdata {
                key: order(key),
                data: None,
                key_typeof: None,
                data_typeof: None,
                comment: None,
            }
            .encode(),
        }
    }

    /// A map from `key` to `data`, with the user data that `nft` would write.
    pub fn map(name: impl Into<String>, key: &[Field], data: &[Field]) -> Self {
        let data_type = KeyType::of(data);
        let mut set = Self::new(name, key);
        set.flags = SetFlags::MAP;
        set.data = Some(MapType::Value {
            id: data_type.id,
            len: data_type.len,
        });
        set.userdata = SetUserdata {
            key: order(key),
            data: Some(order(data)),
            key_typeof: None,
            data_typeof: None,
            comment: None,
        }
        .encode();
        set
    }

    /// A map from `key` to verdicts, with the user data that `nft` would write.
    pub fn verdict_map(name: impl Into<String>, key: &[Field]) -> Self {
        let mut set = Self::map(name, key, &[]);
        set.data = Some(MapType::Verdict);
        set
    }

    /// The same set with room for this many elements.
    pub fn with_size(mut self, size: u32) -> Self {
        self.size = Some(size);
        self
    }

    /// The same set with more flags.
    pub fn with_flags(mut self, flags: SetFlags) -> Self {
        self.flags |= flags;
        self
    }

    /// The same set whose elements expire after this many milliseconds.
    pub fn with_timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.flags |= SetFlags::TIMEOUT;
        self.timeout_ms = Some(timeout_ms);
        self
    }

    /// The same set with ranges as elements: of one field, or of each of several fields
    /// (then all fields must be given again).
    pub fn with_intervals(mut self, key: &[Field]) -> Self {
        self.flags |= SetFlags::INTERVAL;
        if key.len() > 1 {
            self.flags |= SetFlags::CONCAT;
            self.key.fields = key.iter().map(|field| field.len).collect();
        }
        self
    }

    pub(crate) fn write(&self, table: &TableId, id: u32, w: &mut Writer) {
        w.put_text(NFTA_SET_TABLE, &table.name);
        w.put_text(NFTA_SET_NAME, &self.name);
        w.put_u32_be(NFTA_SET_FLAGS, self.flags.bits());
        w.put_u32_be(NFTA_SET_KEY_TYPE, self.key.id);
        w.put_u32_be(NFTA_SET_KEY_LEN, self.key.len);
        match self.data {
            Some(MapType::Verdict) => w.put_u32_be(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT),
            Some(MapType::Value { id, len }) => {
                w.put_u32_be(NFTA_SET_DATA_TYPE, id);
                w.put_u32_be(NFTA_SET_DATA_LEN, len);
            }
            None => {}
        }
        if self.policy == SetPolicy::Memory {
            w.put_u32_be(NFTA_SET_POLICY, 1);
        }
        w.nest(NFTA_SET_DESC, |w| {
            if let Some(size) = self.size {
                w.put_u32_be(NFTA_SET_DESC_SIZE, size);
            }
            if !self.key.fields.is_empty() {
                w.nest(NFTA_SET_DESC_CONCAT, |w| {
                    for len in &self.key.fields {
                        w.nest(NFTA_LIST_ELEM, |w| w.put_u32_be(NFTA_SET_FIELD_LEN, *len));
                    }
                });
            }
        });
        w.put_u32_be(NFTA_SET_ID, id);
        if let Some(timeout) = self.timeout_ms {
            w.put_u64_be(NFTA_SET_TIMEOUT, timeout);
        }
        if let Some(interval) = self.gc_interval_ms {
            w.put_u32_be(NFTA_SET_GC_INTERVAL, interval);
        }
        if !self.userdata.is_empty() {
            w.put(NFTA_SET_USERDATA, &self.userdata);
        }
        match self.exprs.as_slice() {
            [] => {}
            [only] => w.nest(NFTA_SET_EXPR, |w| only.write(w)),
            several => w.nest(NFTA_SET_EXPRESSIONS, |w| write_exprs(several, w)),
        }
    }

    /// Reads the attributes of `NFT_MSG_NEWSET`.
    pub(crate) fn read(family: u8, attrs: &[u8]) -> Result<(TableId, Self), WireError> {
        let attrs = AttrMap::parse(attrs)?;
        let table = attrs.need(NFTA_SET_TABLE, "NFTA_SET_TABLE")?.text()?;
        let table = TableId::new(family.try_into()?, table);
        let data = match attrs.u32_be(NFTA_SET_DATA_TYPE)? {
            None => None,
            Some(NFT_DATA_VERDICT) => Some(MapType::Verdict),
            Some(id) => Some(MapType::Value {
                id,
                len: attrs.u32_be(NFTA_SET_DATA_LEN)?.unwrap_or(0),
            }),
        };
        let desc = AttrMap::parse(attrs.get(NFTA_SET_DESC).map_or(&[], |a| a.payload))?;
        let mut fields = Vec::new();
        if let Some(list) = desc.get(NFTA_SET_DESC_CONCAT) {
            for field in Attrs::new(list.payload) {
                let field = AttrMap::parse(field?.payload)?;
                let len = field.need(NFTA_SET_FIELD_LEN, "NFTA_SET_FIELD_LEN")?;
                fields.push(len.u32_be()?);
            }
        }
        let exprs = match (attrs.get(NFTA_SET_EXPR), attrs.get(NFTA_SET_EXPRESSIONS)) {
            (_, Some(list)) => read_exprs(list.payload, 0)?,
            (Some(only), None) => vec![Expr::read(only.payload, 0)?],
            (None, None) => Vec::new(),
        };
        let set = Self {
            name: attrs.need(NFTA_SET_NAME, "NFTA_SET_NAME")?.text()?,
            flags: SetFlags::from_bits_retain(attrs.u32_be(NFTA_SET_FLAGS)?.unwrap_or(0)),
            key: KeyType {
                id: attrs.u32_be(NFTA_SET_KEY_TYPE)?.unwrap_or(0),
                len: attrs.u32_be(NFTA_SET_KEY_LEN)?.unwrap_or(0),
                fields,
            },
            data,
            size: desc.u32_be(NFTA_SET_DESC_SIZE)?,
            timeout_ms: attrs.u64_be(NFTA_SET_TIMEOUT)?,
            gc_interval_ms: attrs.u32_be(NFTA_SET_GC_INTERVAL)?,
            policy: match attrs.u32_be(NFTA_SET_POLICY)?.unwrap_or(0) {
                0 => SetPolicy::Performance,
                1 => SetPolicy::Memory,
                other => {
                    return Err(WireError::Value {
                        attribute: "NFTA_SET_POLICY",
                        value: other.into(),
                    });
                }
            },
            exprs,
            userdata: attrs.bytes(NFTA_SET_USERDATA),
        };
        Ok((table, set))
    }
}

fn order(fields: &[Field]) -> ByteOrder {
    match fields {
        [only] => only.order,
        _ => ByteOrder::None,
    }
}
