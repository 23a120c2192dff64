//! Expressions that load pieces of the packet.

use super::number::number_enum;
use super::{Body, Reg};
use crate::wire::{AttrMap, WireError, Writer};

number_enum! {
    /// Where a piece of the packet is counted from (`enum nft_payload_bases`).
    PayloadBase {
        /// `NFT_PAYLOAD_LL_HEADER`.
        Link = 0 "ll",
        /// `NFT_PAYLOAD_NETWORK_HEADER`.
        Network = 1 "nh",
        /// `NFT_PAYLOAD_TRANSPORT_HEADER`.
        Transport = 2 "th",
        /// `NFT_PAYLOAD_INNER_HEADER`.
        Inner = 3 "ih",
    }
}

/// `payload`, loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload {
    /// Counted from.
    pub base: PayloadBase,
    /// Bytes to skip.
    pub offset: u32,
    /// Bytes to load.
    pub len: u32,
    /// Where to.
    pub dreg: Reg,
}

impl Payload {
    /// `ip saddr`.
    pub const IP_SADDR: (PayloadBase, u32, u32) = (PayloadBase::Network, 12, 4);
    /// `ip daddr`.
    pub const IP_DADDR: (PayloadBase, u32, u32) = (PayloadBase::Network, 16, 4);
    /// `ip6 saddr`.
    pub const IP6_SADDR: (PayloadBase, u32, u32) = (PayloadBase::Network, 8, 16);
    /// `ip6 daddr`.
    pub const IP6_DADDR: (PayloadBase, u32, u32) = (PayloadBase::Network, 24, 16);
    /// `th sport`.
    pub const TH_SPORT: (PayloadBase, u32, u32) = (PayloadBase::Transport, 0, 2);
    /// `th dport`.
    pub const TH_DPORT: (PayloadBase, u32, u32) = (PayloadBase::Transport, 2, 2);
    /// `icmp type` and `icmpv6 type`.
    pub const ICMP_TYPE: (PayloadBase, u32, u32) = (PayloadBase::Transport, 0, 1);
    /// `tcp flags`.
    pub const TCP_FLAGS: (PayloadBase, u32, u32) = (PayloadBase::Transport, 13, 1);
    /// `@th,64,128`: the target of a neighbour solicitation or advertisement.
    pub const ND_TARGET: (PayloadBase, u32, u32) = (PayloadBase::Transport, 8, 16);
    /// `arp saddr ip` (Ethernet).
    pub const ARP_SADDR_IP: (PayloadBase, u32, u32) = (PayloadBase::Network, 14, 4);
    /// `arp daddr ip` (Ethernet).
    pub const ARP_DADDR_IP: (PayloadBase, u32, u32) = (PayloadBase::Network, 24, 4);

    /// Loads one of the pieces above.
    pub fn load((base, offset, len): (PayloadBase, u32, u32), dreg: Reg) -> Self {
        Self {
            base,
            offset,
            len,
            dreg,
        }
    }
}

/// `enum nft_payload_attributes`.
pub(super) const NFTA_PAYLOAD_DREG: u16 = 1;
pub(super) const NFTA_PAYLOAD_BASE: u16 = 2;
pub(super) const NFTA_PAYLOAD_OFFSET: u16 = 3;
pub(super) const NFTA_PAYLOAD_LEN: u16 = 4;

impl Body for Payload {
    fn write(&self, w: &mut Writer) {
        self.dreg.write(NFTA_PAYLOAD_DREG, w);
        w.put_u32_be(NFTA_PAYLOAD_BASE, self.base.number());
        w.put_u32_be(NFTA_PAYLOAD_OFFSET, self.offset);
        w.put_u32_be(NFTA_PAYLOAD_LEN, self.len);
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let known = [
            NFTA_PAYLOAD_DREG,
            NFTA_PAYLOAD_BASE,
            NFTA_PAYLOAD_OFFSET,
            NFTA_PAYLOAD_LEN,
        ];
        let base = attrs
            .u32_be(NFTA_PAYLOAD_BASE)?
            .and_then(PayloadBase::from_number);
        let (Some(base), true) = (base, attrs.only(&known)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            base,
            offset: attrs
                .need(NFTA_PAYLOAD_OFFSET, "NFTA_PAYLOAD_OFFSET")?
                .u32_be()?,
            len: attrs.need(NFTA_PAYLOAD_LEN, "NFTA_PAYLOAD_LEN")?.u32_be()?,
            dreg: Reg::need(attrs, NFTA_PAYLOAD_DREG, "NFTA_PAYLOAD_DREG")?,
        }))
    }
}

