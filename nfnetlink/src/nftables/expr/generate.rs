//! Expressions that load an answer of the routing tables, a number or a hash.

use super::number::number_enum;
use super::{Body, Reg};
use crate::wire::{AttrMap, WireError, Writer};

number_enum! {
    /// What to ask the routing tables for (`enum nft_fib_result`).
    FibResult {
        /// `NFT_FIB_RESULT_OIF`.
        Oif = 1 "oif",
        /// `NFT_FIB_RESULT_OIFNAME`.
        OifName = 2 "oifname",
        /// `NFT_FIB_RESULT_ADDRTYPE`.
        AddrType = 3 "type",
    }
}

bitflags::bitflags! {
    /// What the question is made of (`enum nft_fib_flags`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct FibFlags: u32 {
        /// `NFTA_FIB_F_SADDR`.
        const SADDR = 1;
        /// `NFTA_FIB_F_DADDR`.
        const DADDR = 2;
        /// `NFTA_FIB_F_MARK`.
        const MARK = 4;
        /// `NFTA_FIB_F_IIF`.
        const IIF = 8;
        /// `NFTA_FIB_F_OIF`.
        const OIF = 16;
        /// `NFTA_FIB_F_PRESENT`.
        const PRESENT = 32;
        /// Bits of newer kernels are kept.
        const _ = !0;
    }
}

/// `fib`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fib {
    /// What to ask for.
    pub result: FibResult,
    /// What the question is made of.
    pub flags: FibFlags,
    /// Where to.
    pub dreg: Reg,
}

/// `enum nft_fib_attributes`.
const NFTA_FIB_DREG: u16 = 1;
const NFTA_FIB_RESULT: u16 = 2;
const NFTA_FIB_FLAGS: u16 = 3;

impl Body for Fib {
    fn write(&self, w: &mut Writer) {
        self.dreg.write(NFTA_FIB_DREG, w);
        w.put_u32_be(NFTA_FIB_RESULT, self.result.number());
        w.put_u32_be(NFTA_FIB_FLAGS, self.flags.bits());
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let result = attrs.need(NFTA_FIB_RESULT, "NFTA_FIB_RESULT")?.u32_be()?;
        let dreg = Reg::need(attrs, NFTA_FIB_DREG, "NFTA_FIB_DREG")?;
        let flags = FibFlags::from_bits_retain(attrs.u32_be(NFTA_FIB_FLAGS)?.unwrap_or(0));
        let only = attrs.only(&[NFTA_FIB_DREG, NFTA_FIB_RESULT, NFTA_FIB_FLAGS]);
        Ok(FibResult::from_number(result)
            .filter(|_| only)
            .map(|result| Self {
                result,
                flags,
                dreg,
            }))
    }
}

number_enum! {
    /// How numbers follow each other (`enum nft_ng_types`).
    NumGenKind {
        /// `NFT_NG_INCREMENTAL`.
        Incremental = 0 "inc",
        /// `NFT_NG_RANDOM`.
        Random = 1 "random",
    }
}

/// `numgen`: a number from `offset` to `offset + modulus - 1`, host byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumGen {
    /// How numbers follow each other.
    pub kind: NumGenKind,
    /// How many numbers, at least 1.
    pub modulus: u32,
    /// The lowest.
    pub offset: u32,
    /// Where to.
    pub dreg: Reg,
}

/// `enum nft_ng_attributes`.
const NFTA_NG_DREG: u16 = 1;
const NFTA_NG_MODULUS: u16 = 2;
const NFTA_NG_TYPE: u16 = 3;
const NFTA_NG_OFFSET: u16 = 4;

