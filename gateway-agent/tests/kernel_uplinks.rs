//! A gateway with two uplinks: what comes in by one is answered by it, what inside hosts
//! send leaves by the one of their EIP, and a pool of EIPs may stand on both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rig::{
    Gateway, Net, addr, ask, ask_for, ask_tcp, in_ns, ip, is_silent, output, say, serve,
    two_uplinks, until,
};
use sluice_gateway_agent::kernel::{ProblemKind, UnusableReason};

/// `e1` on the first uplink is a's FIP, `e2` on the second b's.
const FIPS: [&str; 8] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "addr e2 1 10.155.40.241 second",
    "addr e2 1 2001:db8:3::e:1 second",
    "fip f1 1 10.155.30.241 10.244.0.5 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:244::5 both",
    "fip f2 1 10.155.40.241 10.244.0.6 both",
    "fip f2 1 2001:db8:3::e:1 fd00:10:244::6 both",
];

/// Both EIPs lead to the same port of the same inside host.
const DNATS: [&str; 8] = [
    FIPS[0],
    FIPS[1],
    FIPS[2],
    FIPS[3],
    "dnat d1 1 10.155.30.241 tcp 7000 10.244.0.5 7000",
    "dnat d1 1 2001:db8:1::e:1 tcp 7000 fd00:10:244::5 7000",
    "dnat d2 1 10.155.40.241 tcp 7000 10.244.0.5 7000",
    "dnat d2 1 2001:db8:3::e:1 tcp 7000 fd00:10:244::5 7000",
];

/// EIP on the first uplink, on the second, and the client's address behind both.
const FAMILIES: [(&str, &str, &str); 2] = [
    ("10.155.30.241", "10.155.40.241", "198.51.100.9"),
    ("2001:db8:1::e:1", "2001:db8:3::e:1", "2001:db8:2::9"),
];

const INSIDE: [(&str, &str); 2] = [
    ("10.244.0.5", "10.244.0.6"),
    ("fd00:10:244::5", "fd00:10:244::6"),
];

fn at(address: &str, port: u16) -> String {
    std::net::SocketAddr::new(addr(address), port).to_string()
}

fn apply(gateway: &Gateway, generation: i64, entries: &[&str]) {
    let applied = gateway.apply_with(two_uplinks(), generation, entries, true);
    assert_eq!(applied.rejected, vec![]);
}

fn serve_both(ns: &str, addresses: [&str; 2], port: u16) {
    for address in addresses {
        serve(ns, &at(address, port));
    }
}

/// A connection from one address of a namespace to another.
fn connect(ns: &str, from: &str, to: &str) -> TcpStream {
    let (from, to) = (addr(from), to.parse::<std::net::SocketAddr>().unwrap());
    in_ns(ns, move || {
        let family = match from {
            IpAddr::V4(_) => rustix::net::AddressFamily::INET,
            IpAddr::V6(_) => rustix::net::AddressFamily::INET6,
        };
        let socket = rustix::net::socket(family, rustix::net::SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &std::net::SocketAddr::new(from, 0)).unwrap();
        rustix::net::connect(&socket, &to).unwrap();
        let stream = TcpStream::from(socket);
        stream
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        stream
    })
    .join()
    .unwrap()
}

#[test]
fn replies_leave_by_the_uplink_they_came_in_by() {
    let net = Net::with_two_uplinks();
    let gateway = net.gateway(true);
    apply(&gateway, 1, &DNATS);
    net.count_arrivals();
    serve_both(&net.a, ["10.244.0.5", "fd00:10:244::5"], 7000);
    for (first, second, client) in FAMILIES {
        // One client, one inside server, both ways at once.
        let mut one = connect(&net.client, client, &at(first, 7000));
        let mut two = connect(&net.client, client, &at(second, 7000));
        for _ in 0..3 {
            assert_eq!(say(&mut one).unwrap().ip(), addr(client));
            assert_eq!(say(&mut two).unwrap().ip(), addr(client));
        }
        assert_eq!(net.arrivals(first), ["eth0"]);
        assert_eq!(net.arrivals(second), ["eth1"]);
    }
    assert_eq!(net.untranslated(), Vec::<String>::new());
}

