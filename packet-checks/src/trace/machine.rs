//! The machine of nf_tables: registers, expressions, chains.

use std::net::IpAddr;

use nfnetlink::nftables::expr::{
    Bitwise, Cmp, CmpOp, Ct, CtKey, Expr, Immediate, Lookup, LookupResult, Meta, MetaKey, Nat,
    NatKind, Payload, PayloadBase, PayloadWrite, Reg, ct_state,
};
use nfnetlink::nftables::{
    ChainKind, Data, Element, Hook, Policy, Rule, SetContent, TableContent, Value, Verdict,
};

use super::Model;
use super::flows::Tracked;
use crate::packet::{Packet, Shape};

/// Where conntrack looks up the flow (`NF_IP_PRI_CONNTRACK`).
pub const CONNTRACK: i32 = -200;
/// Bytes of all registers, and of a slot.
const REGISTERS: usize = 64;
const SLOT: usize = 4;
/// Chains that may be jumped into from one another (`NFT_JUMP_STACK_SIZE`).
const DEPTH: usize = 16;
/// `IPS_SRC_NAT` and `IPS_DST_NAT` (`linux/netfilter/nf_conntrack_common.h`).
const SRC_NAT: u32 = 1 << 4;
const DST_NAT: u32 = 1 << 5;

/// A packet on its way.
#[derive(Clone, Debug)]
pub struct Context {
    pub packet: Packet,
    /// Its bytes where they are no IP packet's.
    pub bytes: Option<Vec<u8>>,
    /// The interface that it came in by; empty for the gateway's own.
    pub input: String,
    /// The interface that it leaves by; empty before routing.
    pub output: String,
    pub mark: u32,
    pub tracked: Tracked,
}

/// What a hook says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Passes,
    Dropped,
}

/// How a rule or a chain ends.
enum End {
    /// The next rule.
    Next,
    Verdict(Verdict),
}

impl Model {
    /// Walks a packet through all base chains of a hook.
    pub fn hook(
        &self,
        table: &TableContent,
        hook: Hook,
        context: &mut Context,
    ) -> Result<Decision, String> {
        self.chains(table, hook, (i32::MIN, i32::MAX), context)
    }

    /// Walks a packet through the base chains of a hook with priorities in this range, the
    /// second not included. Only a new flow walks through chains that translate.
    pub fn chains(
        &self,
        table: &TableContent,
        hook: Hook,
        range: (i32, i32),
        context: &mut Context,
    ) -> Result<Decision, String> {
        let mut all: Vec<_> = table
            .chains
            .values()
            .filter_map(|content| Some((content.chain.base.as_ref()?, content)))
            .filter(|(base, _)| base.hook == hook)
            .filter(|(base, _)| (range.0..range.1).contains(&base.priority))
            .collect();
        all.sort_by_key(|(base, _)| base.priority);
        for (base, content) in all {
            let begins = matches!(
                context.tracked,
                Tracked::Of {
                    known: None,
                    related: false,
                    ..
                }
            );
            if base.kind == ChainKind::Nat && !begins {
                continue;
            }
            let accepted = match self.chain(table, &content.rules, context, 0)? {
                Some(Verdict::Accept) => true,
                Some(Verdict::Drop) => false,
                None => base.policy == Policy::Accept,
                Some(other) => return Err(format!("{} ends with {other:?}", content.chain.name)),
            };
            if !accepted {
                return Ok(Decision::Dropped);
            }
        }
        Ok(Decision::Passes)
    }

    /// Walks through a chain: its last word, if it has one.
    fn chain(
        &self,
        table: &TableContent,
        rules: &[Rule],
        context: &mut Context,
        depth: usize,
    ) -> Result<Option<Verdict>, String> {
        if depth > DEPTH {
            return Err("chains jump in a circle".to_owned());
        }
        for rule in rules {
            let ended = match self.rule(table, rule, context)? {
                End::Next | End::Verdict(Verdict::Continue | Verdict::Break) => continue,
                End::Verdict(verdict) => verdict,
            };
            match ended {
                Verdict::Return => return Ok(None),
                Verdict::Jump(name) | Verdict::Goto(name) => {
                    let inner = table.chains.get(&name);
                    let inner = inner.ok_or_else(|| format!("there is no chain {name}"))?;
                    let said = self.chain(table, &inner.rules, context, depth + 1)?;
                    if said.is_some() {
                        return Ok(said);
                    }
                }
                verdict => return Ok(Some(verdict)),
            }
        }
        Ok(None)
    }

