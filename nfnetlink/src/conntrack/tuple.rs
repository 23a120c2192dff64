//! Tuples: the addresses and ports of one direction of a flow.

use std::net::IpAddr;

use crate::wire::{AttrMap, WireError, Writer};

/// `enum ctattr_tuple`.
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_TUPLE_ZONE: u16 = 3;
/// `enum ctattr_ip`.
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
/// `enum ctattr_l4proto`.
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMP_TYPE: u16 = 5;
const CTA_PROTO_ICMP_CODE: u16 = 6;
const CTA_PROTO_ICMPV6_ID: u16 = 7;
const CTA_PROTO_ICMPV6_TYPE: u16 = 8;
const CTA_PROTO_ICMPV6_CODE: u16 = 9;

/// `IPPROTO_ICMPV6` (`linux/in6.h`).
const IPPROTO_ICMPV6: u8 = 58;

/// What tells flows of one protocol between two hosts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum L4 {
    /// Ports of TCP, UDP, SCTP, DCCP, UDP-Lite.
    Ports {
        /// Source port.
        src: u16,
        /// Destination port.
        dst: u16,
    },
    /// ICMP and ICMPv6.
    Icmp {
        /// Type of message.
        kind: u8,
        /// Code of message.
        code: u8,
        /// Identifier of echoes.
        id: u16,
    },
    /// Nothing: other protocols.
    None,
}

/// Addresses and ports of one direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address; of the same family.
    pub dst: IpAddr,
    /// Protocol number (`IPPROTO_*`).
    pub proto: u8,
    /// Ports or the like.
    pub l4: L4,
    /// Zone of this direction only.
    pub zone: Option<u16>,
}

impl Tuple {
    pub(crate) fn write(&self, w: &mut Writer) {
        write_addresses(Some(self.src), Some(self.dst), w);
        w.nest(CTA_TUPLE_PROTO, |w| {
            w.put_u8(CTA_PROTO_NUM, self.proto);
            match self.l4 {
                L4::Ports { src, dst } => {
                    w.put_u16_be(CTA_PROTO_SRC_PORT, src);
                    w.put_u16_be(CTA_PROTO_DST_PORT, dst);
                }
                L4::Icmp { kind, code, id } if self.proto == IPPROTO_ICMPV6 => {
                    w.put_u8(CTA_PROTO_ICMPV6_TYPE, kind);
                    w.put_u8(CTA_PROTO_ICMPV6_CODE, code);
                    w.put_u16_be(CTA_PROTO_ICMPV6_ID, id);
                }
                L4::Icmp { kind, code, id } => {
                    w.put_u8(CTA_PROTO_ICMP_TYPE, kind);
                    w.put_u8(CTA_PROTO_ICMP_CODE, code);
                    w.put_u16_be(CTA_PROTO_ICMP_ID, id);
                }
                L4::None => {}
            }
        });
        if let Some(zone) = self.zone {
            w.put_u16_be(CTA_TUPLE_ZONE, zone);
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let attrs = AttrMap::parse(bytes)?;
        let ip = AttrMap::parse(attrs.need(CTA_TUPLE_IP, "CTA_TUPLE_IP")?.payload)?;
        let proto = AttrMap::parse(attrs.need(CTA_TUPLE_PROTO, "CTA_TUPLE_PROTO")?.payload)?;
        let (src, dst) = match ip.get(CTA_IP_V4_SRC) {
            Some(src) => (
                IpAddr::V4(src.ipv4()?),
                IpAddr::V4(ip.need(CTA_IP_V4_DST, "CTA_IP_V4_DST")?.ipv4()?),
            ),
            None => (
                IpAddr::V6(ip.need(CTA_IP_V6_SRC, "CTA_IP_V6_SRC")?.ipv6()?),
                IpAddr::V6(ip.need(CTA_IP_V6_DST, "CTA_IP_V6_DST")?.ipv6()?),
            ),
        };
        Ok(Self {
            src,
            dst,
            proto: proto.need(CTA_PROTO_NUM, "CTA_PROTO_NUM")?.u8()?,
            l4: L4::read(&proto)?,
            zone: attrs
                .get(CTA_TUPLE_ZONE)
                .map(|attr| attr.u16_be())
                .transpose()?,
        })
    }
}

impl L4 {
    fn read(proto: &AttrMap<'_>) -> Result<Self, WireError> {
        let u16 = |kind| proto.get(kind).map(|attr| attr.u16_be()).transpose();
        let u8 = |kind| proto.get(kind).map(|attr| attr.u8()).transpose();
        if let (Some(src), Some(dst)) = (u16(CTA_PROTO_SRC_PORT)?, u16(CTA_PROTO_DST_PORT)?) {
            return Ok(Self::Ports { src, dst });
        }
        for (id, kind, code) in [
            (CTA_PROTO_ICMP_ID, CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMP_CODE),
            (
                CTA_PROTO_ICMPV6_ID,
                CTA_PROTO_ICMPV6_TYPE,
                CTA_PROTO_ICMPV6_CODE,
            ),
        ] {
            if let (Some(id), Some(kind), Some(code)) = (u16(id)?, u8(kind)?, u8(code)?) {
                return Ok(Self::Icmp { kind, code, id });
            }
        }
        Ok(Self::None)
    }
}

/// Writes `CTA_TUPLE_IP` with the addresses that are given.
pub(super) fn write_addresses(src: Option<IpAddr>, dst: Option<IpAddr>, w: &mut Writer) {
    w.nest(CTA_TUPLE_IP, |w| {
        match src {
            Some(IpAddr::V4(src)) => w.put(CTA_IP_V4_SRC, &src.octets()),
            Some(IpAddr::V6(src)) => w.put(CTA_IP_V6_SRC, &src.octets()),
            None => {}
        }
        match dst {
            Some(IpAddr::V4(dst)) => w.put(CTA_IP_V4_DST, &dst.octets()),
            Some(IpAddr::V6(dst)) => w.put(CTA_IP_V6_DST, &dst.octets()),
            None => {}
        }
    });
}

/// Writes `CTA_TUPLE_PROTO` with the protocol and the ports that are given.
pub(super) fn write_ports(proto: u8, src: Option<u16>, dst: Option<u16>, w: &mut Writer) {
    w.nest(CTA_TUPLE_PROTO, |w| {
        w.put_u8(CTA_PROTO_NUM, proto);
        if let Some(src) = src {
            w.put_u16_be(CTA_PROTO_SRC_PORT, src);
        }
        if let Some(dst) = dst {
            w.put_u16_be(CTA_PROTO_DST_PORT, dst);
        }
    });
}
