//! A check: what is sent, what arrives, and what it must notice.

use std::net::IpAddr;

use crate::damage::Damage;
use crate::packet::{Body, IcmpError, Packet};
use crate::plan::{Family, Host};

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// The rule that it shows.
    pub name: &'static str,
    /// Its family.
    pub family: Family,
    /// What happens, in order. At the end nothing else has arrived anywhere.
    pub steps: Vec<Step>,
    /// It fails where any of these is done to the gateway.
    pub notices: Vec<Damage>,
}

/// A step of a check.
#[derive(Clone, Debug)]
pub enum Step {
    /// A host sends a packet to its next hop: inside hosts to the gateway, outside hosts to
    /// the destination itself, or to `via`.
    Send {
        /// Who sends.
        host: Host,
        /// Another next hop.
        via: Option<IpAddr>,
        /// What.
        packet: Packet,
    },
    /// A packet arrives at a host.
    Arrives {
        /// At whom.
        host: Host,
        /// What.
        packet: Packet,
    },
    /// A host asks by ARP or neighbour discovery who has an address; whether the gateway
    /// says so.
    Asks {
        /// Who asks.
        host: Host,
        /// Who has this.
        address: IpAddr,
        /// Whether it is answered.
        answered: bool,
    },
}

impl Check {
    /// A check without steps.
    #[must_use]
    pub fn new(name: &'static str, family: Family) -> Self {
        Self {
            name,
            family,
            steps: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// A host sends a packet.
    #[must_use]
    pub fn send(mut self, host: Host, packet: Packet) -> Self {
        let via = None;
        self.steps.push(Step::Send { host, via, packet });
        self
    }

    /// A host sends a packet by a next hop of its choice.
    #[must_use]
    pub fn send_via(mut self, host: Host, via: IpAddr, packet: Packet) -> Self {
        let via = Some(via);
        self.steps.push(Step::Send { host, via, packet });
        self
    }

    /// A packet arrives at a host.
    #[must_use]
    pub fn arrives(mut self, host: Host, packet: Packet) -> Self {
        self.steps.push(Step::Arrives { host, packet });
        self
    }

    /// A host asks who has an address.
    #[must_use]
    pub fn asks(mut self, host: Host, address: IpAddr, answered: bool) -> Self {
        self.steps.push(Step::Asks {
            host,
            address,
            answered,
        });
        self
    }

    /// The check fails where this is done to the gateway.
    #[must_use]
    pub fn notices(mut self, damage: Damage) -> Self {
        self.notices.push(damage);
        self
    }
}

/// An address with a port.
pub type At = (IpAddr, u16);

/// A datagram.
#[must_use]
pub fn udp(from: At, to: At) -> Packet {
    udp_with(from, to, b"datagram")
}

/// A datagram with a payload.
#[must_use]
pub fn udp_with(from: At, to: At, data: &[u8]) -> Packet {
    let body = Body::Udp {
        from: from.1,
        to: to.1,
        data: data.to_vec(),
    };
    Packet::new(from.0, to.0, body)
}

/// A segment without payload: flags of [`crate::packet::tcp`].
#[must_use]
pub fn segment(from: At, to: At, flags: u8, numbers: (u32, u32)) -> Packet {
    let body = Body::Tcp {
        from: from.1,
        to: to.1,
        numbers,
        flags,
        mss: None,
        data: Vec::new(),
    };
    Packet::new(from.0, to.0, body)
}

/// An echo request or reply.
#[must_use]
pub fn echo(from: IpAddr, to: IpAddr, reply: bool, id: u16) -> Packet {
    let data = b"ping".to_vec();
    Packet::new(from, to, Body::Echo { reply, id, data })
}

/// An ICMP error about a packet.
#[must_use]
pub fn error(from: IpAddr, to: IpAddr, error: IcmpError, about: Packet) -> Packet {
    let about = Box::new(about);
    Packet::new(from, to, Body::Error { error, about })
}
