//! Rules, written as a chain of calls that reads like `nft`.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use nfnetlink::nftables::expr::{
    Bitwise, Cmp, CmpOp, Ct, CtKey, Direction, Expr, Hash, HashKind, Immediate, Lookup,
    LookupResult, Masquerade, Meta, MetaKey, Nat, NatFlags, NatKind, NumGen, NumGenKind, Payload,
    PayloadBase, PayloadWrite, Reg,
};
use nfnetlink::nftables::{Field, Rule, Value, Verdict};
use sluice_core::entry::SLOTS;
use sluice_core::entry::cost::Form;

mod opening;

/// `IPPROTO_ICMP`, `IPPROTO_TCP`, `IPPROTO_UDP`, `IPPROTO_ICMPV6`, `IPPROTO_SCTP`
/// (`linux/in.h`, `in6.h`).
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;
pub const SCTP: u8 = 132;

/// `IPS_DST_NAT` (`linux/netfilter/nf_conntrack_common.h`).
const IPS_DST_NAT: u32 = 1 << 5;

/// `NFT_PAYLOAD_CSUM_INET` (`linux/netfilter/nf_tables.h`), and where the checksum of an IPv4
/// header is (RFC 791 §3.1).
const CSUM_INET: u32 = 1;
const IP_CHECKSUM: u32 = 10;

/// Bytes 6 and 7 of an ARP packet: the operation, 1 for a request (RFC 826).
const ARP_OPERATION: (PayloadBase, u32, u32) = (PayloadBase::Network, 6, 2);

/// An address family in rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    V4,
    V6,
}

impl Ip {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The name of this family's set or map.
    pub fn name(self, stem: &str) -> String {
        match self {
            Self::V4 => format!("{stem}4"),
            Self::V6 => format!("{stem}6"),
        }
    }

    pub fn field(self) -> Field {
        match self {
            Self::V4 => Field::IPV4_ADDR,
            Self::V6 => Field::IPV6_ADDR,
        }
    }

    /// Register slots that an address takes.
    pub fn slots(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 4,
        }
    }

    fn bytes(self) -> u32 {
        u32::from(self.slots()) * 4
    }

    fn nfproto(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    fn saddr(self) -> (PayloadBase, u32, u32) {
        match self {
            Self::V4 => Payload::IP_SADDR,
            Self::V6 => Payload::IP6_SADDR,
        }
    }

    fn daddr(self) -> (PayloadBase, u32, u32) {
        match self {
            Self::V4 => Payload::IP_DADDR,
            Self::V6 => Payload::IP6_DADDR,
        }
    }
}

/// Which end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Source,
    Destination,
}

/// Which way a packet goes through an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    In,
    Out,
}

impl Way {
    fn key(self) -> MetaKey {
        match self {
            Self::In => MetaKey::IifName,
            Self::Out => MetaKey::OifName,
        }
    }
}

/// A rule in the making.
#[derive(Clone, Debug, Default)]
pub struct Statement(Vec<Expr>);

/// An empty rule.
pub fn rule() -> Statement {
    Statement::default()
}

impl Statement {
    fn with(mut self, expr: impl Into<Expr>) -> Self {
        self.0.push(expr.into());
        self
    }

    fn meta(self, key: MetaKey, dreg: Reg) -> Self {
        self.with(Meta::Load { key, dreg })
    }

    fn ct(self, key: CtKey, dreg: Reg) -> Self {
        self.with(Ct::Load {
            key,
            direction: None,
            dreg,
        })
    }

    fn load(self, what: (PayloadBase, u32, u32), dreg: Reg) -> Self {
        self.with(Payload::load(what, dreg))
    }

    fn cmp(self, op: CmpOp, value: Value) -> Self {
        self.with(Cmp {
            sreg: Reg::R1,
            op,
            value,
        })
    }

    fn lookup(self, set: &str, result: LookupResult) -> Self {
        self.with(Lookup {
            set: set.to_owned(),
            sreg: Reg::R1,
            result,
        })
    }

    /// `iifname NAME` or `oifname NAME`.
    pub fn interface(self, way: Way, name: &str) -> Self {
        self.meta(way.key(), Reg::R1)
            .cmp(CmpOp::Eq, Value::ifname(name))
    }

    /// `iifname != NAME` or `oifname != NAME`.
    pub fn not_interface(self, way: Way, name: &str) -> Self {
        self.meta(way.key(), Reg::R1)
            .cmp(CmpOp::Ne, Value::ifname(name))
    }

