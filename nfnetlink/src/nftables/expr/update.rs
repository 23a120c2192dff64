//! Expressions that write into the packet or into sets.

use super::number::number_enum;
use super::packet::{
    NFTA_EXTHDR_LEN, NFTA_EXTHDR_OFFSET, NFTA_EXTHDR_OP, NFTA_EXTHDR_TYPE, NFTA_PAYLOAD_BASE,
    NFTA_PAYLOAD_LEN, NFTA_PAYLOAD_OFFSET,
};
use super::{Body, Expr, ExtHdrOp, PayloadBase, Reg};
use crate::nftables::rule::{read_exprs, write_exprs};
use crate::wire::{AttrMap, WireError, Writer};

/// `payload`, writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadWrite {
    /// Counted from.
    pub base: PayloadBase,
    /// Bytes to skip.
    pub offset: u32,
    /// Bytes to write.
    pub len: u32,
    /// Where from.
    pub sreg: Reg,
    /// Kind of checksum to mend (`enum nft_payload_csum_types`).
    pub checksum: u32,
    /// Where the checksum is.
    pub checksum_offset: u32,
    /// `enum nft_payload_csum_flags`.
    pub checksum_flags: u32,
}

/// `enum nft_payload_attributes`.
const NFTA_PAYLOAD_SREG: u16 = 5;
const NFTA_PAYLOAD_CSUM_TYPE: u16 = 6;
const NFTA_PAYLOAD_CSUM_OFFSET: u16 = 7;
const NFTA_PAYLOAD_CSUM_FLAGS: u16 = 8;

impl Body for PayloadWrite {
    fn write(&self, w: &mut Writer) {
        self.sreg.write(NFTA_PAYLOAD_SREG, w);
        w.put_u32_be(NFTA_PAYLOAD_BASE, self.base.number());
        w.put_u32_be(NFTA_PAYLOAD_OFFSET, self.offset);
        w.put_u32_be(NFTA_PAYLOAD_LEN, self.len);
        w.put_u32_be(NFTA_PAYLOAD_CSUM_TYPE, self.checksum);
        w.put_u32_be(NFTA_PAYLOAD_CSUM_OFFSET, self.checksum_offset);
        w.put_u32_be(NFTA_PAYLOAD_CSUM_FLAGS, self.checksum_flags);
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let known: Vec<u16> = (NFTA_PAYLOAD_BASE..=NFTA_PAYLOAD_CSUM_FLAGS).collect();
        let base = attrs
            .u32_be(NFTA_PAYLOAD_BASE)?
            .and_then(PayloadBase::from_number);
        let sreg = Reg::read(attrs, NFTA_PAYLOAD_SREG, "NFTA_PAYLOAD_SREG")?;
        let (Some(base), Some(sreg), true) = (base, sreg, attrs.only(&known)) else {
            return Ok(None);
        };
        let need = |kind, name| attrs.need(kind, name)?.u32_be();
        Ok(Some(Self {
            base,
            offset: need(NFTA_PAYLOAD_OFFSET, "NFTA_PAYLOAD_OFFSET")?,
            len: need(NFTA_PAYLOAD_LEN, "NFTA_PAYLOAD_LEN")?,
            sreg,
            checksum: attrs.u32_be(NFTA_PAYLOAD_CSUM_TYPE)?.unwrap_or(0),
            checksum_offset: attrs.u32_be(NFTA_PAYLOAD_CSUM_OFFSET)?.unwrap_or(0),
            checksum_flags: attrs.u32_be(NFTA_PAYLOAD_CSUM_FLAGS)?.unwrap_or(0),
        }))
    }
}

/// `exthdr`, writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtHdrWrite {
    /// Kind of header; the kernel writes TCP options only.
    pub op: ExtHdrOp,
    /// Number of the option, such as 2 for maxseg.
    pub kind: u8,
    /// Bytes to skip.
    pub offset: u32,
    /// Bytes to write.
    pub len: u32,
    /// Where from.
    pub sreg: Reg,
}

impl ExtHdrWrite {
    /// `tcp option maxseg size set` from a register, in network byte order. The kernel only
    /// ever lowers the size.
    pub fn max_segment_size(sreg: Reg) -> Self {
        Self {
            op: ExtHdrOp::TcpOption,
            kind: 2,
            offset: 2,
            len: 2,
            sreg,
        }
    }
}

