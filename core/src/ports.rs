//! When the ports of an EIP run short, and which sources are refused for the number of
//! connections that they hold.
//!
//! What is said changes when a threshold is crossed and not with each sample: it becomes a
//! condition of objects, and a figure that moves would be written all the time.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use sluice_crds::condition::Reason;
use sluice_crds::internal::Shortage;

use crate::agent::Millis;
use crate::identity::Uid;

#[cfg(test)]
mod tests;

/// From so many percent of the ports on an EIP is short of them.
pub const LOW_PERCENT: u64 = 80;
/// Below so many percent it is not any more.
pub const ENOUGH_PERCENT: u64 = 70;
/// Sources are refused until none was for this long.
const QUIET_MS: u64 = 60_000;

/// To whom connections go: they need ports of their own among those with the same peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The EIP's address that they leave with.
    pub eip: IpAddr,
    /// Protocol number (`IPPROTO_*`).
    pub protocol: u8,
    /// The destination's address.
    pub destination: IpAddr,
    /// The destination's port.
    pub port: u16,
}

/// A SNAT that limits the connections of each source, with one of its EIPs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limited {
    /// UID of the SNAT.
    pub snat: Uid,
    /// The EIP's address.
    pub eip: IpAddr,
    /// One of its prefixes.
    pub sources: IpNet,
    /// Connections that one source may hold.
    pub limit: u16,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// How many ports there are for each peer.
    pub available: u32,
    /// How many of them are in use; peers with few may be left out.
    pub used: BTreeMap<Peer, u32>,
    /// Connections that were refused since the last sample, where there were any.
    pub refused: BTreeMap<Limited, u64>,
}

impl Sample {
    /// The peer with most ports in use of each EIP.
    #[must_use]
    pub fn busiest(&self) -> BTreeMap<IpAddr, (Peer, u32)> {
        let mut busiest: BTreeMap<IpAddr, (Peer, u32)> = BTreeMap::new();
        for (peer, used) in &self.used {
            let known = busiest.entry(peer.eip).or_insert((*peer, *used));
            if *used > known.1 {
                *known = (*peer, *used);
            }
        }
        busiest
    }

    /// Whether so many ports are this part of those that there are.
    fn reaches(&self, used: u32, percent: u64) -> bool {
        used > 0 && u64::from(used) * 100 >= u64::from(self.available) * percent
    }
}

/// What runs short, from one sample to the next.
#[derive(Clone, Debug, Default)]
pub struct Shortages {
    /// EIPs that are short of ports, and to whom.
    low: BTreeMap<IpAddr, Peer>,
    /// SNATs that refused, per EIP: when last, and whom first.
    refusing: BTreeMap<(Uid, IpAddr), (Millis, Limited)>,
}

impl Shortages {
    /// Takes in a sample and says what runs short now, in order.
    pub fn take(&mut self, now: Millis, sample: &Sample) -> Vec<Shortage> {
        let busiest = sample.busiest();
        self.low.retain(|eip, peer| {
            let used = sample.used.get(peer).copied().unwrap_or(0);
            if sample.reaches(used, ENOUGH_PERCENT) {
                return true;
            }
            match busiest.get(eip) {
                Some((other, used)) if sample.reaches(*used, ENOUGH_PERCENT) => {
                    *peer = *other;
                    true
                }
                _ => false,
            }
        });
        for (eip, (peer, used)) in busiest {
            if sample.reaches(used, LOW_PERCENT) {
                self.low.entry(eip).or_insert(peer);
            }
        }
        for limited in sample.refused.keys() {
            let name = (limited.snat.clone(), limited.eip);
            let known = self.refusing.entry(name);
            known.or_insert_with(|| (now, limited.clone())).0 = now;
        }
        self.refusing
            .retain(|_, (last, _)| now.0 < last.0.saturating_add(QUIET_MS));
        let low = self.low.iter().map(|(eip, peer)| low(*eip, peer, sample));
        let refusing = self.refusing.values().map(|(_, first)| refusing(first));
        low.chain(refusing).collect()
    }
}

fn low(eip: IpAddr, peer: &Peer, sample: &Sample) -> Shortage {
    Shortage {
        address: eip.to_string(),
        reason: Reason::PortsLow.to_string(),
        rule: None,
        message: format!(
            "{LOW_PERCENT} % or more of the {} ports of {eip} are in use to {} at {} port {}; when all are, new connections to it are dropped; share its sources among more EIPs by another SNAT, or let clients reuse connections",
            sample.available,
            protocol(peer.protocol),
            peer.destination,
            peer.port
        ),
    }
}

fn refusing(limited: &Limited) -> Shortage {
    let Limited {
        snat,
        eip,
        sources,
        limit,
    } = limited;
    Shortage {
        address: eip.to_string(),
        reason: Reason::PortsPerSourceReached.to_string(),
        rule: Some(snat.to_string()),
        message: format!(
            "a source in {sources} holds the {limit} connections with {eip} that spec.portsPerSource allows, and more are refused; raise it, or find out what holds them"
        ),
    }
}

/// The protocol's name.
#[must_use]
pub fn protocol(number: u8) -> String {
    match number {
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        132 => "sctp".to_owned(),
        other => format!("protocol {other}"),
    }
}
