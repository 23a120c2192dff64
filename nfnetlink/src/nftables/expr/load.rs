//! Expressions that load something into a register.

use super::number::number_enum;
use super::{Body, Reg};
use crate::wire::{AttrMap, WireError, Writer};

number_enum! {
    /// What `meta` knows of a packet (`enum nft_meta_keys`).
    MetaKey {
        /// `NFT_META_LEN`.
        Len = 0 "length",
        /// `NFT_META_PROTOCOL`: ethertype.
        Protocol = 1 "protocol",
        /// `NFT_META_PRIORITY`: traffic class.
        Priority = 2 "priority",
        /// `NFT_META_MARK`.
        Mark = 3 "mark",
        /// `NFT_META_IIF`: index of the incoming device.
        Iif = 4 "iif",
        /// `NFT_META_OIF`: index of the outgoing device.
        Oif = 5 "oif",
        /// `NFT_META_IIFNAME`: name of the incoming device, 16 bytes.
        IifName = 6 "iifname",
        /// `NFT_META_OIFNAME`: name of the outgoing device, 16 bytes.
        OifName = 7 "oifname",
        /// `NFT_META_IIFTYPE`.
        IifType = 8 "iiftype",
        /// `NFT_META_OIFTYPE`.
        OifType = 9 "oiftype",
        /// `NFT_META_SKUID`.
        SkUid = 10 "skuid",
        /// `NFT_META_SKGID`.
        SkGid = 11 "skgid",
        /// `NFT_META_NFTRACE`.
        NfTrace = 12 "nftrace",
        /// `NFT_META_NFPROTO`: IPv4 or IPv6, 1 byte.
        NfProto = 15 "nfproto",
        /// `NFT_META_L4PROTO`: 1 byte.
        L4Proto = 16 "l4proto",
        /// `NFT_META_PKTTYPE`: to this host, broadcast, multicast; 1 byte.
        PktType = 19 "pkttype",
        /// `NFT_META_CPU`.
        Cpu = 20 "cpu",
        /// `NFT_META_PRANDOM`.
        Random = 24 "random",
    }
}

/// `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meta {
    /// Into a register.
    Load {
        /// What.
        key: MetaKey,
        /// Where to.
        dreg: Reg,
    },
    /// From a register: mark, priority, packet type, trace.
    Set {
        /// What.
        key: MetaKey,
        /// Where from.
        sreg: Reg,
    },
}

/// `enum nft_meta_attributes`.
const NFTA_META_DREG: u16 = 1;
const NFTA_META_KEY: u16 = 2;
const NFTA_META_SREG: u16 = 3;

impl Body for Meta {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Load { key, dreg } => {
                w.put_u32_be(NFTA_META_KEY, key.number());
                dreg.write(NFTA_META_DREG, w);
            }
            Self::Set { key, sreg } => {
                w.put_u32_be(NFTA_META_KEY, key.number());
                sreg.write(NFTA_META_SREG, w);
            }
        }
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let key = attrs.need(NFTA_META_KEY, "NFTA_META_KEY")?.u32_be()?;
        let Some(key) = MetaKey::from_number(key) else {
            return Ok(None);
        };
        if let Some(sreg) = Reg::read(attrs, NFTA_META_SREG, "NFTA_META_SREG")? {
            let only = attrs.only(&[NFTA_META_KEY, NFTA_META_SREG]);
            return Ok(only.then_some(Self::Set { key, sreg }));
        }
        let dreg = Reg::need(attrs, NFTA_META_DREG, "NFTA_META_DREG")?;
        let only = attrs.only(&[NFTA_META_KEY, NFTA_META_DREG]);
        Ok(only.then_some(Self::Load { key, dreg }))
    }
}

