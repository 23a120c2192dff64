//! Flows: entries of the conntrack table.

use super::Tuple;
use crate::wire::{AttrMap, Attrs, WireError};

/// `enum ctattr_type` (`linux/netfilter/nfnetlink_conntrack.h`).
pub(super) const CTA_TUPLE_ORIG: u16 = 1;
pub(super) const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
pub(super) const CTA_MARK: u16 = 8;
const CTA_COUNTERS_ORIG: u16 = 9;
const CTA_COUNTERS_REPLY: u16 = 10;
pub(super) const CTA_ID: u16 = 12;
pub(super) const CTA_ZONE: u16 = 18;
pub(super) const CTA_MARK_MASK: u16 = 21;
pub(super) const CTA_FILTER: u16 = 25;
/// `enum ctattr_protoinfo`, `enum ctattr_protoinfo_tcp`, `enum ctattr_counters`.
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
const CTA_COUNTERS_PACKETS: u16 = 1;
const CTA_COUNTERS_BYTES: u16 = 2;

bitflags::bitflags! {
    /// `enum ip_conntrack_status` (`linux/netfilter/nf_conntrack_common.h`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct FlowStatus: u32 {
        /// `IPS_EXPECTED`: related to another flow.
        const EXPECTED = 1;
        /// `IPS_SEEN_REPLY`: packets went both ways.
        const SEEN_REPLY = 1 << 1;
        /// `IPS_ASSURED`: not to be dropped early.
        const ASSURED = 1 << 2;
        /// `IPS_CONFIRMED`: the first packet left this host.
        const CONFIRMED = 1 << 3;
        /// `IPS_SRC_NAT`.
        const SRC_NAT = 1 << 4;
        /// `IPS_DST_NAT`.
        const DST_NAT = 1 << 5;
        /// `IPS_SRC_NAT_DONE`.
        const SRC_NAT_DONE = 1 << 7;
        /// `IPS_DST_NAT_DONE`.
        const DST_NAT_DONE = 1 << 8;
        /// `IPS_DYING`.
        const DYING = 1 << 9;
        /// The other bits are kept.
        const _ = !0;
    }
}

/// Packets and bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// An entry of the conntrack table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// As the first packet came in.
    pub orig: Tuple,
    /// As answers come in.
    pub reply: Tuple,
    /// Status bits.
    pub status: FlowStatus,
    /// `ct mark`.
    pub mark: u32,
    /// Seconds until the entry goes away; `None` in events of entries that went.
    pub timeout_secs: Option<u32>,
    /// Zone of both directions.
    pub zone: u16,
    /// The kernel's number of the entry, not the same after it went and came again.
    pub id: u32,
    /// TCP state (`enum tcp_conntrack`, `linux/netfilter/nf_conntrack_tcp.h`).
    pub tcp_state: Option<u8>,
    /// Counters of the original direction, if `nf_conntrack_acct` is on.
    pub orig_counters: Option<Counters>,
    /// Counters of the reply direction, if `nf_conntrack_acct` is on.
    pub reply_counters: Option<Counters>,
}

impl Flow {
    /// Reads the reply tuple alone of the attributes of `IPCTNL_MSG_CT_NEW`.
    pub(crate) fn read_reply(attrs: &[u8]) -> Result<Tuple, WireError> {
        for attr in Attrs::new(attrs) {
            let attr = attr?;
            if attr.kind == CTA_TUPLE_REPLY {
                return Tuple::read(attr.payload);
            }
        }
        Err(WireError::Missing("CTA_TUPLE_REPLY"))
    }

    /// Reads the attributes of `IPCTNL_MSG_CT_NEW`.
    pub(crate) fn read(attrs: &[u8]) -> Result<Self, WireError> {
        let attrs = AttrMap::parse(attrs)?;
        let tuple = |kind, name| Tuple::read(attrs.need(kind, name)?.payload);
        let counters = |kind| {
            attrs
                .get(kind)
                .map(|attr| Counters::read(attr.payload))
                .transpose()
        };
        let tcp_state = attrs.get(CTA_PROTOINFO).map(|info| {
            let Some(tcp) = AttrMap::parse(info.payload)?.get(CTA_PROTOINFO_TCP) else {
                return Ok(None);
            };
            AttrMap::parse(tcp.payload)?
                .get(CTA_PROTOINFO_TCP_STATE)
                .map(|state| state.u8())
                .transpose()
        });
        Ok(Self {
            orig: tuple(CTA_TUPLE_ORIG, "CTA_TUPLE_ORIG")?,
            reply: tuple(CTA_TUPLE_REPLY, "CTA_TUPLE_REPLY")?,
            status: FlowStatus::from_bits_retain(attrs.u32_be(CTA_STATUS)?.unwrap_or(0)),
            mark: attrs.u32_be(CTA_MARK)?.unwrap_or(0),
            timeout_secs: attrs.u32_be(CTA_TIMEOUT)?,
            zone: attrs
                .get(CTA_ZONE)
                .map(|attr| attr.u16_be())
                .transpose()?
                .unwrap_or(0),
            id: attrs.u32_be(CTA_ID)?.unwrap_or(0),
            tcp_state: tcp_state.transpose()?.flatten(),
            orig_counters: counters(CTA_COUNTERS_ORIG)?,
            reply_counters: counters(CTA_COUNTERS_REPLY)?,
        })
    }
}

impl Counters {
    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let attrs = AttrMap::parse(bytes)?;
        Ok(Self {
            packets: attrs.u64_be(CTA_COUNTERS_PACKETS)?.unwrap_or(0),
            bytes: attrs.u64_be(CTA_COUNTERS_BYTES)?.unwrap_or(0),
        })
    }
}
