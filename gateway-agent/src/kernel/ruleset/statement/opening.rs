//! What is asked of packets that open a connection: whether their source may hold one more,
//! and how large segments may be.

use nfnetlink::nftables::expr::{
    Bitwise, CmpOp, ConnLimit, Counter, CtKey, DynSet, DynSetOp, Expr, ExtHdrWrite, LookupResult,
    Payload, Reg, Reject, ct_state,
};
use nfnetlink::nftables::{Rule, Value};

use super::{Ip, SourceKey, Statement, TCP};

/// Flags of TCP (RFC 9293 §3.1).
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// `NFT_REJECT_ICMPX_ADMIN_PROHIBITED` (`linux/netfilter/nf_tables.h`).
const PROHIBITED: u8 = 3;

impl Statement {
    /// `tcp flags & (syn | rst) == syn`: the first packet of each direction.
    pub fn tcp_syn(self) -> Self {
        self.protocol(TCP)
            .load(Payload::TCP_FLAGS, Reg::R1)
            .with(Bitwise::mask(Reg::R1, Value::u8(SYN | RST)))
            .cmp(CmpOp::Eq, Value::u8(SYN))
    }

    /// `tcp option maxseg size set BYTES`: lowers it, where it is larger.
    pub fn lower_mss(self, bytes: u16) -> Self {
        self.immediate(Value::port(bytes))
            .with(ExtHdrWrite::max_segment_size(Reg::R1))
    }

    /// `ct state new`, of a flow whose mark has any of the bits.
    pub fn limited(self, mask: u32) -> Self {
        self.ct_state(ct_state::NEW)
            .ct(CtKey::Mark, Reg::R1)
            .with(Bitwise::mask(Reg::R1, Value::u32(mask)))
            .cmp(CmpOp::Ne, Value::u32(0))
    }

    /// `ct mark & MASK vmap @MAP`.
    pub fn ct_mark_vmap(self, mask: u32, map: &str) -> Self {
        self.ct(CtKey::Mark, Reg::R1)
            .with(Bitwise::mask(Reg::R1, Value::u32(mask)))
            .lookup(map, LookupResult::Verdict)
    }

    /// Leaves the source as it is looked up, then the EIP that the map has for it, in the
    /// first registers. Goes on only where it has one.
    pub fn with_eip(self, ip: Ip, key: &SourceKey, map: &str) -> Self {
        self.source_key(ip, key)
            .lookup(map, LookupResult::Map(Reg::slot(ip.slots())))
    }

    /// After [`Self::with_eip`]: `add @SET { ip saddr . EIP ct count LIMIT }`. Goes on where
    /// the source holds no more with this one; not where the set is full.
    pub fn hold(self, ip: Ip, set: &str, limit: u16) -> Self {
        let count = ConnLimit {
            count: limit.into(),
            over: false,
        };
        self.load(ip.saddr(), Reg::R1)
            .fill(DynSetOp::Add, set, Expr::ConnLimit(count))
    }

    /// After [`Self::with_eip`]: `update @SET { ip saddr & MASK . EIP counter }`. Goes on but
    /// where the set is full.
    pub fn count_by_prefix(self, set: &str) -> Self {
        self.fill(DynSetOp::Update, set, Expr::Counter(Counter::default()))
    }

    fn fill(self, op: DynSetOp, set: &str, expr: Expr) -> Self {
        self.with(DynSet {
            op,
            set: set.to_owned(),
            key: Reg::R1,
            data: None,
            timeout_ms: None,
            exprs: vec![expr],
            inverted: false,
        })
    }

    /// `reject with icmpx type admin-prohibited` (RFC 1812 §5.2.7.1, RFC 4443 §3.1).
    pub fn prohibit(self) -> Rule {
        self.with(Reject::Icmpx(PROHIBITED)).done()
    }
}