/// `enum nft_exthdr_attributes`.
const NFTA_EXTHDR_SREG: u16 = 7;

impl Body for ExtHdrWrite {
    fn write(&self, w: &mut Writer) {
        self.sreg.write(NFTA_EXTHDR_SREG, w);
        w.put_u8(NFTA_EXTHDR_TYPE, self.kind);
        w.put_u32_be(NFTA_EXTHDR_OFFSET, self.offset);
        w.put_u32_be(NFTA_EXTHDR_LEN, self.len);
        w.put_u32_be(NFTA_EXTHDR_OP, self.op.number());
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let known = [
            NFTA_EXTHDR_TYPE,
            NFTA_EXTHDR_OFFSET,
            NFTA_EXTHDR_LEN,
            super::packet::NFTA_EXTHDR_FLAGS,
            NFTA_EXTHDR_OP,
            NFTA_EXTHDR_SREG,
        ];
        let op = ExtHdrOp::from_number(attrs.u32_be(NFTA_EXTHDR_OP)?.unwrap_or(0));
        let sreg = Reg::read(attrs, NFTA_EXTHDR_SREG, "NFTA_EXTHDR_SREG")?;
        let flags = attrs.u32_be(super::packet::NFTA_EXTHDR_FLAGS)?.unwrap_or(0);
        let (Some(op), Some(sreg), true, 0) = (op, sreg, attrs.only(&known), flags) else {
            return Ok(None);
        };
        let need = |kind, name| attrs.need(kind, name)?.u32_be();
        Ok(Some(Self {
            op,
            kind: attrs.need(NFTA_EXTHDR_TYPE, "NFTA_EXTHDR_TYPE")?.u8()?,
            offset: need(NFTA_EXTHDR_OFFSET, "NFTA_EXTHDR_OFFSET")?,
            len: need(NFTA_EXTHDR_LEN, "NFTA_EXTHDR_LEN")?,
            sreg,
        }))
    }
}

/// `connlimit`: counts the connections of the key that it is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnLimit {
    /// How many.
    pub count: u32,
    /// Goes on only above the number (`NFT_CONNLIMIT_F_INV`).
    pub over: bool,
}

/// `enum nft_connlimit_attributes`.
const NFTA_CONNLIMIT_COUNT: u16 = 1;
const NFTA_CONNLIMIT_FLAGS: u16 = 2;

impl Body for ConnLimit {
    fn write(&self, w: &mut Writer) {
        w.put_u32_be(NFTA_CONNLIMIT_COUNT, self.count);
        w.put_u32_be(NFTA_CONNLIMIT_FLAGS, u32::from(self.over));
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let flags = attrs.u32_be(NFTA_CONNLIMIT_FLAGS)?.unwrap_or(0);
        let count = attrs.need(NFTA_CONNLIMIT_COUNT, "NFTA_CONNLIMIT_COUNT")?;
        let count = count.u32_be()?;
        let only = attrs.only(&[NFTA_CONNLIMIT_COUNT, NFTA_CONNLIMIT_FLAGS]);
        Ok((only && flags <= 1).then_some(Self {
            count,
            over: flags == 1,
        }))
    }
}

number_enum! {
    /// What is done to the set (`enum nft_dynset_ops`).
    DynSetOp {
        /// `NFT_DYNSET_OP_ADD`.
        Add = 0 "add",
        /// `NFT_DYNSET_OP_UPDATE`: add, or start the timeout again.
        Update = 1 "update",
        /// `NFT_DYNSET_OP_DELETE`.
        Delete = 2 "delete",
    }
}

/// `dynset`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DynSet {
    /// What is done.
    pub op: DynSetOp,
    /// Name of the set or map, in the same table.
    pub set: String,
    /// First register of the key.
    pub key: Reg,
    /// First register of the data, for maps.
    pub data: Option<Reg>,
    /// Milliseconds after which the element expires, if not those of the set.
    pub timeout_ms: Option<u64>,
    /// Statements that the element gets, and that decide whether the rule goes on.
    pub exprs: Vec<Expr>,
    /// Goes on where the operation failed (`NFT_DYNSET_F_INV`).
    pub inverted: bool,
}

