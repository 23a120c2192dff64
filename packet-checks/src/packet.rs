//! Packets as a check writes them, and how they look on the wire.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpFragOffset, IpHeaders, IpNumber, Ipv4Header, Ipv6Header};

mod parse;
#[cfg(test)]
mod tests;

pub use parse::Fragments;

/// Numbers of protocols (IANA, Assigned Internet Protocol Numbers).
pub const ICMP: u8 = 1;
/// Transmission Control Protocol.
pub const TCP: u8 = 6;
/// User Datagram Protocol.
pub const UDP: u8 = 17;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// Stream Control Transmission Protocol (RFC 9260).
pub const SCTP: u8 = 132;
/// IPv6 destination options (RFC 8200 §4.6) and fragment header (§4.5).
const DESTINATION_OPTIONS: u8 = 60;
const FRAGMENT: u8 = 44;

/// Flags of a TCP segment (RFC 9293 §3.1).
pub mod tcp {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 2;
    /// Reset the connection.
    pub const RST: u8 = 4;
    /// The acknowledgement is significant.
    pub const ACK: u8 = 16;
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source.
    pub from: IpAddr,
    /// Destination, of the same family.
    pub to: IpAddr,
    /// TTL or hop limit.
    pub hops: u8,
    /// What it carries.
    pub body: Body,
    /// How it looks on the wire; a received packet is always plain.
    pub shape: Shape,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A datagram.
    Udp {
        /// Source port.
        from: u16,
        /// Destination port.
        to: u16,
        /// Payload.
        data: Vec<u8>,
    },
    /// A segment.
    Tcp {
        /// Source port.
        from: u16,
        /// Destination port.
        to: u16,
        /// Sequence and acknowledgement number.
        numbers: (u32, u32),
        /// Flags, of [`tcp`].
        flags: u8,
        /// Maximum segment size option, in bytes.
        mss: Option<u16>,
        /// Payload.
        data: Vec<u8>,
    },
    /// Echo request or reply, by the family's ICMP.
    Echo {
        /// Whether it is a reply.
        reply: bool,
        /// Identifier.
        id: u16,
        /// Payload.
        data: Vec<u8>,
    },
    /// An ICMP error.
    Error {
        /// Which.
        error: IcmpError,
        /// The packet that it is about; only its beginning is on the wire.
        about: Box<Packet>,
    },
    /// Any other payload.
    Other {
        /// Its protocol.
        protocol: u8,
        /// Its bytes; the checksum of ICMPv6 is made right.
        data: Vec<u8>,
    },
}

/// An ICMP error, of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// Nobody listens on the port.
    PortUnreachable,
    /// No way, or none that is allowed; whatever code the sender chose.
    Unreachable,
    /// The packet is larger than the link takes: its MTU in bytes.
    TooBig(u16),
    /// The hop limit is used up.
    HopLimit,
}

/// How a packet looks on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// One packet without extension headers.
    #[default]
    Plain,
    /// Fragments with so many bytes of payload each, a multiple of 8, the last one first.
    Backwards(usize),
    /// Fragments with so many bytes of payload each, a multiple of 8.
    Fragments(usize),
    /// IPv6: one fragment that is all of the packet (RFC 6946).
    Atomic,
    /// IPv6: fragments that overlap (RFC 5722), which nobody may put together.
    Overlapping,
    /// IPv6: destination options before the payload.
    Options,
    /// IPv4: a datagram with checksum 0.
    NoChecksum,
}

impl Packet {
    /// A packet with 64 hops left.
    #[must_use]
    pub fn new(from: IpAddr, to: IpAddr, body: Body) -> Self {
        Self {
            from,
            to,
            hops: 64,
            body,
            shape: Shape::Plain,
        }
    }

    /// The same with this look on the wire.
    #[must_use]
    pub fn shaped(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// The same with so many hops left.
    #[must_use]
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// The packets on the wire, without link-layer header.
    #[must_use]
    pub fn wire(&self) -> Vec<Vec<u8>> {
        let body = self.transport();
        let protocol = self.protocol();
        match &self.shape {
            Shape::Plain | Shape::NoChecksum => vec![self.with_header(protocol, &body)],
            Shape::Options => {
                // PadN over 4 bytes.
                let mut all = vec![protocol, 0, 1, 4, 0, 0, 0, 0];
                all.extend(body);
                vec![self.with_header(DESTINATION_OPTIONS, &all)]
            }
            Shape::Atomic => vec![self.fragment6(protocol, &body, 0, false)],
            Shape::Overlapping => {
                let (head, tail) = (slice(&body, 0, 24), slice(&body, 16, body.len()));
                vec![
                    self.fragment6(protocol, head, 0, true),
                    self.fragment6(protocol, tail, 16, false),
                ]
            }
            Shape::Fragments(size) => self.fragments(protocol, &body, *size),
            Shape::Backwards(size) => {
                let mut all = self.fragments(protocol, &body, *size);
                all.reverse();
                all
            }
        }
    }

    fn fragments(&self, protocol: u8, body: &[u8], size: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut at = 0;
        for part in body.chunks(size.max(8)) {
            let more = at + part.len() < body.len();
            all.push(if self.from.is_ipv4() {
                self.fragment4(protocol, part, at, more)
            } else {
                self.fragment6(protocol, part, at, more)
            });
            at += part.len();
        }
        all
    }

    fn fragment4(&self, protocol: u8, part: &[u8], at: usize, more: bool) -> Vec<u8> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (self.from, self.to) else {
            return Vec::new();
        };
        let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
        let header = Ipv4Header::new(
            len,
            self.hops,
            IpNumber(protocol),
            from.octets(),
            to.octets(),
        );
        let Ok(mut header) = header else {
            return Vec::new();
        };
        header.identification = self.id();
        header.dont_fragment = !more && at == 0;
        header.more_fragments = more;
        let units = u16::try_from(at / 8).unwrap_or(0);
        header.fragment_offset = IpFragOffset::try_new(units).unwrap_or(IpFragOffset::ZERO);
        header.header_checksum = header.calc_header_checksum();
        [header.to_bytes().as_slice(), part].concat()
    }