#[test]
fn answers_to_ping_leave_by_the_uplink_they_came_in_by() {
    let net = Net::with_two_uplinks();
    let gateway = net.gateway(true);
    apply(&gateway, 1, &DNATS);
    net.count_arrivals();
    for (first, second, client) in FAMILIES {
        for eip in [first, second] {
            until("the EIP answers ping", || {
                output(&net.client, &format!("ping -c1 -W1 -I {client} {eip}"))
                    .contains(" 0% packet loss")
            });
        }
        assert_eq!(net.arrivals(first), ["eth0"]);
        assert_eq!(net.arrivals(second), ["eth1"]);
    }
}

#[test]
fn tenants_leave_by_the_uplink_of_their_eip() {
    let net = Net::with_two_uplinks();
    let gateway = net.gateway(true);
    let mut entries = FIPS[..6].to_vec();
    entries.extend([
        "snat s1 1 10.244.0.0/16 10.155.40.241",
        "snat s1 1 fd00:10:244::/64 2001:db8:3::e:1",
    ]);
    apply(&gateway, 1, &entries);
    net.count_arrivals();
    serve_both(&net.client, ["198.51.100.9", "2001:db8:2::9"], 7000);
    for (first, second, client) in FAMILIES {
        for _ in 0..3 {
            assert_eq!(ask(&net.a, &at(client, 7000)), addr(first));
            assert_eq!(ask(&net.b, &at(client, 7000)), addr(second));
            assert_eq!(
                ask_tcp(&net.b, &at(client, 7000)).unwrap().ip(),
                addr(second)
            );
        }
        assert_eq!(net.arrivals(first), ["eth0"]);
        assert_eq!(net.arrivals(second), ["eth1"]);
    }
    assert_eq!(net.untranslated(), Vec::<String>::new());
}

#[test]
fn inside_clients_reach_eips_of_the_other_uplink() {
    let net = Net::with_two_uplinks();
    let gateway = net.gateway(true);
    apply(&gateway, 1, &FIPS);
    net.count_arrivals();
    serve_both(&net.a, ["10.244.0.5", "fd00:10:244::5"], 7000);
    serve_both(&net.b, ["10.244.0.6", "fd00:10:244::6"], 7000);
    for (first, second, _) in FAMILIES {
        // The server sees the client's own EIP.
        assert_eq!(ask(&net.a, &at(second, 7000)), addr(first));
        assert_eq!(ask(&net.b, &at(first, 7000)), addr(second));
        assert_eq!(
            ask_tcp(&net.a, &at(second, 7000)).unwrap().ip(),
            addr(first)
        );
        // To itself, too.
        assert_eq!(ask(&net.b, &at(second, 7000)), addr(second));
        // It never leaves.
        assert_eq!(net.arrivals(first), Vec::<String>::new());
        assert_eq!(net.arrivals(second), Vec::<String>::new());
    }
    assert_eq!(net.untranslated(), Vec::<String>::new());
}