    /// `iifname @SET` or `oifname @SET`.
    pub fn interface_in(self, way: Way, set: &str) -> Self {
        self.meta(way.key(), Reg::R1)
            .lookup(set, LookupResult::Member)
    }

    /// `iifname != @SET` or `oifname != @SET`.
    pub fn interface_not_in(self, way: Way, set: &str) -> Self {
        self.meta(way.key(), Reg::R1)
            .lookup(set, LookupResult::NotMember)
    }

    /// `iifname . oifname vmap @MAP`.
    pub fn path_vmap(self, map: &str) -> Self {
        self.meta(MetaKey::IifName, Reg::slot(0))
            .meta(MetaKey::OifName, Reg::slot(4))
            .lookup(map, LookupResult::Verdict)
    }

    /// `ct state BITS`: any of the bits.
    pub fn ct_state(self, bits: u32) -> Self {
        self.ct(CtKey::State, Reg::R1)
            .with(Bitwise::mask(Reg::R1, Value::u32(bits)))
            .cmp(CmpOp::Ne, Value::u32(0))
    }

    /// `ct status dnat`.
    pub fn ct_status_dnat(self) -> Self {
        self.ct(CtKey::Status, Reg::R1)
            .with(Bitwise::mask(Reg::R1, Value::u32(IPS_DST_NAT)))
            .cmp(CmpOp::Ne, Value::u32(0))
    }

    /// `ct direction original` or `reply`.
    pub fn ct_direction(self, reply: bool) -> Self {
        self.ct(CtKey::Direction, Reg::R1)
            .cmp(CmpOp::Eq, Value::u8(u8::from(reply)))
    }

    /// `ct mark & MASK == MARK`.
    pub fn ct_mark(self, mask: u32, mark: u32) -> Self {
        self.ct(CtKey::Mark, Reg::R1)
            .with(Bitwise::mask(Reg::R1, Value::u32(mask)))
            .cmp(CmpOp::Eq, Value::u32(mark))
    }

    /// `ct mark set MARK`.
    pub fn set_ct_mark(self, mark: u32) -> Self {
        self.immediate(Value::u32(mark)).store_ct_mark()
    }

    fn store_ct_mark(self) -> Self {
        self.with(Ct::Set {
            key: CtKey::Mark,
            direction: None,
            sreg: Reg::R1,
        })
    }

    fn immediate(self, value: Value) -> Self {
        self.with(Immediate {
            dreg: Reg::R1,
            value,
        })
    }

    /// `meta mark set MARK`.
    pub fn set_mark(self, mark: u32) -> Self {
        self.immediate(Value::u32(mark)).with(Meta::Set {
            key: MetaKey::Mark,
            sreg: Reg::R1,
        })
    }

    /// `meta mark MARK`.
    pub fn mark(self, mark: u32) -> Self {
        self.meta(MetaKey::Mark, Reg::R1)
            .cmp(CmpOp::Eq, Value::u32(mark))
    }

    /// `meta mark set ct mark & MASK`.
    pub fn set_mark_from_ct(self, mask: u32) -> Self {
        self.ct(CtKey::Mark, Reg::R1)
            .with(Bitwise::mask(Reg::R1, Value::u32(mask)))
            .with(Meta::Set {
                key: MetaKey::Mark,
                sreg: Reg::R1,
            })
    }

    /// `meta nfproto ipv4` or `ipv6`.
    pub fn family(self, ip: Ip) -> Self {
        self.meta(MetaKey::NfProto, Reg::R1)
            .cmp(CmpOp::Eq, Value::u8(ip.nfproto()))
    }

    /// `meta l4proto PROTOCOL`.
    pub fn protocol(self, protocol: u8) -> Self {
        self.meta(MetaKey::L4Proto, Reg::R1)
            .cmp(CmpOp::Eq, Value::u8(protocol))
    }

    /// `icmp type TYPE` or `icmpv6 type TYPE`.
    pub fn icmp_type(self, ip: Ip, kind: u8) -> Self {
        self.icmp(ip).cmp(CmpOp::Eq, Value::u8(kind))
    }

    /// `icmp type @SET` or `icmpv6 type @SET`.
    pub fn icmp_type_in(self, ip: Ip, set: &str) -> Self {
        self.icmp(ip).lookup(set, LookupResult::Member)
    }

