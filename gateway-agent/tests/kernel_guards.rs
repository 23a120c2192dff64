//! What must not pass, must not be answered, and must be noticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::time::{Duration, Instant};

use rig::{Net, addr, ask, in_ns, ip, is_silent, output, serve, sysctl, until};
use sluice_gateway_agent::kernel::{Event, ProblemKind};

const ENTRIES: [&str; 6] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "fip f1 1 10.155.30.241 10.244.0.5 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:244::5 both",
    "addr e3 1 10.155.30.243 external",
    "snat s1 1 10.244.0.0/16 10.155.30.243",
];

fn counter(ns: &str) -> String {
    output(ns, "nft list chain inet watch seen")
}

/// Counts packets with an inside source that arrive at a host.
fn watch_for_leaks(ns: &str) {
    for command in [
        "add table inet watch",
        "add chain inet watch seen { type filter hook prerouting priority -400 ; }",
        "add rule inet watch seen ip saddr 10.244.0.0/16 counter",
        "add rule inet watch seen ip6 saddr fd00:10:244::/64 counter",
    ] {
        let out = output(ns, &format!("nft {command}"));
        assert!(out.is_empty(), "{out}");
    }
}

fn has_leaked(ns: &str) -> bool {
    counter(ns)
        .lines()
        .any(|line| line.contains("counter") && !line.contains("packets 0 "))
}

fn drift_of(gateway: &rig::Gateway) -> Vec<String> {
    gateway.with(|kernel| kernel.inspect().unwrap().drift)
}

#[test]
fn nothing_leaves_untranslated_when_the_uplink_is_down() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.with(|kernel| assert!(kernel.guard().unwrap()));
    watch_for_leaks(&net.node);
    watch_for_leaks(&net.client);
    // Guarded only: next hops that are set by hand attract tenants, and nothing passes.
    ip(&format!(
        "-n {} address add 10.244.0.254/16 dev lan0",
        net.gw
    ));
    assert!(is_silent(&net.b, "198.51.100.9:7000"));
    assert!(!has_leaked(&net.node) && !has_leaked(&net.client));
    gateway.apply(1, &ENTRIES, true);
    serve(&net.client, "198.51.100.9:7000");
    assert_eq!(ask(&net.b, "198.51.100.9:7000"), addr("10.155.30.243"));
    ip(&format!("-n {} link set eth1 down", net.gw));
    assert!(is_silent(&net.b, "198.51.100.9:7000"));
    assert!(is_silent(&net.a, "[2001:db8:2::9]:7000"));
    assert!(!has_leaked(&net.node), "{}", counter(&net.node));
    // Up again: its routes are put back, and traffic flows.
    ip(&format!("-n {} link set eth1 up", net.gw));
    until("the uplink's routes are back", || {
        gateway.with(|kernel| {
            kernel.repair().unwrap();
            kernel.inspect().unwrap().drift.is_empty()
        })
    });
    assert_eq!(ask(&net.b, "198.51.100.9:7000"), addr("10.155.30.243"));
    assert!(!has_leaked(&net.client), "{}", counter(&net.client));
}

#[test]
fn outside_hosts_cannot_route_into_the_lan() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    serve(&net.b, "10.244.0.6:7000");
    serve(&net.b, "[fd00:10:244::6]:7000");
    for (prefix, via) in [
        ("10.244.0.0/16", "10.155.30.243"),
        ("fd00:10:244::/64", "2001:db8:1::e:1"),
    ] {
        ip(&format!("-n {} route add {prefix} via {via}", net.client));
    }
    assert!(is_silent(&net.client, "10.244.0.6:7000"));
    assert!(is_silent(&net.client, "[fd00:10:244::6]:7000"));
}