    fn rule(
        &self,
        table: &TableContent,
        rule: &Rule,
        context: &mut Context,
    ) -> Result<End, String> {
        let mut registers = Registers([0; REGISTERS]);
        for expr in &rule.exprs {
            let goes_on = match expr {
                Expr::Meta(meta) => meta_expr(*meta, &mut registers, context)?,
                Expr::Ct(ct) => ct_expr(*ct, &mut registers, context)?,
                Expr::Payload(payload) => load(*payload, &mut registers, context),
                Expr::PayloadWrite(write) => store(*write, &registers, context)?,
                Expr::Cmp(cmp) => compare(cmp, &registers)?,
                Expr::Bitwise(bitwise) => {
                    mask(bitwise, &mut registers);
                    true
                }
                Expr::Immediate(Immediate { dreg, value }) => {
                    registers.put(*dreg, value.as_bytes());
                    true
                }
                Expr::Counter(_) => true,
                Expr::Lookup(lookup) => {
                    let set = table.sets.get(&lookup.set);
                    let set = set.ok_or_else(|| format!("there is no set {}", lookup.set))?;
                    match look_up(lookup, set, &mut registers) {
                        Found::Verdict(verdict) => return Ok(End::Verdict(verdict)),
                        Found::Goes(goes_on) => goes_on,
                    }
                }
                Expr::Nat(nat) => {
                    translate(nat, &registers, context)?;
                    return Ok(End::Verdict(Verdict::Accept));
                }
                Expr::Verdict(verdict) => return Ok(End::Verdict(verdict.clone())),
                other => return Err(format!("the tracer does not know {}", other.name())),
            };
            if !goes_on {
                return Ok(End::Next);
            }
        }
        Ok(End::Next)
    }
}

/// Registers, in slots of 4 bytes.
struct Registers([u8; REGISTERS]);

impl Registers {
    fn put(&mut self, reg: Reg, bytes: &[u8]) {
        let from = usize::from(reg.index()) * SLOT;
        // The rest of the last slot is zero.
        let padded = bytes.len().next_multiple_of(SLOT);
        for at in 0..padded {
            if let Some(place) = self.0.get_mut(from + at) {
                *place = bytes.get(at).copied().unwrap_or(0);
            }
        }
    }

    fn get(&self, reg: Reg, len: usize) -> &[u8] {
        let from = usize::from(reg.index()) * SLOT;
        self.0.get(from..from + len).unwrap_or_default()
    }

    fn number(&self, reg: Reg) -> u32 {
        let bytes = self.get(reg, SLOT).first_chunk::<4>();
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }
}

/// Whether the rule goes on.
fn meta_expr(meta: Meta, registers: &mut Registers, context: &mut Context) -> Result<bool, String> {
    match meta {
        Meta::Set {
            key: MetaKey::Mark,
            sreg,
        } => context.mark = registers.number(sreg),
        Meta::Load { key, dreg } => {
            let value = match key {
                MetaKey::IifName => Value::ifname(&context.input),
                MetaKey::OifName => Value::ifname(&context.output),
                MetaKey::Mark => Value::u32(context.mark),
                MetaKey::L4Proto => Value::u8(context.packet.protocol()),
                MetaKey::NfProto if context.packet.from.is_ipv4() => Value::u8(2),
                MetaKey::NfProto => Value::u8(10),
                other => return Err(format!("the tracer does not know meta {other:?}")),
            };
            registers.put(dreg, value.as_bytes());
        }
        Meta::Set { key, .. } => return Err(format!("the tracer does not know meta {key:?} set")),
    }
    Ok(true)
}

fn ct_expr(ct: Ct, registers: &mut Registers, context: &mut Context) -> Result<bool, String> {
    match ct {
        Ct::Load {
            key: CtKey::State,
            dreg,
            ..
        } => {
            let state = match &context.tracked {
                Tracked::Untracked => ct_state::UNTRACKED,
                Tracked::Invalid => ct_state::INVALID,
                Tracked::Of { related: true, .. } => ct_state::RELATED,
                Tracked::Of { flow, reply, .. } if *reply || flow.answered => ct_state::ESTABLISHED,
                Tracked::Of { .. } => ct_state::NEW,
            };
            registers.put(dreg, Value::u32(state).as_bytes());
            return Ok(true);
        }
        Ct::Load { .. } | Ct::Set { .. } => {}
    }
    let Tracked::Of { flow, reply, .. } = &mut context.tracked else {
        // Nothing to load ends the rule; nothing to set is passed over.
        return Ok(matches!(ct, Ct::Set { .. }));
    };
    match ct {
        Ct::Set {
            key: CtKey::Mark,
            sreg,
            ..
        } => flow.mark = registers.number(sreg),
        Ct::Load { key, dreg, .. } => {
            let value = match key {
                CtKey::Mark => Value::u32(flow.mark),
                CtKey::Direction => Value::u8(u8::from(*reply)),
                CtKey::Status => {
                    let bit = |is: bool, bit: u32| if is { bit } else { 0 };
                    Value::u32(bit(flow.snat, SRC_NAT) | bit(flow.dnat, DST_NAT))
                }
                other => return Err(format!("the tracer does not know ct {other:?}")),
            };
            registers.put(dreg, value.as_bytes());
        }
        Ct::Set { key, .. } => return Err(format!("the tracer does not know ct {key:?} set")),
    }
    Ok(true)
}

