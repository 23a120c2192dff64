//! Configurations as users write them.

use serde_json::json;

use super::*;

fn read(config: Value) -> Result<Vec<String>, String> {
    gateways(&config.to_string())
}

#[test]
fn host_local_ranges_give_one_gateway_per_family() {
    let config = json!({"plugins": [{"type": "bridge", "ipam": {"type": "host-local", "ranges": [
        [{"subnet": "10.244.0.0/16", "rangeStart": "10.244.1.1", "gateway": "10.244.0.254"},
         {"subnet": "10.244.0.0/16", "gateway": "10.244.0.254"}],
        [{"subnet": "fd00:10:244::/64", "gateway": "fd00:10:244::fe"}]
    ]}}, {"type": "tuning"}]});
    assert_eq!(
        read(config).unwrap(),
        ["10.244.0.254/16", "fd00:10:244::fe/64"]
    );
}

#[test]
fn host_local_without_gateway_means_the_first_address() {
    let config =
        json!({"type": "macvlan", "ipam": {"type": "host-local", "subnet": "10.1.2.0/24"}});
    assert_eq!(read(config).unwrap(), ["10.1.2.1/24"]);
    let config = json!({"ipam": {"type": "host-local", "ranges": [[{"subnet": "fd00::/64"}]]}});
    assert_eq!(read(config).unwrap(), ["fd00::1/64"]);
}

#[test]
fn static_addresses_and_whereabouts_name_theirs() {
    let config = json!({"ipam": {"type": "static", "addresses": [
        {"address": "10.1.2.7/24", "gateway": "10.1.2.1"}, {"address": "fd00::7/64"}
    ]}});
    assert_eq!(read(config).unwrap(), ["10.1.2.1/24"]);
    let config = json!({"ipam": {"type": "whereabouts", "range": "10.1.2.20-10.1.2.30/24", "gateway": "10.1.2.254"}});
    assert_eq!(read(config).unwrap(), ["10.1.2.254/24"]);
    let config = json!({"ipam": {"type": "whereabouts", "range": "10.1.2.0/24"}});
    assert!(read(config).unwrap().is_empty());
}

#[test]
fn no_ipam_is_no_gateway() {
    assert!(read(json!({"type": "bridge"})).unwrap().is_empty());
    assert!(
        read(json!({"type": "bridge", "ipam": {"type": "dhcp"}}))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn what_is_wrong_is_told_and_nothing_panics() {
    for (config, word) in [
        ("", "empty"),
        ("{", "not JSON"),
        (
            r#"{"ipam":{"type":"host-local","subnet":"10.0.0.0/129"}}"#,
            "no prefix",
        ),
        (
            r#"{"ipam":{"subnet":"10.0.0.0/16","gateway":"fd00::1"}}"#,
            "does not lie in",
        ),
        (
            r#"{"ipam":{"subnet":"10.0.0.0/16","gateway":"::ffff"}}"#,
            "does not lie in",
        ),
        (
            r#"{"ipam":{"subnet":"10.0.0.0/16","gateway":"x"}}"#,
            "no IP address",
        ),
    ] {
        let error = gateways(config).unwrap_err();
        assert!(error.contains(word), "{config}: {error}");
    }
    for config in [
        "[]",
        "1",
        r#"{"plugins":7}"#,
        r#"{"ipam":[]}"#,
        r#"{"ipam":{"ranges":[1,[2]]}}"#,
    ] {
        assert_eq!(gateways(config), Ok(vec![]), "{config}");
    }
}
