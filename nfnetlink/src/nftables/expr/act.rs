//! Expressions that decide, translate, answer or count.

use super::number::number_enum;
use super::{Body, Reg, Verdict};
use crate::nftables::{Data, Value};
use crate::wire::{AttrMap, WireError, Writer};

/// `immediate` with a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Immediate {
    /// Where to.
    pub dreg: Reg,
    /// The constant.
    pub value: Value,
}

/// `enum nft_immediate_attributes`.
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;

fn immediate(attrs: &AttrMap<'_>) -> Result<Option<Data>, WireError> {
    let data = attrs.need(NFTA_IMMEDIATE_DATA, "NFTA_IMMEDIATE_DATA")?;
    let data = Data::read(data.payload)?;
    let only = attrs.only(&[NFTA_IMMEDIATE_DREG, NFTA_IMMEDIATE_DATA]);
    Ok(only.then_some(data))
}

impl Body for Immediate {
    fn write(&self, w: &mut Writer) {
        self.dreg.write(NFTA_IMMEDIATE_DREG, w);
        w.nest(NFTA_IMMEDIATE_DATA, |w| self.value.write(w));
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        match immediate(attrs)? {
            Some(Data::Value(value)) => Ok(Some(Self {
                dreg: Reg::need(attrs, NFTA_IMMEDIATE_DREG, "NFTA_IMMEDIATE_DREG")?,
                value,
            })),
            _ => Ok(None),
        }
    }
}

impl Body for Verdict {
    fn write(&self, w: &mut Writer) {
        w.put_u32_be(NFTA_IMMEDIATE_DREG, Reg::VERDICT);
        w.nest(NFTA_IMMEDIATE_DATA, |w| {
            Data::Verdict(self.clone()).write(w)
        });
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let dreg = attrs.u32_be(NFTA_IMMEDIATE_DREG)?;
        match immediate(attrs)? {
            Some(Data::Verdict(verdict)) if dreg == Some(Reg::VERDICT) => Ok(Some(verdict)),
            _ => Ok(None),
        }
    }
}

number_enum! {
    /// What is translated (`enum nft_nat_types`).
    NatKind {
        /// `NFT_NAT_SNAT`: the source.
        Snat = 0 "snat",
        /// `NFT_NAT_DNAT`: the destination.
        Dnat = 1 "dnat",
    }
}

bitflags::bitflags! {
    /// How a port is chosen (`NF_NAT_RANGE_*`, `linux/netfilter/nf_nat.h`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct NatFlags: u32 {
        /// `NF_NAT_RANGE_PROTO_RANDOM`.
        const RANDOM = 4;
        /// `NF_NAT_RANGE_PERSISTENT`: the same address for all flows of a client.
        const PERSISTENT = 8;
        /// `NF_NAT_RANGE_PROTO_RANDOM_FULLY`.
        const FULLY_RANDOM = 16;
        /// `NF_NAT_RANGE_PROTO_OFFSET`.
        const PROTO_OFFSET = 32;
        /// `NF_NAT_RANGE_NETMAP`: keep the host part of the address.
        const NETMAP = 64;
        /// Bits of newer kernels are kept.
        const _ = !0;
    }
}

/// `NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED`: the kernel derives these from the
/// registers and lists them; they say nothing new.
const NAT_DERIVED: u32 = 1 | 2;

/// Registers that hold the lowest and the highest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatRange {
    /// The lowest value.
    pub min: Reg,
    /// The highest value; the same register for a single value.
    pub max: Reg,
}

impl From<Reg> for NatRange {
    fn from(reg: Reg) -> Self {
        Self { min: reg, max: reg }
    }
}

impl NatRange {
    fn write(self, kind: u16, w: &mut Writer) {
        self.min.write(kind, w);
        if self.max != self.min {
            self.max.write(kind + 1, w);
        }
    }

    fn read(
        attrs: &AttrMap<'_>,
        kind: u16,
        attribute: &'static str,
    ) -> Result<Option<Self>, WireError> {
        let Some(min) = Reg::read(attrs, kind, attribute)? else {
            return Ok(None);
        };
        let max = Reg::read(attrs, kind + 1, attribute)?.unwrap_or(min);
        Ok(Some(Self { min, max }))
    }
}

/// `nat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nat {
    /// What is translated.
    pub kind: NatKind,
    /// Whether the addresses are IPv6.
    pub ipv6: bool,
    /// The new address.
    pub addr: Option<NatRange>,
    /// The new port.
    pub port: Option<NatRange>,
    /// How the port is chosen.
    pub flags: NatFlags,
}

impl Nat {
    /// Translation to the address in a register, keeping the port.
    pub fn to(kind: NatKind, ipv6: bool, addr: Reg) -> Self {
        Self {
            kind,
            ipv6,
            addr: Some(addr.into()),
            port: None,
            flags: NatFlags::empty(),
        }
    }