    fn icmp(self, ip: Ip) -> Self {
        let protocol = match ip {
            Ip::V4 => ICMP,
            Ip::V6 => ICMPV6,
        };
        self.family(ip)
            .protocol(protocol)
            .load(Payload::ICMP_TYPE, Reg::R1)
    }

    /// `ip saddr @SET` and its like.
    pub fn address_in(self, ip: Ip, end: End, set: &str) -> Self {
        self.address(ip, end).lookup(set, LookupResult::Member)
    }

    /// `ip daddr PREFIX`.
    pub fn destination_within(self, prefix: IpNet) -> Self {
        let ip = if prefix.addr().is_ipv4() {
            Ip::V4
        } else {
            Ip::V6
        };
        self.address(ip, End::Destination)
            .with(Bitwise::mask(Reg::R1, prefix.netmask()))
            .cmp(CmpOp::Eq, prefix.network().into())
    }

    /// `ip saddr set ADDRESS`, for packets whose checksum does not cover it: ICMP's.
    pub fn set_icmp_source(self, address: Ipv4Addr) -> Self {
        let (base, offset, len) = Payload::IP_SADDR;
        self.immediate(IpAddr::from(address).into())
            .with(PayloadWrite {
                base,
                offset,
                len,
                sreg: Reg::R1,
                checksum: CSUM_INET,
                checksum_offset: IP_CHECKSUM,
                checksum_flags: 0,
            })
    }

    fn address(self, ip: Ip, end: End) -> Self {
        let what = match end {
            End::Source => ip.saddr(),
            End::Destination => ip.daddr(),
        };
        self.family(ip).load(what, Reg::R1)
    }

    /// The target of a neighbour solicitation or advertisement is in one set, but not
    /// together with the interface in the other.
    pub fn nd_target_elsewhere(self, kind: u8, way: Way, held: &str, answers: &str) -> Self {
        self.icmp_type(Ip::V6, kind)
            .load(Payload::ND_TARGET, Reg::R1)
            .lookup(held, LookupResult::Member)
            .load(Payload::ND_TARGET, Reg::R1)
            .meta(way.key(), Reg::slot(4))
            .lookup(answers, LookupResult::NotMember)
    }

    /// `arp operation request`.
    pub fn arp_request(self) -> Self {
        self.load(ARP_OPERATION, Reg::R1)
            .cmp(CmpOp::Eq, Value::port(1))
    }

    /// The target (in) or sender (out) of an ARP packet is in one set, but not together with
    /// the interface in the other.
    pub fn arp_elsewhere(self, way: Way, held: &str, answers: &str) -> Self {
        let what = match way {
            Way::In => Payload::ARP_DADDR_IP,
            Way::Out => Payload::ARP_SADDR_IP,
        };
        self.load(what, Reg::R1)
            .lookup(held, LookupResult::Member)
            .load(what, Reg::R1)
            .meta(way.key(), Reg::slot(1))
            .lookup(answers, LookupResult::NotMember)
    }

    /// `ct mark set ip saddr [& MASK [. jhash ip saddr mod SLOTS]] map @MAP`.
    pub fn set_ct_mark_by_source(self, ip: Ip, key: &SourceKey, map: &str) -> Self {
        self.source_key(ip, key)
            .lookup(map, LookupResult::Map(Reg::R1))
            .store_ct_mark()
    }

    /// `snat ip to ip saddr [& MASK [. jhash ip saddr mod SLOTS]] map @MAP`.
    pub fn snat_by_source(self, ip: Ip, key: &SourceKey, map: &str) -> Self {
        self.source_key(ip, key)
            .lookup(map, LookupResult::Map(Reg::R1))
            .nat(NatKind::Snat, ip)
    }

    fn source_key(self, ip: Ip, key: &SourceKey) -> Self {
        let mut rule = self.address(ip, End::Source);
        if let Some(slots) = key.slots {
            rule = rule.with(Hash {
                kind: HashKind::Jenkins,
                source: Some((Reg::R1, ip.bytes())),
                modulus: slots,
                seed: Some(SEED),
                offset: 0,
                dreg: Reg::slot(ip.slots()),
            });
        }
        match &key.mask {
            Some(mask) => rule.with(Bitwise::mask(Reg::R1, mask.clone())),
            None => rule,
        }
    }

