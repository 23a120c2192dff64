//! The way of a packet through a gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nfnetlink::nftables::Hook;

use super::flows::Tracked;
use super::machine::{CONNTRACK, Context, Decision};
use super::routes::Hop;
use super::{Model, common_bits};
use crate::check::{echo, error, segment};
use crate::packet::tcp::{ACK, RST};
use crate::packet::{Body, IcmpError, Packet, Shape};
use crate::plan::{Family, Host, Segment};

/// Where destinations and sources are translated (`NF_IP_PRI_NAT_DST`, `NF_IP_PRI_NAT_SRC`).
const DSTNAT: i32 = -100;
const SRCNAT: i32 = 100;
/// The incoming interface of what the gateway sends, to routing rules.
const OWN: &str = "lo";

/// What arrives at whom.
type Arrivals = Result<Vec<(Host, Packet)>, String>;

impl Model {
    /// Takes a packet in by an interface: what then arrives at the hosts.
    pub(super) fn receive(&mut self, input: &str, packet: &Packet) -> Arrivals {
        let mut context = Context {
            packet: packet.clone(),
            bytes: None,
            input: input.to_owned(),
            output: String::new(),
            mark: 0,
            tracked: Tracked::Untracked,
        };
        let early = (i32::MIN, CONNTRACK);
        if self.chains(&self.inet, Hook::Prerouting, early, &mut context)? == Decision::Dropped {
            return Ok(Vec::new());
        }
        if !self.track(&mut context) {
            return Ok(Vec::new());
        }
        let middle = (CONNTRACK, DSTNAT + 1);
        if self.chains(&self.inet, Hook::Prerouting, middle, &mut context)? == Decision::Dropped {
            return Ok(Vec::new());
        }
        if let Tracked::Of { flow, reply, .. } = &context.tracked {
            flow.translate_destination(&mut context.packet, *reply);
        }
        let late = (DSTNAT + 1, i32::MAX);
        if self.chains(&self.inet, Hook::Prerouting, late, &mut context)? == Decision::Dropped {
            return Ok(Vec::new());
        }
        if context.packet.from.is_ipv4() && self.is_local(context.packet.from) {
            // Nobody else may send from the gateway's own address; IPv6 does not look.
            return Ok(Vec::new());
        }
        if self.is_local(context.packet.to) || is_multicast(context.packet.to) {
            return self.take_in(context);
        }
        self.forward(context)
    }

    /// Looks a packet's flow up; whether there is room for it.
    fn track(&mut self, context: &mut Context) -> bool {
        let skipped = match &context.packet.body {
            Body::Udp { to, .. } => self.untracked == Some(*to),
            _ => false,
        };
        if !skipped {
            context.tracked = self.flows.track(&context.packet, self.loose);
        }
        !(self.full && matches!(context.tracked, Tracked::Of { known: None, .. }))
    }

    fn forward(&mut self, mut context: Context) -> Arrivals {
        let (from, to) = (context.packet.from, context.packet.to);
        let (output, next_hop) = match self.route(&context.input, context.mark, from, to) {
            Some(Hop::Link(output, next_hop)) => (output, next_hop),
            Some(Hop::Unreachable) | None => return self.refuse(context, IcmpError::Unreachable),
        };
        if context.packet.hops <= 1 {
            return self.refuse(context, IcmpError::HopLimit);
        }
        let mtu = self.mtu(&output);
        let whole = !matches!(
            context.packet.shape,
            Shape::Fragments(_) | Shape::Backwards(_)
        );
        let length = context.packet.wire().first().map_or(0, Vec::len);
        if whole && length > usize::from(mtu) {
            return self.refuse(context, IcmpError::TooBig(mtu));
        }
        context.output = output;
        if self.hook(&self.inet, Hook::Forward, &mut context)? == Decision::Dropped {
            return Ok(Vec::new());
        }
        self.leave(context, next_hop)
    }

    /// What goes out: translated, looked at for the last time, and known from then on.
    fn leave(&mut self, mut context: Context, next_hop: Option<IpAddr>) -> Arrivals {
        let first = (i32::MIN, SRCNAT + 1);
        if self.chains(&self.inet, Hook::Postrouting, first, &mut context)? == Decision::Dropped {
            return Ok(Vec::new());
        }
        if let Tracked::Of { flow, reply, .. } = &context.tracked {
            flow.translate_source(&mut context.packet, *reply);
        }
        let last = (SRCNAT + 1, i32::MAX);
        if self.chains(&self.inet, Hook::Postrouting, last, &mut context)? == Decision::Dropped {
            return Ok(Vec::new());
        }
        self.flows.keep(context.tracked)?;
        let to = next_hop.unwrap_or(context.packet.to);
        let arrived = at_whom(&context.output, to, context.packet.to);
        let plain = context.packet.shaped(Shape::Plain);
        Ok(arrived.map(|host| (host, plain)).into_iter().collect())
    }

