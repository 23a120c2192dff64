//! What an expression loads: its text, what it means and how many registers it takes.

use crate::nftables::expr::{CtKey, ExtHdr, ExtHdrOp, Fib, FibFlags, FibResult, MetaKey, NumGen};
use crate::render::value::Meaning;

pub(super) fn meta_text(key: MetaKey) -> String {
    match key {
        MetaKey::Iif | MetaKey::Oif | MetaKey::IifName | MetaKey::OifName => key.word().to_owned(),
        other => format!("meta {}", other.word()),
    }
}

pub(super) fn meta_meaning(key: MetaKey) -> Meaning {
    match key {
        MetaKey::IifName | MetaKey::OifName => Meaning::IfName,
        MetaKey::Mark => Meaning::Mark,
        MetaKey::L4Proto => Meaning::L4Proto,
        MetaKey::NfProto => Meaning::NfProto,
        MetaKey::Protocol => Meaning::EtherType,
        MetaKey::Priority => Meaning::Class,
        _ => Meaning::HostNumber,
    }
}

pub(super) fn meta_slots(key: MetaKey) -> u8 {
    match key {
        MetaKey::IifName | MetaKey::OifName => 4,
        _ => 1,
    }
}

pub(super) fn ct_meaning(key: CtKey) -> Meaning {
    match key {
        CtKey::State => Meaning::CtState,
        CtKey::Status => Meaning::CtStatus,
        CtKey::Direction => Meaning::Direction,
        CtKey::Mark => Meaning::Mark,
        CtKey::Protocol => Meaning::L4Proto,
        CtKey::L3Protocol => Meaning::NfProto,
        CtKey::SrcIp | CtKey::DstIp => Meaning::Ipv4,
        CtKey::SrcIp6 | CtKey::DstIp6 => Meaning::Ipv6,
        CtKey::ProtoSrc | CtKey::ProtoDst => Meaning::Number,
        _ => Meaning::HostNumber,
    }
}

pub(super) fn exthdr_text(header: &ExtHdr) -> String {
    let presence = if header.presence { " exists" } else { "" };
    let (offset, len) = (u64::from(header.offset) * 8, u64::from(header.len) * 8);
    match (header.op, header.kind, header.offset, header.len) {
        (ExtHdrOp::TcpOption, 2, 2, 2) => "tcp option maxseg size".to_owned(),
        (op, kind, ..) => format!("{} @{kind},{offset},{len}{presence}", op.word()),
    }
}

pub(super) fn fib_text(fib: &Fib) -> String {
    let parts: Vec<_> = [
        (FibFlags::SADDR, "saddr"),
        (FibFlags::DADDR, "daddr"),
        (FibFlags::MARK, "mark"),
        (FibFlags::IIF, "iif"),
        (FibFlags::OIF, "oif"),
    ]
    .into_iter()
    .filter(|(flag, _)| fib.flags.contains(*flag))
    .map(|(_, word)| word)
    .collect();
    format!("fib {} {}", parts.join(" . "), fib.result.word())
}

pub(super) fn fib_meaning(fib: &Fib) -> Meaning {
    match fib.result {
        FibResult::AddrType => Meaning::AddrType,
        FibResult::OifName => Meaning::IfName,
        FibResult::Oif => Meaning::HostNumber,
    }
}

pub(super) fn numgen_text(numgen: &NumGen) -> String {
    let text = format!("numgen {} mod {}", numgen.kind.word(), numgen.modulus);
    match numgen.offset {
        0 => text,
        offset => format!("{text} offset {offset}"),
    }
}
