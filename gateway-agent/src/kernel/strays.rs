//! Strays: connections that the rules in force would not make as they are.
//!
//! [`Flush`](super::Flush) names what one change made void. Where that was lost, by a kill
//! between the change and its flush or by a flush that failed, each connection is judged by
//! the rules instead: what would become of its first packet now?
//!
//! Where a flow began is told by its mark, which the rules give it. A flow without our mark
//! began before the rules stood, or is this host's own; or another program translates it,
//! and that is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use nfnetlink::conntrack::Flow;
use nfnetlink::nftables::{Element, TableContent};

use super::flows::{Places, address, data, source_maps};
use super::forwards::{Forwards, dst_port, goes_to};
use super::report::KernelOptions;
use super::ruleset::statement::Ip;
use super::ruleset::{FROM_INSIDE, FROM_OUTSIDE, ORIGIN_MASK, UPLINK_MASK, hairpin_source};
use super::settings::Settings;

#[cfg(test)]
mod tests;

/// How the rules translate the first packet of a flow.
#[derive(Debug, Default)]
pub struct Translations {
    /// EIP to inside address.
    fip_in: BTreeMap<IpAddr, IpAddr>,
    /// Inside address to EIP.
    fip_out: BTreeMap<IpAddr, IpAddr>,
    /// Ports of EIPs to inside addresses.
    forwards: Forwards,
    /// Inside prefix to the EIPs that its sources may leave with.
    sources: BTreeMap<IpNet, BTreeSet<IpAddr>>,
    /// Lengths of those prefixes.
    lengths: BTreeSet<u8>,
    /// Addresses that this host itself speaks with.
    here: BTreeSet<IpAddr>,
    /// What a client without a FIP shows to inside servers that it reaches by an EIP, for
    /// the families where that is one address.
    hairpin: BTreeSet<IpAddr>,
    /// The mark of the uplink that each EIP stands on.
    uplinks: BTreeMap<IpAddr, u32>,
}

/// Where a flow goes, by where the rules send its first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// They send it on, and there it goes.
    Hit,
    /// They send it on, and it goes elsewhere.
    Missed,
    /// They leave it alone, and it goes to where it was sent.
    None,
    /// They leave it alone, and it goes elsewhere.
    Astray,
}

impl Aim {
    fn is_missed(self) -> bool {
        matches!(self, Aim::Missed | Aim::Astray)
    }
}

impl Translations {
    /// What the maps of the table `inet sluice` say.
    pub fn new(inet: &TableContent, settings: &Settings, options: &KernelOptions) -> Self {
        let next_hops = settings.lan_addresses.iter().map(IpNet::addr);
        let mut all = Self {
            here: next_hops.chain(options.pod_addresses.clone()).collect(),
            forwards: Forwards::new(inet, |_| true),
            ..Self::default()
        };
        for ip in Ip::BOTH {
            let v4 = ip == Ip::V4;
            all.hairpin.extend(hairpin_source(ip, settings, options));
            let elements = |stem: &str| {
                let set = inet.sets.get(&ip.name(stem));
                set.into_iter().flat_map(|set| &set.elements)
            };
            let pair = |e: &Element| Some((address(&e.key, v4)?, data(e, v4)?));
            let own = elements("own").filter_map(|e| address(&e.key, v4));
            all.here.extend(own);
            all.fip_in.extend(elements("fipin").filter_map(pair));
            all.fip_out.extend(elements("fipout").filter_map(pair));
            for stem in ["snat", "pool"] {
                for (name, len) in source_maps(inet, &ip.name(stem)) {
                    let set = inet.sets.get(name);
                    for (base, eip) in set.into_iter().flat_map(|s| &s.elements).filter_map(pair) {
                        let Ok(prefix) = IpNet::new(base, len) else {
                            continue;
                        };
                        all.sources.entry(prefix).or_default().insert(eip);
                        all.lengths.insert(len);
                    }
                }
            }
        }
        all
    }

    /// Knows the uplinks of the EIPs, too.
    #[must_use]
    pub fn with_places(mut self, places: &Places<'_>) -> Self {
        let mark = |(address, (number, _)): (&IpAddr, &(u8, &str))| (*address, u32::from(*number));
        self.uplinks = places.iter().map(mark).collect();
        self
    }

    /// Whether the rules would not translate the flow as it is, or send it elsewhere.
    pub fn is_stray(&self, flow: &Flow) -> bool {
        let (orig, reply) = (&flow.orig, &flow.reply);
        let aim = self.aim(flow);
        let resourced = reply.dst != orig.src;
        match flow.mark & ORIGIN_MASK {
            FROM_OUTSIDE => aim.is_missed() || resourced,
            FROM_INSIDE if aim.is_missed() => true,
            FROM_INSIDE if aim == Aim::Hit => !self.is_hairpin_source(orig.src, reply.dst),
            FROM_INSIDE if resourced => {
                let uplink = self.uplinks.get(&reply.dst);
                !self.may_leave_with(orig.src, reply.dst)
                    || uplink.is_some_and(|number| flow.mark & UPLINK_MASK != *number)
            }
            // Only to this host itself goes what is not translated.
            FROM_INSIDE => self.has_source(orig.src) && !self.here.contains(&orig.dst),
            // This host's own connections are not translated.
            _ if self.here.contains(&orig.src) => false,
            _ if aim == Aim::Hit || aim == Aim::Missed => aim.is_missed(),
            _ => {
                let leaves = !resourced && aim == Aim::None && !self.here.contains(&orig.dst);
                leaves && self.has_source(orig.src)
            }
        }
    }

    /// Whether the flow goes where the rules send what comes in for an EIP; in their order.
    fn aim(&self, flow: &Flow) -> Aim {
        let orig = &flow.orig;
        let hit = if let Some(inside) = self.fip_in.get(&orig.dst) {
            goes_to(flow, Some((*inside, None)))
        } else if dst_port(orig)
            .and_then(|port| self.forwards.targets(orig.dst, orig.proto, port))
            .is_some()
        {
            self.forwards.allows(flow)
        } else if goes_to(flow, None) {
            return Aim::None;
        } else {
            return Aim::Astray;
        };
        if hit { Aim::Hit } else { Aim::Missed }
    }

    /// Whether what an inside address sends out may have this EIP: by its FIP; else by any of
    /// its prefixes, since a longer one that is added leaves the flows of a shorter one alone.
    fn may_leave_with(&self, src: IpAddr, eip: IpAddr) -> bool {
        match self.fip_out.get(&src) {
            Some(own) => *own == eip,
            None => self.pools(src).any(|eips| eips.contains(&eip)),
        }
    }

    /// Whether what an inside address sends out is translated.
    fn has_source(&self, src: IpAddr) -> bool {
        self.fip_out.contains_key(&src) || self.pools(src).next().is_some()
    }

    fn pools(&self, src: IpAddr) -> impl Iterator<Item = &BTreeSet<IpAddr>> {
        self.lengths.iter().filter_map(move |len| {
            let prefix = IpNet::new(src, *len).ok()?.trunc();
            self.sources.get(&prefix)
        })
    }

    fn is_hairpin_source(&self, src: IpAddr, shown: IpAddr) -> bool {
        match self.fip_out.get(&src) {
            Some(eip) => *eip == shown,
            None => {
                let mut of_family = self.hairpin.iter().filter(|a| a.is_ipv4() == src.is_ipv4());
                of_family.clone().next().is_none() || of_family.any(|own| *own == shown)
            }
        }
    }
}
