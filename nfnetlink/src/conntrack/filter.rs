//! Filters: which flows a dump lists or a flush removes.

use std::net::IpAddr;

use super::flow::{CTA_FILTER, CTA_TUPLE_ORIG, CTA_TUPLE_REPLY};
use super::tuple::{write_addresses, write_ports};
use super::{Flow, L4, Tuple};
use crate::wire::Writer;

/// `enum ctattr_filter` (`linux/netfilter/nfnetlink_conntrack.h`).
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// `CTA_FILTER_F_*` (kernel `net/netfilter/nf_internals.h`).
const CTA_FILTER_F_CTA_IP_SRC: u32 = 1;
const CTA_FILTER_F_CTA_IP_DST: u32 = 1 << 1;
const CTA_FILTER_F_CTA_PROTO_NUM: u32 = 1 << 3;
const CTA_FILTER_F_CTA_PROTO_SRC_PORT: u32 = 1 << 4;
const CTA_FILTER_F_CTA_PROTO_DST_PORT: u32 = 1 << 5;

/// `AF_INET`, `AF_INET6` (`linux/socket.h`).
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `IPPROTO_TCP`, `IPPROTO_UDP` (`linux/in.h`).
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// What a tuple must be like; `None` is anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TupleFilter {
    /// Source address.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// Protocol number (`IPPROTO_*`).
    pub proto: Option<u8>,
    /// Source port; matches nothing without a protocol that has ports.
    pub src_port: Option<u16>,
    /// Destination port; matches nothing without a protocol that has ports.
    pub dst_port: Option<u16>,
}

impl TupleFilter {
    fn matches(&self, tuple: &Tuple) -> bool {
        let (src_port, dst_port) = match tuple.l4 {
            L4::Ports { src, dst } => (Some(src), Some(dst)),
            L4::Icmp { .. } | L4::None => (None, None),
        };
        self.src.is_none_or(|src| src == tuple.src)
            && self.dst.is_none_or(|dst| dst == tuple.dst)
            && self.proto.is_none_or(|proto| proto == tuple.proto)
            && (self.src_port.is_none() || self.src_port == src_port)
            && (self.dst_port.is_none() || self.dst_port == dst_port)
    }

    /// Whether the kernel can decide this: it compares ports of TCP and UDP only.
    fn in_kernel(&self) -> bool {
        match self.proto {
            Some(IPPROTO_TCP | IPPROTO_UDP) => true,
            _ => self.src_port.is_none() && self.dst_port.is_none(),
        }
    }

    fn flags(&self) -> u32 {
        let flag = |set: bool, flag| if set { flag } else { 0 };
        flag(self.src.is_some(), CTA_FILTER_F_CTA_IP_SRC)
            | flag(self.dst.is_some(), CTA_FILTER_F_CTA_IP_DST)
            | flag(self.proto.is_some(), CTA_FILTER_F_CTA_PROTO_NUM)
            | flag(self.src_port.is_some(), CTA_FILTER_F_CTA_PROTO_SRC_PORT)
            | flag(self.dst_port.is_some(), CTA_FILTER_F_CTA_PROTO_DST_PORT)
    }

    fn write(&self, kind: u16, w: &mut Writer) {
        w.nest(kind, |w| {
            if self.src.is_some() || self.dst.is_some() {
                write_addresses(self.src, self.dst, w);
            }
            if let Some(proto) = self.proto {
                write_ports(proto, self.src_port, self.dst_port, w);
            }
        });
    }
}

/// Which flows are meant: both tuples must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FlowFilter {
    /// What the original tuple must be like.
    pub orig: TupleFilter,
    /// What the reply tuple must be like.
    pub reply: TupleFilter,
}

impl FlowFilter {
    /// Flows whose first packet came from this address.
    pub fn orig_src(src: IpAddr) -> Self {
        let mut filter = Self::default();
        filter.orig.src = Some(src);
        filter
    }

    /// Flows whose first packet went to this address.
    pub fn orig_dst(dst: IpAddr) -> Self {
        let mut filter = Self::default();
        filter.orig.dst = Some(dst);
        filter
    }

    /// Flows whose answers come from this address.
    pub fn reply_src(src: IpAddr) -> Self {
        let mut filter = Self::default();
        filter.reply.src = Some(src);
        filter
    }

    /// Flows whose answers go to this address: where SNAT made it the source.
    pub fn reply_dst(dst: IpAddr) -> Self {
        let mut filter = Self::default();
        filter.reply.dst = Some(dst);
        filter
    }

    /// The same with a protocol and the destination port of the first packet.
    pub fn with_orig_port(mut self, proto: u8, dst_port: Option<u16>) -> Self {
        self.orig.proto = Some(proto);
        self.orig.dst_port = dst_port;
        self
    }

    /// Whether a flow is meant.
    pub fn matches(&self, flow: &Flow) -> bool {
        self.orig.matches(&flow.orig) && self.reply.matches(&flow.reply)
    }

    /// Whether every flow is meant.
    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the kernel can decide all of it: addresses need a family.
    pub(super) fn in_kernel(&self) -> bool {
        self.orig.in_kernel() && self.reply.in_kernel()
    }

    /// The family of the addresses; 0 if there are none.
    pub(super) fn family(&self) -> u8 {
        let addresses = [self.orig.src, self.orig.dst, self.reply.src, self.reply.dst];
        match addresses.into_iter().flatten().next() {
            Some(IpAddr::V4(_)) => AF_INET,
            Some(IpAddr::V6(_)) => AF_INET6,
            None => 0,
        }
    }

    pub(super) fn write(&self, w: &mut Writer) {
        let (orig, reply) = (self.orig.flags(), self.reply.flags());
        if orig != 0 {
            self.orig.write(CTA_TUPLE_ORIG, w);
        }
        if reply != 0 {
            self.reply.write(CTA_TUPLE_REPLY, w);
        }
        w.nest(CTA_FILTER, |w| {
            w.put(CTA_FILTER_ORIG_FLAGS, &orig.to_ne_bytes());
            w.put(CTA_FILTER_REPLY_FLAGS, &reply.to_ne_bytes());
        });
    }
}
