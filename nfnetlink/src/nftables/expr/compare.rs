//! Expressions that compare registers, change them, or look them up.

use super::number::number_enum;
use super::{Body, Reg};
use crate::nftables::{Data, Value};
use crate::wire::{AttrMap, WireError, Writer};

number_enum! {
    /// Comparison (`enum nft_cmp_ops`).
    CmpOp {
        /// `NFT_CMP_EQ`.
        Eq = 0 "==",
        /// `NFT_CMP_NEQ`.
        Ne = 1 "!=",
        /// `NFT_CMP_LT`.
        Lt = 2 "<",
        /// `NFT_CMP_LTE`.
        Le = 3 "<=",
        /// `NFT_CMP_GT`.
        Gt = 4 ">",
        /// `NFT_CMP_GTE`.
        Ge = 5 ">=",
    }
}

/// `cmp`: byte by byte, so that order is that of network byte order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cmp {
    /// What is compared.
    pub sreg: Reg,
    /// How.
    pub op: CmpOp,
    /// With what; its length is what is compared.
    pub value: Value,
}

/// `enum nft_cmp_attributes`.
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;

impl Body for Cmp {
    fn write(&self, w: &mut Writer) {
        self.sreg.write(NFTA_CMP_SREG, w);
        w.put_u32_be(NFTA_CMP_OP, self.op.number());
        w.nest(NFTA_CMP_DATA, |w| self.value.write(w));
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let op = CmpOp::from_number(attrs.need(NFTA_CMP_OP, "NFTA_CMP_OP")?.u32_be()?);
        let sreg = Reg::need(attrs, NFTA_CMP_SREG, "NFTA_CMP_SREG")?;
        let data = attrs.need(NFTA_CMP_DATA, "NFTA_CMP_DATA")?;
        let value = Data::read_value(data.payload, "NFTA_CMP_DATA")?;
        let only = attrs.only(&[NFTA_CMP_SREG, NFTA_CMP_OP, NFTA_CMP_DATA]);
        Ok(op.filter(|_| only).map(|op| Self { sreg, op, value }))
    }
}

/// `range`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// What is compared.
    pub sreg: Reg,
    /// Whether the value must be outside (`NFT_RANGE_NEQ`).
    pub outside: bool,
    /// Lowest value of the range.
    pub from: Value,
    /// Highest value of the range.
    pub to: Value,
}

/// `enum nft_range_attributes`.
const NFTA_RANGE_SREG: u16 = 1;
const NFTA_RANGE_OP: u16 = 2;
const NFTA_RANGE_FROM_DATA: u16 = 3;
const NFTA_RANGE_TO_DATA: u16 = 4;

impl Body for Range {
    fn write(&self, w: &mut Writer) {
        self.sreg.write(NFTA_RANGE_SREG, w);
        w.put_u32_be(NFTA_RANGE_OP, u32::from(self.outside));
        w.nest(NFTA_RANGE_FROM_DATA, |w| self.from.write(w));
        w.nest(NFTA_RANGE_TO_DATA, |w| self.to.write(w));
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let known = [
            NFTA_RANGE_SREG,
            NFTA_RANGE_OP,
            NFTA_RANGE_FROM_DATA,
            NFTA_RANGE_TO_DATA,
        ];
        let op = attrs.need(NFTA_RANGE_OP, "NFTA_RANGE_OP")?.u32_be()?;
        if op > 1 || !attrs.only(&known) {
            return Ok(None);
        }
        let value = |kind, name| Data::read_value(attrs.need(kind, name)?.payload, name);
        Ok(Some(Self {
            sreg: Reg::need(attrs, NFTA_RANGE_SREG, "NFTA_RANGE_SREG")?,
            outside: op == 1,
            from: value(NFTA_RANGE_FROM_DATA, "NFTA_RANGE_FROM_DATA")?,
            to: value(NFTA_RANGE_TO_DATA, "NFTA_RANGE_TO_DATA")?,
        }))
    }
}

