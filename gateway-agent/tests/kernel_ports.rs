//! How many ports of an EIP are in use, and what happens when all are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rig::{Gateway, Net, addr, ask, in_ns, is_silent, output, serve};
use sluice_core::ports::{Peer, Sample};
use sluice_gateway_agent::kernel::Usage;

const SHARED: [&str; 4] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "snat s1 1 10.244.0.0/16 10.155.30.241",
    "snat s1 1 fd00:10:244::/64 2001:db8:1::e:1",
];
/// All ports but privileged ones.
const ALL: std::ops::RangeInclusive<u16> = 1_024..=65_535;

/// Sends a datagram from each of these ports.
fn fill(ns: &str, from: &str, to: &str, ports: std::ops::RangeInclusive<u16>) {
    let from: IpAddr = from.parse().unwrap();
    let to: SocketAddr = to.parse().unwrap();
    in_ns(ns, move || {
        for port in ports {
            let socket = UdpSocket::bind((from, port)).unwrap();
            socket.send_to(b"x", to).unwrap();
            // Not faster than it is forwarded.
            if port % 64 == 0 {
                std::thread::yield_now();
            }
        }
    })
    .join()
    .unwrap();
}

fn usage(gateway: &Gateway) -> Usage {
    gateway.with(|kernel| kernel.usage().unwrap())
}

fn sample(usage: &mut Usage) -> Sample {
    usage.sample().unwrap().expect("something was applied")
}

fn peer(eip: &str, to: &str) -> Peer {
    let to: SocketAddr = to.parse().unwrap();
    Peer {
        eip: addr(eip),
        protocol: 17,
        destination: to.ip(),
        port: to.port(),
    }
}

#[test]
fn all_ports_to_one_peer_are_counted_and_then_new_connections_to_it_are_dropped() {
    let net = Net::new();
    let gateway = net.gateway(true);
    let mut looking = usage(&gateway);
    assert_eq!(looking.sample().unwrap(), None);
    gateway.apply(1, &SHARED, true);
    assert_eq!(sample(&mut looking).available, 64_512);
    for (from, eip, to, other) in [
        (
            "10.244.0.5",
            "10.155.30.241",
            "198.51.100.9:7000",
            "198.51.100.9:7001",
        ),
        (
            "fd00:10:244::5",
            "2001:db8:1::e:1",
            "[2001:db8:2::9]:7000",
            "[2001:db8:2::9]:7001",
        ),
    ] {
        serve(&net.client, to);
        serve(&net.client, other);
        assert_eq!(ask(&net.b, to), addr(eip));
        fill(&net.a, from, to, ALL);
        let begun = Instant::now();
        let seen = sample(&mut looking);
        let used = seen.used[&peer(eip, to)];
        // What b asked with has a port, too.
        assert_eq!(used, seen.available, "{to}; took {:?}", begun.elapsed());
        assert!(is_silent(&net.b, to), "{to}");
        // There are as many for each peer.
        assert_eq!(ask(&net.b, other), addr(eip));
    }
    // Who does not hold looks at nothing.
    gateway.apply(2, &SHARED, false);
    assert_eq!(sample(&mut looking).used.len(), 0);
}

#[test]
fn few_connections_are_not_listed_and_those_of_others_do_not_count() {
    let net = Net::new();
    let gateway = net.gateway(true);
    let mut entries = SHARED.to_vec();
    entries.push("addr e2 1 10.155.30.242 external");
    entries.push("fip f2 1 10.155.30.242 10.244.0.6 both");
    gateway.apply(1, &entries, true);
    let mut looking = usage(&gateway);
    fill(&net.a, "10.244.0.5", "198.51.100.9:7000", 2_000..=3_000);
    assert_eq!(sample(&mut looking).used.len(), 0);
    // A FIP shares its ports with nobody.
    fill(&net.b, "10.244.0.6", "198.51.100.9:7000", 2_000..=20_000);
    let used = sample(&mut looking).used;
    let expected = (peer("10.155.30.241", "198.51.100.9:7000"), 1_001);
    assert_eq!(used.into_iter().collect::<Vec<_>>(), [expected]);
}

#[test]
fn refusals_are_counted_once_by_snat_and_eip() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(
        1,
        &[
            "addr e1 1 10.155.30.241 external",
            "addr e1 1 2001:db8:1::e:1 external",
            "snat s1 1 10.244.0.0/16 10.155.30.241 1",
            "snat s1 1 fd00:10:244::/64 2001:db8:1::e:1 1",
            "snat s2 1 10.244.0.6/32 10.155.30.241 1000",
        ],
        true,
    );
    let mut looking = usage(&gateway);
    for to in ["198.51.100.9:7000", "[2001:db8:2::9]:7000"] {
        serve(&net.client, to);
        let to: SocketAddr = to.parse().unwrap();
        let connect = move || TcpStream::connect_timeout(&to, Duration::from_secs(2));
        let held = in_ns(&net.a, connect).join().unwrap().unwrap();
        assert!(in_ns(&net.b, connect).join().unwrap().is_ok() || to.is_ipv6());
        assert_eq!(sample(&mut looking).refused.len(), 0);
        assert!(in_ns(&net.a, connect).join().unwrap().is_err());
        let refused = sample(&mut looking).refused;
        let of: Vec<(String, bool)> = refused
            .iter()
            .map(|(limited, count)| {
                assert!((1..=3).contains(count), "{count}");
                (limited.snat.to_string(), limited.eip.is_ipv4())
            })
            .collect();
        assert_eq!(of, [("s1".to_owned(), to.is_ipv4())]);
        assert_eq!(sample(&mut looking).refused.len(), 0);
        drop(held);
    }
    let sets = output(&net.gw, "nft list sets");
    assert!(sets.contains("held_by_source4_1000"), "{sets}");
}
