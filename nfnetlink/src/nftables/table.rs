//! Tables.

use super::Family;
use crate::wire::{AttrMap, WireError, Writer};

bitflags::bitflags! {
    /// `enum nft_table_flags` (`linux/netfilter/nf_tables.h`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct TableFlags: u32 {
        /// `NFT_TABLE_F_DORMANT`: the chains see no packets.
        const DORMANT = 0x1;
        /// `NFT_TABLE_F_OWNER`: only the socket that set this may change the table, and
        /// without [`TableFlags::PERSIST`] the table dies with that socket.
        const OWNER = 0x2;
        /// `NFT_TABLE_F_PERSIST` (kernel ≥ 6.9): the table outlives its owner.
        const PERSIST = 0x4;
        /// Bits of newer kernels are kept.
        const _ = !0;
    }
}

/// `enum nft_table_attributes` (`linux/netfilter/nf_tables.h`).
pub(crate) const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_TABLE_USERDATA: u16 = 6;
const NFTA_TABLE_OWNER: u16 = 7;

/// What names a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// Its family.
    pub family: Family,
    /// Its name, up to 255 bytes.
    pub name: String,
}

impl TableId {
    /// A table's family and name.
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self {
            family,
            name: name.into(),
        }
    }
}

impl std::fmt::Display for TableId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

/// A table without what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    /// Family and name.
    pub id: TableId,
    /// Flags.
    pub flags: TableFlags,
    /// User data; see [`super::userdata`].
    pub userdata: Vec<u8>,
}

impl Table {
    /// A table without flags and user data.
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self {
            id: TableId::new(family, name),
            flags: TableFlags::empty(),
            userdata: Vec::new(),
        }
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.put_text(NFTA_TABLE_NAME, &self.id.name);
        w.put_u32_be(NFTA_TABLE_FLAGS, self.flags.bits());
        if !self.userdata.is_empty() {
            w.put(NFTA_TABLE_USERDATA, &self.userdata);
        }
    }

    /// Reads the attributes of `NFT_MSG_NEWTABLE`; also returns the owner's port id.
    pub(crate) fn read(family: u8, attrs: &[u8]) -> Result<(Self, Option<u32>), WireError> {
        let attrs = AttrMap::parse(attrs)?;
        let name = attrs.need(NFTA_TABLE_NAME, "NFTA_TABLE_NAME")?.text()?;
        let table = Self {
            id: TableId::new(family.try_into()?, name),
            flags: TableFlags::from_bits_retain(attrs.u32_be(NFTA_TABLE_FLAGS)?.unwrap_or(0)),
            userdata: attrs.bytes(NFTA_TABLE_USERDATA),
        };
        Ok((table, attrs.u32_be(NFTA_TABLE_OWNER)?))
    }
}
