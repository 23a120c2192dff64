//! How many connections one source may hold with an EIP.
//!
//! The mark of a flow that a limited SNAT takes says its limit, as it says the uplink. Before
//! such a flow is forwarded it is counted under its source and the EIP that it will have. The
//! sets that count are filled by packets, so they are no part of what is compared; and they
//! are never made anew while a source of the limit stands, for the kernel forgets what an
//! element counted with it.

use std::collections::BTreeSet;

use nfnetlink::nftables::{Chain, Element, Rule, Set, SetFlags, TableContent, Value, Verdict};

use super::chains::SourceMap;
use super::content::Contents;
use super::statement::{Ip, rule};
use nfnetlink::nftables::Field;

/// The part of `ct mark` that says how many connections the flow's source may hold; 0: any.
pub const LIMIT_MASK: u32 = 0xffff_0000;
const LIMIT_SHIFT: u32 = 16;

/// Sources that hold connections under one limit, with each EIP. Where there are more at a
/// time, those that are new are refused: as many connections as `nf_conntrack_max` commonly
/// allows.
const SOURCES: u32 = 1 << 18;
/// Prefixes, with each EIP, whose refusals are counted.
const COUNTED: u32 = 1 << 16;
/// A count of refusals goes this long after the last of them.
const COUNTED_MS: u64 = 3_600_000;
/// Limits that a gateway has at most: all that can be written.
const LIMITS: u32 = 1 << 16;

/// The map from a limit to its chain.
const MAP: &str = "limits";

/// What the mark of a flow says of its source's limit.
pub fn mark(limit: u16) -> u32 {
    u32::from(limit) << LIMIT_SHIFT
}

/// The set that counts refusals of sources by prefixes of a length.
pub fn refused_set(ip: Ip, len: u8) -> String {
    format!("{}_{len}", ip.name("refused"))
}

fn held_set(ip: Ip, limit: u16) -> String {
    format!("{}_{limit}", ip.name("held_by_source"))
}

fn chain(limit: u16) -> String {
    format!("limit_{limit}")
}

fn limits(sources: &[SourceMap]) -> BTreeSet<u16> {
    let all = sources.iter().flat_map(|map| &map.limits);
    all.copied().collect()
}

/// Puts in the sets that count, and the map that finds the limit's chain.
pub fn sets(contents: &mut Contents, sources: &[SourceMap]) {
    for map in sources.iter().filter(|map| !map.limits.is_empty()) {
        let pair = [map.ip.field(), map.ip.field()];
        for limit in &map.limits {
            let held = Set::new(held_set(map.ip, *limit), &pair);
            contents.declare(held.with_flags(SetFlags::EVAL).with_size(SOURCES));
        }
        let refused = Set::new(refused_set(map.ip, map.len), &pair)
            .with_flags(SetFlags::EVAL)
            .with_timeout_ms(COUNTED_MS)
            .with_size(COUNTED);
        contents.declare(refused);
    }
    let limits = limits(sources);
    if !limits.is_empty() {
        let map = Set::verdict_map(MAP, &[Field::MARK]).with_size(LIMITS);
        let map = contents.declare(map);
        for limit in limits {
            let jump = Verdict::Jump(chain(limit));
            map.replace(Element::verdict(Value::u32(mark(limit)), jump), None);
        }
    }
}

/// What the chain `forward` asks before it lets a packet pass.
pub fn rules(sources: &[SourceMap]) -> Option<Rule> {
    let any = !limits(sources).is_empty();
    any.then(|| {
        rule()
            .limited(LIMIT_MASK)
            .ct_mark_vmap(LIMIT_MASK, MAP)
            .done()
    })
}

/// Puts in the chain of each limit. The last rule for each map refuses, so that a source is
/// refused also where the sets are full.
pub fn chains(table: &mut TableContent, sources: &[SourceMap]) {
    for limit in limits(sources) {
        let maps = sources.iter().filter(|map| map.limits.contains(&limit));
        let rules = maps.flat_map(|map| {
            let (ip, key) = (map.ip, &map.key);
            [
                rule()
                    .with_eip(ip, key, &map.snat)
                    .hold(ip, &held_set(ip, limit), limit)
                    .returns(),
                rule()
                    .with_eip(ip, key, &map.snat)
                    .count_by_prefix(&refused_set(ip, map.len))
                    .prohibit(),
                rule().with_eip(ip, key, &map.snat).prohibit(),
            ]
        });
        table.chain(Chain::regular(chain(limit)), rules.collect::<Vec<_>>());
    }
}
