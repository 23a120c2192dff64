//! `trace`: what becomes of a packet by a gateway's compiled rules, on its way and back,
//! and which objects say so.
//!
//! It reads the entries that the gateway's config names, with the precedence that the
//! data plane has: on the way in FIP, then DNAT; on the way out FIP, then SNAT by the
//! longest prefix. What a kernel would add (guards, routes, connections that exist) is
//! not in the entries and not said.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::Serialize;
use sluice_core::entry::{Body, Entry};
use sluice_crds::user::{Ports, Protocol};

use crate::explain::Subject;
use crate::target::Kind;
use crate::world::{Key, World};

/// The protocols that a packet can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "the names are the meaning")]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
    Icmp,
}

impl Transport {
    fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Tcp => Some(Protocol::TCP),
            Self::Udp => Some(Protocol::UDP),
            Self::Sctp => Some(Protocol::SCTP),
            Self::Icmp => None,
        }
    }
}

/// An address, with a port where that matters: `10.0.0.1`, `10.0.0.1:80`, `[fd00::1]:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The address.
    pub address: IpAddr,
    /// The port, if it was given.
    pub port: Option<u16>,
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let with_port = text.parse::<SocketAddr>().map(|both| Self {
            address: both.ip(),
            port: Some(both.port()),
        });
        let alone = text.parse().map(|address| Self {
            address,
            port: None,
        });
        with_port.or(alone).map_err(|_: std::net::AddrParseError| {
            format!("{text:?} is no address and no address with a port")
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", SocketAddr::new(self.address, port)),
            None => write!(f, "{}", self.address),
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The packet as it comes.
    pub packet: String,
    /// The packets that it may leave as: one, or one for each of those that share it.
    pub leaves_as: Vec<String>,
    /// The answers to these, as they come and as they leave.
    pub answers: Vec<String>,
    /// Objects that match, and what they say.
    pub by: Vec<String>,
    /// What happens where nothing translates it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub otherwise: String,
}

/// Follows a packet through the rules of a gateway.
///
/// # Errors
/// When the gateway's config cannot be seen.
pub fn trace(
    world: &World,
    gateway: &Key,
    from: End,
    to: End,
    transport: Transport,
) -> Result<Trace, String> {
    let config = world
        .config(gateway)
        .ok_or_else(|| format!("there is no config of NATGateway {gateway} that you may read"))?;
    let namespace = config.metadata.namespace.as_deref();
    let named = |slice: &&sluice_crds::RuleSlice| {
        let name = slice.metadata.name.as_deref();
        slice.metadata.namespace.as_deref() == namespace
            && config.spec.slices.iter().any(|s| Some(s.as_str()) == name)
    };
    let entries: Vec<Entry> = world
        .slices
        .iter()
        .filter(named)
        .flat_map(|slice| &slice.spec.entries)
        .filter_map(|line| line.parse().ok())
        .collect();
    let mut trace = Trace {
        packet: format!("{from} > {to}"),
        leaves_as: Vec::new(),
        answers: Vec::new(),
        by: Vec::new(),
        otherwise: String::new(),
    };
    let held = entries.iter().any(|e| e.body.held() == Some(to.address));
    let targets = if held {
        inward(&entries, to, transport)
    } else {
        vec![(None, to)]
    };
    let sources = outward(&entries, from);
    if held && targets.is_empty() {
        trace.otherwise = "the EIP is this gateway's, and no FIP or DNAT takes the packet: it is refused, or answered where it is a ping".to_owned();
        return Ok(trace);
    }
    if !held && sources.is_empty() {
        trace.otherwise = "the destination is no EIP of this gateway, and no FIP or SNAT covers the source: it is refused".to_owned();
        return Ok(trace);
    }
    // Who comes from outside keeps his address; an inside host that goes to an EIP has its own EIP's.
    let seen: Vec<(Option<&Entry>, End)> = if sources.is_empty() {
        vec![(None, from)]
    } else {
        sources
    };
    for (rule, target) in &targets {
        for (source_rule, source) in &seen {
            trace.leaves_as.push(format!("{source} > {target}"));
            trace
                .answers
                .push(format!("{target} > {source} leaves as {to} > {from}"));
            for entry in [rule, source_rule].into_iter().flatten() {
                let by = format!("{}: {}", owner(world, entry), entry.key());
                if !trace.by.contains(&by) {
                    trace.by.push(by);
                }
            }
        }
    }
    Ok(trace)
}

/// Where a packet to an EIP goes: FIP before DNAT.
fn inward(entries: &[Entry], to: End, transport: Transport) -> Vec<(Option<&Entry>, End)> {
    let fip = entries.iter().find_map(|entry| match &entry.body {
        Body::Fip {
            address, inside, ..
        } if *address == to.address => Some((
            Some(entry),
            End {
                address: *inside,
                port: to.port,
            },
        )),
        _ => None,
    });
    if let Some(found) = fip {
        return vec![found];
    }
    let mut found: Vec<(u32, Option<&Entry>, End)> = Vec::new();
    for entry in entries {
        let Body::Dnat {
            address,
            protocol,
            ports,
            targets,
            inside_ports,
        } = &entry.body
        else {
            continue;
        };
        let (Some(port), true) = (
            to.port,
            *address == to.address && Some(*protocol) == transport.protocol(),
        ) else {
            continue;
        };
        let Some(inside) = shifted(port, *ports, *inside_ports) else {
            continue;
        };
        let drained: Vec<IpAddr> = targets.drained().collect();
        let live = targets.addresses().filter(|a| !drained.contains(a));
        found.extend(live.map(|address| {
            (
                ports.count(),
                Some(entry),
                End {
                    address,
                    port: Some(inside),
                },
            )
        }));
    }
    // The rule with fewest ports says most precisely what it wants.
    let least = found.iter().map(|(count, ..)| *count).min();
    found
        .into_iter()
        .filter(|(count, ..)| Some(*count) == least)
        .map(|(_, entry, end)| (entry, end))
        .collect()
}

/// The inside port of a port of the EIP, if the rule has it.
fn shifted(port: u16, ports: Ports, inside: Ports) -> Option<u16> {
    let within = port >= ports.first() && port <= ports.last();
    within
        .then(|| inside.first().checked_add(port - ports.first()))
        .flatten()
}

/// The addresses that what an inside host sends may leave with: FIP before SNAT, of SNATs
/// the longest prefix. Of several EIPs each source has one, always the same.
fn outward(entries: &[Entry], from: End) -> Vec<(Option<&Entry>, End)> {
    let fip = entries.iter().find_map(|entry| match &entry.body {
        Body::Fip {
            address,
            inside,
            source: true,
        } if *inside == from.address => Some((
            Some(entry),
            End {
                address: *address,
                port: from.port,
            },
        )),
        _ => None,
    });
    if let Some(found) = fip {
        return vec![found];
    }
    let covering = entries.iter().filter_map(|entry| match &entry.body {
        Body::Snat {
            source, address, ..
        } if source.contains(&from.address) => Some((
            source.prefix_len(),
            Some(entry),
            End {
                address: *address,
                port: from.port,
            },
        )),
        _ => None,
    });
    let covering: Vec<_> = covering.collect();
    let longest = covering.iter().map(|(length, ..)| *length).max();
    covering
        .into_iter()
        .filter(|(length, ..)| Some(*length) == longest)
        .map(|(_, entry, end)| (entry, end))
        .collect()
}

/// The object of an entry, by name where it is known.
fn owner(world: &World, entry: &Entry) -> String {
    let known = Kind::ALL
        .into_iter()
        .flat_map(|kind| Subject::all(world, kind))
        .find(|s| s.uid == entry.uid.as_str());
    known.map_or_else(
        || format!("an object that is gone, {}", entry.uid),
        |s| s.to_string(),
    )
}

impl Trace {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!("comes as   {}", self.packet)];
        lines.extend(self.leaves_as.iter().map(|p| format!("leaves as  {p}")));
        if self.leaves_as.len() > 1 {
            lines.push("           (one of these, always the same for a connection)".to_owned());
        }
        lines.extend(self.answers.iter().map(|p| format!("answer     {p}")));
        lines.extend(self.by.iter().map(|b| format!("by         {b}")));
        if !self.otherwise.is_empty() {
            lines.push(self.otherwise.clone());
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
