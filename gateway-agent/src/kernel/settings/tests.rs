#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use sluice_crds::internal::{ConfigLan, ConfigRoute, ConfigSubnet, ConfigUplink};

use super::*;

pub(super) fn good() -> ConfigSettings {
    ConfigSettings::new(
        ConfigLan {
            interface: "lan0".into(),
            addresses: vec!["10.244.0.254/16".into(), "fd00::fe/64".into()],
            routes: vec![ConfigRoute {
                to: "10.99.0.7/16".into(),
                via: "10.244.0.1".into(),
            }],
        },
        vec![uplink("one", "eth1")],
    )
}

fn uplink(name: &str, interface: &str) -> ConfigUplink {
    ConfigUplink {
        name: name.into(),
        interface: interface.into(),
        subnets: vec![
            ConfigSubnet {
                cidr: "192.0.2.0/24".into(),
                gateway: Some("192.0.2.1".into()),
            },
            ConfigSubnet {
                cidr: "2001:db8::/64".into(),
                gateway: None,
            },
        ],
        ipv4: Some("192.0.2.2".into()),
        ipv6: None,
    }
}

#[test]
fn settings_are_parsed_whole() {
    let mut settings = good();
    settings.uplinks.push(uplink("two", "eth2"));
    let parsed = Settings::parse(&settings).unwrap();
    let interfaces: Vec<&str> = parsed.interfaces().collect();
    assert_eq!(interfaces, ["lan0", "eth1", "eth2"]);
    assert_eq!(parsed.uplinks[0].number, 1);
    assert_eq!(parsed.uplinks[1].number, 2);
    assert_eq!(parsed.uplinks[0].ipv4, Some("192.0.2.2".parse().unwrap()));
    assert_eq!(parsed.uplinks[0].subnets[1].1, None);
    // The next hops keep their host part, networks lose it.
    assert_eq!(parsed.lan_addresses[0], "10.244.0.254/16".parse().unwrap());
    assert_eq!(parsed.lan_routes[0].0, "10.99.0.0/16".parse().unwrap());
}

#[test]
fn what_cannot_be_used_is_named_with_its_field() {
    type Spoil = fn(&mut ConfigSettings);
    let cases: [(Spoil, &str, &str); 14] = [
        (|s| s.lan.interface.clear(), "lan.interface", "\"\""),
        (|s| s.lan.interface = "lo".into(), "lan.interface", "lo"),
        (|s| s.lan.interface = "a/b".into(), "lan.interface", "a/b"),
        (
            |s| s.lan.interface = "x".repeat(16),
            "lan.interface",
            "xxxx",
        ),
        (
            |s| s.lan.addresses[0] = "10.244.0.254/33".into(),
            "lan.addresses",
            "/33",
        ),
        (
            |s| s.lan.addresses[0] = "fd00::1/129".into(),
            "lan.addresses",
            "/129",
        ),
        (
            |s| s.lan.routes[0].to = "all".into(),
            "lan.routes.to",
            "all",
        ),
        (
            |s| s.lan.routes[0].via = "fd00::1".into(),
            "lan.routes.via",
            "fd00::1",
        ),
        (
            |s| s.uplinks[0].interface = "lan0".into(),
            "uplinks[0].interface",
            "lan0",
        ),
        (
            |s| s.uplinks.push(uplink("two", "eth1")),
            "uplinks[1].interface",
            "eth1",
        ),
        (
            |s| s.uplinks[0].subnets[0].cidr = "192.0.2.0".into(),
            "uplinks[0].subnets.cidr",
            "192.0.2.0",
        ),
        (
            |s| s.uplinks[0].subnets[0].gateway = Some("2001:db8::1".into()),
            "uplinks[0].subnets.gateway",
            "2001:db8::1",
        ),
        (
            |s| s.uplinks[0].ipv4 = Some("2001:db8::2".into()),
            "uplinks[0].ipv4",
            "2001:db8::2",
        ),
        (
            |s| s.uplinks = (1..10).map(|n| uplink("n", &format!("eth{n}"))).collect(),
            "uplinks",
            "9",
        ),
    ];
    for (spoil, field, value) in cases {
        let mut settings = good();
        spoil(&mut settings);
        let error = Settings::parse(&settings).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{field}: ")), "{error}");
        assert!(error.contains(value), "{error}");
    }
}

#[test]
fn addresses_that_no_eip_can_have_are_unfit() {
    for bad in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:192.0.2.1",
        "fe80::1",
        "ff02::1",
    ] {
        assert!(unfit(bad.parse().unwrap()).is_some(), "{bad}");
    }
    for good in [
        "192.0.2.1",
        "10.0.0.1",
        "223.255.255.255",
        "2001:db8::1",
        "fd00::1",
    ] {
        assert_eq!(unfit(good.parse().unwrap()), None, "{good}");
    }
}
