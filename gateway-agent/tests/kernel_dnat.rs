//! Port forwarding through the real kernel, in IPv4 only, IPv6 only and both: every form of
//! ports, TCP, UDP and SCTP, several targets by weight, and what becomes of connections when
//! targets change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rig::{
    Gateway, INIT, INIT_ACK, Net, Sctp, SctpHost, Talk, addr, ip, serve_named, spread, tcp, udp,
};

/// Addresses of one family.
struct Family {
    eip: &'static str,
    second: &'static str,
    a: &'static str,
    b: &'static str,
    /// A host beside b.
    c: &'static str,
    client: &'static str,
}

const V4: Family = Family {
    eip: "10.155.30.241",
    second: "10.155.30.242",
    a: "10.244.0.5",
    b: "10.244.0.6",
    c: "10.244.0.7",
    client: "198.51.100.9",
};

const V6: Family = Family {
    eip: "2001:db8:1::e:1",
    second: "2001:db8:1::e:2",
    a: "fd00:10:244::5",
    b: "fd00:10:244::6",
    c: "fd00:10:244::7",
    client: "2001:db8:2::9",
};

/// IPv4 only, IPv6 only, both.
const STACKS: [&[Family]; 3] = [&[V4], &[V6], &[V4, V6]];

/// Enough to tell that nobody answers.
const SILENCE: Duration = Duration::from_millis(300);

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(addr(address), port)
}

/// A gateway, and servers on ports of all three inside hosts of the families.
fn start(families: &[Family], ports: &[u16]) -> (Net, Gateway) {
    let net = Net::new();
    for family in families {
        let (length, nodad) = if addr(family.c).is_ipv4() {
            (16, "")
        } else {
            (64, "nodad")
        };
        ip(&format!(
            "-n {} address add {}/{length} dev eth0 {nodad}",
            net.b, family.c
        ));
        for (ns, host) in [(&net.a, family.a), (&net.b, family.b), (&net.b, family.c)] {
            let addresses: Vec<SocketAddr> = ports.iter().map(|port| at(host, *port)).collect();
            serve_named(ns, &addresses);
        }
    }
    let gateway = net.gateway(true);
    (net, gateway)
}

/// The entries of both EIPs, and DNATs written with `EIP`, `SECOND`, `A`, `B` and `C`.
fn entries(families: &[Family], rules: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for family in families {
        lines.push(format!("addr e1 1 {} external", family.eip));
        lines.push(format!("addr e2 1 {} external", family.second));
        for rule in rules {
            let line = rule
                .replace("EIP", family.eip)
                .replace("SECOND", family.second)
                .replace('A', family.a)
                .replace('B', family.b)
                .replace('C', family.c);
            lines.push(line);
        }
    }
    lines
}

fn apply(gateway: &Gateway, generation: i64, families: &[Family], rules: &[&str]) {
    let lines = entries(families, rules);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let applied = gateway.apply(generation, &lines, true);
    assert!(applied.rejected.is_empty(), "{:?}", applied.rejected);
}

/// The server is reached by both protocols, and sees the client as it is.
fn reaches(net: &Net, family: &Family, to: SocketAddr, server: SocketAddr) {
    let talks = [
        tcp(&net.client, family.client, to),
        Some(udp(&net.client, family.client, to)),
    ];
    for mut talk in talks.into_iter().map(|talk| talk.expect("nobody accepts")) {
        let answer = talk.say().unwrap_or_else(|| panic!("{to} does not answer"));
        assert_eq!(answer.server, server, "by {to}");
        assert_eq!(answer.source.ip(), addr(family.client), "by {to}");
    }
}

fn is_silent(net: &Net, family: &Family, to: SocketAddr) -> bool {
    udp(&net.client, family.client, to)
        .say_within(SILENCE)
        .is_none()
}

