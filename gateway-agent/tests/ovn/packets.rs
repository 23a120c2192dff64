//! Packets of both families through every kind of rule.

use sluice_gateway_agent::dataplane::DataPlane as _;

use crate::lab::{Lab, is_blocked};
use crate::rig::{ask, ask_tcp, is_silent, serve};

const ALL: [&str; 14] = [
    "addr e1 1 10.155.30.201 outside",
    "addr e1 1 2001:db8:1::201 outside",
    "addr e2 1 10.155.30.202 outside",
    "addr e2 1 2001:db8:1::202 outside",
    "addr e3 1 10.155.30.203 outside",
    "addr e3 1 2001:db8:1::203 outside",
    "fip f1 1 10.155.30.201 10.244.0.11 both",
    "fip f1 1 2001:db8:1::201 fd00:10:244::11 both",
    "dnat d1 1 10.155.30.202 udp 5353 10.244.0.12 53",
    "dnat d1 1 2001:db8:1::202 udp 5353 fd00:10:244::12 53",
    "dnat d2 1 10.155.30.202 tcp 8080-8081 10.244.0.13 53-54",
    "dnat d2 1 2001:db8:1::202 tcp 8080-8081 fd00:10:244::13 53-54",
    "snat s1 1 10.244.0.0/16 10.155.30.203",
    "snat s1 1 fd00:10:244::/64 2001:db8:1::203",
];

#[test]
fn packets_pass_as_every_kind_of_rule_says_until_it_goes() {
    let lab = Lab::up();
    let host = |name: &str| lab.host(name);
    let client = host("client");
    for n in 1..=3 {
        for port in [53, 54] {
            serve(&host(&format!("vm{n}")), &format!("10.244.0.1{n}:{port}"));
            serve(
                &host(&format!("vm{n}")),
                &format!("[fd00:10:244::1{n}]:{port}"),
            );
        }
    }
    serve(&client, "10.155.30.9:53");
    serve(&client, "[2001:db8:1::9]:53");
    let mut plane = lab.plane("one");
    let done = plane.hold(&ALL);
    assert_eq!(done.rejected, []);
    assert!(!is_blocked(&plane.look()));
    let seen = |from: &str, to: &str| ask(from, to).to_string();
    // In by the FIP, and out as it.
    assert_eq!(seen(&client, "10.155.30.201:53"), "10.155.30.9");
    assert_eq!(seen(&client, "[2001:db8:1::201]:53"), "2001:db8:1::9");
    assert_eq!(seen(&host("vm1"), "10.155.30.9:53"), "10.155.30.201");
    assert_eq!(seen(&host("vm1"), "[2001:db8:1::9]:53"), "2001:db8:1::201");
    // In by ports, one and a range, the range shifted.
    assert_eq!(seen(&client, "10.155.30.202:5353"), "10.155.30.9");
    assert_eq!(seen(&client, "[2001:db8:1::202]:5353"), "2001:db8:1::9");
    for (port, expected) in [(8080, true), (8081, true), (8082, false)] {
        for address in [
            format!("10.155.30.202:{port}"),
            format!("[2001:db8:1::202]:{port}"),
        ] {
            assert_eq!(ask_tcp(&client, &address).is_some(), expected, "{address}");
        }
    }
    // Out by the SNAT.
    for vm in ["vm2", "vm3"] {
        assert_eq!(seen(&host(vm), "10.155.30.9:53"), "10.155.30.203");
        assert_eq!(seen(&host(vm), "[2001:db8:1::9]:53"), "2001:db8:1::203");
    }
    // Inside hosts reach what is forwarded too.
    assert!(ask_tcp(&host("vm1"), "10.155.30.202:8080").is_some());
    // Without their rows new connections have no way.
    let rest: Vec<&str> = ALL
        .iter()
        .copied()
        .filter(|line| !line.contains(" d1 ") && !line.contains(" f1 "))
        .collect();
    plane.hold(&rest);
    for address in [
        "10.155.30.201:54",
        "[2001:db8:1::201]:54",
        "10.155.30.202:5353",
        "[2001:db8:1::202]:5353",
    ] {
        assert!(is_silent(&client, address), "{address}");
    }
    assert_eq!(seen(&host("vm1"), "10.155.30.9:53"), "10.155.30.203");
    assert!(ask_tcp(&client, "10.155.30.202:8080").is_some());
    plane.plane.clear().expect("cleared");
    assert_eq!(lab.rows(), Vec::<String>::new());
    assert!(ask_tcp(&client, "10.155.30.202:8080").is_none());
}