    /// `meta priority set ip saddr map @MAP`.
    pub fn set_class_by_source(self, ip: Ip, map: &str) -> Self {
        self.address(ip, End::Source).store_class(map)
    }

    /// `ct direction original meta priority set ct original ip daddr map @MAP`, and the same
    /// of the reply: where the packet was sent to, before it was translated.
    pub fn set_class_by_sent_to(self, ip: Ip, reply: bool, map: &str) -> Self {
        let key = match ip {
            Ip::V4 => CtKey::DstIp,
            Ip::V6 => CtKey::DstIp6,
        };
        let direction = if reply {
            Direction::Reply
        } else {
            Direction::Original
        };
        self.ct_direction(reply)
            .with(Ct::Load {
                key,
                direction: Some(direction),
                dreg: Reg::R1,
            })
            .store_class(map)
    }

    fn store_class(self, map: &str) -> Self {
        self.lookup(map, LookupResult::Map(Reg::R1))
            .with(Meta::Set {
                key: MetaKey::Priority,
                sreg: Reg::R1,
            })
    }

    /// `dnat ip to ip daddr map @MAP`.
    pub fn dnat_by_address(self, ip: Ip, map: &str) -> Self {
        self.address(ip, End::Destination)
            .lookup(map, LookupResult::Map(Reg::R1))
            .nat(NatKind::Dnat, ip)
    }

    /// `dnat ip to ip daddr . meta l4proto [. th dport] [. numgen random mod SLOTS] map @MAP`;
    /// port by port, the map holds the port too. The number is random: numbers that follow
    /// each other would be one sequence for all DNATs, and two that are asked in turns would
    /// each see every other slot only.
    pub fn dnat_by_port(self, ip: Ip, form: Form, shared: bool, map: &str) -> Self {
        let mut slot = ip.slots();
        let mut rule = self
            .address(ip, End::Destination)
            .meta(MetaKey::L4Proto, Reg::slot(slot));
        if form != Form::All {
            slot += 1;
            rule = rule.load(Payload::TH_DPORT, Reg::slot(slot));
        }
        if shared {
            slot += 1;
            rule = rule.with(NumGen {
                kind: NumGenKind::Random,
                modulus: SLOTS,
                offset: 0,
                dreg: Reg::slot(slot),
            });
        }
        let rule = rule.lookup(map, LookupResult::Map(Reg::R1));
        if form == Form::Exact {
            let port = Reg::slot(ip.slots());
            let nat = Nat::to(NatKind::Dnat, ip == Ip::V6, Reg::R1).with_port(port);
            rule.with(nat)
        } else {
            rule.nat(NatKind::Dnat, ip)
        }
    }

    fn nat(self, kind: NatKind, ip: Ip) -> Self {
        self.with(Nat::to(kind, ip == Ip::V6, Reg::R1))
    }

    /// `meta nfproto FAMILY snat ip to ADDRESS`.
    pub fn snat_to(self, ip: Ip, address: std::net::IpAddr) -> Self {
        self.family(ip)
            .immediate(address.into())
            .nat(NatKind::Snat, ip)
    }

    /// `meta nfproto FAMILY masquerade`.
    pub fn masquerade(self, ip: Ip) -> Self {
        self.family(ip).with(Masquerade {
            flags: NatFlags::empty(),
            port: None,
        })
    }

    pub fn accept(self) -> Rule {
        self.end(Verdict::Accept)
    }

    pub fn drop(self) -> Rule {
        self.end(Verdict::Drop)
    }

    pub fn returns(self) -> Rule {
        self.end(Verdict::Return)
    }

    pub fn jump(self, chain: &str) -> Rule {
        self.end(Verdict::Jump(chain.to_owned()))
    }

    fn end(self, verdict: Verdict) -> Rule {
        self.with(Expr::Verdict(verdict)).done()
    }

    /// The rule without a verdict.
    pub fn done(self) -> Rule {
        self.0.into()
    }
}

/// Seed of the hash that spreads sources over a pool of EIPs: fixed, so that a source keeps
/// its EIP when another instance takes over.
const SEED: u32 = 0x736c_6369;

/// How a source address is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceKey {
    /// Mask of the prefix; `None` for a whole address.
    pub mask: Option<Value>,
    /// How many slots a prefix has, where several EIPs share its sources.
    pub slots: Option<u32>,
}

impl SourceKey {
    /// The whole address.
    pub const WHOLE: Self = Self {
        mask: None,
        slots: None,
    };
}
