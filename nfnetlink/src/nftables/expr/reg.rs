//! Registers.

use crate::wire::{AttrMap, WireError, Writer};

/// A data register: one of sixteen slots of 4 bytes (`enum nft_registers`). A value longer
/// than 4 bytes takes the following slots too.
///
/// The kernel names every fourth slot also as a 16-byte register (`NFT_REG_1` is slot 0,
/// `NFT_REG_2` slot 4); on the wire this type uses the names that the kernel lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// `NFT_REG_1`: slot 0.
    pub const R1: Self = Self(0);
    /// `NFT_REG_2`: slot 4.
    pub const R2: Self = Self(4);
    /// `NFT_REG_3`: slot 8.
    pub const R3: Self = Self(8);
    /// `NFT_REG_4`: slot 12.
    pub const R4: Self = Self(12);

    /// `NFT_REG_VERDICT`.
    pub(crate) const VERDICT: u32 = 0;

    /// Slot 0 to 15 (`NFT_REG32_00` to `NFT_REG32_15`); a higher number is taken modulo 16.
    pub const fn slot(slot: u8) -> Self {
        Self(slot & 0x0f)
    }

    /// The slot, 0 to 15.
    pub const fn index(self) -> u8 {
        self.0
    }

    /// The kernel's number.
    pub(crate) fn number(self) -> u32 {
        if self.0.is_multiple_of(4) {
            u32::from(self.0) / 4 + 1
        } else {
            u32::from(self.0) + 8
        }
    }

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        let slot = match number {
            1..=4 => (number - 1) * 4,
            8..=23 => number - 8,
            _ => return None,
        };
        u8::try_from(slot).ok().map(Self)
    }

    pub(crate) fn write(self, kind: u16, w: &mut Writer) {
        w.put_u32_be(kind, self.number());
    }

    /// The register in an attribute; `None` if the attribute is absent.
    pub(crate) fn read(
        attrs: &AttrMap<'_>,
        kind: u16,
        attribute: &'static str,
    ) -> Result<Option<Self>, WireError> {
        let Some(number) = attrs.u32_be(kind)? else {
            return Ok(None);
        };
        match Self::from_number(number) {
            Some(reg) => Ok(Some(reg)),
            None => Err(WireError::Value {
                attribute,
                value: number.into(),
            }),
        }
    }

    /// The register in an attribute that must be there.
    pub(crate) fn need(
        attrs: &AttrMap<'_>,
        kind: u16,
        attribute: &'static str,
    ) -> Result<Self, WireError> {
        Self::read(attrs, kind, attribute)?.ok_or(WireError::Missing(attribute))
    }
}
