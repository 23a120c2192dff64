//! Values as text, by what they mean.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::nftables::{Data, Value, Verdict};

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A number in network byte order.
    Number,
    /// A number in host byte order.
    HostNumber,
    /// Bits in host byte order.
    Mark,
    Ipv4,
    Ipv6,
    Ether,
    IfName,
    L4Proto,
    NfProto,
    EtherType,
    CtState,
    CtStatus,
    Direction,
    /// Traffic class.
    Class,
    IcmpV6Type,
    /// Type of an address (`fib … type`).
    AddrType,
}

/// A data type of nft: number, name, bytes, meaning.
const TYPES: [(u32, &str, u32, Meaning); 15] = [
    (2, "nf_proto", 1, Meaning::NfProto),
    (7, "ipv4_addr", 4, Meaning::Ipv4),
    (8, "ipv6_addr", 16, Meaning::Ipv6),
    (9, "ether_addr", 6, Meaning::Ether),
    (10, "ether_type", 2, Meaning::EtherType),
    (12, "inet_proto", 1, Meaning::L4Proto),
    (13, "inet_service", 2, Meaning::Number),
    (19, "mark", 4, Meaning::Mark),
    (20, "iface_index", 4, Meaning::HostNumber),
    (23, "classid", 4, Meaning::Class),
    (26, "ct_state", 4, Meaning::CtState),
    (27, "ct_dir", 1, Meaning::Direction),
    (28, "ct_status", 4, Meaning::CtStatus),
    (29, "icmpv6_type", 1, Meaning::IcmpV6Type),
    (41, "ifname", 16, Meaning::IfName),
];

/// The fields of a key or of data: name, bytes without padding, meaning.
pub(super) fn fields(id: u32, len: u32) -> Vec<(String, usize, Meaning)> {
    let mut ids = Vec::new();
    let mut rest = id;
    while rest != 0 {
        ids.push(rest & 0x3f);
        rest >>= 6;
    }
    ids.reverse();
    let known = |id: &u32| TYPES.into_iter().find(|known| known.0 == *id);
    // The one field of unknown length takes what the others leave.
    let fixed: u32 = ids
        .iter()
        .filter_map(known)
        .map(|(_, _, len, _)| len.next_multiple_of(4))
        .sum();
    ids.iter()
        .map(|id| match known(id) {
            Some((_, name, len, meaning)) => (name.to_owned(), usize_of(len), meaning),
            None => {
                let left = usize_of(len.saturating_sub(fixed));
                let meaning = if left == 4 && ids.len() > 1 {
                    Meaning::HostNumber
                } else {
                    Meaning::Number
                };
                ("integer".to_owned(), left, meaning)
            }
        })
        .collect()
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A value made of padded fields.
pub(super) fn concatenation(value: &Value, id: u32, len: u32) -> String {
    split(value, &fields(id, len))
        .into_iter()
        .map(|(bytes, meaning)| text(bytes, meaning))
        .collect::<Vec<_>>()
        .join(" . ")
}

/// The bytes of each field.
pub(super) fn split<'a>(
    value: &'a Value,
    fields: &[(String, usize, Meaning)],
) -> Vec<(&'a [u8], Meaning)> {
    let mut rest = value.as_bytes();
    let mut out = Vec::new();
    for (_, len, meaning) in fields {
        let (field, tail) = rest
            .split_at_checked(len.next_multiple_of(4))
            .unwrap_or((rest, &[]));
        rest = tail;
        out.push((field.get(..*len).unwrap_or(field), *meaning));
    }
    out
}

/// Data of a map.
pub(super) fn data(data: &Data, id: u32, len: u32) -> String {
    match data {
        Data::Value(value) => concatenation(value, id, len),
        Data::Verdict(verdict) => verdict_text(verdict),
    }
}

/// A verdict.
pub(super) fn verdict_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Continue => "continue".to_owned(),
        Verdict::Break => "<break>".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
        Verdict::Return => "return".to_owned(),
        Verdict::Other(code) => format!("<verdict {code}>"),
    }
}

/// One value.
pub(super) fn text(bytes: &[u8], meaning: Meaning) -> String {
    named(bytes, meaning).unwrap_or_else(|| number(bytes))
}

fn named(bytes: &[u8], meaning: Meaning) -> Option<String> {
    let host = || bytes.try_into().ok().map(u32::from_ne_bytes);
    let word = |words: &[(u8, &str)]| {
        let [byte] = bytes else { return None };
        words
            .iter()
            .find(|(value, _)| value == byte)
            .map(|(_, word)| (*word).to_owned())
    };
    match meaning {
        Meaning::Number => None,
        Meaning::HostNumber => host().map(|number| number.to_string()),
        Meaning::Mark => host().map(|mark| format!("{mark:#010x}")),
        Meaning::Ipv4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
        Meaning::Ipv6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        Meaning::Ether => {
            let parts: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(parts.join(":"))
        }
        Meaning::IfName => {
            // Without its final NUL a name stands for all that begin so.
            let name = bytes.split(|byte| *byte == 0).next()?;
            let any = if name.len() == bytes.len() { "*" } else { "" };
            Some(format!("\"{}{any}\"", String::from_utf8_lossy(name)))
        }
        Meaning::L4Proto => word(&[
            (1, "icmp"),
            (6, "tcp"),
            (17, "udp"),
            (58, "icmpv6"),
            (132, "sctp"),
        ]),
        Meaning::NfProto => word(&[(2, "ipv4"), (10, "ipv6")]),
        Meaning::EtherType => match bytes {
            [0x08, 0x00] => Some("ip".to_owned()),
            [0x08, 0x06] => Some("arp".to_owned()),
            [0x86, 0xdd] => Some("ip6".to_owned()),
            _ => None,
        },
        Meaning::CtState => bits(
            host()?,
            &[
                (1, "invalid"),
                (2, "established"),
                (4, "related"),
                (8, "new"),
                (64, "untracked"),
            ],
        ),
        Meaning::CtStatus => bits(
            host()?,
            &[
                (1, "expected"),
                (2, "seen-reply"),
                (4, "assured"),
                (8, "confirmed"),
                (16, "snat"),
                (32, "dnat"),
                (512, "dying"),
            ],
        ),
        Meaning::Direction => word(&[(0, "original"), (1, "reply")]),
        Meaning::Class => host().map(|class| format!("{:x}:{:x}", class >> 16, class & 0xffff)),
        Meaning::IcmpV6Type => word(&[
            (133, "nd-router-solicit"),
            (134, "nd-router-advert"),
            (135, "nd-neighbor-solicit"),
            (136, "nd-neighbor-advert"),
            (137, "nd-redirect"),
        ]),
        Meaning::AddrType => match host()? {
            1 => Some("unicast".to_owned()),
            2 => Some("local".to_owned()),
            3 => Some("broadcast".to_owned()),
            5 => Some("multicast".to_owned()),
            _ => None,
        },
    }
}

/// Words of the bits that are set; `None` if one has no word.
fn bits(value: u32, words: &[(u32, &str)]) -> Option<String> {
    let known = words.iter().fold(0, |all, (bit, _)| all | bit);
    if value == 0 || value & !known != 0 {
        return None;
    }
    let set = words.iter().filter(|(bit, _)| value & bit != 0);
    Some(set.map(|(_, word)| *word).collect::<Vec<_>>().join(","))
}

/// A number in network byte order: decimal up to 8 bytes, else hexadecimal.
fn number(bytes: &[u8]) -> String {
    if bytes.len() <= 8 {
        let value = bytes
            .iter()
            .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        return value.to_string();
    }
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{}", digits.concat())
}
