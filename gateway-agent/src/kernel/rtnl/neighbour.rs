//! Neighbours: entries of next hops, proxies (IPv6), and how long those wait before they
//! answer.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use super::message::{address, attributes, byte, put, word};
use super::{AF_INET6, PROTOCOL, Request, Rtnl, family};

/// `RTM_NEWNEIGH`, `RTM_DELNEIGH`, `RTM_GETNEIGH`, `RTM_NEWNEIGHTBL`, `RTM_GETNEIGHTBL`,
/// `RTM_SETNEIGHTBL` (`linux/rtnetlink.h`).
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const RTM_NEWNEIGHTBL: u16 = 64;
const RTM_GETNEIGHTBL: u16 = 66;
const RTM_SETNEIGHTBL: u16 = 67;
/// `NDA_DST`, `NDA_LLADDR`, `NDA_PROTOCOL`, `NTF_PROXY` (`linux/neighbour.h`).
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_PROTOCOL: u16 = 12;
const NTF_PROXY: u8 = 8;
/// `NUD_*`: states in which an entry has no MAC, is used without doubt, and for ever.
const NUD_INCOMPLETE: u16 = 0x01;
const NUD_REACHABLE: u16 = 0x02;
const NUD_FAILED: u16 = 0x20;
const NUD_PERMANENT: u16 = 0x80;
/// `NDTA_NAME`, `NDTA_PARMS`, `NDTPA_IFINDEX`, `NDTPA_PROXY_DELAY`.
const NDTA_NAME: u16 = 1;
const NDTA_PARMS: u16 = 6;
const NDTPA_IFINDEX: u16 = 1;
const NDTPA_PROXY_DELAY: u16 = 13;
/// The kernel's name of the IPv6 neighbour table.
const TABLE: &[u8] = b"ndisc_cache\0";
/// `ENOENT` (`asm-generic/errno-base.h`).
const ENOENT: i32 = 2;
/// Bytes of `struct ndmsg` and `struct ndtmsg`.
const HEADER: usize = 12;
const TABLE_HEADER: usize = 4;
/// `NLM_F_CREATE | NLM_F_REPLACE`.
const CREATE: u16 = 0x400 | 0x100;

/// An IPv6 address that an interface answers solicitations for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxy {
    /// Index of the interface.
    pub device: u32,
    /// The address.
    pub address: Ipv6Addr,
}

impl Proxy {
    fn request(self, kind: u16, flags: u16) -> Request {
        let header = header(self.device);
        Request::new(kind, flags, &header)
            .put_address(NDA_DST, self.address.into())
            .put(NDA_PROTOCOL, &[PROTOCOL])
    }

    /// The request that adds it.
    pub fn add(self) -> Request {
        self.request(RTM_NEWNEIGH, CREATE)
    }

    /// The request that removes it.
    pub fn remove(self) -> Request {
        self.request(RTM_DELNEIGH, 0)
    }

    pub(super) fn read(kind: u16, body: &[u8]) -> Option<Self> {
        if kind != RTM_NEWNEIGH || byte(body, 10) & NTF_PROXY == 0 {
            return None;
        }
        let (mut target, mut protocol) = (None, 0);
        for (kind, payload) in attributes(body, HEADER) {
            match kind {
                NDA_DST => target = address(payload),
                NDA_PROTOCOL => protocol = byte(payload, 0),
                _ => {}
            }
        }
        match target? {
            IpAddr::V6(address) if protocol == PROTOCOL => Some(Self {
                device: word(body, 4),
                address,
            }),
            _ => None,
        }
    }
}

/// The MAC of a neighbour's entry; `None` while it has none.
pub(super) fn read_mac(kind: u16, body: &[u8]) -> Option<[u8; 6]> {
    let state = u16::from_ne_bytes([byte(body, 8), byte(body, 9)]);
    if kind != RTM_NEWNEIGH || state & (NUD_INCOMPLETE | NUD_FAILED) != 0 {
        return None;
    }
    let (_, mac) = attributes(body, HEADER).find(|(kind, _)| *kind == NDA_LLADDR)?;
    mac.try_into().ok()
}