    fn fragment6(&self, protocol: u8, part: &[u8], at: usize, more: bool) -> Vec<u8> {
        let at = u16::try_from(at).unwrap_or(0) & !7;
        let mut all = vec![protocol, 0];
        all.extend((at | u16::from(more)).to_be_bytes());
        all.extend(u32::from(self.id()).to_be_bytes());
        all.extend(part);
        self.with_header(FRAGMENT, &all)
    }

    /// Fragments of one packet have one identification: any that its flow has for itself.
    fn id(&self) -> u16 {
        match &self.body {
            Body::Udp { from, .. } | Body::Tcp { from, .. } => *from,
            Body::Echo { id, .. } => *id,
            Body::Error { .. } | Body::Other { .. } => 1,
        }
    }

    fn with_header(&self, next: u8, payload: &[u8]) -> Vec<u8> {
        let (from, to) = match (self.from, self.to) {
            (IpAddr::V4(_), _) => return self.fragment4(next, payload, 0, false),
            (IpAddr::V6(from), IpAddr::V6(to)) => (from, to),
            (IpAddr::V6(_), IpAddr::V4(_)) => return Vec::new(),
        };
        let header = Ipv6Header {
            payload_length: u16::try_from(payload.len()).unwrap_or(u16::MAX),
            next_header: IpNumber(next),
            hop_limit: self.hops,
            source: from.octets(),
            destination: to.octets(),
            ..Ipv6Header::default()
        };
        [header.to_bytes().as_slice(), payload].concat()
    }

    pub(crate) fn protocol(&self) -> u8 {
        match &self.body {
            Body::Udp { .. } => UDP,
            Body::Tcp { .. } => TCP,
            Body::Echo { .. } | Body::Error { .. } if self.from.is_ipv4() => ICMP,
            Body::Echo { .. } | Body::Error { .. } => ICMPV6,
            Body::Other { protocol, .. } => *protocol,
        }
    }

    /// The payload with its checksum.
    fn transport(&self) -> Vec<u8> {
        let v4 = self.from.is_ipv4();
        let mut bytes = Vec::new();
        match &self.body {
            Body::Udp { from, to, data } => {
                bytes.extend(from.to_be_bytes());
                bytes.extend(to.to_be_bytes());
                let len = u16::try_from(8 + data.len()).unwrap_or(u16::MAX);
                bytes.extend(len.to_be_bytes());
                bytes.extend([0, 0]);
                bytes.extend(data);
                if self.shape != Shape::NoChecksum {
                    self.set_checksum(&mut bytes, 6);
                }
            }
            Body::Tcp {
                from,
                to,
                numbers,
                flags,
                mss,
                data,
            } => {
                bytes.extend(from.to_be_bytes());
                bytes.extend(to.to_be_bytes());
                bytes.extend(numbers.0.to_be_bytes());
                bytes.extend(numbers.1.to_be_bytes());
                let words: u8 = if mss.is_some() { 6 } else { 5 };
                bytes.extend([words << 4, *flags]);
                bytes.extend(8_192_u16.to_be_bytes());
                bytes.extend([0; 4]);
                if let Some(mss) = mss {
                    bytes.extend([2, 4]);
                    bytes.extend(mss.to_be_bytes());
                }
                bytes.extend(data);
                self.set_checksum(&mut bytes, 16);
            }
            Body::Echo { reply, id, data } => {
                let kind = match (v4, reply) {
                    (true, false) => 8,
                    (true, true) => 0,
                    (false, false) => 128,
                    (false, true) => 129,
                };
                bytes.extend([kind, 0, 0, 0]);
                bytes.extend(id.to_be_bytes());
                bytes.extend([0, 1]);
                bytes.extend(data);
                self.set_checksum(&mut bytes, 2);
            }
            Body::Error { error, about } => {
                let (kind, code, rest) = error.bytes(v4);
                bytes.extend([kind, code, 0, 0]);
                bytes.extend(rest);
                let about = about.wire().into_iter().next().unwrap_or_default();
                // IPv4 errors need no more than header and 8 bytes; IPv6 ones fill 1280.
                let most = if v4 { 28 } else { 1_232 };
                bytes.extend(about.into_iter().take(most));
                self.set_checksum(&mut bytes, 2);
            }
            Body::Other { protocol, data } => {
                bytes.extend(data);
                if *protocol == ICMPV6 {
                    self.set_checksum(&mut bytes, 2);
                }
            }
        }
        bytes
    }

