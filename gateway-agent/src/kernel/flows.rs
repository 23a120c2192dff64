//! Which connections a change of the rules makes void.
//!
//! Rules are asked only when a flow begins: a flow that a rule set up lives on after the rule
//! is gone, and one that began before a rule came passes it by. So flows are flushed, after
//! the change is in force, and once more a little later: a packet in flight may have confirmed
//! a flow by the old rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nfnetlink::Socket;
use nfnetlink::conntrack::{Flow, FlowFilter, L4};
use nfnetlink::nftables::{Data, Element, TableContent, Value};

use super::forwards::{self, Forwards, Row};
use super::report::KernelError;
use super::ruleset::statement::Ip;

/// Up to this many conditions the kernel is asked one by one; more, and the flows are listed.
const ASKED: usize = 4;

/// Flows to flush: those to which one of the conditions applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flush {
    /// Destination of the original direction: flows that came in to an EIP.
    orig_dst: BTreeSet<IpAddr>,
    /// Destination of the reply direction: flows that left with an EIP.
    reply_dst: BTreeSet<IpAddr>,
    /// Source of the original direction: flows that an inside address began.
    orig_src: BTreeSet<IpAddr>,
    /// Destination, protocol and ports of the original direction.
    ports: BTreeSet<(IpAddr, u8, u16, u16)>,
    /// To whom flows of those ports may go on.
    forwards: Forwards,
    /// Source prefix of the original direction with destination of the reply direction.
    sources: BTreeSet<(IpNet, IpAddr)>,
}

impl Flush {
    /// What a change from one table to another makes void. The two need only hold what
    /// differs between them; `all` is the whole of the new one.
    pub fn between(old: Option<&TableContent>, new: &TableContent, all: &TableContent) -> Self {
        let mut flush = Self::default();
        let Some(old) = old else { return flush };
        for v4 in [true, false] {
            let name = |stem: &str| format!("{stem}{}", if v4 { '4' } else { '6' });
            for element in gone(old, new, &name("own")) {
                let address = address(&element.key, v4);
                flush.orig_dst.extend(address);
                flush.reply_dst.extend(address);
            }
            for element in gone(old, new, &name("fipin")) {
                flush.orig_dst.extend(address(&element.key, v4));
            }
            for element in gone(new, old, &name("fipin")) {
                flush.orig_dst.extend(address(&element.key, v4));
                flush.orig_src.extend(data(&element, v4));
            }
            for element in gone(old, new, &name("fipout")) {
                flush.reply_dst.extend(data(&element, v4));
            }
            for element in gone(new, old, &name("fipout")) {
                flush.orig_src.extend(address(&element.key, v4));
            }
            flush.sources(old, new, v4);
        }
        flush.ports(old, new, all);
        flush
    }

    /// Flows of ports that are forwarded no more, or to others: those whose target has them
    /// still go on, wherever new ones go.
    fn ports(&mut self, old: &TableContent, new: &TableContent, all: &TableContent) {
        let rows = Ip::BOTH
            .into_iter()
            .flat_map(|ip| forwards::gone(old, new, ip));
        let rows: Vec<Row> = rows.collect();
        if rows.is_empty() {
            return;
        }
        let eips: BTreeSet<IpAddr> = rows.iter().map(|row| row.eip).collect();
        let now = Forwards::new(all, |eip| eips.contains(&eip));
        let lost = rows.iter().filter(|row| !now.has(row));
        self.ports
            .extend(lost.map(|row| (row.eip, row.proto, row.first, row.last)));
        if !self.ports.is_empty() {
            self.forwards = now;
        }
    }

    /// A source whose slot changed hands keeps its flows as long as the EIP that they
    /// leave with serves the prefix at all.
    fn sources(&mut self, old: &TableContent, new: &TableContent, v4: bool) {
        let left = served_gone(old, new, v4);
        if !left.is_empty() {
            let served = served(new, v4);
            self.sources.extend(left.difference(&served));
        }
    }

    /// What the addresses make void that stand on another uplink than before: their flows
    /// carry the mark of the old one.
    pub fn moved(&mut self, old: &Places<'_>, new: &Places<'_>) {
        for (address, place) in old {
            if new.get(address).is_some_and(|now| now != place) {
                self.orig_dst.insert(*address);
                self.reply_dst.insert(*address);
            }
        }
    }

