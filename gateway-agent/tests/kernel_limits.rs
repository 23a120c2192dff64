//! Limits on the connections of one source: who is refused, what the refused see, and what
//! changes of the rules leave as it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rig::{Gateway, Net, ask, in_ns, ip, output, serve};

const LIMITED: [&str; 6] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "addr e2 1 10.155.30.242 external",
    "snat s1 1 10.244.0.0/16 10.155.30.241 3",
    "snat s1 1 fd00:10:244::/64 2001:db8:1::e:1 3",
    // Another EIP, another limit, within the prefix.
    "snat s2 1 10.244.0.6/32 10.155.30.242 2",
];

/// Opens a connection from a host, from an address of its own if one is given; the error is
/// what a program gets, and after how long.
fn connect(ns: &str, from: Option<IpAddr>, to: &str) -> Result<TcpStream, (ErrorKind, Duration)> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
    let to: SocketAddr = to.parse().unwrap();
    in_ns(ns, move || {
        let family = if to.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let fd = socket(family, SocketType::STREAM, None).unwrap();
        if let Some(from) = from {
            bind(&fd, &SocketAddr::new(from, 0)).unwrap();
        }
        let time = Some(Duration::from_secs(3));
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Send, time).unwrap();
        let begun = Instant::now();
        match connect(&fd, &to) {
            Ok(()) => Ok(TcpStream::from(fd)),
            Err(errno) => Err((std::io::Error::from(errno).kind(), begun.elapsed())),
        }
    })
    .join()
    .unwrap()
}

fn is_refused(answer: &Result<TcpStream, (ErrorKind, Duration)>) -> bool {
    match answer {
        Ok(_) => false,
        Err((kind, after)) => {
            let told = [ErrorKind::HostUnreachable, ErrorKind::PermissionDenied];
            assert!(told.contains(kind), "{kind:?} after {after:?}");
            // On a virtual wire the first answer comes while the call is still sending, and
            // the system heeds the one to its second attempt only.
            assert!(*after < Duration::from_millis(1_500), "after {after:?}");
            true
        }
    }
}

fn limited(lines: &[&str]) -> (Net, Gateway) {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, lines, true);
    for server in ["198.51.100.9:7000", "[2001:db8:2::9]:7000"] {
        serve(&net.client, server);
    }
    (net, gateway)
}

/// Connections until one is refused, ten at most.
fn hold(ns: &str, from: Option<IpAddr>, to: &str) -> Vec<TcpStream> {
    let mut held = Vec::new();
    while held.len() < 10 {
        let answer = connect(ns, from, to);
        if is_refused(&answer) {
            break;
        }
        held.push(answer.unwrap());
    }
    held
}

#[test]
fn a_source_holds_so_many_connections_per_eip_and_the_next_is_told_at_once() {
    let (net, _gateway) = limited(&LIMITED);
    for to in ["198.51.100.9:7000", "[2001:db8:2::9]:7000"] {
        let mut held = hold(&net.a, None, to);
        assert_eq!(held.len(), 3, "{to}");
        // Of another protocol, it counts all the same.
        assert!(rig::is_silent(&net.a, to), "{to}");
        // Those that are held go on.
        for stream in &mut held {
            assert!(rig::say(stream).is_some());
        }
        // What ends makes room.
        drop(held.pop());
        rig::until("one that ended makes room", || {
            let answer = connect(&net.a, None, to);
            let refused = is_refused(&answer);
            held.extend(answer.ok());
            !refused
        });
        assert!(is_refused(&connect(&net.a, None, to)));
    }
    // Each source for itself, each SNAT with its own number.
    assert_eq!(hold(&net.b, None, "198.51.100.9:7000").len(), 2);
    ip(&format!("-n {} address add 10.244.0.7/16 dev eth0", net.b));
    let other = Some("10.244.0.7".parse().unwrap());
    assert_eq!(hold(&net.b, other, "198.51.100.9:7000").len(), 3);
}