    fn set_checksum(&self, bytes: &mut [u8], at: usize) {
        let sum = self.checksum(bytes);
        if let Some(place) = bytes.get_mut(at..at + 2) {
            place.copy_from_slice(&sum);
        }
    }

    /// The Internet checksum over pseudo-header and payload; ICMP has no pseudo-header.
    fn checksum(&self, bytes: &[u8]) -> [u8; 2] {
        let protocol = self.protocol();
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut sum = Sum16BitWords::new();
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) if protocol != ICMP => {
                sum = sum.add_4bytes(from.octets()).add_4bytes(to.octets());
                sum = sum.add_2bytes([0, protocol]).add_4bytes(len.to_be_bytes());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                sum = sum.add_16bytes(from.octets()).add_16bytes(to.octets());
                sum = sum.add_2bytes([0, protocol]).add_4bytes(len.to_be_bytes());
            }
            _ => {}
        }
        let sum = sum.add_slice(bytes);
        // `ones_complement` is in memory order; 0 means "none" in a datagram.
        let value = if protocol == UDP {
            sum.to_ones_complement_with_no_zero()
        } else {
            sum.ones_complement()
        };
        value.to_ne_bytes()
    }

    /// A received packet from its bytes, which begin with the IP header; `None` for a
    /// fragment, and for what is no IP packet.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (headers, payload) = IpHeaders::from_slice(bytes).ok()?;
        if payload.fragmented {
            return None;
        }
        parse::packet(&headers, payload.ip_number.0, payload.payload)
    }

    /// Whether a received packet is the one that a check expects: all but its hops, the
    /// sequence of an ICMP error's quote, and an unreachable's code.
    #[must_use]
    pub fn is_what(&self, expected: &Packet) -> bool {
        let same = self.from == expected.from && self.to == expected.to;
        let body = match (&self.body, &expected.body) {
            (
                Body::Error { error, about },
                Body::Error {
                    error: wanted,
                    about: wanted_about,
                },
            ) => {
                let same_error = error == wanted
                    || *wanted == IcmpError::Unreachable && *error == IcmpError::PortUnreachable;
                same_error && about.is_of(wanted_about)
            }
            (mine, other) => mine == other,
        };
        same && body
    }

    /// Whether both are of one flow in one direction.
    fn is_of(&self, other: &Packet) -> bool {
        let ports = |packet: &Packet| match &packet.body {
            Body::Udp { from, to, .. } | Body::Tcp { from, to, .. } => Some((*from, *to)),
            Body::Echo { id, .. } => Some((*id, 0)),
            Body::Error { .. } | Body::Other { .. } => None,
        };
        self.from == other.from
            && self.to == other.to
            && self.protocol() == other.protocol()
            && ports(self) == ports(other)
    }
}

impl IcmpError {
    /// Type, code and the 4 bytes after the checksum (RFC 792, RFC 4443).
    fn bytes(self, v4: bool) -> (u8, u8, [u8; 4]) {
        let [high, low] = match self {
            IcmpError::TooBig(mtu) => mtu.to_be_bytes(),
            _ => [0, 0],
        };
        match (self, v4) {
            (IcmpError::PortUnreachable, true) => (3, 3, [0; 4]),
            (IcmpError::PortUnreachable, false) => (1, 4, [0; 4]),
            (IcmpError::Unreachable, true) => (3, 1, [0; 4]),
            (IcmpError::Unreachable, false) => (1, 0, [0; 4]),
            (IcmpError::TooBig(_), true) => (3, 4, [0, 0, high, low]),
            (IcmpError::TooBig(_), false) => (2, 0, [0, 0, high, low]),
            (IcmpError::HopLimit, true) => (11, 0, [0; 4]),
            (IcmpError::HopLimit, false) => (3, 0, [0; 4]),
        }
    }

    fn parse(v4: bool, kind: u8, code: u8, rest: [u8; 4]) -> Option<Self> {
        let [_, _, high, low] = rest;
        match (v4, kind, code) {
            (true, 3, 3) | (false, 1, 4) => Some(IcmpError::PortUnreachable),
            (true, 3, 4) | (false, 2, _) => {
                Some(IcmpError::TooBig(u16::from_be_bytes([high, low])))
            }
            (true, 3, _) | (false, 1, _) => Some(IcmpError::Unreachable),
            (true, 11, _) | (false, 3, _) => Some(IcmpError::HopLimit),
            _ => None,
        }
    }
}

/// A part of bytes, as much as there is.
fn slice(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    bytes.get(from..to.min(bytes.len())).unwrap_or_default()
}