#[test]
fn every_form_of_ports_reaches_its_target_and_no_other_port_does() {
    for families in STACKS {
        let ports = [
            79, 80, 999, 1000, 1099, 1100, 1999, 2000, 4000, 4999, 5000, 9000, 9099, 9100,
        ];
        let (net, gateway) = start(families, &ports);
        apply(
            &gateway,
            1,
            families,
            &[
                "dnat d1 1 EIP tcp 8080 A 80",
                "dnat d1 1 EIP udp 8080 A 80",
                "dnat d2 1 EIP tcp 1000-1099 B 1000-1099",
                "dnat d2 1 EIP udp 1000-1099 B 1000-1099",
                "dnat d3 1 EIP tcp 8000-8049 C 9000-9049",
                "dnat d3 1 EIP udp 8000-8049 C 9000-9049",
                "dnat d4 1 EIP tcp 4000-4063 A 4000-4063",
                "dnat d4 1 EIP udp 4000-4063 A 4000-4063",
                "dnat d5 1 SECOND tcp * A *",
                "dnat d5 1 SECOND udp * A *",
            ],
        );
        for family in families {
            for (port, host, inside) in [
                (8080, family.a, 80),
                (1000, family.b, 1000),
                (1099, family.b, 1099),
                (8000, family.c, 9000),
                (4000, family.a, 4000),
            ] {
                reaches(&net, family, at(family.eip, port), at(host, inside));
            }
            for port in [80, 999, 1000, 9100] {
                reaches(&net, family, at(family.second, port), at(family.a, port));
            }
            for port in [79, 80, 999, 1100, 8050, 9000, 4999] {
                assert!(is_silent(&net, family, at(family.eip, port)), "{port}");
            }
        }
    }
}

#[test]
fn a_protocol_that_is_not_forwarded_is_silent() {
    let families = [V4, V6];
    let (net, gateway) = start(&families, &[80]);
    apply(
        &gateway,
        1,
        &families,
        &["dnat d1 1 EIP tcp * A *", "dnat d2 1 SECOND udp * A *"],
    );
    for family in &families {
        assert!(tcp(&net.client, family.client, at(family.eip, 80)).is_some());
        assert!(is_silent(&net, family, at(family.eip, 80)));
        assert!(tcp(&net.client, family.client, at(family.second, 80)).is_none());
        assert!(!is_silent(&net, family, at(family.second, 80)));
    }
}

#[test]
fn sctp_is_forwarded_there_and_back() {
    for families in STACKS {
        let (net, gateway) = start(families, &[]);
        apply(
            &gateway,
            1,
            families,
            &[
                "dnat d1 1 EIP sctp 9899 A 2905",
                "dnat d2 1 EIP sctp 3000-3999 B 3000-3999",
                "dnat d3 1 SECOND sctp * A *",
            ],
        );
        for family in families {
            let client = SctpHost::new(&net.client, addr(family.client));
            let hosts = [(&net.a, family.a), (&net.b, family.b)]
                .map(|(ns, host)| SctpHost::new(ns, addr(host)));
            for (eip, port, host, inside) in [
                (family.eip, 9899, 0, 2905),
                (family.eip, 3500, 1, 3500),
                (family.second, 77, 0, 77),
            ] {
                let begin = Sctp {
                    source: 5000 + inside,
                    destination: port,
                    tag: 0,
                    chunk: INIT,
                    own_tag: 0x1234,
                };
                client.send(addr(eip), begin);
                let patience = Duration::from_secs(5);
                let (from, seen) = hosts[host].receive(patience).expect("no INIT arrives");
                assert_eq!(from, addr(family.client));
                assert_eq!(
                    seen,
                    Sctp {
                        destination: inside,
                        ..begin
                    }
                );
                let answer = Sctp {
                    source: inside,
                    destination: seen.source,
                    tag: 0x1234,
                    chunk: INIT_ACK,
                    own_tag: 0x5678,
                };
                hosts[host].send(from, answer);
                let (from, back) = client.receive(patience).expect("no INIT ACK arrives");
                assert_eq!(from, addr(eip));
                assert_eq!(
                    back,
                    Sctp {
                        source: port,
                        ..answer
                    }
                );
            }
            let stray = Sctp {
                source: 1,
                destination: 9898,
                tag: 0,
                chunk: INIT,
                own_tag: 1,
            };
            client.send(addr(family.eip), stray);
            assert_eq!(hosts[0].receive(SILENCE), None);
        }
    }
}

#[test]
fn new_connections_are_shared_by_weight() {
    for families in STACKS {
        let (net, gateway) = start(families, &[80, 1050]);
        apply(
            &gateway,
            1,
            families,
            &[
                "dnat d2 1 EIP udp 1000-1099 A=3,B,C=0 1000-1099",
                "dnat d1 1 EIP tcp 8080 A=3,B,C=0 80",
                "dnat d1 1 EIP udp 8080 A=3,B,C=0 80",
            ],
        );
        for family in families {
            let to = at(family.eip, 8080);
            let by_tcp = spread(&net.client, 400, || tcp(&net.client, family.client, to));
            let by_udp = spread(&net.client, 400, || {
                Some(udp(&net.client, family.client, to))
            });
            let to = at(family.eip, 1050);
            let in_range = spread(&net.client, 400, || {
                Some(udp(&net.client, family.client, to))
            });
            for (seen, port) in [(by_tcp, 80), (by_udp, 80), (in_range, 1050)] {
                // 300 and 100 are expected, with a standard deviation of 9.
                let [a, b, c] = [family.a, family.b, family.c]
                    .map(|host| seen.get(&at(host, port)).copied().unwrap_or(0));
                assert!((240..=360).contains(&a), "{seen:?}");
                assert_eq!((a + b, c), (400, 0), "{seen:?}");
            }
        }
    }
}

