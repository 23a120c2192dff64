//! Next hops whose MAC changes, own MACs that change, and the uplink's own address.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::time::{Duration, Instant};

use rig::{Gateway, Net, addr, ask_for, in_ns, ip, output, serve, settings, until};
use sluice_crds::internal::{ConfigNeighbours, ConfigNode, ConfigSettings};
use sluice_gateway_agent::kernel::{Event, Inspection, ProblemKind};

const ENTRIES: [&str; 4] = [
    "addr e1 1 10.155.30.243 external",
    "addr e1 1 2001:db8:1::e:3 external",
    "snat s1 1 10.244.0.0/16 10.155.30.243",
    "snat s1 1 fd00:10:244::/64 2001:db8:1::e:3",
];

/// The router's address, and a host that is reached by it only.
const ROUTER: [&str; 2] = ["10.155.30.1", "2001:db8:1::1"];
const BEYOND: [&str; 2] = ["198.51.100.9", "2001:db8:2::9"];
const INSIDE: [&str; 2] = ["10.244.0.5", "fd00:10:244::5"];
/// A MAC that nobody has.
const WRONG: &str = "02:00:00:00:ee:ee";

fn watched(probe_secs: i64, repair: bool) -> ConfigSettings {
    ConfigSettings {
        neighbours: ConfigNeighbours { repair, probe_secs },
        ..settings()
    }
}

fn gateway(net: &Net, settings: ConfigSettings) -> Gateway {
    for host in BEYOND {
        serve(&net.client, &at(host));
    }
    let gateway = net.gateway(true);
    let applied = gateway.apply_with(settings, 1, &ENTRIES, true);
    assert!(applied.rejected.is_empty(), "{:?}", applied.rejected);
    gateway
}

fn at(address: &str) -> String {
    std::net::SocketAddr::new(addr(address), 7000).to_string()
}

fn inspect(gateway: &Gateway) -> Inspection {
    gateway.with(|kernel| kernel.inspect().unwrap())
}