/// `bitwise` with `NFT_BITWISE_MASK_XOR`: `dreg = (sreg & mask) ^ xor`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bitwise {
    /// Where from.
    pub sreg: Reg,
    /// Where to.
    pub dreg: Reg,
    /// Bits to keep.
    pub mask: Value,
    /// Bits to flip afterwards; as long as the mask.
    pub xor: Value,
}

impl Bitwise {
    /// `reg = reg & mask`.
    pub fn mask(reg: Reg, mask: impl Into<Value>) -> Self {
        let mask = mask.into();
        let xor = Value(vec![0; mask.0.len()]);
        Self {
            sreg: reg,
            dreg: reg,
            mask,
            xor,
        }
    }
}

/// `enum nft_bitwise_attributes`.
const NFTA_BITWISE_SREG: u16 = 1;
const NFTA_BITWISE_DREG: u16 = 2;
const NFTA_BITWISE_LEN: u16 = 3;
const NFTA_BITWISE_MASK: u16 = 4;
const NFTA_BITWISE_XOR: u16 = 5;
const NFTA_BITWISE_OP: u16 = 6;

impl Body for Bitwise {
    fn write(&self, w: &mut Writer) {
        self.sreg.write(NFTA_BITWISE_SREG, w);
        self.dreg.write(NFTA_BITWISE_DREG, w);
        let len = u32::try_from(self.mask.0.len()).unwrap_or(u32::MAX);
        w.put_u32_be(NFTA_BITWISE_LEN, len);
        w.put_u32_be(NFTA_BITWISE_OP, 0);
        w.nest(NFTA_BITWISE_MASK, |w| self.mask.write(w));
        w.nest(NFTA_BITWISE_XOR, |w| self.xor.write(w));
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let known: Vec<u16> = (NFTA_BITWISE_SREG..=NFTA_BITWISE_OP).collect();
        if attrs.u32_be(NFTA_BITWISE_OP)?.unwrap_or(0) != 0 || !attrs.only(&known) {
            return Ok(None);
        }
        let value = |kind, name| Data::read_value(attrs.need(kind, name)?.payload, name);
        let mask = value(NFTA_BITWISE_MASK, "NFTA_BITWISE_MASK")?;
        let len = attrs.need(NFTA_BITWISE_LEN, "NFTA_BITWISE_LEN")?.u32_be()?;
        if usize::try_from(len) != Ok(mask.0.len()) {
            return Ok(None);
        }
        Ok(Some(Self {
            sreg: Reg::need(attrs, NFTA_BITWISE_SREG, "NFTA_BITWISE_SREG")?,
            dreg: Reg::need(attrs, NFTA_BITWISE_DREG, "NFTA_BITWISE_DREG")?,
            mask,
            xor: value(NFTA_BITWISE_XOR, "NFTA_BITWISE_XOR")?,
        }))
    }
}

number_enum! {
    /// Direction of a byte swap (`enum nft_byteorder_ops`).
    ByteorderOp {
        /// `NFT_BYTEORDER_NTOH`.
        Ntoh = 0 "ntoh",
        /// `NFT_BYTEORDER_HTON`.
        Hton = 1 "hton",
    }
}

/// `byteorder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Byteorder {
    /// Where from.
    pub sreg: Reg,
    /// Where to.
    pub dreg: Reg,
    /// Direction.
    pub op: ByteorderOp,
    /// Bytes in all.
    pub len: u32,
    /// Bytes of one number: 2, 4 or 8.
    pub size: u32,
}

/// `enum nft_byteorder_attributes`.
const NFTA_BYTEORDER_SREG: u16 = 1;
const NFTA_BYTEORDER_DREG: u16 = 2;
const NFTA_BYTEORDER_OP: u16 = 3;
const NFTA_BYTEORDER_LEN: u16 = 4;
const NFTA_BYTEORDER_SIZE: u16 = 5;

