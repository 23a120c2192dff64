//! Requests, and attributes of answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `NLA_F_NESTED` (`linux/netlink.h`).
const NLA_F_NESTED: u16 = 1 << 15;

/// A request: type, flags, and what follows `struct nlmsghdr`.
#[derive(Clone, Debug)]
pub struct Request {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags` besides `NLM_F_REQUEST` and `NLM_F_ACK`.
    pub flags: u16,
    /// The fixed header and the attributes.
    pub body: Vec<u8>,
}

impl Request {
    /// A request that begins with a fixed header.
    pub fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        Self {
            kind,
            flags,
            body: header.to_vec(),
        }
    }

    /// Appends an attribute.
    pub fn put(mut self, kind: u16, payload: &[u8]) -> Self {
        put(&mut self.body, kind, payload);
        self
    }

    /// Appends a 32-bit number.
    pub fn put_u32(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends an address.
    pub fn put_address(self, kind: u16, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.put(kind, &address.octets()),
            IpAddr::V6(address) => self.put(kind, &address.octets()),
        }
    }

    /// Appends a nest with what is given.
    pub fn put_nest(self, kind: u16, inner: &[u8]) -> Self {
        self.put(kind | NLA_F_NESTED, inner)
    }
}

/// Appends an attribute to bytes.
pub fn put(body: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let len = u16::try_from(payload.len() + 4).unwrap_or(u16::MAX);
    body.extend(len.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(payload);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The attributes of an answer after a fixed header of `header` bytes: number and payload.
/// Ends at the first that is cut off.
pub fn attributes(body: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let rest = body.get(header..).unwrap_or_default();
    nfnetlink::wire::Attrs::new(rest)
        .map_while(Result::ok)
        .map(|attr| (attr.kind, attr.payload))
}

/// One byte of a fixed header; 0 where it is cut off.
pub fn byte(body: &[u8], at: usize) -> u8 {
    body.get(at).copied().unwrap_or(0)
}

/// A 32-bit number at an offset; 0 where it is cut off.
pub fn word(body: &[u8], at: usize) -> u32 {
    let bytes = body.get(at..).and_then(|rest| rest.first_chunk::<4>());
    bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// An address of 4 or 16 bytes.
pub fn address(payload: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(payload) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(payload)
        .ok()
        .map(|octets| Ipv6Addr::from(octets).into())
}

/// Text up to the first NUL.
pub fn text(payload: &[u8]) -> String {
    let bytes = payload.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}