/// The bytes of a packet and where its payload begins; fragments are whole here, and headers
/// before the payload are passed over.
fn bytes(context: &Context) -> (Vec<u8>, usize) {
    if let Some(bytes) = &context.bytes {
        return (bytes.clone(), bytes.len());
    }
    let plain = context.packet.clone().shaped(Shape::Plain);
    let header = if plain.from.is_ipv4() { 20 } else { 40 };
    (plain.wire().concat(), header)
}

fn load(payload: Payload, registers: &mut Registers, context: &Context) -> bool {
    let (bytes, transport) = bytes(context);
    let base = match payload.base {
        PayloadBase::Network => 0,
        PayloadBase::Transport => transport,
        PayloadBase::Link | PayloadBase::Inner => return false,
    };
    let [offset, len] = [payload.offset, payload.len].map(|n| usize::try_from(n).unwrap_or(0));
    match bytes.get(base + offset..base + offset + len) {
        Some(piece) => {
            registers.put(payload.dreg, piece);
            true
        }
        // Too short for the rule.
        None => false,
    }
}

/// Writes into a packet: the source of IPv4 is all that any rule changes.
fn store(
    write: PayloadWrite,
    registers: &Registers,
    context: &mut Context,
) -> Result<bool, String> {
    let place = (write.base, write.offset, write.len);
    if place != Payload::IP_SADDR {
        return Err(format!("the tracer does not write {place:?}"));
    }
    context.packet.from = address(registers.get(write.sreg, 4))?;
    Ok(true)
}

fn address(bytes: &[u8]) -> Result<IpAddr, String> {
    match (bytes.first_chunk::<16>(), bytes.first_chunk::<4>()) {
        (Some(bytes), _) => Ok(IpAddr::from(*bytes)),
        (None, Some(bytes)) => Ok(IpAddr::from(*bytes)),
        (None, None) => Err(format!("{bytes:?} is no address")),
    }
}

fn compare(cmp: &Cmp, registers: &Registers) -> Result<bool, String> {
    let wanted = cmp.value.as_bytes();
    let got = registers.get(cmp.sreg, wanted.len());
    match cmp.op {
        CmpOp::Eq => Ok(got == wanted),
        CmpOp::Ne => Ok(got != wanted),
        other => Err(format!("the tracer does not compare by {other:?}")),
    }
}

fn mask(bitwise: &Bitwise, registers: &mut Registers) {
    let (mask, xor) = (bitwise.mask.as_bytes(), bitwise.xor.as_bytes());
    let value = registers.get(bitwise.sreg, mask.len()).to_vec();
    let masked = value.iter().zip(mask).zip(xor);
    let masked: Vec<u8> = masked
        .map(|((byte, mask), xor)| byte & mask ^ xor)
        .collect();
    registers.put(bitwise.dreg, &masked);
}

/// What a look into a set says.
enum Found {
    Verdict(Verdict),
    /// Whether the rule goes on.
    Goes(bool),
}

fn look_up(lookup: &Lookup, set: &SetContent, registers: &mut Registers) -> Found {
    let has = |element: &&Element| {
        let key = element.key.as_bytes();
        let got = registers.get(lookup.sreg, key.len());
        match &element.key_end {
            None => got == key,
            // Each field lies between its ends; fields begin at slots.
            Some(end) => (0..key.len()).step_by(SLOT).all(|at| {
                let part = |bytes: &[u8]| bytes.get(at..at + SLOT).map(<[u8]>::to_vec);
                part(key) <= part(got) && part(got) <= part(end.as_bytes())
            }),
        }
    };
    let found = set.elements.iter().find(has).cloned();
    match (lookup.result, found) {
        (LookupResult::Member, found) => Found::Goes(found.is_some()),
        (LookupResult::NotMember, found) => Found::Goes(found.is_none()),
        (_, None) => Found::Goes(false),
        (LookupResult::Map(dreg), Some(element)) => match element.data {
            Some(Data::Value(value)) => {
                registers.put(dreg, value.as_bytes());
                Found::Goes(true)
            }
            _ => Found::Goes(false),
        },
        (LookupResult::Verdict, Some(element)) => match element.data {
            Some(Data::Verdict(verdict)) => Found::Verdict(verdict),
            _ => Found::Goes(false),
        },
    }
}

/// Gives a new flow its translation.
fn translate(nat: &Nat, registers: &Registers, context: &mut Context) -> Result<(), String> {
    let Tracked::Of { flow, .. } = &mut context.tracked else {
        return Err("a packet of no flow is translated".to_owned());
    };
    let len = if nat.ipv6 { 16 } else { 4 };
    let range = nat
        .addr
        .ok_or("the tracer knows no translation of ports alone")?;
    let to = address(registers.get(range.min, len))?;
    let port = nat.port.map(|range| {
        let bytes = registers.get(range.min, 2).first_chunk::<2>().copied();
        u16::from_be_bytes(bytes.unwrap_or_default())
    });
    match (nat.kind, port) {
        (NatKind::Dnat, port) => flow.set_destination(to, port),
        (NatKind::Snat, None) => flow.set_source(to),
        (NatKind::Snat, Some(_)) => return Err("the tracer knows no chosen ports".to_owned()),
    }
    Ok(())
}