/// `enum nft_dynset_attributes`.
const NFTA_DYNSET_SET_NAME: u16 = 1;
const NFTA_DYNSET_OP: u16 = 3;
const NFTA_DYNSET_SREG_KEY: u16 = 4;
const NFTA_DYNSET_SREG_DATA: u16 = 5;
const NFTA_DYNSET_TIMEOUT: u16 = 6;
const NFTA_DYNSET_EXPR: u16 = 7;
const NFTA_DYNSET_PAD: u16 = 8;
const NFTA_DYNSET_FLAGS: u16 = 9;
const NFTA_DYNSET_EXPRESSIONS: u16 = 10;
/// `enum nft_dynset_flags`.
const NFT_DYNSET_F_INV: u32 = 1;
const NFT_DYNSET_F_EXPR: u32 = 2;

impl Body for DynSet {
    fn write(&self, w: &mut Writer) {
        w.put_text(NFTA_DYNSET_SET_NAME, &self.set);
        w.put_u32_be(NFTA_DYNSET_OP, self.op.number());
        self.key.write(NFTA_DYNSET_SREG_KEY, w);
        if let Some(data) = self.data {
            data.write(NFTA_DYNSET_SREG_DATA, w);
        }
        if let Some(timeout) = self.timeout_ms {
            w.put_u64_be(NFTA_DYNSET_TIMEOUT, timeout);
        }
        let mut flags = if self.inverted { NFT_DYNSET_F_INV } else { 0 };
        match self.exprs.as_slice() {
            [] => {}
            [only] => w.nest(NFTA_DYNSET_EXPR, |w| only.write(w)),
            several => {
                flags |= NFT_DYNSET_F_EXPR;
                w.nest(NFTA_DYNSET_EXPRESSIONS, |w| write_exprs(several, w));
            }
        }
        w.put_u32_be(NFTA_DYNSET_FLAGS, flags);
    }

    fn read(attrs: &AttrMap<'_>, depth: usize) -> Result<Option<Self>, WireError> {
        let known = [
            NFTA_DYNSET_SET_NAME,
            NFTA_DYNSET_OP,
            NFTA_DYNSET_SREG_KEY,
            NFTA_DYNSET_SREG_DATA,
            NFTA_DYNSET_TIMEOUT,
            NFTA_DYNSET_EXPR,
            NFTA_DYNSET_PAD,
            NFTA_DYNSET_FLAGS,
            NFTA_DYNSET_EXPRESSIONS,
        ];
        let op = DynSetOp::from_number(attrs.need(NFTA_DYNSET_OP, "NFTA_DYNSET_OP")?.u32_be()?);
        let flags = attrs.u32_be(NFTA_DYNSET_FLAGS)?.unwrap_or(0);
        let plain = flags & !(NFT_DYNSET_F_INV | NFT_DYNSET_F_EXPR) == 0;
        let (Some(op), true, true) = (op, plain, attrs.only(&known)) else {
            return Ok(None);
        };
        let exprs = match (
            attrs.get(NFTA_DYNSET_EXPR),
            attrs.get(NFTA_DYNSET_EXPRESSIONS),
        ) {
            (_, Some(list)) => read_exprs(list.payload, depth + 1)?,
            (Some(only), None) => vec![Expr::read(only.payload, depth + 1)?],
            (None, None) => Vec::new(),
        };
        Ok(Some(Self {
            op,
            set: attrs
                .need(NFTA_DYNSET_SET_NAME, "NFTA_DYNSET_SET_NAME")?
                .text()?,
            key: Reg::need(attrs, NFTA_DYNSET_SREG_KEY, "NFTA_DYNSET_SREG_KEY")?,
            data: Reg::read(attrs, NFTA_DYNSET_SREG_DATA, "NFTA_DYNSET_SREG_DATA")?,
            // The kernel lists 0 where nothing was said, and refuses it for sets without
            // timeouts.
            timeout_ms: attrs.u64_be(NFTA_DYNSET_TIMEOUT)?.filter(|ms| *ms != 0),
            exprs,
            inverted: flags & NFT_DYNSET_F_INV != 0,
        }))
    }
}
