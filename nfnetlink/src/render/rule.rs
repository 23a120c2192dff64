//! Rules as text: registers are followed, so that each use of one prints what it holds.

mod operand;

use std::collections::BTreeMap;

use operand::{
    ct_meaning, exthdr_text, fib_meaning, fib_text, meta_meaning, meta_slots, meta_text,
    numgen_text,
};

use super::set::duration;
use super::value::{self, Meaning, verdict_text};
use crate::nftables::expr::{
    Bitwise, Cmp, CmpOp, ConnLimit, Counter, Ct, DynSet, DynSetOp, Expr, ExtHdrOp, ExtHdrWrite,
    Hash, Limit, LimitKind, Lookup, LookupResult, Meta, Nat, NatFlags, NatRange, Payload,
    PayloadBase, Reg, Reject, Rt,
};
use crate::nftables::userdata::comment_of;
use crate::nftables::{Rule, TableContent, Value};

/// What a register holds.
#[derive(Debug, Clone)]
enum Term {
    /// The result of an expression.
    Loaded {
        text: String,
        meaning: Meaning,
        slots: u8,
        mask: Option<Value>,
    },
    /// A constant, printed by what it is used for.
    Constant(Value),
}

pub(super) fn text(rule: &Rule, content: &TableContent) -> String {
    let mut printer = Printer {
        content,
        registers: BTreeMap::new(),
        icmpv6: false,
    };
    let mut parts: Vec<String> = rule
        .exprs
        .iter()
        .filter_map(|expr| printer.expr(expr))
        .collect();
    if let Some(comment) = comment_of(&rule.userdata) {
        parts.push(format!("comment \"{comment}\""));
    }
    parts.join(" ")
}

/// An expression that needs no register.
pub(super) fn statement(expr: &Expr) -> String {
    match expr {
        Expr::Counter(Counter {
            packets: 0,
            bytes: 0,
        }) => "counter".to_owned(),
        Expr::Counter(Counter { packets, bytes }) => {
            format!("counter packets {packets} bytes {bytes}")
        }
        Expr::Limit(limit) => limit_text(limit),
        Expr::ConnLimit(ConnLimit { count, over }) => {
            format!("ct count {}{count}", if *over { "over " } else { "" })
        }
        Expr::Verdict(verdict) => verdict_text(verdict),
        Expr::NoTrack => "notrack".to_owned(),
        Expr::Reject(Reject::TcpReset) => "reject with tcp reset".to_owned(),
        Expr::Reject(Reject::Icmpx(code)) => format!("reject with icmpx {code}"),
        Expr::Reject(Reject::Icmp(code)) => format!("reject with icmp {code}"),
        other => format!("<{}>", other.name()),
    }
}

struct Printer<'a> {
    content: &'a TableContent,
    registers: BTreeMap<u8, Term>,
    icmpv6: bool,
}