number_enum! {
    /// What `ct` knows of a packet's flow (`enum nft_ct_keys`).
    CtKey {
        /// `NFT_CT_STATE`; bits in [`super::ct_state`].
        State = 0 "state",
        /// `NFT_CT_DIRECTION`: 0 original, 1 reply; 1 byte.
        Direction = 1 "direction",
        /// `NFT_CT_STATUS`: `IPS_*` bits.
        Status = 2 "status",
        /// `NFT_CT_MARK`.
        Mark = 3 "mark",
        /// `NFT_CT_EXPIRATION`: milliseconds.
        Expiration = 5 "expiration",
        /// `NFT_CT_L3PROTOCOL`.
        L3Protocol = 7 "l3proto",
        /// `NFT_CT_PROTOCOL`.
        Protocol = 10 "protocol",
        /// `NFT_CT_PROTO_SRC`: needs a direction.
        ProtoSrc = 11 "proto-src",
        /// `NFT_CT_PROTO_DST`: needs a direction.
        ProtoDst = 12 "proto-dst",
        /// `NFT_CT_PKTS`.
        Packets = 14 "packets",
        /// `NFT_CT_BYTES`.
        Bytes = 15 "bytes",
        /// `NFT_CT_ZONE`.
        Zone = 17 "zone",
        /// `NFT_CT_SRC_IP`: needs a direction.
        SrcIp = 19 "ip saddr",
        /// `NFT_CT_DST_IP`: needs a direction.
        DstIp = 20 "ip daddr",
        /// `NFT_CT_SRC_IP6`: needs a direction.
        SrcIp6 = 21 "ip6 saddr",
        /// `NFT_CT_DST_IP6`: needs a direction.
        DstIp6 = 22 "ip6 daddr",
        /// `NFT_CT_ID`.
        Id = 23 "id",
    }
}

number_enum! {
    /// Direction within a flow (`enum ip_conntrack_dir`).
    Direction {
        /// `IP_CT_DIR_ORIGINAL`.
        Original = 0 "original",
        /// `IP_CT_DIR_REPLY`.
        Reply = 1 "reply",
    }
}

/// `ct`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ct {
    /// Into a register.
    Load {
        /// What.
        key: CtKey,
        /// Of which direction, for the keys that need one.
        direction: Option<Direction>,
        /// Where to.
        dreg: Reg,
    },
    /// From a register: mark, zone.
    Set {
        /// What.
        key: CtKey,
        /// Of which direction, for zones only.
        direction: Option<Direction>,
        /// Where from.
        sreg: Reg,
    },
}

/// `enum nft_ct_attributes`.
const NFTA_CT_DREG: u16 = 1;
const NFTA_CT_KEY: u16 = 2;
const NFTA_CT_DIRECTION: u16 = 3;
const NFTA_CT_SREG: u16 = 4;

impl Body for Ct {
    fn write(&self, w: &mut Writer) {
        let (Self::Load { key, direction, .. } | Self::Set { key, direction, .. }) = self;
        w.put_u32_be(NFTA_CT_KEY, key.number());
        match direction {
            Some(Direction::Original) => w.put_u8(NFTA_CT_DIRECTION, 0),
            Some(Direction::Reply) => w.put_u8(NFTA_CT_DIRECTION, 1),
            None => {}
        }
        match self {
            Self::Load { dreg, .. } => dreg.write(NFTA_CT_DREG, w),
            Self::Set { sreg, .. } => sreg.write(NFTA_CT_SREG, w),
        }
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let key = attrs.need(NFTA_CT_KEY, "NFTA_CT_KEY")?.u32_be()?;
        let Some(key) = CtKey::from_number(key) else {
            return Ok(None);
        };
        let direction = match attrs.get(NFTA_CT_DIRECTION) {
            None => None,
            Some(attr) => match Direction::from_number(attr.u8()?.into()) {
                None => return Ok(None),
                known => known,
            },
        };
        if let Some(sreg) = Reg::read(attrs, NFTA_CT_SREG, "NFTA_CT_SREG")? {
            let only = attrs.only(&[NFTA_CT_KEY, NFTA_CT_DIRECTION, NFTA_CT_SREG]);
            return Ok(only.then_some(Self::Set {
                key,
                direction,
                sreg,
            }));
        }
        let dreg = Reg::need(attrs, NFTA_CT_DREG, "NFTA_CT_DREG")?;
        let only = attrs.only(&[NFTA_CT_KEY, NFTA_CT_DIRECTION, NFTA_CT_DREG]);
        Ok(only.then_some(Self::Load {
            key,
            direction,
            dreg,
        }))
    }
}

number_enum! {
    /// What `rt` knows of a packet's route (`enum nft_rt_keys`).
    RtKey {
        /// `NFT_RT_CLASSID`.
        ClassId = 0 "classid",
        /// `NFT_RT_NEXTHOP4`.
        NextHop4 = 1 "ip nexthop",
        /// `NFT_RT_NEXTHOP6`.
        NextHop6 = 2 "ip6 nexthop",
        /// `NFT_RT_TCPMSS`: 16 bits in host byte order.
        TcpMss = 3 "mtu",
        /// `NFT_RT_XFRM`.
        Xfrm = 4 "ipsec",
    }
}