/// `struct ndmsg` of an entry.
fn entry(device: u32, of: IpAddr, state: u16) -> Vec<u8> {
    let mut header = vec![family(of), 0, 0, 0];
    header.extend(device.to_ne_bytes());
    header.extend(state.to_ne_bytes());
    header.extend([0, 0]);
    header
}

fn header(device: u32) -> Vec<u8> {
    let mut header = vec![AF_INET6, 0, 0, 0];
    header.extend(device.to_ne_bytes());
    header.extend(NUD_PERMANENT.to_ne_bytes());
    header.extend([NTF_PROXY, 0]);
    header
}

impl Rtnl {
    /// The MAC that the kernel sends to for a neighbour; `None` where it has no entry or
    /// an entry without MAC.
    ///
    /// # Errors
    /// The kernel's.
    pub fn neighbour_mac(&mut self, device: u32, of: IpAddr) -> io::Result<Option<[u8; 6]>> {
        let request = Request::new(RTM_GETNEIGH, 0, &entry(device, of, 0)).put_address(NDA_DST, of);
        match self.get(&request, read_mac) {
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(None),
            mac => mac,
        }
    }

    /// Replaces a neighbour's entry, also a static one, by one that ages as others do.
    ///
    /// # Errors
    /// The kernel's.
    pub fn replace_neighbour(&mut self, device: u32, of: IpAddr, mac: [u8; 6]) -> io::Result<()> {
        let header = entry(device, of, NUD_REACHABLE);
        let request = Request::new(RTM_NEWNEIGH, CREATE, &header)
            .put_address(NDA_DST, of)
            .put(NDA_LLADDR, &mac);
        self.send_one(request)
    }

    /// Our proxies.
    ///
    /// # Errors
    /// The kernel's.
    pub fn proxies(&mut self) -> io::Result<Vec<Proxy>> {
        let mut header = header(0);
        header.splice(8..10, [0, 0]);
        self.dump(&Request::new(RTM_GETNEIGH, 0, &header), Proxy::read)
    }

    /// Interfaces, by index, with the milliseconds that their proxies wait at most.
    ///
    /// # Errors
    /// The kernel's.
    pub fn proxy_delays(&mut self) -> io::Result<Vec<(u32, u64)>> {
        let mut header = [0; TABLE_HEADER];
        header[0] = AF_INET6;
        self.dump(&Request::new(RTM_GETNEIGHTBL, 0, &header), |kind, body| {
            if kind != RTM_NEWNEIGHTBL {
                return None;
            }
            let (_, parms) = attributes(body, TABLE_HEADER).find(|(k, _)| *k == NDTA_PARMS)?;
            let (mut device, mut delay) = (0, None);
            for (kind, payload) in attributes(parms, 0) {
                match kind {
                    NDTPA_IFINDEX => device = word(payload, 0),
                    NDTPA_PROXY_DELAY => {
                        delay = payload.first_chunk::<8>().map(|b| u64::from_ne_bytes(*b));
                    }
                    _ => {}
                }
            }
            Some((device, delay?))
        })
    }

    /// Lets the proxies of an interface answer at once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn clear_proxy_delay(&mut self, device: u32) -> io::Result<()> {
        let mut parms = Vec::new();
        put(&mut parms, NDTPA_IFINDEX, &device.to_ne_bytes());
        put(&mut parms, NDTPA_PROXY_DELAY, &0_u64.to_ne_bytes());
        let request = Request::new(RTM_SETNEIGHTBL, 0, &[AF_INET6, 0, 0, 0])
            .put(NDTA_NAME, TABLE)
            .put_nest(NDTA_PARMS, &parms);
        self.send_one(request)
    }
}
