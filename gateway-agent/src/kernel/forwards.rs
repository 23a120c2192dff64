//! Where port forwarding sends the first packet of a flow, by the maps of a table.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nfnetlink::conntrack::{Flow, L4};
use nfnetlink::nftables::{Data, Element, TableContent};
use sluice_core::entry::cost::Form;

use super::flows::{address, data};
use super::ruleset::statement::Ip;
use super::ruleset::{FORWARD_MAPS, forward_map};

/// A destination; the port where it changes.
pub(super) type Target = (IpAddr, Option<u16>);

/// What one element of a map of port forwarding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub form: Form,
    pub eip: IpAddr,
    pub proto: u8,
    pub first: u16,
    pub last: u16,
    /// One of its targets.
    pub to: Target,
}

impl Row {
    /// Reads an element of the map of a form.
    pub fn read(form: Form, element: &Element, v4: bool) -> Option<Self> {
        let at = if v4 { 4 } else { 16 };
        let proto = *element.key.as_bytes().get(at)?;
        let port = |value: &nfnetlink::nftables::Value, at: usize| {
            let bytes = value.as_bytes().get(at..)?;
            bytes.first_chunk::<2>().map(|b| u16::from_be_bytes(*b))
        };
        let (first, last) = match form {
            Form::All => (0, u16::MAX),
            Form::Exact | Form::Range => {
                let first = port(&element.key, at + 4)?;
                let last = match &element.key_end {
                    Some(end) => port(end, at + 4)?,
                    None => first,
                };
                (first, last)
            }
        };
        let inside_port = match (form, &element.data) {
            (Form::Exact, Some(Data::Value(value))) => Some(port(value, at)?),
            _ => None,
        };
        Some(Self {
            form,
            eip: address(&element.key, v4)?,
            proto,
            first,
            last,
            to: (data(element, v4)?, inside_port),
        })
    }
}

/// Rows that one table has and the other has not, or has otherwise.
pub(super) fn gone<'a>(
    old: &'a TableContent,
    new: &'a TableContent,
    ip: Ip,
) -> impl Iterator<Item = Row> + 'a {
    FORWARD_MAPS.into_iter().flat_map(move |(form, shared)| {
        let name = ip.name(forward_map(form, shared));
        super::flows::gone(old, new, &name)
            .into_iter()
            .filter_map(move |element| Row::read(form, &element, ip == Ip::V4))
    })
}

/// Port forwarding by the maps of a table: to whom each port may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwards {
    /// By EIP, protocol and port.
    exact: BTreeMap<(IpAddr, u8, u16), BTreeSet<Target>>,
    /// By EIP, protocol and first port: the last one, and to whom.
    range: BTreeMap<(IpAddr, u8, u16), (u16, BTreeSet<Target>)>,
    /// By EIP and protocol.
    all: BTreeMap<(IpAddr, u8), BTreeSet<Target>>,
}

impl Forwards {
    /// Reads the maps, of the EIPs that are wanted.
    pub(super) fn new(inet: &TableContent, wanted: impl Fn(IpAddr) -> bool) -> Self {
        let mut all = Self::default();
        for ip in Ip::BOTH {
            for (form, shared) in FORWARD_MAPS {
                let set = inet.sets.get(&ip.name(forward_map(form, shared)));
                for element in set.into_iter().flat_map(|set| &set.elements) {
                    let row = Row::read(form, element, ip == Ip::V4);
                    if let Some(row) = row.filter(|row| wanted(row.eip)) {
                        all.add(row);
                    }
                }
            }
        }
        all
    }

    fn add(&mut self, row: Row) {
        let key = (row.eip, row.proto, row.first);
        let targets = match row.form {
            Form::Exact => self.exact.entry(key).or_default(),
            Form::Range => {
                &mut self
                    .range
                    .entry(key)
                    .or_insert((row.last, BTreeSet::new()))
                    .1
            }
            Form::All => self.all.entry((row.eip, row.proto)).or_default(),
        };
        targets.insert(row.to);
    }

    /// To whom a port may go, in the order of the rules; `None`: nothing forwards it.
    pub(super) fn targets(&self, eip: IpAddr, proto: u8, port: u16) -> Option<&BTreeSet<Target>> {
        let range = || {
            let below = (eip, proto, 0)..=(eip, proto, port);
            let (_, (last, targets)) = self.range.range(below).next_back()?;
            (port <= *last).then_some(targets)
        };
        self.exact
            .get(&(eip, proto, port))
            .or_else(range)
            .or_else(|| self.all.get(&(eip, proto)))
    }

    /// Whether all ports of a row may still go to its target.
    pub(super) fn has(&self, row: &Row) -> bool {
        let targets = match row.form {
            Form::Exact => self.targets(row.eip, row.proto, row.first),
            Form::Range => self
                .range
                .get(&(row.eip, row.proto, row.first))
                .filter(|(last, _)| *last == row.last)
                .map(|(_, targets)| targets),
            Form::All => self.all.get(&(row.eip, row.proto)),
        };
        let (inside, port) = row.to;
        targets.is_some_and(|targets| {
            targets.contains(&row.to)
                || row.form == Form::Exact
                    && port == Some(row.first)
                    && targets.contains(&(inside, None))
        })
    }

    /// Whether a flow goes where it may go.
    pub(super) fn allows(&self, flow: &Flow) -> bool {
        let L4::Ports { dst, .. } = flow.orig.l4 else {
            return false;
        };
        self.targets(flow.orig.dst, flow.orig.proto, dst)
            .is_some_and(|targets| targets.iter().any(|to| goes_to(flow, Some(*to))))
    }
}

/// Whether the flow's packets go where the rules send its first one; without a rule, to
/// where they were sent.
pub(super) fn goes_to(flow: &Flow, target: Option<Target>) -> bool {
    let (inside, port) = target.unwrap_or((flow.orig.dst, None));
    let expected = port.or_else(|| dst_port(&flow.orig));
    let port = match flow.reply.l4 {
        L4::Ports { src, .. } => Some(src),
        L4::Icmp { .. } | L4::None => None,
    };
    flow.reply.src == inside && port == expected
}

pub(super) fn dst_port(tuple: &nfnetlink::conntrack::Tuple) -> Option<u16> {
    match tuple.l4 {
        L4::Ports { dst, .. } => Some(dst),
        L4::Icmp { .. } | L4::None => None,
    }
}
