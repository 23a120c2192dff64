//! Asks the next hops for their MACs, compares the kernel's entries, and replaces those
//! that are wrong: [`sluice_core::neighbour`] decides.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Instant;

use sluice_core::agent::Millis;
use sluice_core::neighbour::{Mac, Neighbourhood, News, NextHop};
use sluice_crds::address::DualAddress;
use sluice_crds::internal::NeighbourChange;
use sluice_journal::or_null;

use super::frame;
use super::packet::{ETH_P_ARP, ETH_P_IPV6, PacketSocket};
use super::report::{Problem, ProblemKind};
use super::rtnl::{Link, Rtnl};
use super::settings::Watch;

/// Bytes of a frame that are looked at.
const FRAME: usize = 128;
/// Frames that one look takes from a socket at most.
const FRAMES: usize = 1_024;

/// A next hop in use, and from where to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Index of the interface.
    pub device: u32,
    /// Its name.
    pub interface: String,
    /// The next hop.
    pub address: IpAddr,
    /// The own address that asks.
    pub own: Option<IpAddr>,
}

impl Hop {
    fn key(&self) -> NextHop {
        NextHop {
            interface: self.interface.clone(),
            address: self.address,
        }
    }
}

/// The watch over next hops and own interfaces.
#[derive(Debug)]
pub struct Neighbours {
    began: Instant,
    watch: Neighbourhood,
    sockets: BTreeMap<(u32, u16), PacketSocket>,
    /// The last failure, told once.
    failure: Option<String>,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Seen {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// MACs that changed.
    pub changes: Vec<NeighbourChange>,
    /// How many wrong entries were replaced.
    pub repaired: usize,
}

impl Neighbours {
    /// A watch that knows nothing.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            watch: Neighbourhood::default(),
            sockets: BTreeMap::new(),
            failure: None,
        }
    }

    /// Takes in who answered, compares, mends what is to be mended, and asks those whose
    /// time has come. Never waits. What fails is told in the log and tried again.
    pub fn look(&mut self, rtnl: &mut Rtnl, links: &[Link], hops: &[Hop], watch: Watch) -> Seen {
        for link in links.iter().filter(|link| link.name != "lo") {
            if let Some(mac) = link.mac {
                let news = self.watch.own(&link.name, Mac(mac));
                news.iter().for_each(tell);
            }
        }
        let mut seen = Seen::default();
        match self.round(rtnl, links, hops, watch) {
            Ok(repaired) => {
                seen.repaired = repaired;
                self.failure = None;
            }
            Err(error) => {
                let error = error.to_string();
                if self.failure.as_ref() != Some(&error) {
                    tracing::warn!(error, "next hops cannot be watched: trying again");
                    self.failure = Some(error);
                }
            }
        }
        seen.changes = self.watch.changes();
        let problems = self.watch.problems().into_iter();
        seen.problems.extend(problems.filter_map(|problem| {
            Some(Problem {
                kind: kind(&problem.reason)?,
                message: problem.message,
                blocking: problem.blocking,
            })
        }));
        seen
    }

    /// Listens and asks no more, for an instance that does not hold.
    pub fn rest(&mut self) {
        self.sockets.clear();
        self.watch.follow([]);
    }

    fn round(
        &mut self,
        rtnl: &mut Rtnl,
        links: &[Link],
        hops: &[Hop],
        watch: Watch,
    ) -> io::Result<usize> {
        let now = self.now();
        self.watch.follow(hops.iter().map(Hop::key));
        self.hear(hops)?;
        self.watch.believe(now).iter().for_each(tell);
        let mut repaired = 0;
        for (key, real) in self.watch.certain() {
            let Some(hop) = hops.iter().find(|hop| hop.key() == key) else {
                continue;
            };
            if !self.compare(rtnl, hop, now)? || !watch.repair {
                continue;
            }
            rtnl.replace_neighbour(hop.device, hop.address, real.0)?;
            self.watch.repaired(&key);
            repaired += 1;
            self.compare(rtnl, hop, self.now())?;
        }
        self.ask(links, hops, watch.probe_ms, now)?;
        Ok(repaired)
    }

    /// Whether the kernel's entry of a next hop is wrong.
    fn compare(&mut self, rtnl: &mut Rtnl, hop: &Hop, now: Millis) -> io::Result<bool> {
        let entry = rtnl.neighbour_mac(hop.device, hop.address)?.map(Mac);
        let news = self.watch.entry(now, &hop.key(), entry);
        news.iter().for_each(tell);
        Ok(self.watch.is_wrong(&hop.key()))
    }

    fn ask(&mut self, links: &[Link], hops: &[Hop], probe_ms: u64, now: Millis) -> io::Result<()> {
        let link = |device: u32| {
            let link = links.iter().find(|link| link.index == device);
            link.filter(|link| link.up && link.carrier)
        };
        let may_ask = |key: &NextHop| {
            let hop = hops.iter().find(|hop| hop.key() == *key);
            hop.is_some_and(|hop| link(hop.device).is_some_and(|link| link.mac.is_some()))
        };
        let (asked, news) = self.watch.ask(now, probe_ms, may_ask);
        news.iter().for_each(tell);
        // Each is tried, whatever becomes of the others: an interface may just have gone.
        let mut failed = Ok(());
        for hop in hops.iter().filter(|hop| asked.contains(&hop.key())) {
            let Some(mac) = link(hop.device).and_then(|link| link.mac) else {
                continue;
            };
            let sent = socket(&mut self.sockets, hop)
                .and_then(|s| s.send(hop.device, &frame::question(hop.address, hop.own, mac)));
            failed = failed.and(sent);
        }
        failed
    }

    /// Takes in all answers that have come.
    fn hear(&mut self, hops: &[Hop]) -> io::Result<()> {
        self.sockets
            .retain(|(device, _), _| hops.iter().any(|hop| hop.device == *device));
        let mut buffer = [0; FRAME];
        for ((device, _), socket) in &self.sockets {
            for _ in 0..FRAMES {
                let Some(frame) = socket.receive(&mut buffer)? else {
                    break;
                };
                let Some((address, mac)) = frame::claim(frame) else {
                    continue;
                };
                let mut here = hops.iter().filter(|hop| hop.device == *device);
                if let Some(hop) = here.find(|hop| hop.address == address) {
                    self.watch.heard(&hop.key(), Mac(mac));
                }
            }
        }
        Ok(())
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// The socket that hears the answers of a next hop; opened where there is none.
fn socket<'a>(
    sockets: &'a mut BTreeMap<(u32, u16), PacketSocket>,
    hop: &Hop,
) -> io::Result<&'a PacketSocket> {
    let protocol = if hop.address.is_ipv4() {
        ETH_P_ARP
    } else {
        ETH_P_IPV6
    };
    Ok(match sockets.entry((hop.device, protocol)) {
        Entry::Occupied(place) => place.into_mut(),
        Entry::Vacant(place) => {
            let socket = PacketSocket::listener(hop.device, protocol)?;
            only_answers(&socket, protocol)?;
            place.insert(socket)
        }
    })
}