/// `rt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rt {
    /// What.
    pub key: RtKey,
    /// Where to.
    pub dreg: Reg,
}

/// `enum nft_rt_attributes`.
const NFTA_RT_DREG: u16 = 1;
const NFTA_RT_KEY: u16 = 2;

impl Body for Rt {
    fn write(&self, w: &mut Writer) {
        w.put_u32_be(NFTA_RT_KEY, self.key.number());
        self.dreg.write(NFTA_RT_DREG, w);
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let key = RtKey::from_number(attrs.need(NFTA_RT_KEY, "NFTA_RT_KEY")?.u32_be()?);
        let dreg = Reg::need(attrs, NFTA_RT_DREG, "NFTA_RT_DREG")?;
        let only = attrs.only(&[NFTA_RT_DREG, NFTA_RT_KEY]);
        Ok(key.filter(|_| only).map(|key| Self { key, dreg }))
    }
}

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

number_enum! {
    /// What to ask the routing tables for (`enum nft_fib_result`).
    FibResult {
        /// `NFT_FIB_RESULT_OIF`.
        Oif = 1 "oif",
        /// `NFT_FIB_RESULT_OIFNAME`.
        OifName = 2 "oifname",
        /// `NFT_FIB_RESULT_ADDRTYPE`.
        AddrType = 3 "type",
    }
}

bitflags::bitflags! {
    /// What the question is made of (`enum nft_fib_flags`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct FibFlags: u32 {
        /// `NFTA_FIB_F_SADDR`.
        const SADDR = 1;
        /// `NFTA_FIB_F_DADDR`.
        const DADDR = 2;
        /// `NFTA_FIB_F_MARK`.
        const MARK = 4;
        /// `NFTA_FIB_F_IIF`.
        const IIF = 8;
        /// `NFTA_FIB_F_OIF`.
        const OIF = 16;
        /// `NFTA_FIB_F_PRESENT`.
        const PRESENT = 32;
        /// Bits of newer kernels are kept.
        const _ = !0;
    }
}

/// `fib`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fib {
    /// What to ask for.
    pub result: FibResult,
    /// What the question is made of.
    pub flags: FibFlags,
    /// Where to.
    pub dreg: Reg,
}

/// `enum nft_fib_attributes`.
const NFTA_FIB_DREG: u16 = 1;
const NFTA_FIB_RESULT: u16 = 2;
const NFTA_FIB_FLAGS: u16 = 3;

impl Body for Fib {
    fn write(&self, w: &mut Writer) {
        self.dreg.write(NFTA_FIB_DREG, w);
        w.put_u32_be(NFTA_FIB_RESULT, self.result.number());
        w.put_u32_be(NFTA_FIB_FLAGS, self.flags.bits());
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let result = attrs.need(NFTA_FIB_RESULT, "NFTA_FIB_RESULT")?.u32_be()?;
        let dreg = Reg::need(attrs, NFTA_FIB_DREG, "NFTA_FIB_DREG")?;
        let flags = FibFlags::from_bits_retain(attrs.u32_be(NFTA_FIB_FLAGS)?.unwrap_or(0));
        let only = attrs.only(&[NFTA_FIB_DREG, NFTA_FIB_RESULT, NFTA_FIB_FLAGS]);
        Ok(FibResult::from_number(result)
            .filter(|_| only)
            .map(|result| Self {
                result,
                flags,
                dreg,
            }))
    }
}

number_enum! {
    /// How numbers follow each other (`enum nft_ng_types`).
    NumGenKind {
        /// `NFT_NG_INCREMENTAL`.
        Incremental = 0 "inc",
        /// `NFT_NG_RANDOM`.
        Random = 1 "random",
    }
}

/// `numgen`: a number from `offset` to `offset + modulus - 1`, host byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumGen {
    /// How numbers follow each other.
    pub kind: NumGenKind,
    /// How many numbers, at least 1.
    pub modulus: u32,
    /// The lowest.
    pub offset: u32,
    /// Where to.
    pub dreg: Reg,
}