#[test]
fn an_uplink_that_is_down_stops_its_own_eips_only() {
    let net = Net::with_two_uplinks();
    let gateway = net.gateway(true);
    apply(&gateway, 1, &FIPS);
    serve_both(&net.client, ["198.51.100.9", "2001:db8:2::9"], 7000);
    serve_both(&net.a, ["10.244.0.5", "fd00:10:244::5"], 7000);
    for (_, second, client) in FAMILIES {
        assert_eq!(ask(&net.b, &at(client, 7000)), addr(second));
    }
    net.count_arrivals();
    // The node is the default route of the pod's own interface.
    let inside = ["ip saddr 10.244.0.0/16", "ip6 saddr fd00:10:244::/64"];
    let second = ["ip saddr 10.155.40.241", "ip6 saddr 2001:db8:3::e:1"];
    for command in [
        "add table inet watch",
        "add chain inet watch packets { type filter hook prerouting priority -400 ; }",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(
        inside
            .iter()
            .chain(&second)
            .map(|what| format!("add rule inet watch packets {what} counter")),
    ) {
        assert_eq!(output(&net.node, &format!("nft {command}")), "");
    }
    ip(&format!("-n {} link set eth2 down", net.gw));
    for ((first, second, client), (_, inside)) in FAMILIES.into_iter().zip(INSIDE) {
        assert_eq!(ask(&net.a, &at(client, 7000)), addr(first));
        let from_client = ask_for(
            &net.client,
            Some(client),
            &at(first, 7000),
            Duration::from_secs(5),
        );
        assert_eq!(from_client.map(|seen| seen.ip()), Some(addr(client)));
        assert!(is_silent(&net.b, &at(client, 7000)));
        assert_eq!(net.arrivals(second), Vec::<String>::new(), "{inside}");
        assert_eq!(net.arrivals(first), ["eth0"]);
    }
    assert_eq!(net.untranslated(), Vec::<String>::new());
    let seen = output(&net.node, "nft list chain inet watch packets");
    let lines: Vec<&str> = seen
        .lines()
        .filter(|line| line.contains("counter"))
        .collect();
    assert_eq!(lines.len(), 4, "{seen}");
    assert!(
        lines.iter().all(|line| line.contains("packets 0 ")),
        "{seen}"
    );
    let seen = gateway.with(|kernel| kernel.inspect().unwrap());
    let dead: BTreeMap<IpAddr, UnusableReason> = seen
        .unusable
        .iter()
        .map(|u| (u.address, u.reason))
        .collect();
    // The gateway as a whole goes on.
    assert!(
        seen.problems
            .iter()
            .any(|p| p.kind == ProblemKind::InterfaceDown)
    );
    assert!(
        seen.problems.iter().all(|p| !p.blocking),
        "{:?}",
        seen.problems
    );
    let expected = FAMILIES.map(|(_, second, _)| (addr(second), UnusableReason::InterfaceDown));
    assert_eq!(dead, BTreeMap::from(expected));
    // With none left it does not.
    ip(&format!("-n {} link set eth1 down", net.gw));
    let seen = gateway.with(|kernel| kernel.inspect().unwrap());
    assert!(seen.problems.iter().any(|p| p.blocking));
    assert_eq!(seen.unusable.len(), 4);
    ip(&format!("-n {} link set eth1 up", net.gw));
    ip(&format!(
        "-n {} address replace 2001:db8:1::2/64 dev eth1 nodad",
        net.gw
    ));
    ip(&format!("-n {} link set eth2 up", net.gw));
    // Link down takes global IPv6 addresses; the attachment's owner puts them back.
    ip(&format!(
        "-n {} address replace 2001:db8:3::2/64 dev eth2 nodad",
        net.gw
    ));
    until("the uplink's routes and proxies are back", || {
        gateway.with(|kernel| {
            kernel.repair().unwrap();
            let seen = kernel.inspect().unwrap();
            seen.drift.is_empty() && seen.unusable.is_empty()
        })
    });
    for (_, second, client) in FAMILIES {
        assert_eq!(ask(&net.b, &at(client, 7000)), addr(second));
        assert_eq!(net.arrivals(second), ["eth1"]);
    }
}

#[test]
fn each_address_answers_on_its_own_uplink_only() {
    let net = Net::with_two_uplinks();
    let gateway = net.gateway(true);
    apply(&gateway, 1, &FIPS);
    serve_both(&net.a, ["10.244.0.5", "fd00:10:244::5"], 7000);
    serve_both(&net.b, ["10.244.0.6", "fd00:10:244::6"], 7000);
    for (first, second, _) in FAMILIES {
        assert!(!is_silent(&net.client, &at(first, 7000)));
        assert!(!is_silent(&net.client, &at(second, 7000)));
    }
    for (first, second, _) in FAMILIES {
        ip(&format!("-n {} route add {second} dev eth0", net.client));
        ip(&format!("-n {} route add {first} dev eth1", net.client));
        assert!(is_silent(&net.client, &at(first, 7000)));
        assert!(is_silent(&net.client, &at(second, 7000)));
    }
    let sent = gateway.with(|kernel| {
        let addresses = kernel.addresses();
        kernel.announce(&addresses).unwrap()
    });
    assert!(sent > 0);
}

#[test]
fn flows_follow_an_eip_to_another_uplink() {
    let net = Net::with_two_uplinks();
    let gateway = net.gateway(true);
    let on = |uplink: &str| {
        [
            format!("addr e1 1 10.155.30.241 {uplink}"),
            format!("addr e1 1 2001:db8:1::e:1 {uplink}"),
            "snat s1 1 10.244.0.0/16 10.155.30.241".to_owned(),
            "snat s1 1 fd00:10:244::/64 2001:db8:1::e:1".to_owned(),
        ]
    };
    let (here, there) = (on("external"), on("second"));
    apply(&gateway, 1, &here.each_ref().map(String::as_str));
    serve_both(&net.client, ["198.51.100.9", "2001:db8:2::9"], 7000);
    for (first, _, client) in FAMILIES {
        ip(&format!("-n {} neigh flush all", net.client));
        let to = at(client, 7000);
        let socket = in_ns(&net.b, move || {
            let any = if to.starts_with('[') {
                "[::]:0"
            } else {
                "0.0.0.0:0"
            };
            let socket = UdpSocket::bind(any).unwrap();
            socket.connect(&to).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(2)))
                .unwrap();
            socket
        })
        .join()
        .unwrap();
        let mut buffer = [0; 200];
        socket.send(b"before").unwrap();
        assert!(socket.recv(&mut buffer).is_ok(), "{first} before");
        apply(&gateway, 2, &there.each_ref().map(String::as_str));
        ip(&format!("-n {} route add {first} dev eth1", net.client));
        net.count_arrivals();
        until("the flow goes on by the other uplink", || {
            socket.send(b"after").unwrap();
            socket.recv(&mut buffer).is_ok()
        });
        assert_eq!(net.arrivals(first), ["eth1"]);
        assert_eq!(output(&net.client, "nft delete table inet arrivals"), "");
        apply(&gateway, 3, &here.each_ref().map(String::as_str));
    }
}