impl Body for Byteorder {
    fn write(&self, w: &mut Writer) {
        self.sreg.write(NFTA_BYTEORDER_SREG, w);
        self.dreg.write(NFTA_BYTEORDER_DREG, w);
        w.put_u32_be(NFTA_BYTEORDER_OP, self.op.number());
        w.put_u32_be(NFTA_BYTEORDER_LEN, self.len);
        w.put_u32_be(NFTA_BYTEORDER_SIZE, self.size);
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let need = |kind, name| attrs.need(kind, name)?.u32_be();
        let op = ByteorderOp::from_number(need(NFTA_BYTEORDER_OP, "NFTA_BYTEORDER_OP")?);
        let known: Vec<u16> = (NFTA_BYTEORDER_SREG..=NFTA_BYTEORDER_SIZE).collect();
        let (Some(op), true) = (op, attrs.only(&known)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            sreg: Reg::need(attrs, NFTA_BYTEORDER_SREG, "NFTA_BYTEORDER_SREG")?,
            dreg: Reg::need(attrs, NFTA_BYTEORDER_DREG, "NFTA_BYTEORDER_DREG")?,
            op,
            len: need(NFTA_BYTEORDER_LEN, "NFTA_BYTEORDER_LEN")?,
            size: need(NFTA_BYTEORDER_SIZE, "NFTA_BYTEORDER_SIZE")?,
        }))
    }
}

/// What a lookup is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LookupResult {
    /// Goes on if the key is in the set.
    Member,
    /// Goes on if the key is not in the set (`NFT_LOOKUP_F_INV`).
    NotMember,
    /// Loads what the map holds for the key; ends the rule if it holds nothing.
    Map(Reg),
    /// Decides as the verdict map says; goes on if it says nothing.
    Verdict,
}

/// `lookup`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup {
    /// Name of the set or map, in the same table.
    pub set: String,
    /// First register of the key.
    pub sreg: Reg,
    /// What for.
    pub result: LookupResult,
}

/// `enum nft_lookup_attributes`.
const NFTA_LOOKUP_SET: u16 = 1;
const NFTA_LOOKUP_SREG: u16 = 2;
const NFTA_LOOKUP_DREG: u16 = 3;
const NFTA_LOOKUP_FLAGS: u16 = 5;
const NFT_LOOKUP_F_INV: u32 = 1;

impl Body for Lookup {
    fn write(&self, w: &mut Writer) {
        w.put_text(NFTA_LOOKUP_SET, &self.set);
        self.sreg.write(NFTA_LOOKUP_SREG, w);
        match self.result {
            LookupResult::Member => {}
            LookupResult::NotMember => w.put_u32_be(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV),
            LookupResult::Map(dreg) => dreg.write(NFTA_LOOKUP_DREG, w),
            LookupResult::Verdict => w.put_u32_be(NFTA_LOOKUP_DREG, Reg::VERDICT),
        }
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let known = [
            NFTA_LOOKUP_SET,
            NFTA_LOOKUP_SREG,
            NFTA_LOOKUP_DREG,
            NFTA_LOOKUP_FLAGS,
        ];
        if !attrs.only(&known) {
            return Ok(None);
        }
        let flags = attrs.u32_be(NFTA_LOOKUP_FLAGS)?.unwrap_or(0);
        let result = match (attrs.u32_be(NFTA_LOOKUP_DREG)?, flags) {
            (None, 0) => LookupResult::Member,
            (None, NFT_LOOKUP_F_INV) => LookupResult::NotMember,
            (Some(Reg::VERDICT), 0) => LookupResult::Verdict,
            (Some(_), 0) => {
                LookupResult::Map(Reg::need(attrs, NFTA_LOOKUP_DREG, "NFTA_LOOKUP_DREG")?)
            }
            _ => return Ok(None),
        };
        Ok(Some(Self {
            set: attrs.need(NFTA_LOOKUP_SET, "NFTA_LOOKUP_SET")?.text()?,
            sreg: Reg::need(attrs, NFTA_LOOKUP_SREG, "NFTA_LOOKUP_SREG")?,
            result,
        }))
    }
}
