//! From entries to elements.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use nfnetlink::nftables::{Family, SetContent, Value};
use sluice_core::entry::Entry;

use super::chains::{self, SourceMap};
use super::statement::{Ip, SourceKey};
use super::{Contents, Origin, Ruleset, empty, quota};
use crate::kernel::report::{KernelOptions, Stamp};
use crate::kernel::settings::Settings;
use crate::kernel::shaping::Shaping;

mod entries;
mod forward;
mod place;
mod pool;
mod shape;

/// Slots of a prefix whose sources share several EIPs.
const POOL_SLOTS: u32 = 256;

/// The rules for a config, and what could not be put into them.
#[derive(Clone, Debug)]
pub struct Built {
    /// Both tables.
    pub ruleset: Ruleset,
    /// The addresses that the instance answers for when it holds, with their uplink's index.
    pub addresses: BTreeMap<IpAddr, usize>,
    /// Entries that are not in the rules, by index, and why.
    pub rejected: BTreeMap<Origin, String>,
    /// Whether every entry is in the rules, with elements of its own.
    pub plain: bool,
    /// The classes of traffic that the rules give packets to.
    pub shaping: Shaping,
    address_origins: BTreeMap<IpAddr, Origin>,
}

/// Which entry each element was made for.
#[derive(Clone, Debug)]
pub struct Origins {
    inet: Contents,
    arp: Contents,
}

impl Origins {
    /// The entry that an element was made for.
    pub fn of(&self, family: Family, set: &str, key: &Value) -> Option<Origin> {
        match family {
            Family::Arp => self.arp.origin(set, key),
            _ => self.inet.origin(set, key),
        }
    }
}

impl Built {
    /// The entry that an address was asked for by.
    pub fn address_origin(&self, address: IpAddr) -> Option<Origin> {
        self.address_origins.get(&address).copied()
    }
}

/// Builds the rules for entries. `refused` are entries, by index, that the kernel does not
/// take: they are left out with all that needs them.
pub fn build(
    settings: &Settings,
    entries: &[&Entry],
    options: &KernelOptions,
    stamp: &Stamp,
    refused: &BTreeMap<Origin, String>,
) -> Built {
    work(settings, entries, options, stamp, refused, &ALONE).finish(options)
}

/// The elements that some of the entries make, beside those of the gateway itself.
/// `around` are the addresses of all entries, with their uplink's index. `None` where these
/// entries cannot be told from the others.
pub fn part(
    settings: &Settings,
    entries: &[&Entry],
    options: &KernelOptions,
    stamp: &Stamp,
    around: &BTreeMap<IpAddr, usize>,
) -> Option<Part> {
    let work = work(settings, entries, options, stamp, &BTreeMap::new(), around);
    let pooled = work.inet.names().any(|name| name.starts_with("pool"));
    // Which chains there are depends on all limits.
    let plain = work.is_plain() && !pooled && work.limits.is_empty() && work.shaping.0.is_empty();
    plain.then(|| Part {
        inet: work.inet.finish(),
        arp: work.arp.finish(),
        addresses: work.addresses,
    })
}

/// The elements that some of the entries make.
#[derive(Clone, Debug)]
pub struct Part {
    /// Those of `inet sluice`, by set.
    pub inet: BTreeMap<String, SetContent>,
    /// Those of `arp sluice`, by set.
    pub arp: BTreeMap<String, SetContent>,
    /// The addresses among these entries.
    pub addresses: BTreeMap<IpAddr, usize>,
}

/// No addresses but those of the entries given.
static ALONE: BTreeMap<IpAddr, usize> = BTreeMap::new();

/// Which entries [`build`] with the same arguments makes the elements for. Worked out anew,
/// because it is asked for only when the kernel refuses something.
pub fn origins(
    settings: &Settings,
    entries: &[&Entry],
    options: &KernelOptions,
    stamp: &Stamp,
    refused: &BTreeMap<Origin, String>,
) -> Origins {
    let work = work(settings, entries, options, stamp, refused, &ALONE);
    Origins {
        inet: work.inet,
        arp: work.arp,
    }
}

