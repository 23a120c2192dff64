//! Building messages.

use super::{NLA_F_NESTED, NLA_HDRLEN, NLMSG_HDRLEN, WireError};

/// Builds messages and attributes into one buffer.
///
/// An attribute that does not fit its 16-bit length makes [`Writer::finish`] fail; until
/// then writing goes on, so that encoders need no error path of their own.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    buf: Vec<u8>,
    error: Option<WireError>,
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// The first error, if an attribute did not fit.
    pub fn error(&self) -> Option<&WireError> {
        self.error.as_ref()
    }

    /// The finished bytes.
    pub fn finish(self) -> Result<Vec<u8>, WireError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.buf),
        }
    }

    /// One message: `struct nlmsghdr`, `struct nfgenmsg`, then what `body` writes.
    pub fn message(
        &mut self,
        header: MessageHeader,
        body: impl FnOnce(&mut Self),
    ) -> std::ops::Range<usize> {
        let start = self.buf.len();
        self.buf.extend([0; 4]);
        self.buf.extend(header.kind.to_ne_bytes());
        self.buf.extend(header.flags.to_ne_bytes());
        self.buf.extend(header.seq.to_ne_bytes());
        self.buf.extend([0; 4]);
        debug_assert_eq!(self.buf.len() - start, NLMSG_HDRLEN);
        self.buf.extend([header.family, header.version]);
        self.buf.extend(header.resource.to_be_bytes());
        body(self);
        let len = self.buf.len() - start;
        self.patch(start, &u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes());
        start..self.buf.len()
    }

    /// An attribute with the given payload.
    pub fn put(&mut self, kind: u16, payload: &[u8]) {
        let start = self.open(kind);
        self.buf.extend_from_slice(payload);
        self.close(start, kind);
    }

    /// One byte.
    pub fn put_u8(&mut self, kind: u16, value: u8) {
        self.put(kind, &[value]);
    }

    /// 16 bits in network byte order.
    pub fn put_u16_be(&mut self, kind: u16, value: u16) {
        self.put(kind, &value.to_be_bytes());
    }

    /// 32 bits in network byte order.
    pub fn put_u32_be(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// 64 bits in network byte order.
    pub fn put_u64_be(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_be_bytes());
    }

    /// Text with its final NUL.
    pub fn put_text(&mut self, kind: u16, text: &str) {
        let start = self.open(kind);
        self.buf.extend_from_slice(text.as_bytes());
        self.buf.push(0);
        self.close(start, kind);
    }

    /// A nest: an attribute whose payload is what `body` writes.
    pub fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.open(kind | NLA_F_NESTED);
        body(self);
        self.close(start, kind);
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.buf.len();
        self.buf.extend([0; 2]);
        self.buf.extend(kind.to_ne_bytes());
        debug_assert_eq!(self.buf.len() - start, NLA_HDRLEN);
        start
    }

    fn close(&mut self, start: usize, kind: u16) {
        let len = self.buf.len() - start;
        match u16::try_from(len) {
            Ok(len) => self.patch(start, &len.to_ne_bytes()),
            Err(_) => {
                self.error
                    .get_or_insert(WireError::AttributeTooLong { kind, len });
            }
        }
        let padded = self.buf.len().next_multiple_of(4);
        self.buf.resize(padded, 0);
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.buf.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// What stands in front of a message's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageHeader {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub seq: u32,
    /// `nfgen_family`.
    pub family: u8,
    /// `version` of `struct nfgenmsg`.
    pub version: u8,
    /// `res_id` of `struct nfgenmsg`.
    pub resource: u16,
}