impl Body for NumGen {
    fn write(&self, w: &mut Writer) {
        self.dreg.write(NFTA_NG_DREG, w);
        w.put_u32_be(NFTA_NG_MODULUS, self.modulus);
        w.put_u32_be(NFTA_NG_TYPE, self.kind.number());
        w.put_u32_be(NFTA_NG_OFFSET, self.offset);
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let kind = NumGenKind::from_number(attrs.need(NFTA_NG_TYPE, "NFTA_NG_TYPE")?.u32_be()?);
        let known = [NFTA_NG_DREG, NFTA_NG_MODULUS, NFTA_NG_TYPE, NFTA_NG_OFFSET];
        let (Some(kind), true) = (kind, attrs.only(&known)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            kind,
            modulus: attrs.need(NFTA_NG_MODULUS, "NFTA_NG_MODULUS")?.u32_be()?,
            offset: attrs.u32_be(NFTA_NG_OFFSET)?.unwrap_or(0),
            dreg: Reg::need(attrs, NFTA_NG_DREG, "NFTA_NG_DREG")?,
        }))
    }
}

number_enum! {
    /// Hash function (`enum nft_hash_types`).
    HashKind {
        /// `NFT_HASH_JENKINS`.
        Jenkins = 0 "jhash",
        /// `NFT_HASH_SYM`: of the flow, the same in both directions; takes no register.
        Symmetric = 1 "symhash",
    }
}

/// `hash`: a number from `offset` to `offset + modulus - 1`, host byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    /// Hash function.
    pub kind: HashKind,
    /// What to hash: first register and bytes; `None` for [`HashKind::Symmetric`].
    pub source: Option<(Reg, u32)>,
    /// How many numbers, at least 1.
    pub modulus: u32,
    /// The seed; `None` lets the kernel choose.
    pub seed: Option<u32>,
    /// The lowest number.
    pub offset: u32,
    /// Where to.
    pub dreg: Reg,
}

/// `enum nft_hash_attributes`.
const NFTA_HASH_SREG: u16 = 1;
const NFTA_HASH_DREG: u16 = 2;
const NFTA_HASH_LEN: u16 = 3;
const NFTA_HASH_MODULUS: u16 = 4;
const NFTA_HASH_SEED: u16 = 5;
const NFTA_HASH_OFFSET: u16 = 6;
const NFTA_HASH_TYPE: u16 = 7;

impl Body for Hash {
    fn write(&self, w: &mut Writer) {
        if let Some((sreg, len)) = self.source {
            sreg.write(NFTA_HASH_SREG, w);
            w.put_u32_be(NFTA_HASH_LEN, len);
        }
        self.dreg.write(NFTA_HASH_DREG, w);
        w.put_u32_be(NFTA_HASH_MODULUS, self.modulus);
        if let Some(seed) = self.seed {
            w.put_u32_be(NFTA_HASH_SEED, seed);
        }
        if self.offset != 0 {
            w.put_u32_be(NFTA_HASH_OFFSET, self.offset);
        }
        w.put_u32_be(NFTA_HASH_TYPE, self.kind.number());
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let kind = HashKind::from_number(attrs.u32_be(NFTA_HASH_TYPE)?.unwrap_or(0));
        let known: Vec<u16> = (NFTA_HASH_SREG..=NFTA_HASH_TYPE).collect();
        let (Some(kind), true) = (kind, attrs.only(&known)) else {
            return Ok(None);
        };
        let source = match Reg::read(attrs, NFTA_HASH_SREG, "NFTA_HASH_SREG")? {
            None => None,
            Some(sreg) => Some((sreg, attrs.need(NFTA_HASH_LEN, "NFTA_HASH_LEN")?.u32_be()?)),
        };
        Ok(Some(Self {
            kind,
            source,
            modulus: attrs
                .need(NFTA_HASH_MODULUS, "NFTA_HASH_MODULUS")?
                .u32_be()?,
            seed: attrs.u32_be(NFTA_HASH_SEED)?,
            offset: attrs.u32_be(NFTA_HASH_OFFSET)?.unwrap_or(0),
            dreg: Reg::need(attrs, NFTA_HASH_DREG, "NFTA_HASH_DREG")?,
        }))
    }
}