fn work<'a>(
    settings: &'a Settings,
    entries: &[&Entry],
    options: &KernelOptions,
    stamp: &Stamp,
    refused: &BTreeMap<Origin, String>,
    around: &'a BTreeMap<IpAddr, usize>,
) -> Work<'a> {
    let mut work = Work {
        settings,
        around,
        inet: Contents::default(),
        arp: Contents::default(),
        addresses: BTreeMap::new(),
        origins: BTreeMap::new(),
        rejected: refused.clone(),
        fips: BTreeSet::new(),
        pools: BTreeMap::new(),
        limits: BTreeMap::new(),
        expanded: 0,
        shaping: Shaping::default(),
    };
    work.declare();
    work.place(options, stamp);
    work.entries(entries);
    work.limits(entries);
    work.answers(stamp.holding);
    work
}

struct Work<'a> {
    settings: &'a Settings,
    around: &'a BTreeMap<IpAddr, usize>,
    inet: Contents,
    arp: Contents,
    addresses: BTreeMap<IpAddr, usize>,
    origins: BTreeMap<IpAddr, Origin>,
    rejected: BTreeMap<Origin, String>,
    fips: BTreeSet<IpAddr>,
    pools: BTreeMap<IpNet, Vec<pool::Member>>,
    /// The limits of sources, by the map that holds them.
    limits: BTreeMap<String, BTreeSet<u16>>,
    expanded: u32,
    shaping: Shaping,
}

impl Work<'_> {
    fn is_plain(&self) -> bool {
        self.rejected.is_empty() && !self.inet.is_shared() && !self.arp.is_shared()
    }

    fn finish(mut self, options: &KernelOptions) -> Built {
        let mut sources = Vec::new();
        for ip in Ip::BOTH {
            let longest = match ip {
                Ip::V4 => 32,
                Ip::V6 => 128,
            };
            for len in (1..=longest).rev() {
                for shared in [false, true] {
                    let (snat, mark) = source_names(ip, len, shared);
                    if self.inet.has(&snat) {
                        let key = SourceKey {
                            mask: (len < longest).then(|| mask(ip, len)),
                            slots: shared.then_some(POOL_SLOTS),
                        };
                        sources.push(SourceMap {
                            ip,
                            len,
                            limits: self.limits.remove(&snat).unwrap_or_default(),
                            key,
                            snat,
                            mark,
                        });
                    }
                }
            }
        }
        quota::sets(&mut self.inet, &sources);
        let plain = self.is_plain();
        let mut inet = empty(Family::Inet, options);
        inet.sets = self.inet.finish();
        chains::inet(&mut inet, self.settings, options, &sources);
        let mut arp = empty(Family::Arp, options);
        arp.sets = self.arp.finish();
        chains::arp(&mut arp);
        Built {
            ruleset: Ruleset {
                inet: inet.into(),
                arp: arp.into(),
            },
            addresses: self.addresses,
            rejected: self.rejected,
            plain,
            shaping: self.shaping,
            address_origins: self.origins,
        }
    }
}

/// Names of the maps from a source to its EIP and to its mark.
pub fn source_names(ip: Ip, len: u8, shared: bool) -> (String, String) {
    let stem = if shared { "pool" } else { "snat" };
    let name = ip.name(stem);
    (format!("{name}_{len}"), format!("{name}_{len}_mark"))
}

fn mask(ip: Ip, len: u8) -> Value {
    let len = u32::from(len);
    match ip {
        Ip::V4 => Value(
            (u32::MAX << 32_u32.saturating_sub(len).min(31))
                .to_be_bytes()
                .to_vec(),
        ),
        Ip::V6 => Value(
            (u128::MAX << 128_u32.saturating_sub(len).min(127))
                .to_be_bytes()
                .to_vec(),
        ),
    }
}

/// The family of an address.
pub fn family(address: IpAddr) -> Ip {
    match address {
        IpAddr::V4(_) => Ip::V4,
        IpAddr::V6(_) => Ip::V6,
    }
}