/// `enum nft_ng_attributes`.
const NFTA_NG_DREG: u16 = 1;
const NFTA_NG_MODULUS: u16 = 2;
const NFTA_NG_TYPE: u16 = 3;
const NFTA_NG_OFFSET: u16 = 4;

impl Body for NumGen {
    fn write(&self, w: &mut Writer) {
        self.dreg.write(NFTA_NG_DREG, w);
        w.put_u32_be(NFTA_NG_MODULUS, self.modulus);
        w.put_u32_be(NFTA_NG_TYPE, self.kind.number());
        w.put_u32_be(NFTA_NG_OFFSET, self.offset);
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let kind = NumGenKind::from_number(attrs.need(NFTA_NG_TYPE, "NFTA_NG_TYPE")?.u32_be()?);
        let known = [NFTA_NG_DREG, NFTA_NG_MODULUS, NFTA_NG_TYPE, NFTA_NG_OFFSET];
        let (Some(kind), true) = (kind, attrs.only(&known)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            kind,
            modulus: attrs.need(NFTA_NG_MODULUS, "NFTA_NG_MODULUS")?.u32_be()?,
            offset: attrs.u32_be(NFTA_NG_OFFSET)?.unwrap_or(0),
            dreg: Reg::need(attrs, NFTA_NG_DREG, "NFTA_NG_DREG")?,
        }))
    }
}

number_enum! {
    /// Hash function (`enum nft_hash_types`).
    HashKind {
        /// `NFT_HASH_JENKINS`.
        Jenkins = 0 "jhash",
        /// `NFT_HASH_SYM`: of the flow, the same in both directions; takes no register.
        Symmetric = 1 "symhash",
    }
}

/// `hash`: a number from `offset` to `offset + modulus - 1`, host byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    /// Hash function.
    pub kind: HashKind,
    /// What to hash: first register and bytes; `None` for [`HashKind::Symmetric`].
    pub source: Option<(Reg, u32)>,
    /// How many numbers, at least 1.
    pub modulus: u32,
    /// The seed; `None` lets the kernel choose.
    pub seed: Option<u32>,
    /// The lowest number.
    pub offset: u32,
    /// Where to.
    pub dreg: Reg,
}

/// `enum nft_hash_attributes`.
const NFTA_HASH_SREG: u16 = 1;
const NFTA_HASH_DREG: u16 = 2;
const NFTA_HASH_LEN: u16 = 3;
const NFTA_HASH_MODULUS: u16 = 4;
const NFTA_HASH_SEED: u16 = 5;
const NFTA_HASH_OFFSET: u16 = 6;
const NFTA_HASH_TYPE: u16 = 7;

impl Body for Hash {
    fn write(&self, w: &mut Writer) {
        if let Some((sreg, len)) = self.source {
            sreg.write(NFTA_HASH_SREG, w);
            w.put_u32_be(NFTA_HASH_LEN, len);
        }
        self.dreg.write(NFTA_HASH_DREG, w);
        w.put_u32_be(NFTA_HASH_MODULUS, self.modulus);
        if let Some(seed) = self.seed {
            w.put_u32_be(NFTA_HASH_SEED, seed);
        }
        if self.offset != 0 {
            w.put_u32_be(NFTA_HASH_OFFSET, self.offset);
        }
        w.put_u32_be(NFTA_HASH_TYPE, self.kind.number());
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let kind = HashKind::from_number(attrs.u32_be(NFTA_HASH_TYPE)?.unwrap_or(0));
        let known: Vec<u16> = (NFTA_HASH_SREG..=NFTA_HASH_TYPE).collect();
        let (Some(kind), true) = (kind, attrs.only(&known)) else {
            return Ok(None);
        };
        let source = match Reg::read(attrs, NFTA_HASH_SREG, "NFTA_HASH_SREG")? {
            None => None,
            Some(sreg) => Some((sreg, attrs.need(NFTA_HASH_LEN, "NFTA_HASH_LEN")?.u32_be()?)),
        };
        Ok(Some(Self {
            kind,
            source,
            modulus: attrs
                .need(NFTA_HASH_MODULUS, "NFTA_HASH_MODULUS")?
                .u32_be()?,
            seed: attrs.u32_be(NFTA_HASH_SEED)?,
            offset: attrs.u32_be(NFTA_HASH_OFFSET)?.unwrap_or(0),
            dreg: Reg::need(attrs, NFTA_HASH_DREG, "NFTA_HASH_DREG")?,
        }))
    }
}