/// Lets a socket hear answers only: without it every packet of an IPv6 uplink would be
/// copied to it. A classic BPF program (`linux/filter.h`).
fn only_answers(socket: &PacketSocket, protocol: u16) -> io::Result<()> {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt,
        jf,
        k,
    };
    let load_half = |at| step(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, at);
    let load_byte = |at| step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, at);
    let is = |k, jt, jf| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, k);
    let end = |bytes| step(libc::BPF_RET | libc::BPF_K, 0, 0, bytes);
    let frame = u32::try_from(FRAME).unwrap_or(0);
    let mut program = if protocol == ETH_P_ARP {
        // The operation: a reply.
        vec![load_half(20), is(2, 0, 1), end(frame), end(0)]
    } else {
        // ICMPv6; a neighbour advertisement.
        vec![
            load_byte(20),
            is(58, 0, 3),
            load_byte(54),
            is(136, 0, 1),
            end(frame),
            end(0),
        ]
    };
    let fprog = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(0),
        filter: program.as_mut_ptr(),
    };
    let len = libc::socklen_t::try_from(size_of_val(&fprog)).unwrap_or(0);
    // SAFETY: `fprog` and the program that it points to live during the call, which copies
    // them; `len` is the size of the former.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const fprog).cast(),
            len,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn kind(reason: &str) -> Option<ProblemKind> {
    match reason {
        "NextHopUnreachable" => Some(ProblemKind::NextHopUnreachable),
        "NextHopMACMismatch" => Some(ProblemKind::NextHopMACMismatch),
        "NextHopConflict" => Some(ProblemKind::NextHopConflict),
        _ => None,
    }
}

/// One line each, with both families' keys.
fn tell(news: &News) {
    let pair = |hop: &NextHop| {
        let record = DualAddress::of(hop.address);
        (or_null(record.ipv4), or_null(record.ipv6))
    };
    match news {
        News::Changed {
            hop,
            from,
            to,
            since_ms,
        } => {
            let (ipv4, ipv6) = pair(hop);
            tracing::warn!(interface = hop.interface, ipv4, ipv6, %from, %to, since_ms, "next hop changed its MAC");
        }
        News::Mismatch { hop, kernel, real } => {
            let (ipv4, ipv6) = pair(hop);
            tracing::warn!(interface = hop.interface, ipv4, ipv6, %kernel, %real, "the kernel sends to a wrong MAC");
        }
        News::Matches {
            hop,
            was,
            is,
            lasted_ms,
            repaired,
        } => {
            let (ipv4, ipv6) = pair(hop);
            tracing::warn!(interface = hop.interface, ipv4, ipv6, %was, %is, lasted_ms, repaired, "the kernel sends to the right MAC again");
        }
        News::Silent { hop } => {
            let (ipv4, ipv6) = pair(hop);
            tracing::warn!(
                interface = hop.interface,
                ipv4,
                ipv6,
                "next hop does not answer"
            );
        }
        News::Answers { hop, lasted_ms } => {
            let (ipv4, ipv6) = pair(hop);
            tracing::info!(
                interface = hop.interface,
                ipv4,
                ipv6,
                lasted_ms,
                "next hop answers again"
            );
        }
        News::OwnChanged {
            interface,
            from,
            to,
        } => tracing::warn!(interface, %from, %to, "own MAC changed: announcing anew"),
    }
}
