//! Hosts without a kernel: they answer ARP and neighbour discovery, and note what arrives.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::packet::{Body, Fragments, ICMPV6, Packet};
use crate::plan::{Family, Host, Segment};

/// Between two looks at the links.
const LOOK: Duration = Duration::from_micros(200);
/// ARP, IPv4 and IPv6 (IEEE 802 Numbers).
const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const SOLICIT: u8 = 135;
const ADVERT: u8 = 136;
/// Neighbour discovery and multicast listener discovery: not for the checks.
const CHATTER: [u8; 9] = [130, 131, 132, 133, 134, 135, 136, 137, 143];

/// An Ethernet address.
type Mac = [u8; 6];

/// Carries frames of one segment.
pub trait Link {
    /// Puts a frame on the link.
    ///
    /// # Errors
    /// The system's.
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;

    /// The next frame that came from the link, if there is one.
    ///
    /// # Errors
    /// The system's.
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>>;
}

/// All hosts on their segments.
pub struct Hosts {
    links: BTreeMap<Segment, Box<dyn Link>>,
    fragments: BTreeMap<Segment, Fragments>,
    /// Who said that it has an address, by the asking host's segment.
    neighbours: BTreeMap<(Segment, IpAddr), Mac>,
    /// How often each segment heard who has which address.
    heard: BTreeMap<Segment, usize>,
    /// What arrived and was not asked for yet.
    inbox: Vec<(Host, Packet)>,
}

impl Hosts {
    /// Hosts on these links.
    #[must_use]
    pub fn new(links: BTreeMap<Segment, Box<dyn Link>>) -> Self {
        Self {
            links,
            fragments: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            heard: BTreeMap::new(),
            inbox: Vec::new(),
        }
    }

    /// Forgets what arrived, and who has which address.
    ///
    /// # Errors
    /// The links'.
    pub fn forget(&mut self) -> io::Result<()> {
        self.look()?;
        self.inbox.clear();
        self.fragments.clear();
        self.neighbours.clear();
        Ok(())
    }

    /// Sends a packet to a next hop, which is asked for first; `false` where nobody has it.
    ///
    /// # Errors
    /// The links'.
    pub fn send(
        &mut self,
        host: Host,
        via: IpAddr,
        packet: &Packet,
        wait: Duration,
    ) -> io::Result<bool> {
        let Some(mac) = self.resolve(host, via, wait)? else {
            return Ok(false);
        };
        let kind = if packet.from.is_ipv4() { IPV4 } else { IPV6 };
        for bytes in packet.wire() {
            let frame = [&ethernet(mac, host.mac(), kind), bytes.as_slice()].concat();
            self.put(host.segment(), &frame)?;
        }
        Ok(true)
    }