    /// What is for the gateway itself, and what it answers.
    fn take_in(&mut self, mut context: Context) -> Arrivals {
        if self.hook(&self.inet, Hook::Input, &mut context)? == Decision::Dropped {
            return Ok(Vec::new());
        }
        let packet = context.packet.clone();
        if is_multicast(packet.to) {
            return Ok(Vec::new());
        }
        match &packet.body {
            Body::Echo {
                reply: false, id, ..
            } => {
                self.flows.keep(context.tracked)?;
                self.send(echo(packet.to, packet.from, true, *id), None)
            }
            // Nobody listens on any port.
            Body::Udp { .. } => self.refuse(context, IcmpError::PortUnreachable),
            Body::Tcp {
                from,
                to,
                numbers,
                flags,
                ..
            } if flags & RST == 0 => {
                self.flows.keep(context.tracked)?;
                let (flags, numbers) = match flags & ACK {
                    0 => (RST | ACK, (0, numbers.0 + 1)),
                    _ => (RST, (numbers.1, 0)),
                };
                let (from, to) = ((packet.to, *to), (packet.from, *from));
                self.send(segment(from, to, flags, numbers), None)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Tells a packet's sender why it goes no further.
    fn refuse(&mut self, context: Context, what: IcmpError) -> Arrivals {
        let packet = context.packet;
        // Nobody is told about an error, and no group.
        if matches!(packet.body, Body::Error { .. }) || is_multicast(packet.to) {
            return Ok(Vec::new());
        }
        let from = match self.is_local(packet.to) {
            true => Some(packet.to),
            false => self.source(packet.from),
        };
        let Some(from) = from else {
            return Ok(Vec::new());
        };
        let tracked = match context.tracked {
            // It is of the same flow, and goes the other way.
            Tracked::Of {
                flow, known, reply, ..
            } => Tracked::Of {
                flow,
                known,
                reply: !reply,
                related: true,
            },
            other => other,
        };
        self.send(error(from, packet.from, what, packet), Some(tracked))
    }

    /// The source that the kernel gives to what the gateway sends to an address.
    fn source(&self, to: IpAddr) -> Option<IpAddr> {
        let own = |address: &&IpAddr| address.is_ipv4() == to.is_ipv4();
        let all = || self.own.iter().map(|(address, _)| address).filter(own);
        match to {
            // That of the interface that the main table knows (no mark is set yet).
            IpAddr::V4(_) => {
                let Some(Hop::Link(output, _)) = self.route(OWN, 0, UNKNOWN, to) else {
                    return None;
                };
                let on = self
                    .own
                    .iter()
                    .filter(|(_, interface)| *interface == output);
                on.map(|(address, _)| address).find(own).copied()
            }
            // The nearest (RFC 6724 §5, rule 8).
            IpAddr::V6(_) => all()
                .max_by_key(|address| common_bits(**address, to))
                .copied(),
        }
    }

    /// Sends what the gateway made. An error is of the flow of what it is about.
    fn send(&mut self, packet: Packet, tracked: Option<Tracked>) -> Arrivals {
        if self.is_local(packet.to) {
            return Ok(Vec::new());
        }
        let mut context = Context {
            packet,
            bytes: None,
            input: String::new(),
            output: String::new(),
            mark: 0,
            tracked: Tracked::Untracked,
        };
        match tracked {
            Some(tracked) => context.tracked = tracked,
            None if !self.track(&mut context) => return Ok(Vec::new()),
            None => {}
        }
        let (from, to) = (context.packet.from, context.packet.to);
        let first = self.route(OWN, 0, from, to);
        if let Some(Hop::Link(output, _)) = first {
            context.output = output;
        }
        if self.hook(&self.inet, Hook::Output, &mut context)? == Decision::Dropped {
            return Ok(Vec::new());
        }
        if let Tracked::Of { flow, reply, .. } = &context.tracked {
            flow.translate_destination(&mut context.packet, *reply);
        }
        let (from, to) = (context.packet.from, context.packet.to);
        match self.route(OWN, context.mark, from, to) {
            Some(Hop::Link(output, next_hop)) => {
                context.output = output;
                self.leave(context, next_hop)
            }
            Some(Hop::Unreachable) | None => Ok(Vec::new()),
        }
    }
}

/// No source is known yet.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn is_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => Ipv4Addr::is_multicast(&address),
        IpAddr::V6(address) => Ipv6Addr::is_multicast(&address),
    }
}

/// At whom a packet arrives that is sent out of an interface to a next hop.
fn at_whom(interface: &str, next_hop: IpAddr, to: IpAddr) -> Option<Host> {
    let segment = Segment::ALL
        .into_iter()
        .find(|segment| segment.interface() == interface)?;
    let has = |host: &Host, address: IpAddr| {
        Family::BOTH
            .iter()
            .any(|family| host.address(*family) == address)
    };
    let there = || {
        Host::ALL
            .into_iter()
            .filter(|host| host.segment() == segment)
    };
    let near = there().find(|host| host.is_on_link() && has(host, next_hop))?;
    let mut same = there().filter(|host| host.mac() == near.mac());
    let named = same.clone().find(|host| has(host, to));
    named.or_else(|| same.next())
}
