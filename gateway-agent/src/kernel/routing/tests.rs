#![allow(clippy::unwrap_used)]

use super::*;
use crate::kernel::settings::Watch;

fn settings() -> Settings {
    Settings {
        lan: "lan0".into(),
        lan_addresses: vec!["10.244.0.254/16".parse().unwrap()],
        lan_routes: vec![
            (
                "10.99.0.0/16".parse().unwrap(),
                "10.244.0.1".parse().unwrap(),
            ),
            ("10.98.0.0/16".parse().unwrap(), "10.1.1.1".parse().unwrap()),
        ],
        uplinks: vec![Uplink {
            name: "one".into(),
            interface: "eth1".into(),
            number: 3,
            subnets: vec![
                (
                    "192.0.2.0/24".parse().unwrap(),
                    Some("192.0.2.1".parse().unwrap()),
                ),
                (
                    "2001:db8::/64".parse().unwrap(),
                    Some("fe80::1".parse().unwrap()),
                ),
            ],
            ipv4: None,
            ipv6: None,
        }],
        ping_eips: true,
        mss_clamp: None,
        mtus: std::collections::BTreeMap::new(),
        flow_log: false,
        watch: Watch {
            repair: true,
            probe_ms: 2_000,
        },
        nodes: BTreeMap::new(),
    }
}

fn addresses() -> BTreeMap<IpAddr, usize> {
    ["192.0.2.7", "2001:db8::7"]
        .map(|a| (a.parse().unwrap(), 0))
        .into()
}

fn links(uplink_is_up: bool) -> [Link; 2] {
    [
        Link::plain(5, "lan0", true),
        Link::plain(6, "eth1", uplink_is_up),
    ]
}

fn routes(routing: &Routing) -> Vec<String> {
    routing.routes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_holder_has_routes_rules_addresses_and_proxies() {
    let routing = routing(&settings(), &addresses(), &links(true), &[], true);
    assert_eq!(
        routes(&routing),
        [
            "route unreachable 0.0.0.0/0 in table 90",
            "route 10.98.0.0/16 via 10.1.1.1 on interface 5 in table 90",
            "route 10.99.0.0/16 via 10.244.0.1 on interface 5 in table 90",
            "route 10.244.0.0/16 on interface 5 in table 90",
            "route unreachable ::/0 in table 90",
            "route unreachable 0.0.0.0/0 in table 103",
            "route 0.0.0.0/0 via 192.0.2.1 on interface 6 in table 103",
            "route 192.0.2.0/24 on interface 6 in table 103",
            "route unreachable ::/0 in table 103",
            "route ::/0 via fe80::1 on interface 6 in table 103",
            "route 2001:db8::/64 on interface 6 in table 103",
        ]
    );
    assert_eq!(routing.local.len(), 2);
    // R-ADDR: an EIP is one address.
    let lengths: BTreeSet<u8> = routing.local.iter().map(|r| r.to.prefix_len()).collect();
    assert_eq!(lengths, BTreeSet::from([32, 128]));
    let proxies: Vec<_> = routing
        .proxies
        .iter()
        .map(|p| (p.device, p.address))
        .collect();
    assert_eq!(proxies, [(6, "2001:db8::7".parse().unwrap())]);
    assert_eq!(routing.next_hops, [(5, "10.244.0.254/16".parse().unwrap())]);
}

#[test]
fn a_standby_has_routes_and_rules_and_answers_for_nothing() {
    let holder = routing(&settings(), &addresses(), &links(true), &[], true);
    let standby = routing(&settings(), &addresses(), &links(true), &[], false);
    assert_eq!(
        (&standby.routes, &standby.rules),
        (&holder.routes, &holder.rules)
    );
    assert!(standby.local.is_empty() && standby.proxies.is_empty());
    assert!(standby.next_hops.is_empty());
}

#[test]
fn without_its_interface_an_uplink_is_unreachable_and_nothing_else() {
    let gone: &[Link] = &[Link::plain(5, "lan0", true)];
    for links in [&links(false)[..], gone] {
        let routing = routing(&settings(), &addresses(), links, &[], true);
        let uplink = routing.routes.iter().filter(|route| route.table == 103);
        assert!(uplink.clone().all(|route| route.hop == Hop::Unreachable));
        assert_eq!(uplink.count(), 2);
        assert!(routing.proxies.is_empty());
        assert_eq!(
            routing.local.len(),
            2,
            "the rules still refuse what comes in elsewhere"
        );
    }
}

#[test]
fn only_a_next_hop_outside_the_subnets_is_onlink() {
    let routing = routing(&settings(), &addresses(), &links(true), &[], true);
    let onlink = |via: &str| {
        let via: IpAddr = via.parse().unwrap();
        routing.routes.iter().find_map(|route| match route.hop {
            Hop::Link {
                via: Some(hop),
                onlink,
                ..
            } if hop == via => Some(onlink),
            _ => None,
        })
    };
    assert_eq!(onlink("10.244.0.1"), Some(false));
    assert_eq!(onlink("10.1.1.1"), Some(true));
    assert_eq!(onlink("192.0.2.1"), Some(false));
    assert_eq!(onlink("fe80::1"), Some(false));
}

#[test]
fn marks_choose_the_table_of_the_lan_or_the_uplink() {
    let routing = routing(&settings(), &addresses(), &links(true), &[], true);
    let rules: Vec<String> = routing.rules.iter().map(ToString::to_string).collect();
    for wanted in [
        "IPv4 rule 100 iif lo fwmark 0xfe/0xff lookup 90",
        "IPv6 rule 100 iif lan0 fwmark 0x3/0xff lookup 103",
        "IPv4 rule 100 iif lo fwmark 0x3/0xff lookup 103",
        "IPv4 rule 110 from 192.0.2.0/24 iif lo lookup 103",
        "IPv4 rule 120 iif eth1 lookup 90",
        "IPv6 rule 120 iif lan0 lookup 90",
    ] {
        assert!(
            rules.iter().any(|rule| rule == wanted),
            "{wanted}: {rules:#?}"
        );
    }
}

#[test]
fn inside_hosts_on_the_pods_own_interface_are_behind_its_default_routes() {
    let mut settings = settings();
    settings.lan_addresses.clear();
    settings.lan_routes.truncate(1);
    let default = |to: &str, device, via: &str, metric| Route {
        table: 254,
        to: to.parse().unwrap(),
        hop: Hop::Link {
            device,
            via: Some(via.parse().unwrap()),
            onlink: false,
        },
        metric,
    };
    let defaults = [
        default("0.0.0.0/0", 6, "192.0.2.1", 0),
        default("0.0.0.0/0", 5, "10.250.0.2", 9),
        default("0.0.0.0/0", 5, "10.250.0.1", 3),
        default("::/0", 5, "fe80::1", 0),
    ];
    let wanted = routing(&settings, &addresses(), &links(true), &defaults, true);
    let mut all = routes(&wanted);
    all.retain(|route| route.ends_with("interface 5 in table 90"));
    assert_eq!(
        all,
        [
            "route 0.0.0.0/0 via 10.250.0.1 on interface 5 in table 90",
            "route 10.99.0.0/16 via 10.244.0.1 on interface 5 in table 90",
            "route ::/0 via fe80::1 on interface 5 in table 90",
        ]
    );
}