/// Three EIPs on two uplinks share what the inside hosts send.
const POOL: [&str; 12] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "addr e2 1 10.155.40.241 second",
    "addr e2 1 2001:db8:3::e:1 second",
    "addr e3 1 10.155.40.242 second",
    "addr e3 1 2001:db8:3::e:2 second",
    "snat s1 1 10.244.0.0/16 10.155.30.241",
    "snat s1 1 10.244.0.0/16 10.155.40.241",
    "snat s1 1 10.244.0.0/16 10.155.40.242",
    "snat s1 1 fd00:10:244::/64 2001:db8:1::e:1",
    "snat s1 1 fd00:10:244::/64 2001:db8:3::e:1",
    "snat s1 1 fd00:10:244::/64 2001:db8:3::e:2",
];

/// How many inside sources there are per family.
const SOURCES: u8 = 40;

fn sources(v4: bool) -> Vec<String> {
    let one = |n: u8| match v4 {
        true => format!("10.244.9.{n}"),
        false => format!("fd00:10:244::9:{n:x}"),
    };
    (1..=SOURCES).map(one).collect()
}

/// Which EIP each source leaves with.
fn seen(net: &Net, v4: bool) -> BTreeMap<String, IpAddr> {
    let client = if v4 {
        "198.51.100.9:7000"
    } else {
        "[2001:db8:2::9]:7000"
    };
    let ask = |source: String| {
        let seen = ask_for(&net.b, Some(&source), client, Duration::from_secs(5));
        let eip = seen
            .unwrap_or_else(|| panic!("{source} gets no answer"))
            .ip();
        (source, eip)
    };
    sources(v4).into_iter().map(ask).collect()
}

