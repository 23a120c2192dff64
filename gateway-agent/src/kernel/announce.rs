//! Tells neighbours which MAC has an address, and asks whether another one has it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::frame::{self, Mac};
use super::packet::{ETH_P_ARP, ETH_P_IPV6, PacketSocket, wait};
use super::report::{Conflict, KernelError};
use super::rtnl::Link;

/// Probes are sent this often while there is time to wait.
const PROBES: u32 = 2;
/// Bytes of a frame that are looked at.
const FRAME: usize = 128;

/// Sends one round of announcements: for each address those of [`frame::announcement`].
/// Addresses whose interface is down or has no MAC are left out. Returns the number of
/// frames.
///
/// # Errors
/// [`KernelError::System`] where not a single frame could be sent.
pub fn announce(places: &[(IpAddr, &Link)]) -> Result<usize, KernelError> {
    let failed = |source| KernelError::System {
        action: "announce addresses",
        source,
    };
    let socket = PacketSocket::sender().map_err(failed)?;
    let mut sent = 0;
    let mut last = None;
    for (address, link) in places {
        let Some(mac) = link.mac.filter(|_| link.up) else {
            continue;
        };
        for frame in frame::announcement(*address, mac) {
            match socket.send(link.index, &frame) {
                Ok(()) => sent += 1,
                Err(error) => last = Some(error),
            }
        }
    }
    match last {
        Some(error) if sent == 0 => Err(failed(error)),
        Some(error) => {
            tracing::warn!(%error, "some announcements could not be sent");
            Ok(sent)
        }
        None => Ok(sent),
    }
}

/// Asks for all addresses at once whether another host has them, and listens for `time`.
/// Silence proves nothing where the link is down.
///
/// # Errors
/// [`KernelError::System`].
pub fn conflicts(places: &[(IpAddr, &Link)], time: Duration) -> Result<Vec<Conflict>, KernelError> {
    ask(places, time).map_err(|source| KernelError::System {
        action: "probe addresses",
        source,
    })
}

fn ask(places: &[(IpAddr, &Link)], time: Duration) -> io::Result<Vec<Conflict>> {
    let mut sockets: BTreeMap<(u32, u16), (PacketSocket, &Link, Mac)> = BTreeMap::new();
    let mut asked: BTreeMap<IpAddr, &Link> = BTreeMap::new();
    for (address, link) in places {
        let Some(mac) = link.mac.filter(|_| link.up) else {
            continue;
        };
        let protocol = if address.is_ipv4() {
            ETH_P_ARP
        } else {
            ETH_P_IPV6
        };
        if let Entry::Vacant(place) = sockets.entry((link.index, protocol)) {
            let socket = PacketSocket::listener(link.index, protocol)?;
            place.insert((socket, link, mac));
        }
        asked.insert(*address, link);
    }
    let mut found: BTreeMap<IpAddr, Conflict> = BTreeMap::new();
    let start = Instant::now();
    for round in 1..=PROBES {
        for (address, link) in &asked {
            let protocol = if address.is_ipv4() {
                ETH_P_ARP
            } else {
                ETH_P_IPV6
            };
            if let Some((socket, _, mac)) = sockets.get(&(link.index, protocol)) {
                socket.send(link.index, &frame::probe(*address, *mac))?;
            }
        }
        let until = start + time * round / PROBES;
        loop {
            listen(&sockets, &asked, &mut found)?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let fds: Vec<(&PacketSocket, PollFlags)> = sockets
                .values()
                .map(|(socket, ..)| (socket, PollFlags::IN))
                .collect();
            if fds.is_empty() {
                break;
            }
            wait(&fds, left)?;
        }
    }
    Ok(found.into_values().collect())
}

fn listen(
    sockets: &BTreeMap<(u32, u16), (PacketSocket, &Link, Mac)>,
    asked: &BTreeMap<IpAddr, &Link>,
    found: &mut BTreeMap<IpAddr, Conflict>,
) -> io::Result<()> {
    let mut buffer = [0; FRAME];
    for (socket, link, own) in sockets.values() {
        while let Some(frame) = socket.receive(&mut buffer)? {
            let Some((address, mac)) = frame::claim(frame) else {
                continue;
            };
            let here = asked.get(&address).is_some_and(|l| l.index == link.index);
            if here && mac != *own {
                found.entry(address).or_insert(Conflict {
                    address,
                    mac,
                    interface: link.name.clone(),
                });
            }
        }
    }
    Ok(())
}
