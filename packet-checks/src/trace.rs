//! Walks the packets of a check through a compiled rule set, without a kernel.
//!
//! [`Model`] holds what the gateway's agent would give the kernel: both tables, the routing
//! rules and routes, the addresses and proxies. A packet goes the way it goes in Linux: hooks
//! by priority, flows looked up where conntrack does it, translation where NAT does it, the
//! route by the first rule that has one. What the kernel itself adds (replies to echo requests,
//! errors about packets that cannot go on) is made as the kernel makes it.
//!
//! An expression that is not known here is an error, not a guess. What no rule decides is not
//! traced at all ([`is_traced`]): links that go down and come up, lost addresses, claims and
//! announcements, answers within a time, overlapping fragments, and damage to settings of the
//! kernel other than that of connections picked up in the middle.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use nfnetlink::nftables::TableContent;

use crate::act::Act;
use crate::check::{Check, Step};
use crate::damage::Damage;
use crate::packet::{Packet, Shape};
use crate::plan::{Family, Host, Own, Segment};

mod flows;
mod machine;
mod neighbours;
mod routes;
mod taken;
mod walk;

pub use routes::{Hop, Route, Rule};

use flows::Flows;

/// The usual MTU of a link, in bytes.
const MTU: u16 = 1_500;

/// A gateway as its agent makes it.
#[derive(Clone, Debug)]
pub struct Model {
    /// `inet sluice`.
    pub inet: TableContent,
    /// `arp sluice`.
    pub arp: TableContent,
    /// Routing rules, in the order in which they are asked; the main table comes after them.
    pub rules: Vec<Rule>,
    /// Routes of all tables, the main one (254) included.
    pub routes: Vec<Route>,
    /// The gateway's own addresses and their interfaces.
    pub own: Vec<(IpAddr, String)>,
    /// The EIPs that the kernel takes for its own.
    pub local: BTreeSet<IpAddr>,
    /// IPv6 addresses that an interface answers for.
    pub proxies: BTreeSet<(IpAddr, String)>,
    /// MTUs other than the usual one, by interface.
    mtus: BTreeMap<String, u16>,
    flows: Flows,
    /// Whether connections are picked up in the middle.
    loose: bool,
    /// Whether there is room for another flow.
    full: bool,
    /// Datagrams to this port start no flow.
    untracked: Option<u16>,
}

impl Model {
    /// A gateway with these tables, on which nothing else was done yet.
    #[must_use]
    pub fn new(inet: TableContent, arp: TableContent) -> Self {
        Self {
            inet,
            arp,
            rules: Vec::new(),
            routes: Vec::new(),
            own: Vec::new(),
            local: BTreeSet::new(),
            proxies: BTreeSet::new(),
            mtus: BTreeMap::new(),
            flows: Flows::default(),
            loose: true,
            full: false,
            untracked: None,
        }
    }

    /// Runs a check.
    ///
    /// # Errors
    /// What went another way than the check says, and what is not known here.
    pub fn run(&mut self, check: &Check) -> Result<(), String> {
        let mut inbox: Vec<(Host, Packet)> = Vec::new();
        for (at, step) in check.steps.iter().enumerate() {
            let at = at + 1;
            match step {
                Step::Send { host, via, packet } => {
                    let next_hop = via.unwrap_or_else(|| match host.segment() {
                        Segment::Inside => Own::Lan.address(check.family),
                        _ => packet.to,
                    });
                    if !self.answers(*host, next_hop)? {
                        return Err(format!("step {at}: nobody has {next_hop}"));
                    }
                    let interface = host.segment().interface();
                    inbox.extend(self.receive(interface, packet)?);
                }
                Step::Arrives { host, packet } => {
                    let is_it = |got: &(Host, Packet)| got.0 == *host && got.1.is_what(packet);
                    match inbox.iter().position(is_it) {
                        Some(at) => drop(inbox.remove(at)),
                        None => {
                            return Err(format!(
                                "step {at}: {host:?} did not receive {packet:?}; arrived: {inbox:?}"
                            ));
                        }
                    }
                }
                Step::Asks {
                    host,
                    address,
                    answered,
                } => {
                    let is = self.answers(*host, *address)?;
                    if is != *answered {
                        return Err(format!("step {at}: {address} answered {is}"));
                    }
                }
                Step::Does(Act::Mtu(segment, bytes)) => {
                    self.mtus.insert(segment.interface().to_owned(), *bytes);
                }
                Step::Does(Act::ForgetFlows) => {
                    self.flows = Flows::default();
                    self.full = false;
                }
                Step::Does(Act::FillFlows) => self.full = true,
                Step::Does(Act::Down(_) | Act::Up(_) | Act::LoseAddresses(_))
                | Step::AsksOften { .. }
                | Step::Claims { .. }
                | Step::Announced { .. } => {
                    return Err(format!("step {at} is not for a rule set: {step:?}"));
                }
            }
        }
        match inbox.as_slice() {
            [] => Ok(()),
            rest => Err(format!(
                "nothing more should arrive, and this did: {rest:?}"
            )),
        }
    }

    fn mtu(&self, interface: &str) -> u16 {
        self.mtus.get(interface).copied().unwrap_or(MTU)
    }
}

/// Whether all that a check does is decided by rules, routes and flows.
#[must_use]
pub fn is_traced(check: &Check) -> bool {
    check.steps.iter().all(|step| match step {
        Step::Send { packet, .. } => packet.shape != Shape::Overlapping,
        Step::Arrives { .. } | Step::Asks { .. } => true,
        Step::AsksOften { .. } | Step::Claims { .. } | Step::Announced { .. } => false,
        Step::Does(act) => matches!(act, Act::Mtu(..) | Act::ForgetFlows | Act::FillFlows),
    })
}

/// Whether a damage is one to what is traced.
#[must_use]
pub fn is_damage_traced(damage: &Damage) -> bool {
    match damage {
        Damage::Setting(path, ..) => *path == taken::LOOSE,
        Damage::Idle => false,
        Damage::All(parts) => parts.iter().all(|part| {
            // How late a proxy answers is not traced, that it does is.
            matches!(part, Damage::Setting(path, ..) if path.ends_with("proxy_delay"))
                || is_damage_traced(part)
        }),
        _ => true,
    }
}

/// Whether an address is of a family.
fn is_family(address: IpAddr, family: Family) -> bool {
    address.is_ipv4() == (family == Family::V4)
}

/// How many bits two addresses of one family have in common.
fn common_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

/// Whether a prefix has an address.
fn holds(prefix: &IpNet, address: IpAddr) -> bool {
    prefix.contains(&address)
}
