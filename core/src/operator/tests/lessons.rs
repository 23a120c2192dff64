//! What others got wrong, and is promised here: overrides of Nodes, next hops' MACs, and
//! texts of users that stop nobody else.

use proptest::prelude::*;
use serde_json::json;
use sluice_crds::internal::{ConfigNode, NeighbourChange, Problem};

use super::objects::*;
use super::stage::Stage;
use crate::operator::event::{Kind, Object};

fn annotate(stage: &mut Stage, name: &str, text: Option<&str>) {
    let node = (Kind::Node, None, key("", name));
    stage.server.change(&node, false, |o| {
        if let Object::Node(node) = o {
            node.uplink_address = text.map(str::to_owned);
        }
    });
    stage.settle();
}

fn nodes(stage: &Stage) -> Vec<ConfigNode> {
    match stage.server.get(Kind::GatewayConfig, &key("net", "egress")) {
        Some(Object::GatewayConfig(header)) => header.spec.settings.nodes.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn r_upl_the_annotation_of_the_pods_node_reaches_the_agent_as_it_was_written() {
    let mut stage = Stage::new();
    stage.settle();
    let on = stage.agents[0].node.clone();
    let other = if on == "n1" { "n2" } else { "n1" };
    assert_eq!(nodes(&stage), []);
    annotate(&mut stage, other, Some("2001:db8:1::9"));
    assert_eq!(nodes(&stage), [], "no pod is there");
    // Also what cannot be read: who is there says so.
    for text in ["2001:db8:1::7", "nonsense"] {
        annotate(&mut stage, &on, Some(text));
        let uplink_address = text.to_owned();
        let name = on.clone();
        assert_eq!(
            nodes(&stage),
            [ConfigNode {
                name,
                uplink_address
            }]
        );
    }
    annotate(&mut stage, &on, None);
    assert_eq!(nodes(&stage), []);
    // Inputs are never written by us.
    annotate(&mut stage, &on, Some("2001:db8:1::7"));
    stage.settle();
    let Some(Object::Node(node)) = stage.server.get(Kind::Node, &key("", &on)) else {
        panic!("no node")
    };
    assert_eq!(node.uplink_address.as_deref(), Some("2001:db8:1::7"));
}

#[test]
fn r_mac_what_a_next_hop_did_is_an_event_once_and_a_reason_while_it_lasts() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let ready = |stage: &Stage| stage.condition(Kind::NATGateway, "net", "egress", "Ready");
    assert_eq!(ready(&stage).1, "Ready");
    let problem = |reason: &str| Problem {
        reason: reason.into(),
        message: "next hop 10.155.30.1 on eth1".into(),
        blocking: false,
    };
    for reason in [
        "NextHopUnreachable",
        "NextHopMACMismatch",
        "AddressNotOnInterface",
    ] {
        stage.agents[0].problems = vec![problem(reason)];
        stage.now.0 += 2_000;
        stage.settle();
        assert_eq!(ready(&stage), ("True".into(), reason.into()));
        let eip = stage.condition(Kind::EIP, "tenants", "web", "Ready");
        assert_eq!(eip.0, "True", "what is on the link works");
    }
    stage.agents[0].problems.clear();
    let told = |stage: &Stage| {
        let events = stage.announced.iter().filter(|a| a.reason == "MACChanged");
        events.map(|a| a.message.clone()).collect::<Vec<_>>()
    };
    for (changes, message) in [(1, "first"), (1, "first"), (2, "second")] {
        stage.agents[0].neighbours = vec![NeighbourChange {
            interface: "eth1".into(),
            address: Some("10.155.30.1".into()),
            changes,
            mismatch_ms: 0,
            message: message.into(),
        }];
        stage.now.0 += 2_000;
        stage.settle();
    }
    assert_eq!(told(&stage), ["first", "second"]);
    assert_eq!(ready(&stage).1, "Ready");
}

#[test]
fn r_evt_an_event_of_an_eip_says_both_families() {
    let mut stage = Stage::new();
    // A first holder makes one Event for all that it brings: let that pass.
    stage.apply(eip("tenants", "early", "egress"));
    stage.settle();
    stage.now.0 += 5_000;
    stage.settle();
    let v6 = json!({"ipFamilies": ["IPv6"]});
    stage.apply(eip_with("tenants", "six", "egress", v6));
    stage.apply(eip("tenants", "both", "egress"));
    for _ in 0..3 {
        stage.settle();
        stage.now.0 += 5_000;
    }
    stage.settle();
    let of_eips = stage.announced.iter().filter(|a| a.kind == Kind::EIP);
    let of_eips: Vec<&str> = of_eips.map(|a| a.message.as_str()).collect();
    assert!(
        of_eips.iter().any(|m| m.starts_with("ipv4=- ipv6=2001:")),
        "{of_eips:?}"
    );
    assert!(
        of_eips
            .iter()
            .any(|m| m.starts_with("ipv4=10.") && m.contains(" ipv6=2001:")),
        "{of_eips:?}"
    );
    assert!(
        of_eips
            .iter()
            .all(|m| m.contains("ipv4=") && m.contains("ipv6="))
    );
}

/// What somebody may write where an address, a prefix, a range, a port or a time is asked.
fn text() -> impl Strategy<Value = String> {
    let known = [
        "",
        "32,128",
        "128",
        "/129",
        "10.0.0.0/129",
        "::/0",
        "0.0.0.0/0",
        "10.0.0.1/33",
        "2001:db8::/129",
        "+24",
        "10.0.0.0/+8",
        "10.0.0.0/024",
        "::ffff:192.0.2.1",
        "10.155.30.205",
        "10.155.30.0/24",
        "2001:db8:1::e:5",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "fe80::1%eth0",
        "10.155.30.250-10.155.30.200",
        "::-ffff:ffff::",
        "0-65536",
        "65535-1",
        "*",
        "-1",
        "99999999999999999999",
        "18446744073709551616s",
        "60s",
        "0s",
        "9223372036854775807m",
        "\u{0}",
        "\u{ff11}",
        "10.0.0.0/8/8",
        "0.0.0.0/1",
        "8000::/1",
        "::/1",
    ];
    prop_oneof![
        prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        "[0-9a-f:./,s*+-]{0,24}",
        ".{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Admission refuses these; here nothing stands between a user and the operator.
    #[test]
    fn r_pfx_whatever_a_user_writes_stops_no_process_and_nobody_else(
        t in prop::collection::vec(text(), 16),
    ) {
        let mut stage = Stage::new();
        stage.unchecked = true;
        let odd = |kind: &str, namespace: &str, spec: serde_json::Value| json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": kind,
            "metadata": {"namespace": namespace, "name": "odd"}, "spec": spec,
        });
        let pool = odd("EIPPool", "", json!({
            "network": "odd", "cooldown": t[0],
            "subnets": [{"cidr": t[1], "gateway": t[2], "ranges": [t[3], t[4]], "exclude": [t[5]]}],
        }));
        let gateway = odd("NATGateway", "net", json!({
            "uplinks": [{"name": "odd", "pools": ["odd"], "networkAttachment": "net/external",
                         "address": {"ipv4": t[6], "ipv6": t[7]}}],
            "lan": {"networkAttachment": "net/lan2", "addresses": [t[8]], "routes": [{"to": t[9], "via": t[10]}]},
            "allowedTargets": [{"namespaces": {"from": "All"}, "cidrs": [t[11]]}],
            "neighbours": {"probeInterval": t[0]},
        }));
        let fip = odd("FIP", "tenants", json!({"eip": {"name": "good"}, "target": {"ips": [t[12], t[13]]}}));
        let dnat = odd("DNAT", "tenants", json!({
            "eip": {"name": "good"}, "ports": t[14], "targets": [{"ips": [t[12]]}], "targetPorts": t[15],
        }));
        let snat = odd("SNAT", "tenants", json!({"eips": [{"name": "good"}], "sources": [t[11], t[9]]}));
        stage.apply(Object::EIPPool(from(pool)));
        stage.apply(Object::NATGateway(from(gateway)));
        stage.apply(eip_with("tenants", "odd", "odd", json!({})));
        let asks = json!({"ipFamilyPolicy": "PreferDualStack", "addresses": [t[12], t[13]]});
        stage.apply(eip_with("tenants", "asks", "egress", asks));
        stage.apply(eip("tenants", "good", "egress"));
        stage.apply(Object::FIP(from(fip)));
        stage.apply(Object::DNAT(from(dnat)));
        stage.apply(Object::SNAT(from(snat)));
        stage.apply(eip("tenants", "other", "egress"));
        stage.apply(super::objects::fip("tenants", "good", "other", 7));
        for _ in 0..3 {
            stage.settle();
            stage.now.0 += 2_000;
        }
        stage.settle();
        for (kind, name) in [(Kind::EIP, "other"), (Kind::FIP, "good")] {
            let ready = stage.condition(kind, "tenants", name, "Ready");
            prop_assert_eq!(ready.0, "True", "{:?} {} of {:?}", kind, name, t);
        }
    }
}

/// A pool of one address that rests for ten minutes.
fn one_address(stage: &mut Stage) {
    let pool = (Kind::EIPPool, None, key("", "external"));
    stage.server.change(&pool, true, |o| {
        if let Object::EIPPool(pool) = o {
            pool.spec.cooldown = "600s".to_owned();
            pool.spec.subnets[0].ranges = vec!["10.155.30.200".to_owned()];
        }
    });
    stage.settle();
}

#[test]
fn r_ipam_a_freed_address_rests_before_another_gets_it() {
    let mut stage = Stage::new();
    one_address(&mut stage);
    stage.apply(eip_with("tenants", "first", "egress", json!({})));
    stage.settle();
    let first = stage.eip("tenants", "first").ipv4;
    assert_eq!(first.as_deref(), Some("10.155.30.200"));
    stage.delete(Kind::EIP, "tenants", "first");
    stage.settle();
    stage.apply(eip_with("tenants", "second", "egress", json!({})));
    stage.now.0 += 300_000;
    stage.settle();
    assert_eq!(stage.eip("tenants", "second").ipv4, None, "it rests");
    stage.now.0 += 400_000;
    stage.settle();
    assert_eq!(stage.eip("tenants", "second").ipv4, first);
}