#[test]
fn a_pool_is_sticky_and_loses_only_the_sources_of_the_eip_that_leaves() {
    let net = Net::with_two_uplinks();
    let gateway = net.gateway(true);
    apply(&gateway, 1, &POOL);
    net.count_arrivals();
    serve_both(&net.client, ["198.51.100.9", "2001:db8:2::9"], 7000);
    for source in sources(true).into_iter().chain(sources(false)) {
        let (length, nodad) = if source.contains(':') {
            (64, "nodad")
        } else {
            (16, "")
        };
        ip(&format!(
            "-n {} address add {source}/{length} dev eth0 {nodad}",
            net.b
        ));
    }
    for (v4, gone, kept) in [
        (true, "10.155.40.241", ["10.155.30.241", "10.155.40.242"]),
        (
            false,
            "2001:db8:3::e:1",
            ["2001:db8:1::e:1", "2001:db8:3::e:2"],
        ),
    ] {
        apply(&gateway, 1, &POOL);
        let before = seen(&net, v4);
        let used: BTreeSet<IpAddr> = before.values().copied().collect();
        assert_eq!(used, BTreeSet::from([gone, kept[0], kept[1]].map(addr)));
        // The same again, by other connections.
        assert_eq!(before, seen(&net, v4));
        // Each leaves by its own uplink.
        assert_eq!(net.arrivals(kept[0]), ["eth0"]);
        assert_eq!(net.arrivals(kept[1]), ["eth1"]);
        assert_eq!(net.arrivals(gone), ["eth1"]);
        // One connection of each source, held.
        let client = if v4 { "198.51.100.9" } else { "2001:db8:2::9" };
        let mut held: Vec<(String, TcpStream)> = sources(v4)
            .into_iter()
            .map(|source| (source.clone(), connect(&net.b, &source, &at(client, 7000))))
            .collect();
        for (source, stream) in &mut held {
            assert_eq!(say(stream).unwrap().ip(), before[source]);
        }
        let less: Vec<&str> = POOL
            .into_iter()
            .filter(|line| !(line.starts_with("snat") && line.ends_with(&format!(" {gone}"))))
            .collect();
        assert_eq!(less.len(), POOL.len() - 1);
        apply(&gateway, 2, &less);
        for (source, stream) in &mut held {
            let still = say(stream).map(|seen| seen.ip());
            if before[source] == addr(gone) {
                // Its connection is void, and never goes on with the EIP that left.
                assert_ne!(still, Some(addr(gone)), "{source}");
            } else {
                assert_eq!(still, Some(before[source]), "{source}");
            }
        }
        for (source, eip) in seen(&net, v4) {
            if before[&source] == addr(gone) {
                assert!(kept.map(addr).contains(&eip), "{source} has {eip}");
            } else {
                assert_eq!(before[&source], eip, "{source}");
            }
        }
        // Back again, new connections go as before; what stands goes on as it is, also of
        // sources that have got another EIP.
        let mut held: Vec<(IpAddr, TcpStream)> = sources(v4)
            .into_iter()
            .map(|source| {
                let mut stream = connect(&net.b, &source, &at(client, 7000));
                (say(&mut stream).unwrap().ip(), stream)
            })
            .collect();
        apply(&gateway, 3, &POOL);
        assert_eq!(before, seen(&net, v4));
        for (eip, stream) in &mut held {
            assert_eq!(say(stream).map(|seen| seen.ip()), Some(*eip));
        }
    }
    assert_eq!(net.untranslated(), Vec::<String>::new());
}

#[test]
fn a_longer_prefix_comes_before_a_pool_and_a_pool_before_a_shorter_one() {
    let net = Net::with_two_uplinks();
    let gateway = net.gateway(true);
    let mut entries = POOL[..6].to_vec();
    entries.extend([
        "addr e4 1 10.155.30.244 external",
        "snat s1 1 10.244.0.0/17 10.155.40.241",
        "snat s1 1 10.244.0.0/17 10.155.40.242",
        "snat s2 1 10.244.0.6/32 10.155.30.244",
        "snat s3 1 10.244.0.0/16 10.155.30.241",
    ]);
    apply(&gateway, 1, &entries);
    ip(&format!(
        "-n {} address add 10.244.200.1/16 dev eth0",
        net.b
    ));
    serve(&net.client, "198.51.100.9:7000");
    let seen = |ns: &str, from: &str| {
        let seen = ask_for(ns, Some(from), "198.51.100.9:7000", Duration::from_secs(5));
        seen.unwrap().ip().to_string()
    };
    assert_eq!(seen(&net.b, "10.244.0.6"), "10.155.30.244");
    assert!(seen(&net.a, "10.244.0.5").starts_with("10.155.40.24"));
    assert_eq!(seen(&net.b, "10.244.200.1"), "10.155.30.241");
}