/// Looks each half second, as the agent does each second, until it is so; in 5 s at most.
fn look_until(gateway: &Gateway, what: &str, is_so: impl Fn(&Inspection) -> bool) -> Inspection {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let seen = inspect(gateway);
        if is_so(&seen) {
            return seen;
        }
        assert!(Instant::now() < end, "not within 5 s: {what}: {seen:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn has(seen: &Inspection, kind: ProblemKind, about: &str) -> bool {
    let of_kind = seen.problems.iter().filter(|p| p.kind == kind);
    of_kind.into_iter().any(|p| {
        assert!(!p.blocking, "{p:?}");
        p.message.split(' ').any(|word| word == about)
    })
}

fn told(seen: &Inspection, about: Option<&str>, words: &str) -> bool {
    let mut of_hop = seen
        .neighbours
        .iter()
        .filter(|n| n.address.as_deref() == about);
    of_hop.any(|n| n.message.contains(words))
}

fn reaches(net: &Net, n: usize) -> bool {
    let patience = Duration::from_millis(700);
    ask_for(&net.a, Some(INSIDE[n]), &at(BEYOND[n]), patience).is_some()
}

fn pin(net: &Net, router: &str) {
    let ns = &net.gw;
    ip(&format!(
        "-n {ns} neigh replace {router} lladdr {WRONG} nud permanent dev eth1"
    ));
}

#[test]
fn r_mac_a_wrong_static_entry_of_a_next_hop_is_replaced_and_told() {
    let net = Net::new();
    let gateway = gateway(&net, watched(2, true));
    for n in [0, 1] {
        pin(&net, ROUTER[n]);
        assert!(!reaches(&net, n), "{} has another MAC", ROUTER[n]);
    }
    let mut mended = 0;
    for router in ROUTER {
        let seen = look_until(&gateway, router, |seen| {
            told(seen, Some(router), "was replaced")
        });
        mended += seen.mended;
        assert!(!has(&seen, ProblemKind::NextHopMACMismatch, router));
        let entry = output(&net.gw, &format!("ip neigh show {router} dev eth1"));
        assert!(
            !entry.contains(WRONG) && !entry.contains("PERMANENT"),
            "{entry}"
        );
    }
    assert!(mended > 0);
    for n in [0, 1] {
        until("traffic by the router", || reaches(&net, n));
    }
}

#[test]
fn r_mac_under_report_a_wrong_entry_stays_and_is_told_as_long_as_it_is_wrong() {
    let net = Net::new();
    let gateway = gateway(&net, watched(1, false));
    for router in ROUTER {
        pin(&net, router);
    }
    for router in ROUTER {
        let seen = look_until(&gateway, router, |seen| {
            has(seen, ProblemKind::NextHopMACMismatch, router)
        });
        assert_eq!(seen.mended, 0);
        let entry = output(&net.gw, &format!("ip neigh show {router} dev eth1"));
        assert!(
            entry.contains(WRONG) && entry.contains("PERMANENT"),
            "{entry}"
        );
    }
    for router in ROUTER {
        ip(&format!("-n {} neigh del {router} dev eth1", net.gw));
        let seen = look_until(&gateway, router, |seen| {
            told(seen, Some(router), "corrected by others")
        });
        assert!(!has(&seen, ProblemKind::NextHopMACMismatch, router));
        let mut hops = seen.neighbours.iter();
        let hop = hops.find(|n| n.address.as_deref() == Some(router)).unwrap();
        assert!(hop.mismatch_ms > 0, "{hop:?}");
    }
}

#[test]
fn r_mac_a_next_hop_that_gets_another_mac_is_told_within_five_seconds() {
    let net = Net::new();
    let gateway = gateway(&net, watched(2, true));
    let quiet = Instant::now() + Duration::from_secs(3);
    while Instant::now() < quiet {
        let seen = inspect(&gateway);
        assert!(
            seen.neighbours.is_empty() && seen.problems.is_empty(),
            "{seen:?}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    ip(&format!(
        "-n {} link set eth0 address 02:00:00:00:dd:dd",
        net.client
    ));
    let begun = Instant::now();
    for router in ROUTER {
        look_until(&gateway, router, |seen| {
            told(seen, Some(router), "02:00:00:00:dd:dd")
        });
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    for n in [0, 1] {
        until("traffic by the router", || reaches(&net, n));
    }
}

#[test]
fn r_mac_a_next_hop_that_does_not_answer_is_told_and_back_without_flapping() {
    let net = Net::new();
    let gateway = gateway(&net, watched(1, true));
    look_until(&gateway, "a first look", |_| true);
    ip(&format!(
        "-n {} address del 10.155.30.1/24 dev eth0",
        net.client
    ));
    let seen = look_until(&gateway, "silence", |seen| {
        has(seen, ProblemKind::NextHopUnreachable, ROUTER[0])
    });
    assert!(!has(&seen, ProblemKind::NextHopUnreachable, ROUTER[1]));
    assert!(
        seen.unusable.is_empty() && seen.drift.is_empty(),
        "{seen:?}"
    );
    ip(&format!(
        "-n {} address add 10.155.30.1/24 dev eth0",
        net.client
    ));
    look_until(&gateway, "an answer", |seen| {
        !has(seen, ProblemKind::NextHopUnreachable, ROUTER[0])
    });
}

#[test]
fn r_mac_next_hops_inside_are_watched_too() {
    let net = Net::new();
    let mut settings = watched(1, true);
    let routes = [
        ("10.99.0.0/16", "10.244.0.6"),
        ("fd00:10:99::/64", "fd00:10:244::6"),
    ];
    settings.lan.routes = routes
        .map(|(to, via)| sluice_crds::internal::ConfigRoute {
            to: to.into(),
            via: via.into(),
        })
        .to_vec();
    let gateway = gateway(&net, settings);
    for (_, via) in routes {
        let ns = &net.gw;
        ip(&format!(
            "-n {ns} neigh replace {via} lladdr {WRONG} nud permanent dev lan0"
        ));
        look_until(&gateway, via, |seen| told(seen, Some(via), "was replaced"));
    }
}

#[test]
fn r_annc_an_own_mac_that_changes_is_noticed_and_announced_anew() {
    let net = Net::new();
    let gateway = gateway(&net, watched(2, true));
    inspect(&gateway);
    let all = ["10.155.30.243", "2001:db8:1::e:3"];
    // The client learns the old MAC.
    gateway.with(move |kernel| kernel.announce(&all.map(addr)).unwrap());
    for address in all {
        in_ns(&net.client, move || {
            let any = if address.contains(':') {
                "[::]:0"
            } else {
                "0.0.0.0:0"
            };
            let socket = std::net::UdpSocket::bind(any).unwrap();
            socket.send_to(b"x", (address, 9)).unwrap();
        })
        .join()
        .unwrap();
    }
    let known = |mac: &str| {
        let table = output(&net.client, "ip neigh show dev eth0");
        let has = |a: &str| {
            table
                .lines()
                .any(|l| l.starts_with(&format!("{a} ")) && l.contains(mac))
        };
        all.iter().all(|a| has(a))
    };
    until("the old MAC", || known("02:00:00:00:00:12"));
    let mut events = gateway.with(|kernel| kernel.events().unwrap());
    ip(&format!(
        "-n {} link set eth1 address 02:00:00:00:cc:cc",
        net.gw
    ));
    let begun = Instant::now();
    let mut seen = Vec::new();
    while !seen.contains(&Event::Link) && begun.elapsed() < Duration::from_secs(5) {
        seen.extend(events.wait(Duration::from_secs(1)).unwrap());
    }
    assert!(seen.contains(&Event::Link), "{seen:?}");
    let seen = look_until(&gateway, "the change", |seen| {
        told(seen, None, "02:00:00:00:cc:cc")
    });
    assert!(!known("02:00:00:00:cc:cc"), "{seen:?}");
    // What the agent does at the event; when to repeat it core decides.
    gateway.with(move |kernel| kernel.announce(&all.map(addr)).unwrap());
    until("the new MAC", || known("02:00:00:00:cc:cc"));
}

/// An annotation of the gateway's Node.
fn noted(text: &str) -> ConfigSettings {
    ConfigSettings {
        nodes: vec![
            ConfigNode {
                name: "node-a".into(),
                uplink_address: text.into(),
            },
            ConfigNode {
                name: "node-b".into(),
                uplink_address: "another node's, which is no address".into(),
            },
        ],
        ..settings()
    }
}

/// The uplink's own addresses, and what is told of them.
fn own(
    gateway: &Gateway,
    settings: ConfigSettings,
) -> (Option<String>, Option<String>, Vec<ProblemKind>) {
    let applied = gateway.apply_with(settings, 1, &ENTRIES[..2], true);
    assert!(applied.rejected.is_empty());
    let seen = inspect(gateway);
    let uplink = &seen.uplinks[0];
    let problems = seen.problems.iter().map(|p| p.kind).collect();
    (
        uplink.ipv4.map(|a| a.to_string()),
        uplink.ipv6.map(|a| a.to_string()),
        problems,
    )
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn r_upl_an_override_is_used_or_told_of_in_each_family_alike() {
    let net = Net::new();
    let gateway = net.gateway(true);
    // Newer ones: for IPv6 the kernel lists them first.
    for address in ["10.155.30.3/24", "2001:db8:1::3/64"] {
        ip(&format!("-n {} address add {address} dev eth1", net.gw));
    }
    let found = (some("10.155.30.2"), some("2001:db8:1::2"), vec![]);
    assert_eq!(own(&gateway, settings()), found, "the oldest");
    let both = (some("10.155.30.3"), some("2001:db8:1::3"), vec![]);
    assert_eq!(own(&gateway, noted("10.155.30.3,2001:db8:1::3")), both);
    let one = (some("10.155.30.2"), some("2001:db8:1::3"), vec![]);
    assert_eq!(
        own(&gateway, noted("2001:db8:1::3")),
        one,
        "the other as found"
    );
    // Not on this node: no other is taken in its place.
    let missing = vec![ProblemKind::AddressNotOnInterface];
    let absent = (None, some("2001:db8:1::2"), missing.clone());
    assert_eq!(own(&gateway, noted("10.155.30.77")), absent);
    let absent = (some("10.155.30.2"), None, missing);
    assert_eq!(own(&gateway, noted("2001:db8:1::77")), absent);
    let invalid = (None, None, vec![ProblemKind::AnnotationInvalid]);
    assert_eq!(own(&gateway, noted("2001:db8:1::3/64")), invalid);
    // The spec goes before it, also before one that cannot be read.
    let mut spec = noted("nonsense");
    spec.uplinks[0].ipv6 = Some("2001:db8:1::3".into());
    let said = (
        None,
        some("2001:db8:1::3"),
        vec![ProblemKind::AnnotationInvalid],
    );
    assert_eq!(own(&gateway, spec), said);
}

#[test]
fn r_upl_on_an_ipv6_only_uplink_the_annotation_is_read_too() {
    let net = Net::new();
    let gateway = net.gateway(true);
    ip(&format!(
        "-n {} address del 10.155.30.2/24 dev eth1",
        net.gw
    ));
    ip(&format!(
        "-n {} address add 2001:db8:1::3/64 dev eth1",
        net.gw
    ));
    let own = |text: &str| {
        let mut settings = noted(text);
        settings.lan.addresses.retain(|a| a.contains(':'));
        for uplink in &mut settings.uplinks {
            uplink.subnets.retain(|s| s.cidr.contains(':'));
        }
        let applied = gateway.apply_with(settings, 1, &ENTRIES[1..2], true);
        assert!(applied.rejected.is_empty());
        let seen = inspect(&gateway);
        (
            seen.uplinks[0].ipv4,
            seen.uplinks[0].ipv6.map(|a| a.to_string()),
        )
    };
    assert_eq!(own("2001:db8:1::3"), (None, some("2001:db8:1::3")));
    assert_eq!(own("2001:db8:1::2"), (None, some("2001:db8:1::2")));
    assert_eq!(own("2001:db8:1::77"), (None, None));
}
