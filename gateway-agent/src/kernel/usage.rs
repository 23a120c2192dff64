//! The use of ports by SNATs, and whom their limits refuse.
//!
//! Looks from a thread of its own, by sockets of its own. Where there is no SNAT nothing is
//! asked, and where there are few connections in all only their number.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use nfnetlink::conntrack::L4;
use nfnetlink::nftables::Element;
use nfnetlink::nftables::expr::Expr;
use nfnetlink::{Errno, Error, Socket};
use sluice_core::entry::{Body, Entry};
use sluice_core::ports::{Limited, Peer, Sample};

use super::flows::address;
use super::report::KernelError;
use super::ruleset::statement::Ip;
use super::ruleset::{FROM_INSIDE, ORIGIN_MASK, Origin, PORTS, inet_id, refused_set};

mod busiest;

use busiest::Busiest;

/// Flows are listed only where there are this many parts of a hundred of the ports of one
/// EIP: with fewer none can be short.
const LISTED_PERCENT: u32 = 25;

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The addresses that SNATs leave with.
    eips: BTreeSet<IpAddr>,
    /// The SNATs with a limit.
    limited: BTreeSet<Limited>,
}

impl Watched {
    /// What a config asks for, without the entries that are not in force; `None` where it has
    /// no SNAT.
    pub fn of<'a>(
        entries: impl Iterator<Item = &'a Entry>,
        rejected: &BTreeMap<Origin, String>,
    ) -> Option<Self> {
        let mut watched = Self::default();
        let entries = entries.enumerate();
        for (_, entry) in entries.filter(|(origin, _)| !rejected.contains_key(origin)) {
            if let Body::Snat {
                source,
                address,
                per_source,
            } = entry.body
            {
                watched.eips.insert(address);
                watched.limited.extend(per_source.map(|limit| Limited {
                    snat: entry.uid.clone(),
                    eip: address,
                    sources: source,
                    limit: limit.get(),
                }));
            }
        }
        (!watched.eips.is_empty()).then_some(watched)
    }
}

/// What is looked at now; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Watching(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    /// Nothing was applied yet.
    #[default]
    Unknown,
    Known(Option<Arc<Watched>>),
}

impl Watching {
    /// A config was applied.
    pub fn set(&self, watched: Option<Watched>) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = State::Known(watched.map(Arc::new));
    }
}

/// Looks at the use of ports.
#[derive(Debug)]
pub struct Usage {
    socket: Socket,
    watching: Watching,
    /// What was refused by the last look; `None` where an earlier process counted and there
    /// was no look yet.
    refused: Option<Refusals>,
}

/// How many connections were refused, by prefix and EIP.
type Refusals = BTreeMap<(IpNet, IpAddr), u64>;

impl Usage {
    /// `inherited`: the rules of an earlier process stand, and have counted.
    pub(super) fn open(watching: Watching, inherited: bool) -> Result<Self, KernelError> {
        Ok(Self {
            socket: Socket::open().map_err(failed)?,
            watching,
            refused: (!inherited).then(Refusals::new),
        })
    }

    /// Looks; `None` where nothing was applied yet. Without a SNAT, and where the instance
    /// does not hold, nothing is in use.
    ///
    /// # Errors
    /// [`KernelError::Rules`].
    pub fn sample(&mut self) -> Result<Option<Sample>, KernelError> {
        let watched = {
            let now = self.watching.0.lock();
            match &*now.unwrap_or_else(PoisonError::into_inner) {
                State::Unknown => return Ok(None),
                State::Known(watched) => watched.clone(),
            }
        };
        let available = u32::from(PORTS.end() - PORTS.start()) + 1;
        let Some(watched) = watched else {
            self.refused = Some(Refusals::new());
            return Ok(Some(Sample {
                available,
                ..Sample::default()
            }));
        };
        Ok(Some(Sample {
            available,
            used: self.used(&watched, available)?,
            refused: self.refused(&watched)?,
        }))
    }

    fn used(
        &mut self,
        watched: &Watched,
        available: u32,
    ) -> Result<BTreeMap<Peer, u32>, KernelError> {
        let flows = self.socket.flow_count().map_err(failed)?;
        if u64::from(flows) * 100 < u64::from(available) * u64::from(LISTED_PERCENT) {
            return Ok(BTreeMap::new());
        }
        let mut busiest = Busiest::default();
        self.socket
            .each_reply((FROM_INSIDE, ORIGIN_MASK), |reply| {
                // Answers come from the peer to the EIP.
                if let L4::Ports { src, dst } = reply.l4
                    && PORTS.contains(&dst)
                    && watched.eips.contains(&reply.dst)
                {
                    busiest.count(Peer {
                        eip: reply.dst,
                        protocol: reply.proto,
                        destination: reply.src,
                        port: src,
                    });
                }
            })
            .map_err(failed)?;
        Ok(busiest.counts(available / 100))
    }

    /// What was refused since the last look; of what an earlier process saw nothing is known.
    /// Where a count was lost and began anew, all of it is new.
    fn refused(&mut self, watched: &Watched) -> Result<BTreeMap<Limited, u64>, KernelError> {
        let lens = watched.limited.iter().map(|limited| {
            let ip = family(limited.eip);
            (ip == Ip::V4, limited.sources.prefix_len())
        });
        let lens: BTreeSet<(bool, u8)> = lens.collect();
        let mut counts = Refusals::new();
        for (v4, len) in lens {
            let ip = if v4 { Ip::V4 } else { Ip::V6 };
            let elements = match self.socket.elements(&inet_id(), &refused_set(ip, len)) {
                Ok(elements) => elements,
                // The rules are changing.
                Err(Error::Refused {
                    errno: Errno::NOENT,
                    ..
                }) => continue,
                Err(error) => return Err(failed(error)),
            };
            counts.extend(elements.iter().filter_map(|e| count(e, v4, len)));
        }
        let Some(before) = self.refused.replace(counts.clone()) else {
            return Ok(BTreeMap::new());
        };
        let new = |limited: &Limited| {
            let key = (limited.sources, limited.eip);
            let count = *counts.get(&key)?;
            let known = before.get(&key).copied().unwrap_or(0);
            let new = count.checked_sub(known).unwrap_or(count);
            (new > 0).then(|| (limited.clone(), new))
        };
        Ok(watched.limited.iter().filter_map(new).collect())
    }
}

/// The prefix, the EIP and the count of an element.
fn count(element: &Element, v4: bool, len: u8) -> Option<((IpNet, IpAddr), u64)> {
    let key = &element.key;
    let second = if v4 { 4 } else { 16 };
    let sources = IpNet::new(address(key, v4)?, len).ok()?;
    let eip = nfnetlink::nftables::Value(key.as_bytes().get(second..)?.to_vec());
    let packets = element.exprs.iter().find_map(|expr| match expr {
        Expr::Counter(counter) => Some(counter.packets),
        _ => None,
    })?;
    Some(((sources, address(&eip, v4)?), packets))
}

fn family(address: IpAddr) -> Ip {
    match address {
        IpAddr::V4(_) => Ip::V4,
        IpAddr::V6(_) => Ip::V6,
    }
}

fn failed(error: Error) -> KernelError {
    KernelError::Rules(error.to_string())
}
