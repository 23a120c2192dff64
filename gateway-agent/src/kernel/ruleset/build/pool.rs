//! Which EIP the sources of a prefix leave with, where several share them.
//!
//! A source's hash gives it one of a fixed number of slots, and each slot goes to the EIP
//! that weighs most for it (rendezvous hashing): whoever comes or goes, all other slots stay
//! where they are, whatever was there before and in whatever order.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use nfnetlink::nftables::{Element, Field, Value};

use super::{POOL_SLOTS, Work, family, source_names};
use crate::kernel::ruleset::{FROM_INSIDE, Origin};

/// Prefixes whose sources share several EIPs that a gateway takes: each has [`POOL_SLOTS`]
/// elements in two maps.
const SHARED_MAX: usize = 512;

/// An EIP that serves a prefix: its address, the number of its uplink, and its entry.
pub type Member = (IpAddr, u8, Origin);

impl Work<'_> {
    /// Makes the elements for all prefixes.
    pub(super) fn sources(&mut self) {
        let mut known: BTreeMap<Vec<IpAddr>, Vec<usize>> = BTreeMap::new();
        let mut shared = 0;
        for (source, pool) in std::mem::take(&mut self.pools) {
            if let [member] = pool.as_slice() {
                self.source(source, None, *member);
                continue;
            }
            shared += 1;
            if shared > SHARED_MAX {
                for (.., origin) in pool {
                    self.rejected.insert(
                        origin,
                        format!(
                            "source {source} shares several EIPs, and a gateway takes \
                             {SHARED_MAX} such prefixes: name fewer, or one EIP"
                        ),
                    );
                }
                continue;
            }
            let addresses: Vec<IpAddr> = pool.iter().map(|(address, ..)| *address).collect();
            let slots = known.entry(addresses).or_insert_with_key(|all| slots(all));
            for (slot, owner) in (0..).zip(slots) {
                if let Some(member) = pool.get(*owner) {
                    self.source(source, Some(slot), *member);
                }
            }
        }
    }

    fn source(&mut self, source: IpNet, slot: Option<u32>, (address, uplink, origin): Member) {
        let ip = family(source.addr());
        let (snat, mark) = source_names(ip, source.prefix_len(), slot.is_some());
        let base: Value = source.addr().into();
        let (fields, key) = match slot {
            Some(slot) => (
                vec![ip.field(), Field::MARK],
                Value::concat([base, Value::u32(slot)]),
            ),
            None => (vec![ip.field()], base),
        };
        let value = Value::u32(FROM_INSIDE | u32::from(uplink));
        self.inet
            .map(snat, &fields, &[ip.field()])
            .replace(Element::map(key.clone(), address), Some(origin));
        self.inet
            .map(mark, &fields, &[Field::MARK])
            .replace(Element::map(key, value), Some(origin));
    }
}

/// Which of the addresses has each slot, by index.
fn slots(addresses: &[IpAddr]) -> Vec<usize> {
    (0..POOL_SLOTS)
        .map(|slot| {
            let heaviest = addresses
                .iter()
                .enumerate()
                .max_by_key(|(_, address)| (weight(**address, slot), **address));
            heaviest.map_or(0, |(index, _)| index)
        })
        .collect()
}

/// What an address weighs for a slot: as good as random, and always the same.
fn weight(address: IpAddr, slot: u32) -> u64 {
    let (high, low) = match address {
        IpAddr::V4(address) => (0, u64::from(address.to_bits())),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            // Both halves; the low one is what is left of the bits.
            ((bits >> 64) as u64, bits as u64)
        }
    };
    mix(mix(mix(high) ^ low) ^ u64::from(slot))
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
