//! ICMP errors, path MTU, shifted ranges and pools of EIPs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::collections::BTreeSet;
use std::time::Duration;

use rig::{Net, addr, ask, ask_for, in_ns, ip, is_silent, output, serve};

const ENTRIES: [&str; 8] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "fip f1 1 10.155.30.241 10.244.0.5 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:244::5 both",
    "addr e2 1 10.155.30.242 external",
    "addr e3 1 10.155.30.243 external",
    "snat s1 1 10.244.0.0/16 10.155.30.242",
    "snat s1 1 10.244.0.0/16 10.155.30.243",
];

/// Sends datagrams of this size until one is answered; the kernel learns the path's MTU.
fn big(ns: &str, to: &str, bytes: usize) -> bool {
    let to: std::net::SocketAddr = to.parse().unwrap();
    in_ns(ns, move || {
        let bind = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = std::net::UdpSocket::bind(bind).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let mut buffer = [0; 2048];
        (0..10).any(|_| {
            let _ = socket.send_to(&vec![7; bytes], to);
            socket.recv_from(&mut buffer).is_ok()
        })
    })
    .join()
    .unwrap()
}

#[test]
fn the_gateway_tells_both_sides_that_packets_are_too_big() {
    let net = Net::new();
    let gateway = net.gateway(true);
    // Outside to inside: the LAN takes less.
    ip(&format!("-n {} link set lan0 mtu 1400", net.gw));
    gateway.apply(1, &ENTRIES, true);
    serve(&net.a, "10.244.0.5:7000");
    serve(&net.a, "[fd00:10:244::5]:7000");
    for eip in ["10.155.30.241:7000", "[2001:db8:1::e:1]:7000"] {
        assert!(big(&net.client, eip, 1_440), "{eip}");
    }
    let learnt = output(&net.client, "ip route get 10.155.30.241")
        + &output(&net.client, "ip route get 2001:db8:1::e:1");
    assert_eq!(learnt.matches("mtu 1400").count(), 2, "{learnt}");
    // Inside to outside: the uplink takes less.
    ip(&format!("-n {} link set lan0 mtu 1500", net.gw));
    ip(&format!("-n {} link set eth1 mtu 1350", net.gw));
    gateway.with(|kernel| kernel.repair().unwrap());
    serve(&net.client, "198.51.100.9:7000");
    serve(&net.client, "[2001:db8:2::9]:7000");
    for to in ["198.51.100.9:7000", "[2001:db8:2::9]:7000"] {
        assert!(big(&net.a, to, 1_400), "{to}");
    }
    let learnt =
        output(&net.a, "ip route get 198.51.100.9") + &output(&net.a, "ip route get 2001:db8:2::9");
    assert_eq!(learnt.matches("mtu 1350").count(), 2, "{learnt}");
}

#[test]
fn untracked_neighbour_discovery_is_not_forwarded() {
    use rustix::net::{AddressFamily, SendFlags, SocketType, sendto, socket, sockopt};
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    for command in [
        "add table inet watch",
        "add chain inet watch seen { type filter hook prerouting priority -400 ; }",
        "add rule inet watch seen ip6 saddr fd00:10:244::/64 counter",
    ] {
        assert_eq!(output(&net.client, &format!("nft {command}")), "");
    }
    in_ns(&net.b, || {
        let protocol = rustix::net::ipproto::ICMPV6;
        let fd = socket(AddressFamily::INET6, SocketType::RAW, Some(protocol)).unwrap();
        sockopt::set_ipv6_unicast_hops(&fd, Some(255)).unwrap();
        let to: std::net::SocketAddrV6 = "[2001:db8:2::9]:0".parse().unwrap();
        // Router and neighbour solicitations and advertisements, MLD reports.
        for kind in [131_u8, 133, 134, 135, 136, 143] {
            let mut message = [0_u8; 24];
            message[0] = kind;
            let _ = sendto(&fd, &message, SendFlags::empty(), &to);
        }
    })
    .join()
    .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let seen = output(&net.client, "nft list chain inet watch seen");
    assert!(seen.contains("packets 0 "), "{seen}");
}

#[test]
fn shifted_ranges_reach_the_shifted_port() {
    let net = Net::new();
    let gateway = net.gateway(true);
    let entries = [
        "addr e1 1 10.155.30.241 external",
        "dnat d1 1 10.155.30.241 udp 8000-8099 10.244.0.6 9000-9099",
    ];
    gateway.apply(1, &entries, true);
    serve(&net.b, "10.244.0.6:9007");
    assert_eq!(ask(&net.client, "10.155.30.241:8007"), addr("10.155.30.9"));
    assert!(is_silent(&net.client, "10.155.30.241:8008"));
    assert!(is_silent(&net.client, "10.155.30.241:9007"));
}

#[test]
fn a_pool_of_eips_is_shared_and_each_source_keeps_its_own() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    serve(&net.client, "198.51.100.9:7000");
    let mut used = BTreeSet::new();
    for host in 20..36 {
        let source = format!("10.244.1.{host}");
        ip(&format!("-n {} address add {source}/16 dev eth0", net.b));
        let to = "198.51.100.9:7000";
        let ask = || {
            ask_for(&net.b, Some(&source), to, Duration::from_secs(5))
                .unwrap()
                .ip()
        };
        let first = ask();
        assert_eq!(ask(), first, "{source} must keep its EIP");
        used.insert(first);
    }
    assert_eq!(
        used,
        BTreeSet::from([addr("10.155.30.242"), addr("10.155.30.243")])
    );
}