    /// Whether there is nothing to flush.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.orig_dst.len()
            + self.reply_dst.len()
            + self.orig_src.len()
            + self.ports.len()
            + self.sources.len()
    }

    /// Flushes.
    ///
    /// # Errors
    /// [`KernelError::Rules`] with the kernel's words.
    pub(super) fn run(&self, socket: &mut Socket) -> Result<(), KernelError> {
        if self.is_empty() {
            return Ok(());
        }
        let filters = self.filters();
        if let Some(filters) = filters.filter(|filters| filters.len() <= ASKED) {
            for filter in &filters {
                socket.flush_flows(filter).map_err(failed)?;
            }
            return Ok(());
        }
        let void = socket.flows_where(|flow| self.matches(flow));
        for flow in void.map_err(failed)? {
            socket.delete_flow(&flow).map_err(failed)?;
        }
        Ok(())
    }

    /// The conditions as the kernel takes them; `None` where it cannot.
    fn filters(&self) -> Option<Vec<FlowFilter>> {
        let several = |(eip, proto, first, last): &(IpAddr, u8, u16, u16)| {
            first != last || self.forwards.targets(*eip, *proto, *first).is_some()
        };
        if !self.sources.is_empty() || self.ports.iter().any(several) {
            return None;
        }
        let dst = self.orig_dst.iter().map(|a| FlowFilter::orig_dst(*a));
        let reply = self.reply_dst.iter().map(|a| FlowFilter::reply_dst(*a));
        let src = self.orig_src.iter().map(|a| FlowFilter::orig_src(*a));
        let ports = self.ports.iter().map(|(address, proto, port, _)| {
            FlowFilter::orig_dst(*address).with_orig_port(*proto, Some(*port))
        });
        Some(dst.chain(reply).chain(src).chain(ports).collect())
    }

    /// Whether a flow is meant.
    pub(super) fn matches(&self, flow: &Flow) -> bool {
        let port = match flow.orig.l4 {
            L4::Ports { dst, .. } => Some(dst),
            _ => None,
        };
        let by_port = port.is_some_and(|port| {
            let from = (flow.orig.dst, flow.orig.proto, 0, 0);
            let to = (flow.orig.dst, flow.orig.proto, u16::MAX, u16::MAX);
            let mut ranges = self.ports.range(from..=to);
            ranges.any(|(_, _, first, last)| (*first..=*last).contains(&port))
        });
        by_port && !self.forwards.allows(flow)
            || self.orig_dst.contains(&flow.orig.dst)
            || self.reply_dst.contains(&flow.reply.dst)
            || self.orig_src.contains(&flow.orig.src)
            || self.sources.iter().any(|(source, address)| {
                *address == flow.reply.dst && source.contains(&flow.orig.src)
            })
    }
}

pub(super) fn failed(error: nfnetlink::Error) -> KernelError {
    KernelError::Rules(error.to_string())
}

/// Elements of a set that one table has and the other has not, or has otherwise.
pub(super) fn gone(old: &TableContent, new: &TableContent, set: &str) -> Vec<Element> {
    match (old.sets.get(set), new.sets.get(set)) {
        (Some(old), Some(new)) => old.elements.difference(&new.elements).cloned().collect(),
        (Some(old), None) => old.elements.iter().cloned().collect(),
        (None, _) => Vec::new(),
    }
}

/// The number and the interface of the uplink of each address.
pub type Places<'a> = BTreeMap<IpAddr, (u8, &'a str)>;

/// Prefixes with the EIPs that their sources leave with.
type Served = BTreeSet<(IpNet, IpAddr)>;

/// By all the maps of sources of a table.
fn served(table: &TableContent, v4: bool) -> Served {
    of_maps(table, v4, |name| {
        let set = table.sets.get(name);
        set.map_or_else(Vec::new, |set| set.elements.iter().cloned().collect())
    })
}

/// By those elements of one table's maps that the other has not, or has otherwise.
fn served_gone(old: &TableContent, new: &TableContent, v4: bool) -> Served {
    of_maps(old, v4, |name| gone(old, new, name))
}

fn of_maps(table: &TableContent, v4: bool, elements: impl Fn(&str) -> Vec<Element>) -> Served {
    let mut served = Served::new();
    for stem in ["snat", "pool"] {
        let stem = format!("{stem}{}", if v4 { '4' } else { '6' });
        for (name, len) in source_maps(table, &stem) {
            for element in elements(name) {
                let source = address(&element.key, v4).and_then(|a| IpNet::new(a, len).ok());
                served.extend(source.zip(data(&element, v4)));
            }
        }
    }
    served
}

/// The maps of sources of a table, each with the length of its prefixes.
pub(super) fn source_maps<'a>(
    table: &'a TableContent,
    stem: &str,
) -> impl Iterator<Item = (&'a str, u8)> {
    table.sets.keys().filter_map(move |name| {
        let len = name.strip_prefix(stem)?.strip_prefix('_')?.parse().ok()?;
        Some((name.as_str(), len))
    })
}

/// The address that a key or a value begins with.
pub(super) fn address(value: &Value, v4: bool) -> Option<IpAddr> {
    let bytes = value.as_bytes();
    if v4 {
        bytes.first_chunk::<4>().map(|b| Ipv4Addr::from(*b).into())
    } else {
        bytes.first_chunk::<16>().map(|b| Ipv6Addr::from(*b).into())
    }
}

/// The address that the value of a map begins with.
pub(super) fn data(element: &Element, v4: bool) -> Option<IpAddr> {
    match element.data.as_ref()? {
        Data::Value(value) => address(value, v4),
        Data::Verdict(_) => None,
    }
}
