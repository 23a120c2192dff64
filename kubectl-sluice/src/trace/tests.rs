#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use serde_json::json;

use super::*;

const ENTRIES: [&str; 9] = [
    "addr e1 1 192.0.2.1 external",
    "addr e2 1 192.0.2.2 external",
    "addr e3 1 2001:db8::3 external",
    "fip f1 1 192.0.2.1 10.0.0.1 both",
    "dnat d1 1 192.0.2.2 tcp 8000-8009 10.0.0.2 9000-9009",
    "dnat d2 1 192.0.2.2 tcp 8005 10.0.0.3,10.0.0.4=0,10.0.0.5 80",
    "snat s1 1 10.0.0.0/8 192.0.2.2",
    "snat s2 1 10.0.1.0/24 192.0.2.1",
    "snat s3 1 fd00::/64 2001:db8::3",
];

fn world() -> World {
    let mut world = World::default();
    world.add(json!({"kind": "GatewayConfig", "metadata": {"name": "g", "namespace": "n"}, "spec": {"gateway": {"name": "g", "uid": "g"},
        "format": 1, "digest": "d", "entries": 9, "slices": ["g-1"], "settings": {"lan": {"interface": "eth0"}, "uplinks": [], "pingEIPs": true}}})).unwrap();
    world.add(json!({"kind": "RuleSlice", "metadata": {"name": "g-1", "namespace": "n"}, "spec": {"entries": ENTRIES}})).unwrap();
    // Of another gateway's config, and of an older revision.
    world.add(json!({"kind": "RuleSlice", "metadata": {"name": "g-0", "namespace": "n"}, "spec": {"entries": ["fip old 1 192.0.2.2 10.9.9.9 both"]}})).unwrap();
    world.add(json!({"kind": "FIP", "metadata": {"name": "web", "namespace": "t", "uid": "f1"}, "spec": {"eip": {"name": "e1"}, "target": {"ips": ["10.0.0.1"]}}})).unwrap();
    world
}

fn leaves(from: &str, to: &str) -> Vec<String> {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    trace(&world(), &Key::new("n", "g"), from, to, Transport::Tcp)
        .unwrap()
        .leaves_as
}

#[test]
fn on_the_way_in_a_fip_takes_all_and_a_dnat_its_ports() {
    assert_eq!(
        leaves("198.51.100.9:1", "192.0.2.1:22"),
        ["198.51.100.9:1 > 10.0.0.1:22"]
    );
    assert_eq!(
        leaves("198.51.100.9:1", "192.0.2.2:8001"),
        ["198.51.100.9:1 > 10.0.0.2:9001"]
    );
    // A port of its own goes before a range, and a drained target takes nothing new.
    let shared = [
        "198.51.100.9:1 > 10.0.0.3:80",
        "198.51.100.9:1 > 10.0.0.5:80",
    ];
    assert_eq!(leaves("198.51.100.9:1", "192.0.2.2:8005"), shared);
    assert_eq!(
        leaves("198.51.100.9:1", "192.0.2.2:8010"),
        Vec::<String>::new()
    );
}

#[test]
fn on_the_way_out_a_fip_goes_before_a_snat_and_a_long_prefix_before_a_short_one() {
    assert_eq!(
        leaves("10.0.0.1:5", "198.51.100.9:443"),
        ["192.0.2.1:5 > 198.51.100.9:443"]
    );
    assert_eq!(
        leaves("10.0.1.7:5", "198.51.100.9:443"),
        ["192.0.2.1:5 > 198.51.100.9:443"]
    );
    assert_eq!(
        leaves("10.0.2.7:5", "198.51.100.9:443"),
        ["192.0.2.2:5 > 198.51.100.9:443"]
    );
    assert_eq!(
        leaves("[fd00::7]:5", "[2001:db8:9::1]:443"),
        ["[2001:db8::3]:5 > [2001:db8:9::1]:443"]
    );
    assert_eq!(
        leaves("172.16.0.1:5", "198.51.100.9:443"),
        Vec::<String>::new()
    );
}

#[test]
fn an_inside_host_reaches_another_by_its_eip() {
    assert_eq!(
        leaves("10.0.2.7:5", "192.0.2.1:22"),
        ["192.0.2.2:5 > 10.0.0.1:22"]
    );
}

#[test]
fn the_objects_that_match_are_named_and_answers_go_back() {
    let (from, to) = (
        "198.51.100.9:1".parse().unwrap(),
        "192.0.2.1:22".parse().unwrap(),
    );
    let trace = trace(&world(), &Key::new("n", "g"), from, to, Transport::Tcp).unwrap();
    assert_eq!(trace.by, ["FIP t/web: fip f1 192.0.2.1 10.0.0.1 both"]);
    assert_eq!(
        trace.answers,
        ["10.0.0.1:22 > 198.51.100.9:1 leaves as 192.0.2.1:22 > 198.51.100.9:1"]
    );
}
