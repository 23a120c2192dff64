//! Which EIP the sources of a prefix leave with, where several share them.
//!
//! A source's hash gives it one of a fixed number of slots, and each slot goes to the EIP
//! that weighs most for it (rendezvous hashing): whoever comes or goes, all other slots stay
//! where they are, whatever was there before and in whatever order.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use nfnetlink::nftables::{Element, Field, Value};
use sluice_core::spread::split_mix;

use super::{POOL_SLOTS, Work, family, source_names};
use crate::kernel::ruleset::{FROM_INSIDE, Origin, quota};

/// Prefixes whose sources share several EIPs that a gateway takes: each has [`POOL_SLOTS`]
/// elements in two maps.
const SHARED_MAX: usize = 512;

/// An EIP that serves a prefix.
#[derive(Clone, Copy)]
pub struct Member {
    pub address: IpAddr,
    /// The number of its uplink.
    pub uplink: u8,
    /// How many connections one source may hold; 0: any number.
    pub limit: u16,
    pub origin: Origin,
}

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
                for member in pool {
                    self.rejected.insert(
                        member.origin,
                        format!(
                            "source {source} shares several EIPs, and a gateway takes \
                             {SHARED_MAX} such prefixes: name fewer, or one EIP"
                        ),
                    );
                }
                continue;
            }
            let addresses: Vec<IpAddr> = pool.iter().map(|member| member.address).collect();
            let slots = known.entry(addresses).or_insert_with_key(|all| slots(all));
            for (slot, owner) in (0..).zip(slots) {
                if let Some(member) = pool.get(*owner) {
                    self.source(source, Some(slot), *member);
                }
            }
        }
    }

    fn source(&mut self, source: IpNet, slot: Option<u32>, member: Member) {
        let (address, origin) = (member.address, member.origin);
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
        let value = FROM_INSIDE | u32::from(member.uplink) | quota::mark(member.limit);
        if member.limit > 0 {
            let limits = self.limits.entry(snat.clone()).or_default();
            limits.insert(member.limit);
        }
        self.inet
            .map(snat, &fields, &[ip.field()])
            .replace(Element::map(key.clone(), address), Some(origin));
        self.inet
            .map(mark, &fields, &[Field::MARK])
            .replace(Element::map(key, Value::u32(value)), Some(origin));
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
    split_mix(split_mix(split_mix(high) ^ low) ^ u64::from(slot))
}

#[cfg(test)]
mod tests;