impl Printer<'_> {
    /// The text that an expression adds to the rule.
    fn expr(&mut self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Meta(Meta::Load { key, dreg }) => {
                self.load(*dreg, meta_text(*key), meta_meaning(*key), meta_slots(*key))
            }
            Expr::Ct(Ct::Load {
                key,
                direction,
                dreg,
            }) => {
                let direction = direction.map_or(String::new(), |d| format!("{} ", d.word()));
                let text = format!("ct {direction}{}", key.word());
                self.load(*dreg, text, ct_meaning(*key), 1)
            }
            Expr::Rt(Rt { key, dreg }) => {
                self.load(*dreg, format!("rt {}", key.word()), Meaning::Number, 1)
            }
            Expr::Payload(payload) => self.payload(payload),
            Expr::ExtHdr(header) => self.load(header.dreg, exthdr_text(header), Meaning::Number, 1),
            Expr::Fib(fib) => self.load(fib.dreg, fib_text(fib), fib_meaning(fib), 1),
            Expr::NumGen(numgen) => {
                self.load(numgen.dreg, numgen_text(numgen), Meaning::HostNumber, 1)
            }
            Expr::Hash(hash) => {
                let text = self.hash(hash);
                self.load(hash.dreg, text, Meaning::HostNumber, 1)
            }
            Expr::Byteorder(swap) => {
                let term = self.registers.get(&swap.sreg.index()).cloned()?;
                self.registers.insert(swap.dreg.index(), term);
                None
            }
            Expr::Bitwise(bitwise) => self.bitwise(bitwise),
            Expr::Immediate(immediate) => {
                let term = Term::Constant(immediate.value.clone());
                self.registers.insert(immediate.dreg.index(), term);
                None
            }
            Expr::Cmp(cmp) => Some(self.cmp(cmp)),
            Expr::Range(range) => {
                let (text, meaning) = self.read(range.sreg, Meaning::Number);
                let not = if range.outside { "!= " } else { "" };
                let (from, to) = (range.from.as_bytes(), range.to.as_bytes());
                let (from, to) = (value::text(from, meaning), value::text(to, meaning));
                Some(format!("{text} {not}{from}-{to}"))
            }
            Expr::Lookup(lookup) => self.lookup(lookup),
            Expr::Meta(Meta::Set { key, sreg }) => {
                let (text, _) = self.read(*sreg, meta_meaning(*key));
                Some(format!("meta {} set {text}", key.word()))
            }
            Expr::Ct(Ct::Set { key, sreg, .. }) => {
                let (text, _) = self.read(*sreg, ct_meaning(*key));
                Some(format!("ct {} set {text}", key.word()))
            }
            Expr::Nat(nat) => Some(self.nat(nat)),
            Expr::Masquerade(masquerade) => {
                let mut text = "masquerade".to_owned();
                if let Some(port) = masquerade.port {
                    text = format!("{text} to :{}", self.range(port, Meaning::Number));
                }
                Some(with_flags(text, masquerade.flags))
            }
            Expr::ExtHdrWrite(write) => Some(self.exthdr_write(write)),
            Expr::DynSet(dynset) => Some(self.dynset(dynset)),
            other => Some(statement(other)),
        }
    }

    fn load(&mut self, dreg: Reg, text: String, meaning: Meaning, slots: u8) -> Option<String> {
        let term = Term::Loaded {
            text,
            meaning,
            slots,
            mask: None,
        };
        self.registers.insert(dreg.index(), term);
        None
    }

    /// What a register holds; constants are printed as `meaning`.
    fn read(&self, reg: Reg, meaning: Meaning) -> (String, Meaning) {
        match self.registers.get(&reg.index()) {
            Some(Term::Loaded {
                text,
                meaning,
                mask: None,
                ..
            }) => (text.clone(), *meaning),
            Some(Term::Loaded {
                text,
                meaning,
                mask: Some(mask),
                ..
            }) => (masked(text, mask, *meaning), *meaning),
            Some(Term::Constant(value)) => (value::text(value.as_bytes(), meaning), meaning),
            None => (format!("<register {}>", reg.index()), meaning),
        }
    }

    /// What several registers hold that together have `len` bytes.
    fn read_key(&self, first: Reg, len: u32) -> String {
        let mut parts = Vec::new();
        let mut slot = first.index();
        let end = u32::from(slot) + len.div_ceil(4).max(1);
        while u32::from(slot) < end {
            parts.push(self.read(Reg::slot(slot), Meaning::Number).0);
            slot += match self.registers.get(&slot) {
                Some(Term::Loaded { slots, .. }) => *slots,
                Some(Term::Constant(value)) => {
                    u8::try_from(value.0.len().div_ceil(4)).unwrap_or(16)
                }
                None => 1,
            }
            .max(1);
        }
        parts.join(" . ")
    }

    fn payload(&mut self, payload: &Payload) -> Option<String> {
        let place = (payload.base, payload.offset, payload.len);
        let (text, meaning) = match place {
            Payload::IP_SADDR => ("ip saddr", Meaning::Ipv4),
            Payload::IP_DADDR => ("ip daddr", Meaning::Ipv4),
            Payload::IP6_SADDR => ("ip6 saddr", Meaning::Ipv6),
            Payload::IP6_DADDR => ("ip6 daddr", Meaning::Ipv6),
            Payload::ARP_SADDR_IP => ("arp saddr ip", Meaning::Ipv4),
            Payload::ARP_DADDR_IP => ("arp daddr ip", Meaning::Ipv4),
            Payload::TH_SPORT => ("th sport", Meaning::Number),
            Payload::TH_DPORT => ("th dport", Meaning::Number),
            Payload::TCP_FLAGS => ("tcp flags", Meaning::Number),
            Payload::ICMP_TYPE if self.icmpv6 => ("icmpv6 type", Meaning::IcmpV6Type),
            Payload::ICMP_TYPE => ("icmp type", Meaning::Number),
            (base, offset, len) => {
                let (offset, len) = (u64::from(offset) * 8, u64::from(len) * 8);
                let text = format!("@{},{offset},{len}", base.word());
                return self.load(payload.dreg, text, Meaning::Number, slots(payload.len));
            }
        };
        debug_assert_ne!(place.0, PayloadBase::Inner);
        self.load(payload.dreg, text.to_owned(), meaning, slots(payload.len))
    }

    fn hash(&self, hash: &Hash) -> String {
        let mut text = hash.kind.word().to_owned();
        if let Some((sreg, len)) = hash.source {
            text = format!("{text} {}", self.read_key(sreg, len));
        }
        text = format!("{text} mod {}", hash.modulus);
        if let Some(seed) = hash.seed {
            text = format!("{text} seed {seed:#x}");
        }
        if hash.offset != 0 {
            text = format!("{text} offset {}", hash.offset);
        }
        text
    }

    fn bitwise(&mut self, bitwise: &Bitwise) -> Option<String> {
        let term = match self.registers.get(&bitwise.sreg.index()) {
            Some(Term::Loaded {
                text,
                meaning,
                slots,
                mask: None,
            }) if bitwise.xor.0.iter().all(|byte| *byte == 0) => Term::Loaded {
                text: text.clone(),
                meaning: *meaning,
                slots: *slots,
                mask: Some(bitwise.mask.clone()),
            },
            _ => {
                let (text, meaning) = self.read(bitwise.sreg, Meaning::Number);
                let mask = value::text(bitwise.mask.as_bytes(), meaning);
                let xor = value::text(bitwise.xor.as_bytes(), meaning);
                Term::Loaded {
                    text: format!("({text} & {mask}) ^ {xor}"),
                    meaning,
                    slots: slots(u32::try_from(bitwise.mask.0.len()).unwrap_or(0)),
                    mask: None,
                }
            }
        };
        self.registers.insert(bitwise.dreg.index(), term);
        None
    }

    fn cmp(&mut self, cmp: &Cmp) -> String {
        let zero = cmp.value.0.iter().all(|byte| *byte == 0);
        if let Some(Term::Loaded {
            text,
            meaning: meaning @ (Meaning::CtState | Meaning::CtStatus),
            mask: Some(mask),
            ..
        }) = self.registers.get(&cmp.sreg.index())
            && zero
            && matches!(cmp.op, CmpOp::Ne | CmpOp::Eq)
        {
            // Any of these bits, or none.
            let not = if cmp.op == CmpOp::Ne { "" } else { "! " };
            return format!("{text} {not}{}", value::text(mask.as_bytes(), *meaning));
        }
        let (text, meaning) = self.read(cmp.sreg, Meaning::Number);
        if meaning == Meaning::L4Proto {
            self.icmpv6 = cmp.value.0 == [58];
        }
        let op = match cmp.op {
            CmpOp::Eq if text.contains(" & ") => "== ".to_owned(),
            CmpOp::Eq => String::new(),
            op => format!("{} ", op.word()),
        };
        if meaning == Meaning::HostNumber && text.contains("oif") && zero {
            let word = if cmp.op == CmpOp::Eq {
                "missing"
            } else {
                "exists"
            };
            return format!("{text} {word}");
        }
        format!("{text} {op}{}", value::text(cmp.value.as_bytes(), meaning))
    }

    fn lookup(&mut self, lookup: &Lookup) -> Option<String> {
        let set = self
            .content
            .sets
            .get(&lookup.set)
            .map(|content| &content.set);
        let key = self.read_key(lookup.sreg, set.map_or(4, |set| set.key.len));
        let name = &lookup.set;
        match lookup.result {
            LookupResult::Member => Some(format!("{key} @{name}")),
            LookupResult::NotMember => Some(format!("{key} != @{name}")),
            LookupResult::Verdict => Some(format!("{key} vmap @{name}")),
            LookupResult::Map(dreg) => {
                let len = match set.and_then(|set| set.data.as_ref()) {
                    Some(crate::nftables::MapType::Value { len, .. }) => *len,
                    _ => 4,
                };
                // The data cover what the slots after the first held.
                for slot in 1..slots(len) {
                    self.registers.remove(&(dreg.index() + slot));
                }
                self.load(
                    dreg,
                    format!("{key} map @{name}"),
                    Meaning::Number,
                    slots(len),
                )
            }
        }
    }

    fn range(&self, range: NatRange, meaning: Meaning) -> String {
        let (min, _) = self.read(range.min, meaning);
        if range.max == range.min {
            return min;
        }
        format!("{min}-{}", self.read(range.max, meaning).0)
    }

    fn nat(&self, nat: &Nat) -> String {
        let (family, meaning) = if nat.ipv6 {
            ("ip6", Meaning::Ipv6)
        } else {
            ("ip", Meaning::Ipv4)
        };
        let kind = nat.kind.word();
        let text = match (nat.addr, nat.port) {
            (Some(addr), None) => {
                format!("{kind} {family} to {}", self.range(addr, meaning))
            }
            // A port right behind an address, both from one map.
            (Some(addr), Some(port)) if !self.registers.contains_key(&port.min.index()) => {
                let addr = self.range(addr, meaning);
                format!("{kind} {family} addr . port to {addr}")
            }
            (Some(addr), Some(port)) => {
                let (addr, port) = (self.range(addr, meaning), self.range(port, Meaning::Number));
                match nat.ipv6 {
                    true => format!("{kind} {family} to [{addr}]:{port}"),
                    false => format!("{kind} {family} to {addr}:{port}"),
                }
            }
            (None, Some(port)) => format!("{kind} to :{}", self.range(port, Meaning::Number)),
            (None, None) => kind.to_owned(),
        };
        with_flags(text, nat.flags)
    }

    fn exthdr_write(&self, write: &ExtHdrWrite) -> String {
        let (text, _) = self.read(write.sreg, Meaning::Number);
        if (write.op, write.kind, write.offset, write.len) == (ExtHdrOp::TcpOption, 2, 2, 2) {
            return format!("tcp option maxseg size set {text}");
        }
        let (offset, len) = (u64::from(write.offset) * 8, u64::from(write.len) * 8);
        format!("tcp option @{},{offset},{len} set {text}", write.kind)
    }

    fn dynset(&self, dynset: &DynSet) -> String {
        let set = self
            .content
            .sets
            .get(&dynset.set)
            .map(|content| &content.set);
        let mut text = self.read_key(dynset.key, set.map_or(4, |set| set.key.len));
        if let Some(timeout) = dynset.timeout_ms {
            text = format!("{text} timeout {}", duration(timeout));
        }
        for expr in &dynset.exprs {
            text = format!("{text} {}", statement(expr));
        }
        if let Some(data) = dynset.data {
            text = format!("{text} : {}", self.read(data, Meaning::Number).0);
        }
        let not = if dynset.inverted { "! " } else { "" };
        let word = match dynset.op {
            DynSetOp::Add => "add",
            DynSetOp::Update => "update",
            DynSetOp::Delete => "delete",
        };
        format!("{not}{word} @{} {{ {text} }}", dynset.set)
    }
}

