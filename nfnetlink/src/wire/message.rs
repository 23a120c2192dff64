//! Reading messages (`struct nlmsghdr` and `struct nfgenmsg`).

use super::{
    AttrMap, NFGENMSG_LEN, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_ERROR, NLMSG_HDRLEN,
    NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS, WireError,
};

/// One netlink message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`: subsystem in the high byte, operation in the low one.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub seq: u32,
    /// `nlmsg_pid`: the port of the socket that asked for this message or caused it.
    pub port: u32,
    /// Everything after `struct nlmsghdr`.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// `nfgen_family` and the attributes of a netfilter message.
    pub fn netfilter(&self) -> Result<(u8, &'a [u8]), WireError> {
        match self.body.split_at_checked(NFGENMSG_LEN) {
            Some(([family, ..], attrs)) => Ok((*family, attrs)),
            _ => Err(WireError::Truncated {
                what: "struct nfgenmsg",
                need: NFGENMSG_LEN,
                have: self.body.len(),
            }),
        }
    }

    /// The acknowledgement in this message, if it is one.
    pub fn ack(&self) -> Result<Option<Ack>, WireError> {
        if self.kind != NLMSG_ERROR {
            return Ok(None);
        }
        let truncated = |need| WireError::Truncated {
            what: "struct nlmsgerr",
            need,
            have: self.body.len(),
        };
        let (code, rest) = self
            .body
            .split_first_chunk::<4>()
            .ok_or_else(|| truncated(4))?;
        let mut ack = Ack {
            seq: self.seq,
            errno: i32::from_ne_bytes(*code).saturating_neg(),
            text: None,
            offset: None,
        };
        if self.flags & NLM_F_ACK_TLVS != 0 {
            let mut skip = NLMSG_HDRLEN;
            if self.flags & NLM_F_CAPPED == 0 {
                let len = rest.first_chunk::<4>().ok_or_else(|| truncated(8))?;
                let len = usize::try_from(u32::from_ne_bytes(*len)).unwrap_or(usize::MAX);
                skip = len.max(NLMSG_HDRLEN).saturating_add(3) & !3;
            }
            let attrs = rest
                .get(skip..)
                .ok_or_else(|| truncated(skip.saturating_add(4)))?;
            let attrs = AttrMap::parse(attrs)?;
            ack.text = attrs.text(NLMSGERR_ATTR_MSG)?;
            ack.offset = attrs
                .get(NLMSGERR_ATTR_OFFS)
                .map(|attr| attr.u32_ne())
                .transpose()?;
        }
        Ok(Some(ack))
    }
}

/// An acknowledgement or an error (`struct nlmsgerr` with its extended attributes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Sequence number of the message that is meant.
    pub seq: u32,
    /// The error number as a positive number; 0 is success.
    pub errno: i32,
    /// The kernel's explanation (`NLMSGERR_ATTR_MSG`).
    pub text: Option<String>,
    /// Offset of the refused attribute from the start of the message (`NLMSGERR_ATTR_OFFS`).
    pub offset: Option<u32>,
}

/// The messages of one datagram. Stops after the first error.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Reads `bytes` as a list of messages.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn read(&self) -> Result<(Message<'a>, usize), WireError> {
        let truncated = |need| WireError::Truncated {
            what: "struct nlmsghdr",
            need,
            have: self.rest.len(),
        };
        let Some((
            [
                l0,
                l1,
                l2,
                l3,
                k0,
                k1,
                f0,
                f1,
                s0,
                s1,
                s2,
                s3,
                p0,
                p1,
                p2,
                p3,
            ],
            _,
        )) = self.rest.split_first_chunk::<NLMSG_HDRLEN>()
        else {
            return Err(truncated(NLMSG_HDRLEN));
        };
        let len = usize::try_from(u32::from_ne_bytes([*l0, *l1, *l2, *l3])).unwrap_or(usize::MAX);
        let body = self
            .rest
            .get(NLMSG_HDRLEN..len)
            .ok_or_else(|| truncated(len.max(NLMSG_HDRLEN)))?;
        let message = Message {
            kind: u16::from_ne_bytes([*k0, *k1]),
            flags: u16::from_ne_bytes([*f0, *f1]),
            seq: u32::from_ne_bytes([*s0, *s1, *s2, *s3]),
            port: u32::from_ne_bytes([*p0, *p1, *p2, *p3]),
            body,
        };
        Ok((message, len.next_multiple_of(4)))
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match self.read() {
            Ok((message, len)) => {
                self.rest = self.rest.get(len..).unwrap_or_default();
                Some(Ok(message))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}
