//! User data: bytes that the kernel stores for `nft` and gives back unread.
//!
//! The layout (type, length, value) is that of libnftnl's `include/libnftnl/udata.h`.
//! Without it `nft list ruleset` prints a set's keys as raw numbers.

/// `NFTNL_UDATA_RULE_COMMENT`, also of tables, chains and set elements.
const COMMENT: u8 = 0;
/// `enum nftnl_udata_set_types`.
const SET_KEYBYTEORDER: u8 = 0;
const SET_DATABYTEORDER: u8 = 1;
const SET_KEY_TYPEOF: u8 = 3;
const SET_DATA_TYPEOF: u8 = 4;
const SET_DATA_INTERVAL: u8 = 6;
const SET_COMMENT: u8 = 7;

/// The byte order in which `nft` is to print a key or a map's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ByteOrder {
    /// Neither: concatenations and verdicts.
    None,
    /// `BYTEORDER_HOST_ENDIAN`: marks, interface names, conntrack bits.
    Host,
    /// `BYTEORDER_BIG_ENDIAN`: addresses, ports, protocols.
    Network,
}

impl ByteOrder {
    fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Host => 1,
            Self::Network => 2,
        }
    }
}

/// A comment of a table, chain, rule or element; cut at 128 bytes, as `nft` limits it.
pub fn comment(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, COMMENT, text);
    out
}

/// The comment in user data of a table, chain, rule or element.
pub fn comment_of(userdata: &[u8]) -> Option<String> {
    text_of(userdata, COMMENT)
}

/// The comment in user data of a set.
pub fn set_comment_of(userdata: &[u8]) -> Option<String> {
    text_of(userdata, SET_COMMENT)
}

fn text_of(userdata: &[u8], kind: u8) -> Option<String> {
    let value = entries(userdata).find(|(k, _)| *k == kind)?.1;
    let value = value.split(|b| *b == 0).next()?;
    String::from_utf8(value.to_vec()).ok()
}

/// User data of a set or map, in the order in which `nft` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetUserdata {
    /// Byte order of the key.
    pub key: ByteOrder,
    /// Byte order of a map's data.
    pub data: Option<ByteOrder>,
    /// Expression that the key's type is taken from; see [`raw_payload`].
    pub key_typeof: Option<Vec<u8>>,
    /// Expression that the data's type is taken from.
    pub data_typeof: Option<Vec<u8>>,
    /// A comment.
    pub comment: Option<String>,
}

impl SetUserdata {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_u32(&mut out, SET_KEYBYTEORDER, self.key.number());
        if let Some(data) = self.data {
            put_u32(&mut out, SET_DATABYTEORDER, data.number());
        }
        if let Some(expr) = &self.key_typeof {
            put(&mut out, SET_KEY_TYPEOF, expr);
        }
        if let Some(expr) = &self.data_typeof {
            put(&mut out, SET_DATA_TYPEOF, expr);
        }
        if self.data.is_some() {
            put_u32(&mut out, SET_DATA_INTERVAL, 0);
        }
        if let Some(text) = &self.comment {
            put_text(&mut out, SET_COMMENT, text);
        }
        out
    }
}

/// `typeof @BASE,OFFSET,LENGTH` for a key that is a piece of the packet: `base` is
/// `enum proto_bases` of nft (1 link, 2 network, 3 transport), the others are bits.
pub fn raw_payload(base: u32, offset_bits: u32, len_bits: u32) -> Vec<u8> {
    const EXPR_PAYLOAD: u32 = 7;
    let mut inner = Vec::new();
    put_u32(&mut inner, 0, 0); // the unknown protocol
    put_u32(&mut inner, 1, 0); // no field of it
    put_u32(&mut inner, 2, base);
    put_u32(&mut inner, 3, offset_bits);
    put_u32(&mut inner, 4, len_bits);
    let mut out = Vec::new();
    put_u32(&mut out, 0, EXPR_PAYLOAD);
    put(&mut out, 1, &inner);
    out
}

/// The entries of user data: type and value; stops at the first that is cut off.
pub fn entries(userdata: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = userdata;
    std::iter::from_fn(move || {
        let ([kind, len], tail) = rest.split_first_chunk::<2>()?;
        let (value, tail) = tail.split_at_checked(usize::from(*len))?;
        rest = tail;
        Some((*kind, value))
    })
}

fn put(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let value = value.get(..255).unwrap_or(value);
    out.push(kind);
    out.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(value);
}

fn put_u32(out: &mut Vec<u8>, kind: u8, value: u32) {
    put(out, kind, &value.to_ne_bytes());
}

fn put_text(out: &mut Vec<u8>, kind: u8, text: &str) {
    let mut end = text.len().min(128);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = text.as_bytes().get(..end).unwrap_or_default().to_vec();
    bytes.push(0);
    put(out, kind, &bytes);
}