number_enum! {
    /// Kind of extension header (`enum nft_exthdr_op`).
    ExtHdrOp {
        /// `NFT_EXTHDR_OP_IPV6`.
        Ipv6 = 0 "exthdr",
        /// `NFT_EXTHDR_OP_TCPOPT`.
        TcpOption = 1 "tcp option",
        /// `NFT_EXTHDR_OP_IPV4`.
        Ipv4 = 2 "ip option",
        /// `NFT_EXTHDR_OP_SCTP`.
        SctpChunk = 3 "sctp chunk",
    }
}

/// `exthdr`, loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtHdr {
    /// Kind of header.
    pub op: ExtHdrOp,
    /// Number of the header or option, such as 2 for the TCP option maxseg.
    pub kind: u8,
    /// Bytes to skip.
    pub offset: u32,
    /// Bytes to load.
    pub len: u32,
    /// Load only whether the header is there (`NFT_EXTHDR_F_PRESENT`).
    pub presence: bool,
    /// Where to.
    pub dreg: Reg,
}

/// `enum nft_exthdr_attributes`.
pub(super) const NFTA_EXTHDR_DREG: u16 = 1;
pub(super) const NFTA_EXTHDR_TYPE: u16 = 2;
pub(super) const NFTA_EXTHDR_OFFSET: u16 = 3;
pub(super) const NFTA_EXTHDR_LEN: u16 = 4;
pub(super) const NFTA_EXTHDR_FLAGS: u16 = 5;
pub(super) const NFTA_EXTHDR_OP: u16 = 6;

impl Body for ExtHdr {
    fn write(&self, w: &mut Writer) {
        self.dreg.write(NFTA_EXTHDR_DREG, w);
        w.put_u8(NFTA_EXTHDR_TYPE, self.kind);
        w.put_u32_be(NFTA_EXTHDR_OFFSET, self.offset);
        w.put_u32_be(NFTA_EXTHDR_LEN, self.len);
        w.put_u32_be(NFTA_EXTHDR_FLAGS, u32::from(self.presence));
        w.put_u32_be(NFTA_EXTHDR_OP, self.op.number());
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let known = [
            NFTA_EXTHDR_DREG,
            NFTA_EXTHDR_TYPE,
            NFTA_EXTHDR_OFFSET,
            NFTA_EXTHDR_LEN,
            NFTA_EXTHDR_FLAGS,
            NFTA_EXTHDR_OP,
        ];
        let op = ExtHdrOp::from_number(attrs.u32_be(NFTA_EXTHDR_OP)?.unwrap_or(0));
        let flags = attrs.u32_be(NFTA_EXTHDR_FLAGS)?.unwrap_or(0);
        let (Some(op), true, 0 | 1) = (op, attrs.only(&known), flags) else {
            return Ok(None);
        };
        Ok(Some(Self {
            op,
            kind: attrs.need(NFTA_EXTHDR_TYPE, "NFTA_EXTHDR_TYPE")?.u8()?,
            offset: attrs
                .need(NFTA_EXTHDR_OFFSET, "NFTA_EXTHDR_OFFSET")?
                .u32_be()?,
            len: attrs.need(NFTA_EXTHDR_LEN, "NFTA_EXTHDR_LEN")?.u32_be()?,
            presence: flags == 1,
            dreg: Reg::need(attrs, NFTA_EXTHDR_DREG, "NFTA_EXTHDR_DREG")?,
        }))
    }
}
