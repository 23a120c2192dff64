//! Inside hosts that are not on the LAN's own segment: behind a router of theirs, and
//! behind the pod's own interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::time::Duration;

use rig::{Net, addr, ask, ask_for, ask_tcp, ip, is_silent, serve, settings, until};
use sluice_crds::internal::ConfigRoute;

/// Inside hosts off the segment: an IPv4 and an IPv6 address.
const FAR: [&str; 2] = ["10.99.0.7", "fd00:10:99::7"];

const ENTRIES: [&str; 8] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "fip f1 1 10.155.30.241 10.99.0.7 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:99::7 both",
    "addr e3 1 10.155.30.243 external",
    "addr e3 1 2001:db8:1::e:3 external",
    "snat s1 1 10.99.0.0/16 10.155.30.243",
    "snat s1 1 fd00:10:99::/64 2001:db8:1::e:3",
];

/// The EIP of each inside host, and a client outside that it may ask.
const EIPS: [&str; 2] = ["10.155.30.241", "2001:db8:1::e:1"];
const CLIENTS: [&str; 2] = ["198.51.100.9", "2001:db8:2::9"];

fn at(address: &str) -> String {
    std::net::SocketAddr::new(addr(address), 7000).to_string()
}

/// Servers on the inside host and on the client.
fn serve_both(net: &Net, inside: &str) {
    for n in [0, 1] {
        serve(inside, &at(FAR[n]));
        serve(&net.client, &at(CLIENTS[n]));
    }
}

/// Clients reach the inside host by its EIP and it reaches them, in both families.
fn translates(net: &Net, inside: &str) {
    for n in [0, 1] {
        let outside = [
            "10.155.30.9",
            "10.155.30.1",
            "2001:db8:1::9",
            "2001:db8:1::1",
        ];
        assert!(outside.map(addr).contains(&ask(&net.client, &at(EIPS[n]))));
        assert!(ask_tcp(&net.client, &at(EIPS[n])).is_some(), "{}", EIPS[n]);
        let seen = ask_for(
            inside,
            Some(FAR[n]),
            &at(CLIENTS[n]),
            Duration::from_secs(5),
        );
        assert_eq!(seen.unwrap().ip(), addr(EIPS[n]), "from {}", FAR[n]);
    }
}

#[test]
fn a_subnet_behind_an_inside_router_is_reached_by_its_route() {
    let net = Net::new();
    // Host b routes for the subnet, which is on its loopback.
    for far in FAR {
        ip(&format!("-n {} address add {far} dev lo", net.b));
    }
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    serve(&net.b, "10.99.0.7:7001");
    assert!(is_silent(&net.client, "10.155.30.241:7001"), "no route yet");
    let mut routed = settings();
    routed.lan.routes = [
        ("10.99.0.0/16", "10.244.0.6"),
        ("fd00:10:99::/64", "fd00:10:244::6"),
    ]
    .map(|(to, via)| ConfigRoute {
        to: to.into(),
        via: via.into(),
    })
    .into();
    gateway.apply_with(routed, 2, &ENTRIES, true);
    serve_both(&net, &net.b);
    translates(&net, &net.b);
    gateway.apply(3, &ENTRIES, true);
    assert!(
        is_silent(&net.client, "10.155.30.241:7001"),
        "no route any more"
    );
}

#[test]
fn inside_hosts_behind_the_pods_own_interface_are_reached_by_its_default_route() {
    let net = Net::new();
    let node = &net.node;
    for far in FAR {
        ip(&format!("-n {node} address add {far} dev lo"));
    }
    // The pod network sends what is for outside to the gateway's pod.
    ip(&format!("-n {node} route add default via 10.250.0.2"));
    ip(&format!("-n {node} route add default via fd00:10:250::2"));
    let mut own = settings();
    own.lan.interface = "eth0".into();
    own.lan.addresses.clear();
    let gateway = net.gateway(true);
    gateway.apply_with(own, 1, &ENTRIES, true);
    serve_both(&net, node);
    translates(&net, node);
    // What is for the pod itself still arrives: its probes, and the agent's own answers.
    serve(&net.gw, "10.250.0.2:9808");
    assert_eq!(ask(node, "10.250.0.2:9808"), addr("10.250.0.1"));
    // Nobody outside gets there by the gateway's address.
    assert!(is_silent(&net.client, "10.155.30.2:9808"));
    // The node renumbers: the next look sees that the way is another, and repairs it.
    ip(&format!("-n {node} address add 10.250.0.3/24 dev eth0"));
    ip(&format!(
        "-n {} route replace default via 10.250.0.3",
        net.gw
    ));
    let drift = gateway.with(|kernel| kernel.inspect().unwrap().drift);
    assert!(
        drift.iter().any(|line| line.contains("via 10.250.0.3")),
        "{drift:?}"
    );
    until("the way is repaired", || {
        gateway.with(|kernel| {
            kernel.repair().unwrap();
            kernel.inspect().unwrap().drift.is_empty()
        })
    });
    translates(&net, node);
}
