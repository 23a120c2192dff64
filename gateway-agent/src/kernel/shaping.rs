//! The classes that limit EIPs, as a pure function of their rates.
//!
//! An EIP has one class on its uplink's interface for what leaves, and one on the LAN's for
//! what comes in; its addresses of both families share them. nft picks the class of a packet
//! (`meta priority`), so that there is no filter to ask, however many EIPs there are. A packet
//! without a class passes as if there were none: HTB sends it at once, before all others.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::identity::Uid;
use sluice_crds::user::Rate;

use super::rtnl::{Class, Discipline, Qdisc, ROOT};
use super::ruleset::Origin;

#[cfg(test)]
mod tests;

/// The major number of our HTBs: what tells them from those of others.
pub const MAJOR: u16 = 0x5c1c;
/// How many EIPs a gateway limits: all numbers but 0, those of our HTBs and of the ingress
/// qdisc (`ffff:`).
pub const CLASSES: usize = 0xffff - 2;

/// What waits for the interface without a class: as many packets as `fq_codel` keeps.
const DIRECT_PACKETS: u32 = 10_240;
/// What a class may send at once: 10 ms at its rate, and 4 KiB at least, which is two
/// packets.
const BURST_NS: u64 = 10_000_000;
const BURST_BYTES: u64 = 4 << 10;
/// Nanoseconds of a tick.
const TICK_NS: u64 = 64;
/// What may wait in a class: 100 ms at its rate, within bounds. The lower one takes the
/// largest packet of a sender on this machine, which is 64 KiB, and another.
const QUEUE_PER_SEC: u64 = 10;
const QUEUE_BYTES: (u64, u64) = (128 << 10, 16 << 20);
/// What classes send in turns: the largest packet of a sender on this machine.
const QUANTUM: u32 = 64 << 10;

/// The classes that the kernel must hold, by interface and number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shaping(pub BTreeMap<String, BTreeMap<u16, Limit>>);

/// How fast a class is, and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The rate.
    pub rate: Rate,
    /// The entries, by index: one for each address.
    pub origins: BTreeSet<Origin>,
}

/// The numbers of EIPs' classes. An EIP keeps its number for as long as those before it stay
/// that were there when it came, whoever works it out.
#[derive(Clone, Debug)]
pub struct Numbers {
    of: BTreeMap<Uid, u16>,
    /// By number.
    taken: Vec<bool>,
}

impl Default for Numbers {
    fn default() -> Self {
        let mean_something_else = [0, MAJOR, u16::MAX];
        let taken = (0..=u16::MAX).map(|number| mean_something_else.contains(&number));
        Self {
            of: BTreeMap::new(),
            taken: taken.collect(),
        }
    }
}

impl Numbers {
    /// The number of an EIP: what its UID hashes to, or the next that is free. `None` where
    /// all [`CLASSES`] are taken.
    pub fn of(&mut self, uid: &Uid) -> Option<u16> {
        if let Some(number) = self.of.get(uid) {
            return Some(*number);
        }
        if self.of.len() >= CLASSES {
            return None;
        }
        let mut number = hash(uid);
        loop {
            match self.taken.get_mut(usize::from(number)) {
                Some(taken) if !*taken => {
                    *taken = true;
                    self.of.insert(uid.clone(), number);
                    return Some(number);
                }
                _ => number = number.wrapping_add(1),
            }
        }
    }
}

/// FNV-1a, folded to 16 bits.
fn hash(uid: &Uid) -> u16 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let [a, b, c, d] = uid.as_str().bytes().fold(0x811c_9dc5, step).to_be_bytes();
    u16::from_be_bytes([a ^ c, b ^ d])
}

/// A class as nft and the kernel name it.
pub fn handle(number: u16) -> u32 {
    u32::from(MAJOR) << 16 | u32::from(number)
}

/// The number of a class of ours.
pub fn number(handle: u32) -> Option<u16> {
    let [major, number] = [handle >> 16, handle & 0xffff];
    (major == u32::from(MAJOR))
        .then_some(number)
        .and_then(|n| u16::try_from(n).ok())
}

/// The HTB of an interface.
pub fn root(device: u32) -> Qdisc {
    Qdisc {
        device,
        handle: handle(0),
        parent: ROOT,
        discipline: Discipline::Htb {
            default: 0,
            direct_packets: DIRECT_PACKETS,
        },
    }
}

/// A class. It never borrows: its rate is all that it has.
pub fn class(device: u32, number: u16, rate: Rate) -> Class {
    let bytes = bytes(rate);
    let burst_ns = BURST_NS.max(BURST_BYTES * 1_000_000_000 / bytes.max(1));
    let burst = u32::try_from(burst_ns / TICK_NS).unwrap_or(u32::MAX);
    Class {
        device,
        handle: handle(number),
        parent: ROOT,
        rate: bytes,
        ceil: bytes,
        burst,
        ceil_burst: burst,
        quantum: QUANTUM,
        priority: 0,
    }
}

/// The queue of a class: every kernel that has classes has this one.
pub fn queue(device: u32, number: u16, rate: Rate) -> Qdisc {
    let (least, most) = QUEUE_BYTES;
    let bytes = (bytes(rate) / QUEUE_PER_SEC).clamp(least, most);
    Qdisc {
        device,
        handle: u32::from(number) << 16,
        parent: handle(number),
        discipline: Discipline::Fifo {
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        },
    }
}

/// Bytes per second.
fn bytes(rate: Rate) -> u64 {
    rate.bits() / 8
}
