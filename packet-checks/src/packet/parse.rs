//! From the wire to packets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use etherparse::{IpHeaders, LaxIpPayloadSlice};

use super::{Body, ICMP, ICMPV6, IcmpError, Packet, Shape, TCP, UDP};

/// Builds a packet from its headers and its whole payload, checksums verified.
pub(super) fn packet(headers: &IpHeaders, protocol: u8, payload: &[u8]) -> Option<Packet> {
    let whole = read(headers, protocol, payload)?;
    let damaged = match (&whole.body, protocol) {
        // A datagram without a checksum is whole.
        (Body::Udp { .. }, _) if payload.get(6..8) == Some(&[0, 0]) => false,
        (_, UDP | TCP | ICMP | ICMPV6) => {
            // Over all bytes, the sum that is in them included.
            !matches!(whole.checksum(payload), [0, 0] | [0xff, 0xff])
        }
        _ => false,
    };
    if damaged {
        return Some(Packet {
            body: Body::Other {
                protocol,
                data: payload.to_vec(),
            },
            ..whole
        });
    }
    Some(whole)
}

/// The same from the beginning of a packet that an ICMP error quotes.
fn quoted(bytes: &[u8]) -> Option<Packet> {
    let (
        headers,
        LaxIpPayloadSlice {
            ip_number, payload, ..
        },
        _,
    ) = IpHeaders::from_slice_lax(bytes).ok()?;
    read(&headers, ip_number.0, payload)
}

fn read(headers: &IpHeaders, protocol: u8, payload: &[u8]) -> Option<Packet> {
    let (from, to, hops): (IpAddr, IpAddr, u8) = match headers {
        IpHeaders::Ipv4(header, _) => (
            header.source.into(),
            header.destination.into(),
            header.time_to_live,
        ),
        IpHeaders::Ipv6(header, _) => (
            header.source.into(),
            header.destination.into(),
            header.hop_limit,
        ),
    };
    let body = body(from.is_ipv4(), protocol, payload).unwrap_or_else(|| Body::Other {
        protocol,
        data: payload.to_vec(),
    });
    Some(Packet {
        from,
        to,
        hops,
        body,
        shape: Shape::Plain,
    })
}

fn body(v4: bool, protocol: u8, payload: &[u8]) -> Option<Body> {
    let word = |at: usize| Some(u16::from_be_bytes(*payload.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u32::from_be_bytes(*payload.get(at..)?.first_chunk()?));
    let rest = |at: usize| payload.get(at..).unwrap_or_default().to_vec();
    match protocol {
        UDP => Some(Body::Udp {
            from: word(0)?,
            to: word(2)?,
            data: rest(8),
        }),
        TCP => {
            let words = usize::from(payload.get(12).map_or(5, |byte| byte >> 4));
            Some(Body::Tcp {
                from: word(0)?,
                to: word(2)?,
                // A quote may end before these.
                numbers: (long(4)?, long(8).unwrap_or(0)),
                flags: payload.get(13).copied().unwrap_or(0),
                mss: mss(payload.get(20..words * 4).unwrap_or_default()),
                data: rest(words * 4),
            })
        }
        ICMP | ICMPV6 if v4 == (protocol == ICMP) => {
            let (kind, code) = (*payload.first()?, *payload.get(1)?);
            match (v4, kind) {
                (true, 0 | 8) | (false, 128 | 129) => Some(Body::Echo {
                    reply: matches!(kind, 0 | 129),
                    id: word(4)?,
                    data: rest(8),
                }),
                _ => {
                    let about = quoted(payload.get(8..)?);
                    let detail = *payload.get(4..)?.first_chunk()?;
                    Some(Body::Error {
                        error: IcmpError::parse(v4, kind, code, detail)?,
                        about: Box::new(about?),
                    })
                }
            }
        }
        _ => None,
    }
}

/// The maximum segment size among TCP options (RFC 9293 §3.2).
fn mss(mut options: &[u8]) -> Option<u16> {
    loop {
        match options {
            [0, ..] | [] => return None,
            [1, rest @ ..] => options = rest,
            [2, 4, high, low, ..] => return Some(u16::from_be_bytes([*high, *low])),
            [_, len, ..] => options = options.get(usize::from(*len).max(2)..)?,
            [_] => return None,
        }
    }
}

/// Source, destination, identification.
type Key = (IpAddr, IpAddr, u32);

/// Puts fragments together again.
#[derive(Debug, Default)]
pub struct Fragments(BTreeMap<Key, BTreeMap<usize, (Vec<u8>, bool)>>);

impl Fragments {
    /// Takes a packet from the wire: itself, or what its last fragment made whole.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Packet> {
        let (headers, payload) = IpHeaders::from_slice(bytes).ok()?;
        if !payload.fragmented {
            return packet(&headers, payload.ip_number.0, payload.payload);
        }
        let (key, at, more): (Key, u16, bool) = match &headers {
            IpHeaders::Ipv4(header, _) => (
                (
                    header.source.into(),
                    header.destination.into(),
                    header.identification.into(),
                ),
                header.fragment_offset.byte_offset(),
                header.more_fragments,
            ),
            IpHeaders::Ipv6(header, extensions) => {
                let fragment = extensions.fragment.as_ref()?;
                (
                    (
                        header.source.into(),
                        header.destination.into(),
                        fragment.identification,
                    ),
                    fragment.fragment_offset.byte_offset(),
                    fragment.more_fragments,
                )
            }
        };
        let parts = self.0.entry(key).or_default();
        parts.insert(usize::from(at), (payload.payload.to_vec(), more));
        let mut all = Vec::new();
        let mut ended = false;
        for (at, (part, more)) in parts.iter() {
            if *at != all.len() {
                return None;
            }
            all.extend(part);
            ended = !more;
        }
        if !ended {
            return None;
        }
        self.0.remove(&key);
        packet(&headers, payload.ip_number.0, &all)
    }
}
