//! Answering datagrams from the address that they were sent to.
//!
//! A socket for all addresses would let the kernel choose the answer's source
//! by its route, which on a host with several addresses may be another one. So
//! there is a socket for each address, and a look once a second for new ones.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::{Seen, UDP_PORT};

/// Serves until the process ends.
pub async fn serve(pod: String) {
    let mut serving: BTreeMap<IpAddr, JoinHandle<()>> = BTreeMap::new();
    loop {
        let own = own_addresses();
        serving.retain(|address, task| {
            let stays = own.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        for address in own {
            if serving.contains_key(&address) {
                continue;
            }
            // An address that is still being verified: the next look gets it.
            if let Ok(socket) = UdpSocket::bind((address, UDP_PORT)).await {
                serving.insert(address, tokio::spawn(answer(socket, pod.clone())));
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn answer(socket: UdpSocket, pod: String) {
    let Ok(own) = socket.local_addr() else { return };
    let mut buffer = vec![0; 65536];
    loop {
        // Errors here are ICMP answers to earlier replies; they concern nobody.
        if let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let data = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
            let seen = Seen::new(&pod, "udp", peer, own, 0, &data);
            let _ = socket.send_to(seen.line().as_bytes(), peer).await;
        }
    }
}

/// The addresses of this network namespace, without link-local ones.
fn own_addresses() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut all: Vec<IpAddr> = parse_v4(&v4).map(IpAddr::V4).collect();
    all.extend(parse_v6(&v6).map(IpAddr::V6));
    all.sort_unstable();
    all.dedup();
    all
}

/// The addresses that the kernel's routing trie marks as local.
fn parse_v4(trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let next = trie.lines().skip(1);
    trie.lines().zip(next).filter_map(|(line, below)| {
        let address = line.trim().strip_prefix("|-- ")?;
        below
            .contains("/32 host LOCAL")
            .then(|| address.parse().ok())?
    })
}

fn parse_v6(table: &str) -> impl Iterator<Item = Ipv6Addr> {
    table.lines().filter_map(|line| {
        let digits = line
            .split_whitespace()
            .next()
            .filter(|digits| digits.len() == 32)?;
        let address = Ipv6Addr::from(u128::from_str_radix(digits, 16).ok()?);
        (!address.is_unicast_link_local()).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_told_from_networks_and_broadcasts() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n        \
                    +-- 10.155.30.0/24 2 0 2\n           |-- 10.155.30.1\n              /32 host LOCAL\n           \
                    |-- 10.155.30.255\n              /32 link BROADCAST\n";
        assert_eq!(
            parse_v4(trie).collect::<Vec<_>>(),
            ["10.155.30.1".parse::<Ipv4Addr>().unwrap()]
        );
        let table = "fe8000000000000002fcfffffe000001 02 40 20 80 eth0\n\
                     20010db8000100000000000000000009 02 40 00 80 eth0\n\nx\n";
        assert_eq!(
            parse_v6(table).collect::<Vec<_>>(),
            ["2001:db8:1::9".parse::<Ipv6Addr>().unwrap()]
        );
    }
}
