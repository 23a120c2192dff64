//! Flows: which packets belong together, and what is translated in them (conntrack and NAT).

use std::net::IpAddr;

use crate::packet::tcp::{ACK, FIN, RST, SYN};
use crate::packet::{Body, ICMP, ICMPV6, Packet, TCP, UDP};

/// Messages of neighbour and listener discovery, which are not tracked.
const UNTRACKED: [u8; 8] = [130, 131, 132, 133, 134, 135, 136, 143];

/// Source and destination of one direction. Echoes have their identifier for both ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    pub from: (IpAddr, u16),
    pub to: (IpAddr, u16),
    pub protocol: u8,
}

impl Tuple {
    /// The tuple of a packet; `None` for errors and what has no ports.
    pub fn of(packet: &Packet) -> Option<Self> {
        let (from, to, protocol) = match &packet.body {
            Body::Udp { from, to, .. } => (*from, *to, UDP),
            Body::Tcp { from, to, .. } => (*from, *to, TCP),
            Body::Echo { id, .. } if packet.from.is_ipv4() => (*id, *id, ICMP),
            Body::Echo { id, .. } => (*id, *id, ICMPV6),
            Body::Error { .. } | Body::Other { .. } => return None,
        };
        Some(Self {
            from: (packet.from, from),
            to: (packet.to, to),
            protocol,
        })
    }

    fn inverted(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
            ..self
        }
    }
}

/// A flow: how its packets come in, in either direction.
#[derive(Clone, Debug)]
pub struct Flow {
    pub original: Tuple,
    pub reply: Tuple,
    pub mark: u32,
    pub dnat: bool,
    pub snat: bool,
    pub answered: bool,
}

impl Flow {
    fn new(original: Tuple) -> Self {
        Self {
            original,
            reply: original.inverted(),
            mark: 0,
            dnat: false,
            snat: false,
            answered: false,
        }
    }

    /// How packets of the other direction come in.
    fn opposite(&self, reply: bool) -> Tuple {
        if reply { self.original } else { self.reply }
    }

    /// The original's destination becomes this.
    pub fn set_destination(&mut self, address: IpAddr, port: Option<u16>) {
        self.reply.from = (address, port.unwrap_or(self.reply.from.1));
        self.dnat = true;
    }

    /// The original's source becomes this.
    pub fn set_source(&mut self, address: IpAddr) {
        self.reply.to.0 = address;
        self.snat = true;
    }

    /// Changes the destination of a packet of this flow, before routing.
    pub fn translate_destination(&self, packet: &mut Packet, reply: bool) {
        if if reply { self.snat } else { self.dnat } {
            let to = self.opposite(reply).from;
            packet.to = to.0;
            match &mut packet.body {
                // What the error is about went the other way.
                Body::Error { about, .. } => set_source(about, to),
                _ => set_destination(packet, to),
            }
        }
    }

    /// Changes the source of a packet of this flow, after routing.
    pub fn translate_source(&self, packet: &mut Packet, reply: bool) {
        if if reply { self.dnat } else { self.snat } {
            let from = self.opposite(reply).to;
            packet.from = from.0;
            match &mut packet.body {
                Body::Error { about, .. } => set_destination(about, from),
                _ => set_source(packet, from),
            }
        }
    }
}

fn set_source(packet: &mut Packet, (address, number): (IpAddr, u16)) {
    packet.from = address;
    match &mut packet.body {
        Body::Udp { from, .. } | Body::Tcp { from, .. } => *from = number,
        Body::Echo { id, .. } => *id = number,
        Body::Error { .. } | Body::Other { .. } => {}
    }
}

fn set_destination(packet: &mut Packet, (address, number): (IpAddr, u16)) {
    packet.to = address;
    match &mut packet.body {
        Body::Udp { to, .. } | Body::Tcp { to, .. } => *to = number,
        Body::Echo { id, .. } => *id = number,
        Body::Error { .. } | Body::Other { .. } => {}
    }
}

/// What conntrack makes of a packet.
#[derive(Clone, Debug)]
pub enum Tracked {
    /// Of no flow, and not to be.
    Untracked,
    /// Of no flow, and it should be of one.
    Invalid,
    /// Of a flow, by its number among the known ones, or of one that is not known yet.
    Of {
        flow: Flow,
        known: Option<usize>,
        reply: bool,
        related: bool,
    },
}

/// The flows that are known.
#[derive(Clone, Debug, Default)]
pub struct Flows(Vec<Flow>);

impl Flows {
    /// Which flow a packet is of. `loose`: connections are picked up in the middle.
    pub fn track(&mut self, packet: &Packet, loose: bool) -> Tracked {
        if let Body::Error { about, .. } = &packet.body {
            // It is about a packet that went the other way.
            return match Tuple::of(about).and_then(|tuple| self.find(tuple.inverted())) {
                Some((known, reply)) => self.of(known, reply, true),
                None => Tracked::Invalid,
            };
        }
        let Some(tuple) = Tuple::of(packet) else {
            return untracked(packet);
        };
        match self.find(tuple) {
            Some((known, reply)) => {
                if let Some(flow) = self.0.get_mut(known) {
                    flow.answered |= reply;
                }
                self.of(known, reply, false)
            }
            None if may_begin(packet, loose) => Tracked::Of {
                flow: Flow::new(tuple),
                known: None,
                reply: false,
                related: false,
            },
            None => Tracked::Invalid,
        }
    }

    fn of(&self, known: usize, reply: bool, related: bool) -> Tracked {
        match self.0.get(known) {
            Some(flow) => Tracked::Of {
                flow: flow.clone(),
                known: Some(known),
                reply,
                related,
            },
            None => Tracked::Invalid,
        }
    }

    fn find(&self, tuple: Tuple) -> Option<(usize, bool)> {
        let all = || self.0.iter().enumerate();
        let original = all().find(|(_, flow)| flow.original == tuple);
        let reply = || all().find(|(_, flow)| flow.reply == tuple);
        original
            .map(|(at, _)| (at, false))
            .or_else(|| reply().map(|(at, _)| (at, true)))
    }

    /// Keeps what a packet's way made of its flow, once it has passed.
    ///
    /// # Errors
    /// Where another flow has the same answers: the kernel would choose another port.
    pub fn keep(&mut self, tracked: Tracked) -> Result<(), String> {
        let Tracked::Of {
            flow,
            known,
            related,
            ..
        } = tracked
        else {
            return Ok(());
        };
        if let Some(slot) = known.and_then(|known| self.0.get_mut(known)) {
            slot.mark = flow.mark;
            return Ok(());
        }
        if related {
            // An error does not begin the flow of what it is about.
            return Ok(());
        }
        if self.find(flow.reply).is_some() {
            return Err(format!("two flows with answers {:?}", flow.reply));
        }
        self.0.push(flow);
        Ok(())
    }
}

fn untracked(packet: &Packet) -> Tracked {
    match &packet.body {
        Body::Other {
            protocol: ICMPV6,
            data,
        } if data.first().is_some_and(|kind| UNTRACKED.contains(kind)) => Tracked::Untracked,
        _ => Tracked::Invalid,
    }
}

/// Whether a packet may be the first of its flow.
fn may_begin(packet: &Packet, loose: bool) -> bool {
    match &packet.body {
        Body::Tcp { flags, .. } => match flags & (SYN | ACK | FIN | RST) {
            SYN => true,
            ACK => loose,
            _ => false,
        },
        Body::Echo { reply, .. } => !reply,
        _ => true,
    }
}