#[test]
fn what_is_held_counts_on_when_rules_change_and_sets_grow() {
    let (net, gateway) = limited(&LIMITED);
    let to = "198.51.100.9:7000";
    let held = hold(&net.a, None, to);
    assert_eq!(held.len(), 3);
    // More than the maps had room for: they are made anew.
    let more: Vec<String> = (1..=80)
        .map(|n| format!("snat m{n} 1 10.{n}.0.0/16 10.155.30.241 {}", n % 5 + 1))
        .chain((1..=80).map(|n| format!("addr a{n} 1 10.155.31.{n} external")))
        .collect();
    let mut lines: Vec<&str> = LIMITED.to_vec();
    lines.extend(more.iter().map(String::as_str));
    let applied = gateway.apply(2, &lines, true);
    assert_eq!(applied.rejected, []);
    assert!(is_refused(&connect(&net.a, None, to)));
    gateway.apply(3, &LIMITED, true);
    assert!(is_refused(&connect(&net.a, None, to)));
    // And when another process takes over.
    gateway.stop();
    let gateway = net.gateway(true);
    gateway.apply(3, &LIMITED, true);
    assert!(is_refused(&connect(&net.a, None, to)));
    let drift = gateway.with(|kernel| kernel.inspect().unwrap().drift);
    assert_eq!(drift, Vec::<String>::new());
    // Without a limit there is none.
    let free = LIMITED.map(|line| line.strip_suffix(" 3").unwrap_or(line));
    gateway.apply(4, &free, true);
    assert_eq!(hold(&net.a, None, to).len(), 10);
}

#[test]
fn of_a_pool_each_source_is_limited_with_the_eip_that_it_has() {
    let (net, _gateway) = limited(&[
        "addr e1 1 10.155.30.241 external",
        "addr e2 1 10.155.30.242 external",
        "snat s1 1 10.244.0.0/16 10.155.30.241 2",
        "snat s1 1 10.244.0.0/16 10.155.30.242 2",
    ]);
    for last in 10..14 {
        ip(&format!(
            "-n {} address add 10.244.0.{last}/16 dev eth0",
            net.a
        ));
        let from = Some(format!("10.244.0.{last}").parse().unwrap());
        assert_eq!(hold(&net.a, from, "198.51.100.9:7000").len(), 2);
    }
}

#[test]
fn a_full_set_refuses() {
    let net = Net::new();
    // The rules of a limit with room for one source.
    for command in [
        "add table inet watch",
        "add set inet watch held { type ipv4_addr ; size 1 ; flags dynamic ; }",
        "add chain inet watch few",
        "add rule inet watch few add @held { ip saddr ct count 3 } return",
        "add rule inet watch few reject with icmpx type admin-prohibited",
        "add chain inet watch in { type filter hook input priority 0 ; }",
        "add rule inet watch in ip daddr 10.244.0.6 ct state new jump few",
    ] {
        assert_eq!(output(&net.b, &format!("nft {command}")), "");
    }
    serve(&net.b, "10.244.0.6:7000");
    ask(&net.a, "10.244.0.6:7000");
    ip(&format!("-n {} address add 10.244.0.7/16 dev eth0", net.a));
    let other = Some("10.244.0.7".parse().unwrap());
    assert!(is_refused(&connect(&net.a, other, "10.244.0.6:7000")));
}

#[test]
fn a_storm_of_refused_connections_does_not_outlast_itself() {
    let (net, _gateway) = limited(&LIMITED);
    let to = "198.51.100.9:7000";
    let mut held = hold(&net.a, None, to);
    in_ns(&net.a, move || {
        for _ in 0..20_000 {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            let _ = socket.send_to(b"x", "198.51.100.9:7000");
        }
    })
    .join()
    .unwrap();
    assert!(is_refused(&connect(&net.a, None, to)));
    drop(held.pop());
    rig::until("one that ended makes room", || {
        !is_refused(&connect(&net.a, None, to))
    });
}