    /// The same with the port in a register.
    pub fn with_port(mut self, port: Reg) -> Self {
        self.port = Some(port.into());
        self
    }

    /// The same with flags.
    pub fn with_flags(mut self, flags: NatFlags) -> Self {
        self.flags = flags;
        self
    }
}

/// `enum nft_nat_attributes`.
const NFTA_NAT_TYPE: u16 = 1;
const NFTA_NAT_FAMILY: u16 = 2;
const NFTA_NAT_REG_ADDR_MIN: u16 = 3;
const NFTA_NAT_REG_ADDR_MAX: u16 = 4;
const NFTA_NAT_REG_PROTO_MIN: u16 = 5;
const NFTA_NAT_REG_PROTO_MAX: u16 = 6;
const NFTA_NAT_FLAGS: u16 = 7;

/// `NFPROTO_IPV4`, `NFPROTO_IPV6` (`linux/netfilter.h`).
const NFPROTO_IPV4: u32 = 2;
const NFPROTO_IPV6: u32 = 10;

impl Body for Nat {
    fn write(&self, w: &mut Writer) {
        w.put_u32_be(NFTA_NAT_TYPE, self.kind.number());
        let family = if self.ipv6 {
            NFPROTO_IPV6
        } else {
            NFPROTO_IPV4
        };
        w.put_u32_be(NFTA_NAT_FAMILY, family);
        if let Some(addr) = self.addr {
            addr.write(NFTA_NAT_REG_ADDR_MIN, w);
        }
        if let Some(port) = self.port {
            port.write(NFTA_NAT_REG_PROTO_MIN, w);
        }
        if !self.flags.is_empty() {
            w.put_u32_be(NFTA_NAT_FLAGS, self.flags.bits());
        }
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let kind = NatKind::from_number(attrs.need(NFTA_NAT_TYPE, "NFTA_NAT_TYPE")?.u32_be()?);
        let ipv6 = match attrs.need(NFTA_NAT_FAMILY, "NFTA_NAT_FAMILY")?.u32_be()? {
            NFPROTO_IPV4 => false,
            NFPROTO_IPV6 => true,
            _ => return Ok(None),
        };
        let known: Vec<u16> = (NFTA_NAT_TYPE..=NFTA_NAT_FLAGS).collect();
        let addr = NatRange::read(attrs, NFTA_NAT_REG_ADDR_MIN, "NFTA_NAT_REG_ADDR_MIN")?;
        let port = NatRange::read(attrs, NFTA_NAT_REG_PROTO_MIN, "NFTA_NAT_REG_PROTO_MIN")?;
        let orphan = (addr.is_none() && attrs.get(NFTA_NAT_REG_ADDR_MAX).is_some())
            || (port.is_none() && attrs.get(NFTA_NAT_REG_PROTO_MAX).is_some());
        let (Some(kind), true, false) = (kind, attrs.only(&known), orphan) else {
            return Ok(None);
        };
        let flags = attrs.u32_be(NFTA_NAT_FLAGS)?.unwrap_or(0) & !NAT_DERIVED;
        Ok(Some(Self {
            kind,
            ipv6,
            addr,
            port,
            flags: NatFlags::from_bits_retain(flags),
        }))
    }
}

/// `masq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Masquerade {
    /// How the port is chosen.
    pub flags: NatFlags,
    /// The port.
    pub port: Option<NatRange>,
}

/// `enum nft_masq_attributes`.
const NFTA_MASQ_FLAGS: u16 = 1;
const NFTA_MASQ_REG_PROTO_MIN: u16 = 2;
const NFTA_MASQ_REG_PROTO_MAX: u16 = 3;

impl Body for Masquerade {
    fn write(&self, w: &mut Writer) {
        if !self.flags.is_empty() {
            w.put_u32_be(NFTA_MASQ_FLAGS, self.flags.bits());
        }
        if let Some(port) = self.port {
            port.write(NFTA_MASQ_REG_PROTO_MIN, w);
        }
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let known = [
            NFTA_MASQ_FLAGS,
            NFTA_MASQ_REG_PROTO_MIN,
            NFTA_MASQ_REG_PROTO_MAX,
        ];
        let port = NatRange::read(attrs, NFTA_MASQ_REG_PROTO_MIN, "NFTA_MASQ_REG_PROTO_MIN")?;
        let orphan = port.is_none() && attrs.get(NFTA_MASQ_REG_PROTO_MAX).is_some();
        let flags = attrs.u32_be(NFTA_MASQ_FLAGS)?.unwrap_or(0) & !NAT_DERIVED;
        Ok((attrs.only(&known) && !orphan).then_some(Self {
            flags: NatFlags::from_bits_retain(flags),
            port,
        }))
    }
}

/// `reject` (`enum nft_reject_types`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// `NFT_REJECT_ICMP_UNREACH` with the code of the packet's own family.
    Icmp(u8),
    /// `NFT_REJECT_TCP_RST`.
    TcpReset,
    /// `NFT_REJECT_ICMPX_UNREACH` with a code of `enum nft_reject_inet_code`: 0 no route,
    /// 1 port, 2 host, 3 prohibited.
    Icmpx(u8),
}