#[test]
fn others_edits_are_noticed_and_repaired() {
    let net = Net::new();
    let gateway = net.gateway(false);
    gateway.apply(1, &ENTRIES, true);
    assert_eq!(drift_of(&gateway), Vec::<String>::new());
    let gw = &net.gw;
    for damage in [
        "nft flush ruleset",
        "nft delete element inet sluice fipin4 { 10.155.30.241 }",
        "nft insert rule inet sluice leak accept",
        "ip route del 10.155.30.241 table local",
        "ip -6 neigh del proxy 2001:db8:1::e:1 dev eth1",
        "ip route del default table 101",
        "ip rule del pref 100 fwmark 0x1/0xff iif lan0",
        "ip address del 10.244.0.254/16 dev lan0",
        "sysctl -qw net.ipv4.conf.eth1.rp_filter=1",
        "sysctl -qw net.ipv4.conf.lan0.forwarding=0",
    ] {
        let out = output(gw, damage);
        assert!(out.is_empty(), "{damage}: {out}");
        assert_ne!(drift_of(&gateway), Vec::<String>::new(), "{damage}");
        gateway.with(|kernel| assert!(kernel.repair().unwrap().changed > 0));
        assert_eq!(drift_of(&gateway), Vec::<String>::new(), "{damage}");
    }
    serve(&net.a, "10.244.0.5:7000");
    assert_eq!(ask(&net.client, "10.155.30.241:7000"), addr("10.155.30.9"));
}

#[test]
fn owned_tables_cannot_be_edited_by_others() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    output(&net.gw, "nft flush ruleset");
    let refused = output(
        &net.gw,
        "nft delete element inet sluice fipin4 { 10.155.30.241 }",
    );
    assert!(refused.contains("not permitted"), "{refused}");
    assert_eq!(drift_of(&gateway), Vec::<String>::new());
}

#[test]
fn a_new_process_adopts_what_stands_without_a_change() {
    let net = Net::new();
    let first = net.gateway(true);
    let applied = first.apply(7, &ENTRIES, true);
    assert!(applied.changed > 0);
    first.stop();
    let second = net.gateway(true);
    let stamp = second.with(|kernel| kernel.stamp().unwrap()).unwrap();
    assert_eq!(stamp, applied.stamp);
    assert_eq!(stamp.revision, rig::revision(7));
    second.with(|kernel| assert!(!kernel.guard().unwrap()));
    // The two tables are taken over; nothing else is touched.
    assert_eq!(second.apply(7, &ENTRIES, true).changed, 2);
    assert_eq!(second.apply(7, &ENTRIES, true).changed, 0);
    let refused = output(&net.gw, "nft delete table inet sluice");
    assert!(refused.contains("not permitted"), "{refused}");
}

#[test]
fn clear_leaves_nothing_that_answers_or_forwards() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    serve(&net.a, "10.244.0.5:7000");
    assert_eq!(ask(&net.client, "10.155.30.241:7000"), addr("10.155.30.9"));
    gateway.with(|kernel| kernel.clear().unwrap());
    assert!(is_silent(&net.client, "10.155.30.241:7000"));
    assert!(is_silent(&net.a, "198.51.100.9:7000"));
    let routes =
        output(&net.gw, "ip route show table all") + &output(&net.gw, "ip -6 route show table all");
    assert!(!routes.contains("proto 115"), "{routes}");
    assert_eq!(output(&net.gw, "ip -6 neigh show proxy"), "");
    assert!(!output(&net.gw, "ip address show lan0").contains("10.244.0.254"));
    assert!(gateway.with(|kernel| kernel.stamp().unwrap()).is_none());
}

#[test]
fn a_standby_holds_rules_but_neither_answers_nor_forwards() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    serve(&net.a, "10.244.0.5:7000");
    assert_eq!(ask(&net.client, "10.155.30.241:7000"), addr("10.155.30.9"));
    gateway.apply(1, &ENTRIES, false);
    ip(&format!("-n {} neigh flush all", net.client));
    assert!(is_silent(&net.client, "10.155.30.241:7000"));
    let conflicts = gateway.with(|kernel| kernel.inspect().unwrap());
    assert_eq!(conflicts.drift, Vec::<String>::new());
    gateway.apply(1, &ENTRIES, true);
    assert_eq!(ask(&net.client, "10.155.30.241:7000"), addr("10.155.30.9"));
}

#[test]
fn interfaces_answer_only_for_their_own_addresses() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    ip(&format!("-n {} route add 10.155.30.0/24 dev eth0", net.b));
    ip(&format!(
        "-n {} address add 10.244.9.9/16 dev eth0",
        net.client
    ));
    for (from, to) in [
        (&net.b, "10.155.30.241"),
        (&net.client, "10.244.0.254"),
        (&net.client, "10.250.0.2"),
    ] {
        if to == "10.250.0.2" {
            ip(&format!("-n {from} route add 10.250.0.0/16 dev eth0"));
        }
        output(from, &format!("ping -c 1 -W 1 {to}"));
        let neighbour = output(from, &format!("ip neigh show {to}"));
        assert!(!neighbour.contains("lladdr"), "{from} {neighbour}");
    }
}

