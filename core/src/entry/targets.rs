//! The targets of a DNAT, and which new connection goes to which.
//!
//! New connections are spread over [`SLOTS`] slots, and each slot belongs to one target.
//! Who has which slot follows from the targets and their weights alone, whatever the order
//! in which they stand and whoever works it out: two instances agree, and a change of one
//! target moves few slots of the others.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::spread::mix;

#[cfg(test)]
mod tests;

/// Slots that the targets of a DNAT share: its weights are kept to one 64th.
pub const SLOTS: u32 = 64;
/// Targets that a DNAT may have.
pub const TARGETS_MAX: usize = 16;
/// The highest weight.
pub const WEIGHT_MAX: u8 = 100;

/// The targets of one family with their weights: 1 to [`TARGETS_MAX`], at least one of
/// which takes new connections.
///
/// Its text is `address[=weight]` joined by commas, in the order of the addresses. Weights
/// stand in lowest terms, and 1 is left out: equal shares have one text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Targets(Vec<(IpAddr, u8)>);

impl Targets {
    /// Targets with these weights, 0 for one that keeps its connections and takes no new
    /// ones. `None` where an address stands there twice or is of another family than the
    /// rest, where there are none or too many, where a weight is above [`WEIGHT_MAX`], and
    /// where all are 0.
    #[must_use]
    pub fn new(targets: impl IntoIterator<Item = (IpAddr, u8)>) -> Option<Self> {
        let mut list: Vec<(IpAddr, u8)> = targets.into_iter().collect();
        list.sort_unstable();
        let distinct = list
            .iter()
            .zip(list.iter().skip(1))
            .all(|((a, _), (b, _))| a != b && a.is_ipv4() == b.is_ipv4());
        let divisor = list.iter().fold(0, |d, (_, weight)| divisor(d, *weight));
        let fits = (1..=TARGETS_MAX).contains(&list.len())
            && list.iter().all(|(_, weight)| *weight <= WEIGHT_MAX);
        for (_, weight) in &mut list {
            *weight = weight.checked_div(divisor)?;
        }
        (distinct && fits).then_some(Self(list))
    }

    /// One target.
    #[must_use]
    pub fn one(inside: IpAddr) -> Self {
        Self(vec![(inside, 1)])
    }

    /// The targets' addresses, those without a share among them, in order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().map(|(address, _)| *address)
    }

    /// The target, where there is only one.
    #[must_use]
    pub fn single(&self) -> Option<IpAddr> {
        match self.0.as_slice() {
            [(address, _)] => Some(*address),
            _ => None,
        }
    }

    /// Whether all take equal shares of new connections.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.0.iter().all(|(_, weight)| *weight == 1)
    }

    /// Those that keep their connections and take no new ones, in order.
    pub fn drained(&self) -> impl Iterator<Item = IpAddr> {
        let drained = self.0.iter().filter(|(_, weight)| *weight == 0);
        drained.map(|(address, _)| *address)
    }

    /// Who has each of the [`SLOTS`] slots. Every target with a weight has one at least.
    ///
    /// Each target is given as many slots as its weight asks for, and of them those that it
    /// ranks high by a hash of its address and the slot (highest random weight, with room
    /// for so many): slots move only where the shares or the ranks make them.
    #[must_use]
    pub fn slots(&self) -> BTreeMap<u32, IpAddr> {
        let mut shares = self.shares();
        let mut ranks: Vec<(u64, IpAddr, u32)> = Vec::new();
        for address in shares.keys() {
            let seed = seed(*address);
            ranks.extend((0..SLOTS).map(|slot| (rank(seed, slot), *address, slot)));
        }
        ranks.sort_unstable();
        let mut slots = BTreeMap::new();
        for (_, address, slot) in ranks {
            if let Some(left) = shares.get_mut(&address).filter(|left| **left > 0)
                && !slots.contains_key(&slot)
            {
                slots.insert(slot, address);
                *left -= 1;
            }
        }
        slots
    }

    /// The same shares as one block of slots each, first and last, in the order of the
    /// addresses. For maps that hold ranges of slots: a block is one element there, so that
    /// it does not matter how many slots a change moves.
    #[must_use]
    pub fn blocks(&self) -> Vec<(u32, u32, IpAddr)> {
        let mut first = 0;
        let block = |(address, share): (IpAddr, u32)| {
            let block = (first, first + share - 1, address);
            first += share;
            block
        };
        self.shares().into_iter().map(block).collect()
    }

    /// How many slots each target with a weight has: as near to its share as whole slots
    /// allow, and one at least.
    fn shares(&self) -> BTreeMap<IpAddr, u32> {
        let live = self.0.iter().filter(|(_, weight)| *weight > 0);
        let live: Vec<(IpAddr, u32)> = live.map(|(a, weight)| (*a, u32::from(*weight))).collect();
        let total: u32 = live.iter().map(|(_, weight)| weight).sum();
        let mut shares: BTreeMap<IpAddr, u32> = live.iter().map(|(a, _)| (*a, 1)).collect();
        // One slot after the other goes to the target that is furthest below its share; of
        // two that are equally far, to that of the lower address.
        for _ in live.len()..SLOTS as usize {
            let missing = |address: &IpAddr, weight: u32| {
                let has = shares.get(address).copied().unwrap_or(0);
                i64::from(weight) * i64::from(SLOTS) - i64::from(has) * i64::from(total)
            };
            let next = live
                .iter()
                .max_by_key(|(address, weight)| (missing(address, *weight), Reverse(*address)));
            if let Some(share) = next.and_then(|(address, _)| shares.get_mut(address)) {
                *share += 1;
            }
        }
        shares
    }

    /// Reads the text form. `None` for everything else, and for what is not written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let target = |word: &str| {
            let (address, weight) = match word.split_once('=') {
                Some((address, weight)) => (address, weight.parse().ok()?),
                None => (word, 1),
            };
            Some((address.parse().ok()?, weight))
        };
        let targets: Option<Vec<(IpAddr, u8)>> = text.split(',').map(target).collect();
        Self::new(targets?)
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (address, weight)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            match weight {
                1 => write!(f, "{comma}{address}")?,
                weight => write!(f, "{comma}{address}={weight}")?,
            }
        }
        Ok(())
    }
}

/// The greatest number that divides both; 0 for two zeros.
fn divisor(a: u8, b: u8) -> u8 {
    match a.checked_rem(b) {
        None => a,
        Some(rest) => divisor(b, rest),
    }
}

/// A number of an address that spreads well.
fn seed(address: IpAddr) -> u64 {
    let bits = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let half = |shift: u32| (bits >> shift) as u64;
    mix(mix(half(64)) ^ half(0))
}

/// Where a target stands among those that want a slot: the lowest has it.
fn rank(seed: u64, slot: u32) -> u64 {
    mix(seed ^ mix(u64::from(slot) + 1))
}
