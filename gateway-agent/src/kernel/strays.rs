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
use nfnetlink::conntrack::{Flow, L4, Tuple};
use nfnetlink::nftables::{Data, Element, TableContent};

use super::flows::{address, data, ports, source_maps};
use super::report::KernelOptions;
use super::ruleset::statement::Ip;
use super::ruleset::{FROM_INSIDE, FROM_OUTSIDE, ORIGIN_MASK, hairpin_source};
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
    /// EIP, protocol and port to inside address and port.
    port: BTreeMap<(IpAddr, u8, u16), (IpAddr, u16)>,
    /// EIP, protocol and first port to last port and inside address.
    range: BTreeMap<(IpAddr, u8, u16), (u16, IpAddr)>,
    /// EIP and protocol to inside address.
    any: BTreeMap<(IpAddr, u8), IpAddr>,
    /// Inside prefix to the EIPs that its sources may leave with.
    sources: BTreeMap<IpNet, BTreeSet<IpAddr>>,
    /// Lengths of those prefixes.
    lengths: BTreeSet<u8>,
    /// Addresses that this host itself speaks with.
    here: BTreeSet<IpAddr>,
    /// What a client without a FIP shows to inside servers that it reaches by an EIP, for
    /// the families where that is one address.
    hairpin: BTreeSet<IpAddr>,
}

/// Where the first packet of a flow goes by the rules; the port where they change it.
type Target = (IpAddr, Option<u16>);

impl Translations {
    /// What the maps of the table `inet sluice` say.
    pub fn new(inet: &TableContent, settings: &Settings, options: &KernelOptions) -> Self {
        let next_hops = settings.lan_addresses.iter().map(IpNet::addr);
        let mut all = Self {
            here: next_hops.chain(options.pod_addresses.clone()).collect(),
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
            all.port.extend(elements("dnat").filter_map(|e| {
                let (eip, proto, port, _) = ports(e, v4)?;
                Some(((eip, proto, port), (data(e, v4)?, inside_port(e, v4)?)))
            }));
            all.range.extend(elements("range").filter_map(|e| {
                let (eip, proto, first, last) = ports(e, v4)?;
                Some(((eip, proto, first), (last, data(e, v4)?)))
            }));
            all.any.extend(elements("any").filter_map(|e| {
                let (eip, proto, ..) = ports(e, v4)?;
                Some(((eip, proto), data(e, v4)?))
            }));
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

    /// Whether the rules would not translate the flow as it is.
    pub fn is_stray(&self, flow: &Flow) -> bool {
        let (orig, reply) = (&flow.orig, &flow.reply);
        let target = self.target(orig);
        let resourced = reply.dst != orig.src;
        match flow.mark & ORIGIN_MASK {
            FROM_OUTSIDE => !goes_to(flow, target) || resourced,
            FROM_INSIDE if !goes_to(flow, target) => true,
            FROM_INSIDE if target.is_some() => !self.is_hairpin_source(orig.src, reply.dst),
            FROM_INSIDE if resourced => !self.may_leave_with(orig.src, reply.dst),
            // Only to this host itself goes what is not translated.
            FROM_INSIDE => self.has_source(orig.src) && !self.here.contains(&orig.dst),
            // This host's own connections are not translated.
            _ if self.here.contains(&orig.src) => false,
            _ if target.is_some() => !goes_to(flow, target),
            _ => {
                let leaves = !resourced && goes_to(flow, None) && !self.here.contains(&orig.dst);
                leaves && self.has_source(orig.src)
            }
        }
    }

    /// Where the rules send what comes in for an EIP; in their order.
    fn target(&self, orig: &Tuple) -> Option<Target> {
        if let Some(inside) = self.fip_in.get(&orig.dst) {
            return Some((*inside, None));
        }
        let port = dst_port(orig)?;
        if let Some((inside, port)) = self.port.get(&(orig.dst, orig.proto, port)) {
            return Some((*inside, Some(*port)));
        }
        let below = (orig.dst, orig.proto, 0)..=(orig.dst, orig.proto, port);
        let range = self.range.range(below).next_back();
        if let Some((_, (_, inside))) = range.filter(|(_, (last, _))| port <= *last) {
            return Some((*inside, None));
        }
        let inside = self.any.get(&(orig.dst, orig.proto))?;
        Some((*inside, None))
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

/// Whether the flow's packets go where the rules send its first one; without a rule, to
/// where they were sent.
fn goes_to(flow: &Flow, target: Option<Target>) -> bool {
    let (inside, port) = target.unwrap_or((flow.orig.dst, None));
    let expected = port.or_else(|| dst_port(&flow.orig));
    let port = match flow.reply.l4 {
        L4::Ports { src, .. } => Some(src),
        L4::Icmp { .. } | L4::None => None,
    };
    flow.reply.src == inside && port == expected
}

fn dst_port(tuple: &Tuple) -> Option<u16> {
    match tuple.l4 {
        L4::Ports { dst, .. } => Some(dst),
        L4::Icmp { .. } | L4::None => None,
    }
}

/// The port behind the address in the value of a map.
fn inside_port(element: &Element, v4: bool) -> Option<u16> {
    let Some(Data::Value(value)) = &element.data else {
        return None;
    };
    let bytes = value.as_bytes().get(if v4 { 4 } else { 16 }..)?;
    bytes.first_chunk::<2>().map(|b| u16::from_be_bytes(*b))
}