#[test]
fn every_form_of_ports_is_shared() {
    let families = [V4, V6];
    let ports = [80, 1000, 1050, 4000, 9001];
    let (net, gateway) = start(&families, &ports);
    apply(
        &gateway,
        1,
        &families,
        &[
            "dnat d1 1 EIP udp 8080 A,B 80",
            "dnat d2 1 EIP udp 1000-1050 A,B 1000-1050",
            "dnat d3 1 EIP udp 8000-8003 A,B 9000-9003",
            "dnat d4 1 SECOND udp * A,B *",
        ],
    );
    for family in &families {
        for (eip, port, inside) in [
            (family.eip, 8080, 80),
            (family.eip, 1000, 1000),
            (family.eip, 1050, 1050),
            (family.eip, 8001, 9001),
            (family.second, 4000, 4000),
        ] {
            let seen = spread(&net.client, 40, || {
                Some(udp(&net.client, family.client, at(eip, port)))
            });
            let servers: BTreeSet<SocketAddr> = seen.into_keys().collect();
            let both = BTreeSet::from([at(family.a, inside), at(family.b, inside)]);
            assert_eq!(servers, both, "by {eip} port {port}");
        }
    }
}

/// Conversations, with who answers them.
struct Talks(Vec<(Talk, IpAddr)>);

impl Talks {
    /// So many of TCP and of UDP with each family's port 8080.
    fn open(net: &Net, families: &[Family], count: usize) -> Self {
        let mut talks = Vec::new();
        for family in families {
            let to = at(family.eip, 8080);
            for _ in 0..count {
                talks.push(tcp(&net.client, family.client, to).expect("nobody accepts"));
                talks.push(udp(&net.client, family.client, to));
            }
        }
        Self(
            talks
                .into_iter()
                .map(|mut talk| {
                    let server = talk.say().expect("nobody answers").server.ip();
                    (talk, server)
                })
                .collect(),
        )
    }

    fn servers(&self) -> BTreeSet<IpAddr> {
        self.0.iter().map(|(_, server)| *server).collect()
    }

    /// All go on with whom they were begun, where that is one of these; who had others is
    /// cut off, and if it goes on then with one of `now`. Those that were cut off end.
    fn go_on(&mut self, kept: &[&str], now: &[&str]) {
        let kept: BTreeSet<IpAddr> = kept.iter().map(|a| addr(a)).collect();
        let now: BTreeSet<IpAddr> = now.iter().map(|a| addr(a)).collect();
        self.0.retain_mut(|(talk, server)| {
            if kept.contains(server) {
                let answer = talk.say();
                assert_eq!(
                    answer.map(|a| a.server.ip()),
                    Some(*server),
                    "it is cut off"
                );
                return true;
            }
            match talk {
                Talk::Tcp(_) => assert_eq!(talk.say_within(SILENCE), None, "{server} is gone"),
                Talk::Udp(_) => {
                    let answer = talk.say().expect("nobody answers").server.ip();
                    assert!(now.contains(&answer), "{server} is gone, {answer} answers");
                }
            }
            false
        });
    }
}