/// Sends a router advertisement (RFC 4861 §4.2) that offers a default route for 1800 s.
fn advertise_router(ns: &str) {
    use rustix::net::{AddressFamily, SendFlags, SocketType, sendto, socket, sockopt};
    in_ns(ns, || {
        let index = std::fs::read_to_string("/proc/thread-self/net/dev_mcast").unwrap();
        let index = index.lines().find(|line| line.contains("eth0")).unwrap();
        let index: u32 = index.split_whitespace().next().unwrap().parse().unwrap();
        let protocol = rustix::net::ipproto::ICMPV6;
        let fd = socket(AddressFamily::INET6, SocketType::RAW, Some(protocol)).unwrap();
        sockopt::set_ipv6_multicast_hops(&fd, 255).unwrap();
        let advert = [134_u8, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
        let all_nodes = "ff02::1".parse().unwrap();
        let to = std::net::SocketAddrV6::new(all_nodes, 0, 0, index);
        sendto(&fd, &advert, SendFlags::empty(), &to).unwrap();
    })
    .join()
    .unwrap();
}

#[test]
fn a_tenants_router_advertisement_changes_no_route() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    sysctl(&net.gw, "ipv6/conf/lan0/accept_ra", "2");
    // The advertisement is a good one: a host without guards takes the route.
    sysctl(&net.b, "ipv6/conf/eth0/accept_ra", "2");
    let before = output(&net.gw, "ip -6 route show table main");
    advertise_router(&net.a);
    std::thread::sleep(Duration::from_millis(200));
    let control = output(&net.b, "ip -6 route show table main");
    assert!(control.contains("proto ra"), "{control}");
    assert_eq!(output(&net.gw, "ip -6 route show table main"), before);
}

#[test]
fn strict_reverse_path_filters_are_reset_or_reported() {
    let net = Net::new();
    for interface in ["eth1", "lan0"] {
        sysctl(&net.gw, &format!("ipv4/conf/{interface}/rp_filter"), "1");
    }
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    serve(&net.client, "198.51.100.9:7000");
    assert_eq!(ask(&net.b, "198.51.100.9:7000"), addr("10.155.30.243"));
    sysctl(&net.gw, "ipv4/conf/all/rp_filter", "1");
    let problems = gateway.with(|kernel| kernel.inspect().unwrap().problems);
    let blocks = problems
        .iter()
        .find(|p| p.kind == ProblemKind::RPFilterBlocks);
    assert!(blocks.unwrap().blocking);
}

#[test]
fn absent_forwarding_and_interfaces_are_reported() {
    let net = Net::new();
    sysctl(&net.gw, "ipv6/conf/all/proxy_ndp", "0");
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    let seen = gateway.with(|kernel| kernel.inspect().unwrap());
    assert!(
        seen.problems
            .iter()
            .any(|p| p.kind == ProblemKind::ForwardingDisabled)
    );
    let unusable: Vec<_> = seen.unusable.iter().map(|u| u.address).collect();
    assert_eq!(unusable, [addr("2001:db8:1::e:1")]);
    assert_eq!(seen.uplinks[0].ipv4, Some("10.155.30.2".parse().unwrap()));
    assert_eq!(seen.uplinks[0].ipv6, Some("2001:db8:1::2".parse().unwrap()));
    ip(&format!("-n {} link del eth1", net.gw));
    let seen = gateway.with(|kernel| kernel.inspect().unwrap());
    assert!(
        seen.problems
            .iter()
            .any(|p| p.kind == ProblemKind::InterfaceNotFound)
    );
    assert_eq!(seen.unusable.len(), 3);
}