fn slots(bytes: u32) -> u8 {
    u8::try_from(bytes.div_ceil(4)).unwrap_or(16).min(16)
}

fn masked(text: &str, mask: &Value, meaning: Meaning) -> String {
    let mask = match meaning {
        Meaning::CtState | Meaning::CtStatus => value::text(mask.as_bytes(), Meaning::Mark),
        other => value::text(mask.as_bytes(), other),
    };
    format!("{text} & {mask}")
}

fn with_flags(text: String, flags: NatFlags) -> String {
    let words: Vec<_> = [
        (NatFlags::RANDOM, "random"),
        (NatFlags::FULLY_RANDOM, "fully-random"),
        (NatFlags::PERSISTENT, "persistent"),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .map(|(_, word)| word)
    .collect();
    match words.as_slice() {
        [] => text,
        words => format!("{text} {}", words.join(",")),
    }
}

fn limit_text(limit: &Limit) -> String {
    let over = if limit.over { "over " } else { "" };
    let unit = match limit.unit_secs {
        1 => "second".to_owned(),
        60 => "minute".to_owned(),
        3_600 => "hour".to_owned(),
        86_400 => "day".to_owned(),
        604_800 => "week".to_owned(),
        other => format!("<{other} seconds>"),
    };
    let (word, rate) = match limit.kind {
        LimitKind::Packets => ("packets", limit.rate.to_string()),
        LimitKind::Bytes => ("bytes", format!("{} bytes", limit.rate)),
    };
    format!(
        "limit rate {over}{rate}/{unit} burst {} {word}",
        limit.burst
    )
}
