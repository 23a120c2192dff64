//! Real packets through a real kernel: FIP, DNAT, SNAT, hairpin, ping, both families.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use rig::{Net, addr, ask, ask_tcp, is_silent, output, serve};

const ENTRIES: [&str; 14] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "addr e2 1 10.155.30.242 external",
    "addr e2 1 2001:db8:1::e:2 external",
    "addr e3 1 10.155.30.243 external",
    "addr e3 1 2001:db8:1::e:3 external",
    "fip f1 1 10.155.30.241 10.244.0.5 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:244::5 both",
    "dnat d1 1 10.155.30.242 udp 8080 10.244.0.6 7000",
    "dnat d1 1 10.155.30.242 tcp 8080 10.244.0.6 7000",
    "dnat d1 1 2001:db8:1::e:2 udp 8080 fd00:10:244::6 7000",
    "dnat d2 1 10.155.30.242 udp 1000-1200 10.244.0.6 1000-1200",
    "snat s1 1 10.244.0.0/16 10.155.30.243",
    "snat s1 1 fd00:10:244::/64 2001:db8:1::e:3",
];

fn up() -> (Net, rig::Gateway) {
    let net = Net::new();
    let gateway = net.gateway(true);
    let applied = gateway.apply(1, &ENTRIES, true);
    assert_eq!(applied.rejected, []);
    (net, gateway)
}

#[test]
fn fip_translates_both_ways() {
    let (net, _gateway) = up();
    for (inside, eip, client) in [
        ("10.244.0.5", "10.155.30.241", "10.155.30.9"),
        ("fd00:10:244::5", "2001:db8:1::e:1", "2001:db8:1::9"),
    ] {
        let at = |a: &str| std::net::SocketAddr::new(addr(a), 7000).to_string();
        serve(&net.a, &at(inside));
        serve(&net.client, &at(client));
        assert_eq!(
            ask(&net.client, &at(eip)),
            addr(client),
            "{}",
            output(&net.gw, "nft list ruleset")
        );
        assert_eq!(ask(&net.a, &at(client)), addr(eip));
        assert_eq!(ask_tcp(&net.client, &at(eip)).unwrap().ip(), addr(client));
    }
    assert!(is_silent(&net.client, "10.155.30.242:9"));
}

#[test]
fn dnat_forwards_single_ports_and_ranges() {
    let (net, _gateway) = up();
    serve(&net.b, "10.244.0.6:7000");
    serve(&net.b, "[fd00:10:244::6]:7000");
    serve(&net.b, "10.244.0.6:1100");
    assert_eq!(ask(&net.client, "10.155.30.242:8080"), addr("10.155.30.9"));
    assert_eq!(
        ask_tcp(&net.client, "10.155.30.242:8080").unwrap().ip(),
        addr("10.155.30.9")
    );
    assert_eq!(
        ask(&net.client, "[2001:db8:1::e:2]:8080"),
        addr("2001:db8:1::9")
    );
    assert_eq!(ask(&net.client, "10.155.30.242:1100"), addr("10.155.30.9"));
    // Neither the inside port nor a port next to the range is open.
    assert!(is_silent(&net.client, "10.155.30.242:7000"));
    assert!(is_silent(&net.client, "10.155.30.242:1201"));
}

#[test]
fn snat_gives_inside_hosts_the_eip() {
    let (net, _gateway) = up();
    serve(&net.client, "10.155.30.9:7000");
    serve(&net.client, "[2001:db8:1::9]:7000");
    serve(&net.client, "198.51.100.9:7000");
    serve(&net.client, "[2001:db8:2::9]:7000");
    assert_eq!(ask(&net.b, "10.155.30.9:7000"), addr("10.155.30.243"));
    assert_eq!(ask(&net.b, "[2001:db8:1::9]:7000"), addr("2001:db8:1::e:3"));
    // Behind the router too; and a FIP goes before SNAT.
    assert_eq!(ask(&net.b, "198.51.100.9:7000"), addr("10.155.30.243"));
    assert_eq!(ask(&net.a, "198.51.100.9:7000"), addr("10.155.30.241"));
    assert_eq!(ask(&net.a, "[2001:db8:2::9]:7000"), addr("2001:db8:1::e:1"));
    assert_eq!(
        ask_tcp(&net.b, "198.51.100.9:7000").unwrap().ip(),
        addr("10.155.30.243")
    );
}

#[test]
fn inside_clients_reach_inside_servers_by_their_eip() {
    let (net, _gateway) = up();
    serve(&net.a, "10.244.0.5:7000");
    serve(&net.b, "10.244.0.6:7000");
    serve(&net.a, "[fd00:10:244::5]:7000");
    serve(&net.b, "[fd00:10:244::6]:7000");
    // A client with a FIP shows its EIP, another one the gateway's address on the LAN.
    assert_eq!(ask(&net.a, "10.155.30.242:8080"), addr("10.155.30.241"));
    assert_eq!(ask(&net.b, "10.155.30.241:7000"), addr("10.244.0.254"));
    assert_eq!(
        ask(&net.a, "[2001:db8:1::e:2]:8080"),
        addr("2001:db8:1::e:1")
    );
    assert_eq!(
        ask(&net.b, "[2001:db8:1::e:1]:7000"),
        addr("fd00:10:244::fe")
    );
    assert_eq!(ask(&net.a, "10.155.30.241:7000"), addr("10.155.30.241"));
    assert!(ask_tcp(&net.b, "10.155.30.241:7000").is_some());
    assert!(ask_tcp(&net.a, "10.155.30.242:8080").is_some());
}

fn pings(ns: &str, to: &str) -> bool {
    output(ns, &format!("ping -c 1 -W 2 {to}")).contains("1 received")
}

#[test]
fn eips_answer_ping_as_the_policy_says() {
    let (net, gateway) = up();
    for from in [&net.client, &net.b] {
        assert!(pings(from, "10.155.30.243"), "{from}");
        assert!(pings(from, "2001:db8:1::e:3"), "{from}");
    }
    assert!(
        pings(&net.client, "10.155.30.241"),
        "the FIP's host answers"
    );
    let mut quiet = rig::settings();
    quiet.ping_eips = false;
    gateway.apply_with(quiet, 2, &ENTRIES, true);
    assert!(!pings(&net.client, "10.155.30.243"));
    assert!(!pings(&net.client, "2001:db8:1::e:3"));
    assert!(
        pings(&net.client, "10.155.30.241"),
        "the FIP's host answers"
    );
}
