//! Frames that announce an address or ask who has it: ARP (RFC 826, RFC 5227) and neighbour
//! discovery (RFC 4861).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packet::{ETH_P_ARP, ETH_P_IPV6};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// An Ethernet address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const NEIGHBOR_SOLICIT: u8 = 135;
const NEIGHBOR_ADVERT: u8 = 136;
/// Flags of an advertisement: router, override.
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;
/// Options: source and target link-layer address.
const SOURCE_LLADDR: u8 = 1;
const TARGET_LLADDR: u8 = 2;
const ICMPV6: u8 = 58;
/// `ff02::1`.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Frames that tell everyone on the link that this MAC has the address now. For IPv4 a
/// request and a reply: some hosts heed only the one, some only the other.
pub fn announcement(address: IpAddr, mac: Mac) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(address) => vec![
            arp(REQUEST, mac, (mac, address), ([0; 6], address)),
            arp(REPLY, mac, (mac, address), (mac, address)),
        ],
        IpAddr::V6(address) => {
            let mut body = vec![NEIGHBOR_ADVERT, 0, 0, 0, ROUTER | OVERRIDE, 0, 0, 0];
            body.extend(address.octets());
            body.extend([TARGET_LLADDR, 1]);
            body.extend(mac);
            vec![ipv6(mac, address, ALL_NODES, body)]
        }
    }
}

/// A frame that asks whether anyone has the address, without claiming it.
pub fn probe(address: IpAddr, mac: Mac) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => {
            let nobody = (mac, Ipv4Addr::UNSPECIFIED);
            arp(REQUEST, mac, nobody, ([0; 6], address))
        }
        IpAddr::V6(address) => {
            let mut body = vec![NEIGHBOR_SOLICIT, 0, 0, 0, 0, 0, 0, 0];
            body.extend(address.octets());
            ipv6(mac, Ipv6Addr::UNSPECIFIED, solicited_node(address), body)
        }
    }
}

/// A frame that asks a neighbour for its MAC, from one of our own addresses so that the
/// answer comes to us alone; without one, as [`probe`] does.
pub fn question(address: IpAddr, own: Option<IpAddr>, mac: Mac) -> Vec<u8> {
    match (address, own) {
        (IpAddr::V4(address), Some(IpAddr::V4(own))) => {
            arp(REQUEST, mac, (mac, own), ([0; 6], address))
        }
        (IpAddr::V6(address), Some(IpAddr::V6(own))) => {
            let mut body = vec![NEIGHBOR_SOLICIT, 0, 0, 0, 0, 0, 0, 0];
            body.extend(address.octets());
            body.extend([SOURCE_LLADDR, 1]);
            body.extend(mac);
            ipv6(mac, own, solicited_node(address), body)
        }
        (address, _) => probe(address, mac),
    }
}

/// Who says in this frame that it has an address: the address and the MAC. `None` for all
/// other frames.
pub fn claim(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    let from: Mac = *frame.get(6..)?.first_chunk()?;
    let kind = u16::from_be_bytes(*frame.get(12..)?.first_chunk()?);
    let rest = frame.get(14..)?;
    let (address, mac) = match kind {
        ETH_P_ARP => {
            // Ethernet, IPv4, 6 and 4 bytes; request or reply.
            let [0, 1, 8, 0, 6, 4, 0, 1 | 2] = *rest.first_chunk()? else {
                return None;
            };
            let sender: Mac = *rest.get(8..)?.first_chunk()?;
            let address = Ipv4Addr::from(*rest.get(14..)?.first_chunk::<4>()?);
            (!address.is_unspecified()).then_some((address.into(), sender))
        }
        ETH_P_IPV6 => {
            let body = rest.get(40..)?;
            // Others than neighbours cannot send a hop limit of 255 (RFC 4861 §7.1.2).
            let is_advert = rest.get(6..8) == Some(&[ICMPV6, 255])
                && body.get(..2) == Some(&[NEIGHBOR_ADVERT, 0]);
            let target = Ipv6Addr::from(*body.get(8..)?.first_chunk::<16>()?);
            let named = match body.get(24..) {
                Some([TARGET_LLADDR, 1, mac @ ..]) => mac.first_chunk().copied(),
                _ => None,
            };
            is_advert.then_some((IpAddr::from(target), named.unwrap_or(from)))
        }
        _ => None,
    }?;
    // A group is nobody's MAC.
    let is_one = mac.first()? & 1 == 0 && mac != [0; 6];
    is_one.then_some((address, mac))
}

/// The multicast group that solicitations for an address go to (RFC 4291 §2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., x, y, z] = address.octets();
    let low = u16::from_be_bytes([y, z]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(x), low)
}

fn ethernet(to: Mac, from: Mac, kind: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(96);
    frame.extend(to);
    frame.extend(from);
    frame.extend(kind.to_be_bytes());
    frame
}

fn arp(operation: u16, mac: Mac, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, ETH_P_ARP);
    // Ethernet, IPv4, 6 and 4 bytes.
    frame.extend([0, 1, 8, 0, 6, 4]);
    frame.extend(operation.to_be_bytes());
    for (mac, address) in [sender, target] {
        frame.extend(mac);
        frame.extend(address.octets());
    }
    frame
}

fn ipv6(mac: Mac, from: Ipv6Addr, to: Ipv6Addr, mut body: Vec<u8>) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let sum = checksum(from, to, len, &body);
    if let Some(place) = body.get_mut(2..4) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    let [.., a, b, c, d] = to.octets();
    let mut frame = ethernet([0x33, 0x33, a, b, c, d], mac, ETH_P_IPV6);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(len.to_be_bytes());
    // Others than neighbours cannot send 255.
    frame.extend([ICMPV6, 255]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(body);
    frame
}

/// The Internet checksum with the pseudo-header of RFC 8200 §8.1.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, len: u16, body: &[u8]) -> u16 {
    let mut sum = u32::from(len) + u32::from(ICMPV6);
    for bytes in [from.octets().as_slice(), to.octets().as_slice(), body] {
        for pair in bytes.chunks(2) {
            let word = match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                [high] => u16::from_be_bytes([*high, 0]),
                _ => 0,
            };
            sum += u32::from(word);
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
