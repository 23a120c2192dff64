//! Reading attributes (`struct nlattr`, `linux/netlink.h`).

use super::{NLA_HDRLEN, NLA_TYPE_MASK, WireError};

/// One attribute: its number and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    /// The number, without the flag bits.
    pub kind: u16,
    /// The payload, without padding.
    pub payload: &'a [u8],
}

impl<'a> Attr<'a> {
    fn fixed<const N: usize>(&self) -> Result<[u8; N], WireError> {
        self.payload
            .try_into()
            .map_err(|_| WireError::AttributeSize {
                kind: self.kind,
                expected: N,
                got: self.payload.len(),
            })
    }

    /// One byte.
    pub fn u8(&self) -> Result<u8, WireError> {
        Ok(u8::from_ne_bytes(self.fixed()?))
    }

    /// 16 bits, network byte order.
    pub fn u16_be(&self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    /// 32 bits, network byte order.
    pub fn u32_be(&self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    /// 32 bits, host byte order.
    pub fn u32_ne(&self) -> Result<u32, WireError> {
        Ok(u32::from_ne_bytes(self.fixed()?))
    }

    /// 64 bits, network byte order.
    pub fn u64_be(&self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.fixed()?))
    }

    /// 4 address bytes.
    pub fn ipv4(&self) -> Result<std::net::Ipv4Addr, WireError> {
        Ok(self.fixed::<4>()?.into())
    }

    /// 16 address bytes.
    pub fn ipv6(&self) -> Result<std::net::Ipv6Addr, WireError> {
        Ok(self.fixed::<16>()?.into())
    }

    /// Text up to the first NUL.
    pub fn text(&self) -> Result<String, WireError> {
        let bytes = self.payload.split(|b| *b == 0).next().unwrap_or_default();
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| WireError::Text { kind: self.kind })
    }

    /// The attributes inside.
    pub fn nested(&self) -> Attrs<'a> {
        Attrs::new(self.payload)
    }
}

/// A list of attributes, read in order. Stops after the first error.
#[derive(Debug, Clone)]
pub struct Attrs<'a> {
    rest: &'a [u8],
}

impl<'a> Attrs<'a> {
    /// Reads `bytes` as a list of attributes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn fail(&mut self, need: usize) -> WireError {
        let have = self.rest.len();
        self.rest = &[];
        WireError::Truncated {
            what: "attribute",
            need,
            have,
        }
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(([l0, l1, k0, k1], _)) = self.rest.split_first_chunk::<NLA_HDRLEN>() else {
            return Some(Err(self.fail(NLA_HDRLEN)));
        };
        let len = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let kind = u16::from_ne_bytes([*k0, *k1]) & NLA_TYPE_MASK;
        let Some(payload) = self.rest.get(NLA_HDRLEN..len) else {
            return Some(Err(self.fail(len.max(NLA_HDRLEN))));
        };
        // The last attribute of a list need not be padded.
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Attr { kind, payload }))
    }
}

/// How many attribute numbers [`AttrMap`] holds; kernel enums in use end at 28.
const SLOTS: usize = 40;

/// The attributes of one object, by number. Of a repeated number the last one counts,
/// as in the kernel's `nla_parse`.
#[derive(Debug, Clone)]
pub struct AttrMap<'a> {
    slots: [Option<&'a [u8]>; SLOTS],
    /// Attributes with a number beyond the table: kept as a count so that a reader can
    /// tell that it does not know everything about the object.
    beyond: usize,
}

impl<'a> AttrMap<'a> {
    /// Reads `bytes` as a list of attributes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut map = Self {
            slots: [None; SLOTS],
            beyond: 0,
        };
        for attr in Attrs::new(bytes) {
            let attr = attr?;
            match map.slots.get_mut(usize::from(attr.kind)) {
                Some(slot) => *slot = Some(attr.payload),
                None => map.beyond += 1,
            }
        }
        Ok(map)
    }

    /// Whether no attribute other than those in `known` is present.
    pub fn only(&self, known: &[u16]) -> bool {
        self.beyond == 0
            && self
                .slots
                .iter()
                .zip(0u16..)
                .all(|(slot, kind)| slot.is_none() || known.contains(&kind))
    }

    /// The attribute with this number.
    pub fn get(&self, kind: u16) -> Option<Attr<'a>> {
        let payload = (*self.slots.get(usize::from(kind))?)?;
        Some(Attr { kind, payload })
    }

    /// The attribute, or [`WireError::Missing`] with the given kernel name.
    pub fn need(&self, kind: u16, name: &'static str) -> Result<Attr<'a>, WireError> {
        self.get(kind).ok_or(WireError::Missing(name))
    }

    /// 32 bits in network byte order, if present.
    pub fn u32_be(&self, kind: u16) -> Result<Option<u32>, WireError> {
        self.get(kind).map(|attr| attr.u32_be()).transpose()
    }

    /// 64 bits in network byte order, if present.
    pub fn u64_be(&self, kind: u16) -> Result<Option<u64>, WireError> {
        self.get(kind).map(|attr| attr.u64_be()).transpose()
    }

    /// Text, if present.
    pub fn text(&self, kind: u16) -> Result<Option<String>, WireError> {
        self.get(kind).map(|attr| attr.text()).transpose()
    }

    /// The bytes; empty if absent.
    pub fn bytes(&self, kind: u16) -> Vec<u8> {
        self.get(kind)
            .map(|attr| attr.payload.to_vec())
            .unwrap_or_default()
    }
}
