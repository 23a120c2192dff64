//! A check: what is sent, what arrives, and what it must notice.

use std::net::IpAddr;

use crate::act::Act;
use crate::damage::Damage;
use crate::packet::tcp::{ACK, SYN};
use crate::packet::{Body, IcmpError, Packet};
use crate::plan::{Family, Host, Segment, Setup};

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// The rule that it shows.
    pub name: &'static str,
    /// Its family.
    pub family: Family,
    /// The gateway that it needs.
    pub setup: Setup,
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
    /// A host asks so often, all at once, who has these addresses by turns; each question
    /// is answered within 200 ms.
    AsksOften {
        /// Who asks.
        host: Host,
        /// Who has these.
        addresses: Vec<IpAddr>,
        /// How often.
        times: usize,
    },
    /// A host says unasked that it has an address, and is believed by its neighbours.
    Claims {
        /// Who says so.
        host: Host,
        /// Who has this.
        address: IpAddr,
    },
    /// The gateway says unasked that it has an address.
    Announced {
        /// Who hears it.
        host: Host,
        /// The address.
        address: IpAddr,
    },
    /// Something happens to the gateway, and its agent has mended what it can.
    Does(Act),
}

impl Check {
    /// Whether it can be seen with these links only, and without this address: whether none
    /// of its hosts is elsewhere, and none of its packets speaks of the address.
    #[must_use]
    pub fn is_within(&self, segments: &[Segment], strange: &[IpAddr]) -> bool {
        let host = |host: &Host| segments.contains(&host.segment());
        let known = |address: &IpAddr| !strange.contains(address);
        self.steps.iter().all(|step| match step {
            Step::Send {
                host: at, packet, ..
            }
            | Step::Arrives { host: at, packet } => {
                host(at) && known(&packet.from) && known(&packet.to)
            }
            Step::Asks {
                host: at, address, ..
            }
            | Step::Claims { host: at, address }
            | Step::Announced { host: at, address } => host(at) && known(address),
            Step::AsksOften {
                host: at,
                addresses,
                ..
            } => host(at) && addresses.iter().all(known),
            Step::Does(_) => true,
        })
    }

    /// A check without steps.
    #[must_use]
    pub fn new(name: &'static str, family: Family) -> Self {
        Self {
            name,
            family,
            setup: Setup::Usual,
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

    /// The gateway that the check needs.
    #[must_use]
    pub fn on(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }

    /// Something happens to the gateway.
    #[must_use]
    pub fn does(mut self, act: Act) -> Self {
        self.steps.push(Step::Does(act));
        self
    }

    /// A host says unasked that it has an address.
    #[must_use]
    pub fn claims(mut self, host: Host, address: IpAddr) -> Self {
        self.steps.push(Step::Claims { host, address });
        self
    }

    /// A host hears from the gateway that it has an address.
    #[must_use]
    pub fn announced(mut self, host: Host, address: IpAddr) -> Self {
        self.steps.push(Step::Announced { host, address });
        self
    }

    /// A host asks so often, all at once, who has these addresses.
    #[must_use]
    pub fn asks_often(mut self, host: Host, addresses: Vec<IpAddr>, times: usize) -> Self {
        self.steps.push(Step::AsksOften {
            host,
            addresses,
            times,
        });
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

    /// A packet goes through a gateway, by the flow's first direction.
    fn passes(self, flow: &Flow, write: impl Fn(At, At) -> Packet) -> Self {
        self.send(flow.from, write(flow.sent.0, flow.sent.1))
            .arrives(flow.to, write(flow.seen.0, flow.seen.1))
    }

    /// A datagram goes through.
    #[must_use]
    pub fn datagram(self, flow: &Flow) -> Self {
        self.passes(flow, udp)
    }

    /// A datagram goes through, and its answer.
    #[must_use]
    pub fn datagrams(self, flow: &Flow) -> Self {
        self.datagram(flow).datagram(&flow.back())
    }

    /// A segment goes through.
    #[must_use]
    pub fn segment(self, flow: &Flow, flags: u8, numbers: (u32, u32)) -> Self {
        self.passes(flow, |from, to| segment(from, to, flags, numbers))
    }

    /// A connection is asked for and accepted.
    #[must_use]
    pub fn opening(self, flow: &Flow) -> Self {
        self.segment(flow, SYN, (1, 0))
            .segment(&flow.back(), SYN | ACK, (5, 2))
    }

    /// An echo request goes through, and its reply; the flow's ports are the identifier.
    #[must_use]
    pub fn ping(self, flow: &Flow) -> Self {
        self.passes(flow, |from, to| echo(from.0, to.0, false, from.1))
            .passes(&flow.back(), |from, to| echo(from.0, to.0, true, to.1))
    }

    /// The gateway itself answers an echo request to one of its addresses.
    #[must_use]
    pub fn pinged(self, host: Host, from: IpAddr, to: IpAddr, id: u16) -> Self {
        self.send(host, echo(from, to, false, id))
            .arrives(host, echo(to, from, true, id))
    }

    /// The gateway itself answers a packet with an error from this address.
    #[must_use]
    pub fn told(self, host: Host, packet: Packet, from: IpAddr, what: IcmpError) -> Self {
        let answer = error(from, packet.from, what, packet.clone());
        self.send(host, packet).arrives(host, answer)
    }

    /// The gateway's own address answers a packet that comes to it with an error.
    #[must_use]
    pub fn told_via(self, own: IpAddr, host: Host, packet: Packet, what: IcmpError) -> Self {
        let answer = error(own, packet.from, what, packet.clone());
        self.send_via(host, own, packet).arrives(host, answer)
    }

    /// Whom the flow reaches answers its datagram with an error.
    #[must_use]
    pub fn refused(self, flow: &Flow, what: IcmpError) -> Self {
        let (from, shown) = (flow.seen.1.0, flow.sent.1.0);
        self.errors(flow, (flow.to, from), shown, what)
    }

    /// A router beyond the gateway answers the flow's datagram with an error.
    #[must_use]
    pub fn refused_beyond(self, flow: &Flow, router: (Host, IpAddr), what: IcmpError) -> Self {
        self.errors(flow, router, router.1, what)
    }

    fn errors(self, flow: &Flow, from: (Host, IpAddr), shown: IpAddr, what: IcmpError) -> Self {
        let about = |source, (from, to): (At, At)| error(source, from.0, what, udp(from, to));
        self.send(from.0, about(from.1, flow.seen))
            .arrives(flow.from, about(shown, flow.sent))
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

/// A flow through a gateway, as each of its two ends sees it.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Who begins it.
    pub from: Host,
    /// Source and destination as that host writes them.
    pub sent: (At, At),
    /// Whom it reaches.
    pub to: Host,
    /// Source and destination as they come to this host.
    pub seen: (At, At),
}

impl Flow {
    /// The answers' direction.
    #[must_use]
    pub fn back(&self) -> Self {
        Self {
            from: self.to,
            sent: (self.seen.1, self.seen.0),
            to: self.from,
            seen: (self.sent.1, self.sent.0),
        }
    }
}

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
