//! Expressions that load or set what the kernel knows of a packet, its flow and its route.

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