/// `enum nft_reject_attributes`.
const NFTA_REJECT_TYPE: u16 = 1;
const NFTA_REJECT_ICMP_CODE: u16 = 2;

impl Body for Reject {
    fn write(&self, w: &mut Writer) {
        let (kind, code) = match self {
            Self::Icmp(code) => (0, Some(*code)),
            Self::TcpReset => (1, None),
            Self::Icmpx(code) => (2, Some(*code)),
        };
        w.put_u32_be(NFTA_REJECT_TYPE, kind);
        if let Some(code) = code {
            w.put_u8(NFTA_REJECT_ICMP_CODE, code);
        }
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let kind = attrs.need(NFTA_REJECT_TYPE, "NFTA_REJECT_TYPE")?.u32_be()?;
        let code = attrs
            .get(NFTA_REJECT_ICMP_CODE)
            .map(|attr| attr.u8())
            .transpose()?;
        let only = attrs.only(&[NFTA_REJECT_TYPE, NFTA_REJECT_ICMP_CODE]);
        Ok(match (kind, code) {
            (0, Some(code)) if only => Some(Self::Icmp(code)),
            (1, _) if only => Some(Self::TcpReset),
            (2, Some(code)) if only => Some(Self::Icmpx(code)),
            _ => None,
        })
    }
}

/// `counter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Counter {
    /// Packets so far.
    pub packets: u64,
    /// Bytes so far.
    pub bytes: u64,
}

/// `enum nft_counter_attributes`.
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;
const NFTA_COUNTER_PAD: u16 = 3;

impl Body for Counter {
    fn write(&self, w: &mut Writer) {
        w.put_u64_be(NFTA_COUNTER_BYTES, self.bytes);
        w.put_u64_be(NFTA_COUNTER_PACKETS, self.packets);
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let only = attrs.only(&[NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS, NFTA_COUNTER_PAD]);
        Ok(only.then_some(Self {
            packets: attrs.u64_be(NFTA_COUNTER_PACKETS)?.unwrap_or(0),
            bytes: attrs.u64_be(NFTA_COUNTER_BYTES)?.unwrap_or(0),
        }))
    }
}

number_enum! {
    /// What a limit counts (`enum nft_limit_type`).
    LimitKind {
        /// `NFT_LIMIT_PKTS`.
        Packets = 0 "packets",
        /// `NFT_LIMIT_PKT_BYTES`.
        Bytes = 1 "bytes",
    }
}

/// `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit {
    /// How many in `unit_secs`.
    pub rate: u64,
    /// Seconds: 1, 60, 3600, …
    pub unit_secs: u64,
    /// How many at once; with packets the kernel turns 0 into 5.
    pub burst: u32,
    /// What is counted.
    pub kind: LimitKind,
    /// Goes on only above the rate (`NFT_LIMIT_F_INV`).
    pub over: bool,
}

/// `enum nft_limit_attributes`.
const NFTA_LIMIT_RATE: u16 = 1;
const NFTA_LIMIT_UNIT: u16 = 2;
const NFTA_LIMIT_BURST: u16 = 3;
const NFTA_LIMIT_TYPE: u16 = 4;
const NFTA_LIMIT_FLAGS: u16 = 5;
const NFTA_LIMIT_PAD: u16 = 6;

impl Body for Limit {
    fn write(&self, w: &mut Writer) {
        w.put_u64_be(NFTA_LIMIT_RATE, self.rate);
        w.put_u64_be(NFTA_LIMIT_UNIT, self.unit_secs);
        w.put_u32_be(NFTA_LIMIT_BURST, self.burst);
        w.put_u32_be(NFTA_LIMIT_TYPE, self.kind.number());
        w.put_u32_be(NFTA_LIMIT_FLAGS, u32::from(self.over));
    }

    fn read(attrs: &AttrMap<'_>, _: usize) -> Result<Option<Self>, WireError> {
        let kind = LimitKind::from_number(attrs.u32_be(NFTA_LIMIT_TYPE)?.unwrap_or(0));
        let known: Vec<u16> = (NFTA_LIMIT_RATE..=NFTA_LIMIT_PAD).collect();
        let flags = attrs.u32_be(NFTA_LIMIT_FLAGS)?.unwrap_or(0);
        let (Some(kind), 0 | 1, true) = (kind, flags, attrs.only(&known)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            rate: attrs.need(NFTA_LIMIT_RATE, "NFTA_LIMIT_RATE")?.u64_be()?,
            unit_secs: attrs.need(NFTA_LIMIT_UNIT, "NFTA_LIMIT_UNIT")?.u64_be()?,
            burst: attrs.u32_be(NFTA_LIMIT_BURST)?.unwrap_or(0),
            kind,
            over: flags == 1,
        }))
    }
}