    /// Asks who has an address; `None` where nobody says so in time.
    ///
    /// # Errors
    /// The links'.
    pub fn resolve(
        &mut self,
        host: Host,
        address: IpAddr,
        wait: Duration,
    ) -> io::Result<Option<Mac>> {
        if let IpAddr::V6(group) = address
            && group.is_multicast()
        {
            return Ok(Some(multicast(group)));
        }
        let key = (host.segment(), address);
        let until = Instant::now() + wait;
        let mut again = Instant::now();
        loop {
            if let Some(mac) = self.neighbours.get(&key) {
                return Ok(Some(*mac));
            }
            if Instant::now() >= again {
                self.put(host.segment(), &question(host, address))?;
                again = Instant::now() + wait / 4;
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            self.look()?;
            sleep(LOOK);
        }
    }

    /// Asks so often who has these addresses, by turns, and how long it took until all was
    /// answered; `None` where it was not in time.
    ///
    /// # Errors
    /// The links'.
    pub fn resolve_often(
        &mut self,
        host: Host,
        addresses: &[IpAddr],
        times: usize,
        wait: Duration,
    ) -> io::Result<Option<Duration>> {
        let segment = host.segment();
        self.look()?;
        self.heard.insert(segment, 0);
        let start = Instant::now();
        for address in addresses.iter().cycle().take(times) {
            self.put(segment, &question(host, *address))?;
        }
        loop {
            self.look()?;
            if self
                .heard
                .get(&segment)
                .is_some_and(|heard| *heard >= times)
            {
                return Ok(Some(start.elapsed()));
            }
            if start.elapsed() > wait {
                return Ok(None);
            }
            sleep(LOOK);
        }
    }

    /// A host says unasked that it has an address: to all, who believe it.
    ///
    /// # Errors
    /// The links'.
    pub fn claim(&mut self, host: Host, address: IpAddr) -> io::Result<()> {
        let mac = host.mac();
        let frame = match address {
            IpAddr::V4(own) => arp_frame(2, [0xff; 6], mac, own, ([0xff; 6], own)),
            IpAddr::V6(own) => {
                let all = (multicast(ALL_NODES), ALL_NODES);
                discovery_frame(ADVERT, (mac, own), all, own, 0x20)
            }
        };
        self.neighbours.insert((host.segment(), address), mac);
        self.put(host.segment(), &frame)
    }

    /// Waits until the gateway is known to have an address, without asking.
    ///
    /// # Errors
    /// The links'.
    pub fn hear(&mut self, host: Host, address: IpAddr, wait: Duration) -> io::Result<bool> {
        let until = Instant::now() + wait;
        loop {
            let mac = self.neighbours.get(&(host.segment(), address));
            if mac.is_some_and(|mac| !is_own(*mac)) {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            self.look()?;
            sleep(LOOK);
        }
    }

    /// Forgets who has an address.
    pub fn forget_neighbour(&mut self, host: Host, address: IpAddr) {
        self.neighbours.remove(&(host.segment(), address));
    }

    /// Waits for a packet at a host, and takes it from the inbox.
    ///
    /// # Errors
    /// The links'.
    pub fn expect(&mut self, host: Host, packet: &Packet, wait: Duration) -> io::Result<bool> {
        let until = Instant::now() + wait;
        loop {
            let at = self
                .inbox
                .iter()
                .position(|(at, got)| *at == host && got.is_what(packet));
            if let Some(at) = at {
                self.inbox.remove(at);
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            self.look()?;
            sleep(LOOK);
        }
    }

    /// Waits, and takes all that arrived and was not expected.
    ///
    /// # Errors
    /// The links'.
    pub fn rest(&mut self, wait: Duration) -> io::Result<Vec<(Host, Packet)>> {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            self.look()?;
            sleep(LOOK);
        }
        Ok(std::mem::take(&mut self.inbox))
    }

    fn put(&mut self, segment: Segment, frame: &[u8]) -> io::Result<()> {
        match self.links.get_mut(&segment) {
            Some(link) => link.send(frame),
            None => Err(io::Error::other(format!("no link to {segment:?}"))),
        }
    }

    /// Takes in all frames that are there.
    fn look(&mut self) -> io::Result<()> {
        for segment in Segment::ALL {
            while let Some(frame) = match self.links.get_mut(&segment) {
                Some(link) => link.receive()?,
                None => None,
            } {
                if let Some(answer) = self.take(segment, &frame) {
                    self.put(segment, &answer)?;
                }
            }
        }
        Ok(())
    }

    /// Takes in a frame; what is to be answered.
    fn take(&mut self, segment: Segment, frame: &[u8]) -> Option<Vec<u8>> {
        let to: Mac = *frame.first_chunk()?;
        let from: Mac = *frame.get(6..)?.first_chunk()?;
        let kind = u16::from_be_bytes(*frame.get(12..)?.first_chunk()?);
        let rest = frame.get(14..)?;
        if is_own(from) {
            return None;
        }
        match kind {
            ARP => self.arp(segment, rest),
            IPV4 | IPV6 => {
                let packet = self.fragments.entry(segment).or_default().take(rest)?;
                if let Some((kind, target)) = discovery(&packet) {
                    return self.discovery(segment, from, kind, target, &packet);
                }
                if is_chatter(&packet) {
                    return None;
                }
                let host = Host::ALL.into_iter().find(|host| {
                    host.segment() == segment
                        && host.mac() == to
                        && [Family::V4, Family::V6]
                            .map(|f| host.address(f))
                            .contains(&packet.to)
                });
                // What comes to nobody's address came to whoever has the MAC.
                let host = host.or_else(|| {
                    Host::ALL
                        .into_iter()
                        .find(|host| host.segment() == segment && host.mac() == to)
                });
                self.inbox.push((host?, packet));
                None
            }
            _ => None,
        }
    }

    fn learn(&mut self, segment: Segment, address: IpAddr, mac: Mac) {
        self.neighbours.insert((segment, address), mac);
        *self.heard.entry(segment).or_default() += 1;
    }

    fn arp(&mut self, segment: Segment, rest: &[u8]) -> Option<Vec<u8>> {
        let operation = u16::from_be_bytes(*rest.get(6..)?.first_chunk()?);
        let mac: Mac = *rest.get(8..)?.first_chunk()?;
        let sender = Ipv4Addr::from(*rest.get(14..)?.first_chunk::<4>()?);
        let target = Ipv4Addr::from(*rest.get(24..)?.first_chunk::<4>()?);
        // An answer, or what is said unasked.
        if operation != 1 || sender == target {
            self.learn(segment, sender.into(), mac);
            return None;
        }
        let host = holder(segment, target.into())?;
        Some(arp_frame(2, mac, host.mac(), target, (mac, sender)))
    }

    fn discovery(
        &mut self,
        segment: Segment,
        from: Mac,
        kind: u8,
        target: Ipv6Addr,
        packet: &Packet,
    ) -> Option<Vec<u8>> {
        if kind == ADVERT {
            self.learn(segment, target.into(), from);
            return None;
        }
        let host = holder(segment, target.into())?;
        let IpAddr::V6(asker) = packet.from else {
            return None;
        };
        // Who has no address yet is answered by telling all; override, and solicited where
        // somebody in particular is answered (RFC 4861 §7.2.4).
        let (to, flags) = if asker.is_unspecified() {
            ((multicast(ALL_NODES), ALL_NODES), 0x20)
        } else {
            ((from, asker), 0x60)
        };
        let own = (host.mac(), target);
        Some(discovery_frame(ADVERT, own, to, target, flags))
    }
}

/// Whether a frame came from one of the hosts.
fn is_own(mac: Mac) -> bool {
    Host::ALL.iter().any(|host| host.mac() == mac)
}

/// The host that has the address on the segment.
fn holder(segment: Segment, address: IpAddr) -> Option<Host> {
    Host::ALL.into_iter().find(|host| {
        host.segment() == segment
            && host.is_on_link()
            && [Family::V4, Family::V6]
                .map(|f| host.address(f))
                .contains(&address)
    })
}

/// Type and target of a neighbour solicitation or advertisement.
fn discovery(packet: &Packet) -> Option<(u8, Ipv6Addr)> {
    match &packet.body {
        Body::Other {
            protocol: ICMPV6,
            data,
        } => {
            let kind = *data.first()?;
            let target = Ipv6Addr::from(*data.get(8..)?.first_chunk::<16>()?);
            matches!(kind, SOLICIT | ADVERT).then_some((kind, target))
        }
        _ => None,
    }
}

/// Whether a packet is the kernel's own talk on a link: to multicast or link-local only.
fn is_chatter(packet: &Packet) -> bool {
    let local = |address: IpAddr| match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast() || address.is_unicast_link_local(),
    };
    let talk = match &packet.body {
        Body::Other {
            protocol: ICMPV6,
            data,
        } => data.first().is_some_and(|kind| CHATTER.contains(kind)),
        Body::Other { protocol, .. } => *protocol == 2,
        _ => false,
    };
    talk && local(packet.to)
}

fn ethernet(to: Mac, from: Mac, kind: u16) -> Vec<u8> {
    let mut frame = Vec::from(to);
    frame.extend(from);
    frame.extend(kind.to_be_bytes());
    frame
}

/// All nodes of a link (RFC 4291 §2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The Ethernet address of a group (RFC 2464 §7).
fn multicast(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// Who has the address?
fn question(host: Host, address: IpAddr) -> Vec<u8> {
    match (address, host.address(Family::V4), host.address(Family::V6)) {
        (IpAddr::V4(target), IpAddr::V4(own), _) => {
            arp_frame(1, [0xff; 6], host.mac(), own, ([0; 6], target))
        }
        (IpAddr::V6(target), _, IpAddr::V6(own)) => {
            let [.., x, y, z] = target.octets();
            let group = Ipv6Addr::new(
                0xff02,
                0,
                0,
                0,
                0,
                1,
                0xff00 | u16::from(x),
                u16::from_be_bytes([y, z]),
            );
            let to = (multicast(group), group);
            discovery_frame(SOLICIT, (host.mac(), own), to, target, 0)
        }
        _ => Vec::new(),
    }
}

/// An ARP packet (RFC 826); `own` is said to be at the sender.
fn arp_frame(
    operation: u16,
    to: Mac,
    from: Mac,
    own: Ipv4Addr,
    target: (Mac, Ipv4Addr),
) -> Vec<u8> {
    let mut frame = ethernet(to, from, ARP);
    frame.extend([0, 1, 8, 0, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(from);
    frame.extend(own.octets());
    frame.extend(target.0);
    frame.extend(target.1.octets());
    frame
}

/// A neighbour solicitation or advertisement (RFC 4861 §4.3, §4.4).
fn discovery_frame(
    kind: u8,
    from: (Mac, Ipv6Addr),
    to: (Mac, Ipv6Addr),
    target: Ipv6Addr,
    flags: u8,
) -> Vec<u8> {
    let mut data = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    data.extend(target.octets());
    // The sender's link-layer address, as source or as target.
    data.extend([if kind == SOLICIT { 1 } else { 2 }, 1]);
    data.extend(from.0);
    let body = Body::Other {
        protocol: ICMPV6,
        data,
    };
    let packet = Packet::new(from.1.into(), to.1.into(), body).hops(255);
    let mut frame = ethernet(to.0, from.0, IPV6);
    frame.extend(packet.wire().concat());
    frame
}
