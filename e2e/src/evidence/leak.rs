//! A look-out for packets with an inside source where none may be: on the
//! outside segment, and on every link of a node that is not the tenants' LAN,
//! the gateway pods' eth0 among them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use ipnet::IpNet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recvfrom, socket_with,
};

use super::history::{History, Leak, What};
use crate::error::{Doing, LabError, Result};
use crate::families::LAN;
use crate::netns;

/// All protocols (`ETH_P_ALL` of linux/if_ether.h), in network order.
const ETH_P_ALL: u32 = 0x0300;
/// The bridge of a node that carries the tenants' LAN.
const LAN_BRIDGE: &str = "br-lan";
/// Links of a node that belong to the tenants' LAN without being its ports.
const LAN_LINKS: [&str; 2] = ["br-lan", "lan-up"];
/// How much of a packet is kept.
const SHOWN: usize = 128;

/// Look-outs by host; all end when this is dropped.
#[derive(Default)]
pub struct LookOut {
    hosts: BTreeMap<String, (Arc<AtomicBool>, JoinHandle<()>)>,
}

impl LookOut {
    /// Looks out on all links of the network namespace at `namespace`, under
    /// the name `host`; a look-out of that name before is ended.
    ///
    /// # Errors
    /// When the namespace or a packet socket cannot be opened.
    pub fn attach(&mut self, host: &str, namespace: &Path, history: &History) -> Result<()> {
        self.detach(host);
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn({
            let (host, namespace, stop, history) = (
                host.to_owned(),
                namespace.to_path_buf(),
                stop.clone(),
                history.clone(),
            );
            move || match netns::enter(&namespace).and_then(|()| open()) {
                Ok(fd) => {
                    let _ = tell.send(Ok(()));
                    look(&host, &fd, &stop, &history);
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
        told.recv()
            .map_err(|_| LabError::Content("a look-out's thread died".into()))??;
        self.hosts.insert(host.to_owned(), (stop, thread));
        Ok(())
    }

    /// Ends the look-out of a host. Doing nothing when there is none.
    pub fn detach(&mut self, host: &str) {
        if let Some((stop, thread)) = self.hosts.remove(host) {
            stop.store(true, Ordering::Relaxed);
            let _ = thread.join();
        }
    }
}

impl Drop for LookOut {
    fn drop(&mut self) {
        for (stop, _) in self.hosts.values() {
            stop.store(true, Ordering::Relaxed);
        }
        for (_, thread) in std::mem::take(&mut self.hosts).into_values() {
            let _ = thread.join();
        }
    }
}

fn open() -> Result<OwnedFd> {
    let all = NonZeroU32::new(ETH_P_ALL).map(Protocol::from_raw);
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    // Made with a protocol, it listens on every link, also on later ones.
    socket_with(AddressFamily::PACKET, SocketType::RAW, flags, all)
        .doing(|| "open a packet socket".into())
}

fn look(host: &str, fd: &OwnedFd, stop: &AtomicBool, history: &History) {
    let mut links: BTreeMap<i32, (String, bool)> = BTreeMap::new();
    let mut buffer = [0; SHOWN];
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    while !stop.load(Ordering::Relaxed) {
        if !poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&wait)).is_ok_and(|ready| ready > 0) {
            continue;
        }
        while let Ok((length, _, Some(from))) = recvfrom(fd, &mut buffer, RecvFlags::DONTWAIT) {
            let Some(bytes) = buffer.get(..length) else {
                continue;
            };
            if !has_inside_source(bytes) {
                continue;
            }
            // SAFETY: the address has at least `addr_len` bytes at `as_ptr`.
            let address = unsafe {
                std::slice::from_raw_parts(from.as_ptr().cast::<u8>(), from.addr_len() as usize)
            };
            let Some(index) = address
                .get(4..8)
                .and_then(|b| b.first_chunk::<4>())
                .map(|b| i32::from_ne_bytes(*b))
            else {
                continue;
            };
            // One that is not the LAN's may have been listed before it got its bridge. One
            // that is gone is what it was: its packets may be read only now.
            if !links.get(&index).is_some_and(|(_, lan)| *lan) {
                links.extend(list_links());
            }
            let (interface, lan) = links
                .get(&index)
                .cloned()
                .unwrap_or((format!("link {index}, gone"), false));
            if !lan {
                let bytes = hex(bytes);
                history.add(What::Leak(Leak {
                    host: host.to_owned(),
                    interface,
                    bytes,
                }));
            }
        }
    }
}

/// Whether an Ethernet frame carries an IP packet from an inside address.
fn has_inside_source(frame: &[u8]) -> bool {
    let (Some(kind), Some(packet)) = (frame.get(12..14), frame.get(14..)) else {
        return false;
    };
    let inside = |address: std::net::IpAddr| {
        [LAN.0, LAN.1]
            .iter()
            .any(|net| net.parse::<IpNet>().is_ok_and(|net| net.contains(&address)))
    };
    match kind {
        [0x08, 0x00] => packet
            .get(12..16)
            .and_then(|b| b.first_chunk::<4>())
            .is_some_and(|b| inside(Ipv4Addr::from(*b).into())),
        [0x86, 0xdd] => packet
            .get(8..24)
            .and_then(|b| b.first_chunk::<16>())
            .is_some_and(|b| inside(Ipv6Addr::from(*b).into())),
        _ => false,
    }
}

/// The links of the calling thread's namespace: name, and whether it belongs
/// to the tenants' LAN.
fn list_links() -> BTreeMap<i32, (String, bool)> {
    let text =
        crate::command::run(Command::new("ip").args(["-o", "link", "show"])).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let index = words.next()?.trim_end_matches(':').parse().ok()?;
            let name = words
                .next()?
                .trim_end_matches(':')
                .split('@')
                .next()?
                .to_owned();
            let master = words.skip_while(|word| *word != "master").nth(1);
            let lan = LAN_LINKS.contains(&name.as_str()) || master == Some(LAN_BRIDGE);
            Some((index, (name, lan)))
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: [u8; 2], source_at: usize, source: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 14 + 40];
        frame[12..14].copy_from_slice(&kind);
        frame[14 + source_at..14 + source_at + source.len()].copy_from_slice(source);
        frame
    }

    #[test]
    fn only_ip_packets_from_the_tenants_lan_count() {
        let v6: Ipv6Addr = "fd00:10:244::5".parse().unwrap();
        let other: Ipv6Addr = "fd00:10:250::5".parse().unwrap();
        assert!(has_inside_source(&frame([8, 0], 12, &[10, 244, 0, 5])));
        assert!(has_inside_source(&frame([0x86, 0xdd], 8, &v6.octets())));
        assert!(!has_inside_source(&frame([0x86, 0xdd], 8, &other.octets())));
        assert!(!has_inside_source(&frame([8, 0], 12, &[10, 250, 0, 5])));
        assert!(
            !has_inside_source(&frame([8, 0], 16, &[10, 244, 0, 5])),
            "a destination is no source"
        );
        assert!(!has_inside_source(&frame([8, 6], 12, &[10, 244, 0, 5])));
        let whole = frame([8, 0], 12, &[10, 244, 0, 5]);
        for length in 0..30 {
            assert!(!has_inside_source(&whole[..length]), "cut at {length}");
        }
    }
}