#[test]
fn connections_stay_with_a_target_until_it_is_removed() {
    for families in STACKS {
        let (net, gateway) = start(families, &[80]);
        let rules =
            |targets: &str| ["tcp", "udp"].map(|p| format!("dnat d1 1 EIP {p} 8080 {targets} 80"));
        let change = |generation: i64, targets: &str| {
            let rules = rules(targets);
            apply(
                &gateway,
                generation,
                families,
                &rules.each_ref().map(String::as_str),
            );
            // As after a restart, which judges all connections by the rules in force.
            assert_eq!(
                gateway.with(|kernel| kernel.flush_strays().unwrap()),
                0,
                "{targets}"
            );
        };
        let all = |f: fn(&Family) -> &'static str| families.iter().map(f).collect::<Vec<_>>();
        let (a, b, c) = (all(|f| f.a), all(|f| f.b), all(|f| f.c));
        let of = |lists: &[&Vec<&'static str>]| {
            lists
                .iter()
                .flat_map(|l| l.iter().copied())
                .collect::<Vec<_>>()
        };
        change(1, "A");
        let mut first = Talks::open(&net, families, 4);
        // One more target, and one more: whatever slots move, no connection does.
        change(2, "A,B");
        let mut second = Talks::open(&net, families, 12);
        assert_eq!(
            second.servers().len(),
            2 * families.len(),
            "both are begun with"
        );
        change(3, "A,B=2,C=3");
        let mut third = Talks::open(&net, families, 12);
        let abc = of(&[&a, &b, &c]);
        for talks in [&mut first, &mut second, &mut third] {
            talks.go_on(&abc, &[]);
        }
        // Drained: it keeps what it has.
        change(4, "A,B=0,C");
        let fourth = Talks::open(&net, families, 12);
        assert!(
            fourth
                .servers()
                .iter()
                .all(|s| !b.iter().any(|b| addr(b) == *s))
        );
        for talks in [&mut first, &mut second, &mut third] {
            talks.go_on(&abc, &[]);
        }
        // Removed: its connections end, and nobody else's.
        let rest = of(&[&a, &c]);
        change(5, "A,C");
        for talks in [&mut first, &mut second, &mut third] {
            talks.go_on(&rest, &rest);
        }
        change(6, "C");
        for talks in [&mut first, &mut second, &mut third] {
            talks.go_on(&c, &c);
        }
    }
}

#[test]
fn a_range_that_shrinks_keeps_the_connections_of_its_other_ports() {
    let families = [V4, V6];
    let (net, gateway) = start(&families, &[1000, 1100]);
    apply(
        &gateway,
        1,
        &families,
        &["dnat d1 1 EIP tcp 1000-1100 A,B 1000-1100"],
    );
    let mut talks: Vec<(Talk, Talk)> = families
        .iter()
        .map(|family| {
            let begin = |port| tcp(&net.client, family.client, at(family.eip, port)).unwrap();
            (begin(1000), begin(1100))
        })
        .collect();
    for (low, high) in &mut talks {
        assert!(low.say().is_some() && high.say().is_some());
    }
    apply(
        &gateway,
        2,
        &families,
        &["dnat d1 2 EIP tcp 1000-1099 A,B 1000-1099"],
    );
    for (low, high) in &mut talks {
        assert!(low.say().is_some(), "port 1000 is still forwarded");
        assert_eq!(high.say_within(SILENCE), None, "port 1100 is not");
    }
}

#[test]
fn a_full_gateway_takes_its_elements_and_no_more() {
    let net = Net::new();
    let gateway = net.gateway(true);
    let mut lines = vec![
        format!("addr e1 1 {} external", V6.eip),
        format!("addr e2 1 {} external", V6.second),
    ];
    // 512 ranges over two targets, 504 ports over as many, and the rest as shifted ports.
    for n in 0..512_u16 {
        let (first, last) = (1000 + 65 * n, 1064 + 65 * n);
        lines.push(format!(
            "dnat d{n} 1 {} tcp {first}-{last} {},{} {first}-{last}",
            V6.eip, V6.a, V6.b
        ));
    }
    for n in 0..504_u16 {
        let port = 40_000 + n;
        lines.push(format!(
            "dnat p{n} 1 {} tcp {port} {},{} {port}",
            V6.eip, V6.a, V6.b
        ));
    }
    lines.push(format!(
        "dnat s1 1 {} tcp 1-32256 {} 2-32257",
        V6.second, V6.a
    ));
    lines.push(format!("dnat s2 1 {} udp 1-2 {} 2-3", V6.second, V6.a));
    lines.push(format!("dnat s3 1 {} udp 7 {} 8", V6.second, V6.a));
    let all: Vec<&str> = lines.iter().map(String::as_str).collect();
    let began = std::time::Instant::now();
    let applied = gateway.apply(1, &all, true);
    let full = began.elapsed();
    let [rejected] = applied.rejected.as_slice() else {
        panic!("{:#?}", applied.rejected);
    };
    assert!(rejected.key.starts_with("dnat s2 "), "{rejected:?}");
    let figures = "need 2 elements, and of the gateway's 65536 65536 are taken";
    assert!(rejected.error.contains(figures), "{rejected:?}");
    let began = std::time::Instant::now();
    let again = gateway.apply(2, &all[..all.len() - 1], true);
    println!(
        "65,536 elements: full {full:?}, one less {:?}",
        began.elapsed()
    );
    assert!(again.changed < 8, "{}", again.changed);
}
