//! Elements of sets and maps.

use super::expr::Expr;
use super::rule::{read_exprs, write_exprs};
use super::{Data, TableId, Value, Verdict};
use crate::wire::{AttrMap, Attrs, WireError, Writer};

/// `enum nft_set_elem_list_attributes` (`linux/netfilter/nf_tables.h`).
pub(crate) const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
pub(crate) const NFTA_SET_ELEM_LIST_SET: u16 = 2;
pub(crate) const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
/// `enum nft_set_elem_attributes` (`linux/netfilter/nf_tables.h`).
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_FLAGS: u16 = 3;
const NFTA_SET_ELEM_TIMEOUT: u16 = 4;
const NFTA_SET_ELEM_EXPIRATION: u16 = 5;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_SET_ELEM_EXPR: u16 = 7;
const NFTA_SET_ELEM_KEY_END: u16 = 10;
const NFTA_SET_ELEM_EXPRESSIONS: u16 = 11;
const NFTA_LIST_ELEM: u16 = 1;

bitflags::bitflags! {
    /// `enum nft_set_elem_flags` (`linux/netfilter/nf_tables.h`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct ElementFlags: u32 {
        /// `NFT_SET_ELEM_INTERVAL_END`: the first value after a range.
        const INTERVAL_END = 0x1;
        /// `NFT_SET_ELEM_CATCHALL`: stands for every key that is not in the set.
        const CATCHALL = 0x2;
        /// Bits of newer kernels are kept.
        const _ = !0;
    }
}

/// An element of a set or a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Element {
    /// The key, or the first key of a range; empty for the catch-all element.
    pub key: Value,
    /// The last key of a range of concatenated fields.
    pub key_end: Option<Value>,
    /// Flags.
    pub flags: ElementFlags,
    /// What a map yields for the key.
    pub data: Option<Data>,
    /// Milliseconds after which it expires, if not those of the set.
    pub timeout_ms: Option<u64>,
    /// Milliseconds left.
    pub expiration_ms: Option<u64>,
    /// User data; see [`super::userdata`].
    pub userdata: Vec<u8>,
    /// Statements that run for packets that match, such as a counter.
    pub exprs: Vec<Expr>,
}

impl Element {
    /// A member of a set.
    pub fn key(key: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }

    /// An entry of a map.
    pub fn map(key: impl Into<Value>, data: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            data: Some(Data::Value(data.into())),
            ..Self::default()
        }
    }

    /// An entry of a verdict map.
    pub fn verdict(key: impl Into<Value>, verdict: Verdict) -> Self {
        Self {
            key: key.into(),
            data: Some(Data::Verdict(verdict)),
            ..Self::default()
        }
    }

    /// A range of one field (inclusive), as the two elements that the kernel wants: the
    /// start, and the end mark after it unless the range reaches the highest value.
    pub fn range(first: Value, last: &Value, data: Option<Data>) -> Vec<Self> {
        let mut out = vec![Self {
            key: first,
            data,
            ..Self::default()
        }];
        if let Some(after) = successor(last) {
            out.push(Self {
                key: after,
                flags: ElementFlags::INTERVAL_END,
                ..Self::default()
            });
        }
        out
    }

    /// A range of concatenated fields (inclusive, each field by itself).
    pub fn concat_range(first: Value, last: Value, data: Option<Data>) -> Self {
        Self {
            key: first,
            key_end: Some(last),
            data,
            ..Self::default()
        }
    }

    /// The same element that expires after this many milliseconds.
    pub fn with_timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout_ms = Some(timeout_ms);
        self
    }

    /// The same element with a comment.
    pub fn with_comment(mut self, text: &str) -> Self {
        self.userdata = super::userdata::comment(text);
        self
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        if !self.flags.is_empty() {
            w.put_u32_be(NFTA_SET_ELEM_FLAGS, self.flags.bits());
        }
        if !self.flags.contains(ElementFlags::CATCHALL) {
            w.nest(NFTA_SET_ELEM_KEY, |w| self.key.write(w));
        }
        if let Some(end) = &self.key_end {
            w.nest(NFTA_SET_ELEM_KEY_END, |w| end.write(w));
        }
        if let Some(data) = &self.data {
            w.nest(NFTA_SET_ELEM_DATA, |w| data.write(w));
        }
        if let Some(timeout) = self.timeout_ms {
            w.put_u64_be(NFTA_SET_ELEM_TIMEOUT, timeout);
        }
        if let Some(expiration) = self.expiration_ms {
            w.put_u64_be(NFTA_SET_ELEM_EXPIRATION, expiration);
        }
        if !self.userdata.is_empty() {
            w.put(NFTA_SET_ELEM_USERDATA, &self.userdata);
        }
        match self.exprs.as_slice() {
            [] => {}
            [only] => w.nest(NFTA_SET_ELEM_EXPR, |w| only.write(w)),
            several => w.nest(NFTA_SET_ELEM_EXPRESSIONS, |w| write_exprs(several, w)),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let attrs = AttrMap::parse(bytes)?;
        let value = |kind, name| {
            attrs
                .get(kind)
                .map(|attr| Data::read_value(attr.payload, name))
                .transpose()
        };
        let exprs = match (
            attrs.get(NFTA_SET_ELEM_EXPR),
            attrs.get(NFTA_SET_ELEM_EXPRESSIONS),
        ) {
            (_, Some(list)) => read_exprs(list.payload, 0)?,
            (Some(only), None) => vec![Expr::read(only.payload, 0)?],
            (None, None) => Vec::new(),
        };
        Ok(Self {
            key: value(NFTA_SET_ELEM_KEY, "NFTA_SET_ELEM_KEY")?.unwrap_or_default(),
            key_end: value(NFTA_SET_ELEM_KEY_END, "NFTA_SET_ELEM_KEY_END")?,
            flags: ElementFlags::from_bits_retain(attrs.u32_be(NFTA_SET_ELEM_FLAGS)?.unwrap_or(0)),
            data: attrs
                .get(NFTA_SET_ELEM_DATA)
                .map(|attr| Data::read(attr.payload))
                .transpose()?,
            timeout_ms: attrs.u64_be(NFTA_SET_ELEM_TIMEOUT)?,
            expiration_ms: attrs.u64_be(NFTA_SET_ELEM_EXPIRATION)?,
            userdata: attrs.bytes(NFTA_SET_ELEM_USERDATA),
            exprs,
        })
    }
}

/// Reads the attributes of `NFT_MSG_NEWSETELEM`: table, set and elements.
pub(crate) fn read_elements(
    family: u8,
    attrs: &[u8],
) -> Result<(TableId, String, Vec<Element>), WireError> {
    let attrs = AttrMap::parse(attrs)?;
    let table = attrs
        .need(NFTA_SET_ELEM_LIST_TABLE, "NFTA_SET_ELEM_LIST_TABLE")?
        .text()?;
    let set = attrs
        .need(NFTA_SET_ELEM_LIST_SET, "NFTA_SET_ELEM_LIST_SET")?
        .text()?;
    let elements = attrs
        .get(NFTA_SET_ELEM_LIST_ELEMENTS)
        .map_or(&[][..], |list| list.payload);
    let elements = Attrs::new(elements)
        .map(|attr| Element::read(attr?.payload))
        .collect::<Result<_, _>>()?;
    Ok((TableId::new(family.try_into()?, table), set, elements))
}

/// Writes one element of a list.
pub(crate) fn write_listed(element: &Element, w: &mut Writer) {
    w.nest(NFTA_LIST_ELEM, |w| element.write(w));
}

/// The value one higher, in network byte order; `None` after the highest.
fn successor(value: &Value) -> Option<Value> {
    let mut bytes = value.0.clone();
    for byte in bytes.iter_mut().rev() {
        let (next, carry) = byte.overflowing_add(1);
        *byte = next;
        if !carry {
            return Some(Value(bytes));
        }
    }
    None
}