#[test]
fn removed_and_retargeted_fips_lose_their_flows() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    serve(&net.a, "10.244.0.5:7000");
    serve(&net.b, "10.244.0.6:7000");
    let to: std::net::SocketAddr = "10.155.30.241:7000".parse().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let client = in_ns(&net.client, move || {
        let mut stream = std::net::TcpStream::connect(to).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        tell.send(rig::say(&mut stream).is_some()).unwrap();
        wait.recv().unwrap();
        rig::say(&mut stream).is_some()
    });
    assert!(told.recv().unwrap());
    let mut moved = ENTRIES;
    moved[2] = "fip f1 2 10.155.30.241 10.244.0.6 both";
    gateway.apply(2, &moved, true);
    go.send(()).unwrap();
    assert!(!client.join().unwrap(), "the old flow must be gone");
    assert_eq!(ask(&net.client, "10.155.30.241:7000"), addr("10.155.30.9"));
    let without: Vec<&str> = ENTRIES
        .iter()
        .copied()
        .filter(|e| !e.starts_with("fip"))
        .collect();
    gateway.apply(3, &without, true);
    assert!(is_silent(&net.client, "10.155.30.241:7000"));
    serve(&net.client, "198.51.100.9:7001");
    assert_eq!(ask(&net.b, "198.51.100.9:7001"), addr("10.155.30.243"));
}

#[test]
fn announcements_move_neighbours_and_conflicts_are_found() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, false);
    let all = gateway.with(|kernel| kernel.addresses());
    let wait = Duration::from_millis(300);
    let asked = all.clone();
    assert_eq!(
        gateway.with(move |k| k.probe_conflict(&asked, wait).unwrap()),
        []
    );
    // Another host has two of them.
    for address in ["10.155.30.241/24", "2001:db8:1::e:1/64 nodad"] {
        ip(&format!("-n {} address add {address} dev eth0", net.client));
    }
    let asked = all.clone();
    let found = gateway.with(move |k| k.probe_conflict(&asked, wait).unwrap());
    let found: Vec<_> = found.iter().map(|c| c.address).collect();
    assert_eq!(found, [addr("10.155.30.241"), addr("2001:db8:1::e:1")]);
    for address in ["10.155.30.241/24", "2001:db8:1::e:1/64"] {
        ip(&format!("-n {} address del {address} dev eth0", net.client));
    }
    gateway.apply(1, &ENTRIES, true);
    for address in ["10.155.30.241", "2001:db8:1::e:1"] {
        ip(&format!(
            "-n {} neigh replace {address} lladdr 02:00:00:00:00:99 nud stale dev eth0",
            net.client
        ));
    }
    std::thread::sleep(Duration::from_millis(1_100)); // a peer heeds one change a second
    assert_eq!(gateway.with(move |k| k.announce(&all).unwrap()), 3 * 2 + 2);
    until("the client has the gateway's MAC", || {
        let seen = output(&net.client, "ip neigh show dev eth0");
        seen.contains("10.155.30.241 lladdr 02:00:00:00:00:12")
            && seen.contains("2001:db8:1::e:1 lladdr 02:00:00:00:00:12")
    });
}

#[test]
fn events_tell_of_others_changes_only() {
    let net = Net::new();
    let gateway = net.gateway(false);
    gateway.apply(1, &ENTRIES, true);
    let mut events = gateway.with(|kernel| kernel.events().unwrap());
    // The kernel itself still sets up IPv6 on new interfaces.
    while !events
        .wait(Duration::from_millis(1_500))
        .unwrap()
        .is_empty()
    {}
    let more = ["addr e9 1 10.155.30.249 external"];
    gateway.apply(2, &more, true);
    assert_eq!(events.wait(Duration::from_millis(200)).unwrap(), []);
    for change in [
        "nft flush ruleset",
        "ip rule add pref 5000 lookup main",
        "sysctl -qw net.ipv4.conf.eth1.rp_filter=2",
    ] {
        let began = Instant::now();
        output(&net.gw, change);
        let seen = events.wait(Duration::from_secs(2)).unwrap();
        assert!(seen.contains(&Event::Changed), "{change}");
        assert!(began.elapsed() < Duration::from_secs(2));
        while !events.wait(Duration::from_millis(50)).unwrap().is_empty() {}
    }
    output(&net.gw, "ip link set eth1 address 02:00:00:00:01:01");
    assert!(
        events
            .wait(Duration::from_secs(2))
            .unwrap()
            .contains(&Event::Link)
    );
}
