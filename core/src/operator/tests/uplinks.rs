//! Gateways with several uplinks.

use super::objects::*;
use super::stage::Stage;
use crate::entry::{Body, Entry};
use crate::operator::event::{Kind, Object};

/// The pool of a second outside network.
fn other_pool() -> Object {
    let Object::EIPPool(mut pool) = pool("other") else {
        unreachable!()
    };
    let mut value = serde_json::to_value(&pool.spec).unwrap();
    value["network"] = "other".into();
    value["subnets"] = serde_json::json!([
        {"cidr": "10.155.40.0/24", "gateway": "10.155.40.1", "ranges": ["10.155.40.200-10.155.40.210"]},
        {"cidr": "2001:db8:3::/64", "gateway": "2001:db8:3::1", "ranges": ["2001:db8:3::e:0/112"]},
    ]);
    pool.spec = serde_json::from_value(value).unwrap();
    Object::EIPPool(pool)
}

/// `egress` with a second uplink, on which the other pool stands.
fn two_uplinks() -> Stage {
    let mut stage = Stage::new();
    stage.apply(other_pool());
    stage.apply(attachment("net", "external2", &[]));
    let slot = (Kind::NATGateway, None, key("net", "egress"));
    stage.server.change(&slot, true, |o| {
        if let Object::NATGateway(gateway) = o {
            let mut second = gateway.spec.uplinks[0].clone();
            second.name = "second".into();
            second.pools = vec!["other".into()];
            second.network_attachment = Some("net/external2".into());
            second.interface = "eth2".into();
            gateway.spec.uplinks.push(second);
        }
    });
    let wanted =
        |pool: &str| serde_json::json!({"pool": pool, "ipFamilyPolicy": "RequireDualStack"});
    stage.apply(eip("tenants", "default", "egress"));
    stage.apply(eip_with("tenants", "a", "egress", wanted("external")));
    stage.apply(eip_with("tenants", "b", "egress", wanted("other")));
    stage.apply(snat_of("tenants", "out", &["a", "b"], &["10.244.0.0/16"]));
    stage.settle();
    stage
}

fn settings(stage: &Stage) -> Vec<(String, String, Vec<String>)> {
    let header = stage.server.get(Kind::GatewayConfig, &key("net", "egress"));
    let Some(Object::GatewayConfig(header)) = header else {
        panic!("no header")
    };
    let uplinks = header.spec.settings.uplinks.iter();
    uplinks
        .map(|u| {
            let cidrs = u.subnets.iter().map(|s| s.cidr.clone()).collect();
            (u.name.clone(), u.interface.clone(), cidrs)
        })
        .collect()
}

#[test]
fn each_eip_stands_on_the_uplink_of_its_pool() {
    let stage = two_uplinks();
    assert_eq!(stage.not_ready(), Default::default());
    let strings = |all: [&str; 2]| all.map(str::to_owned).to_vec();
    assert_eq!(
        settings(&stage),
        [
            (
                "external".into(),
                "eth1".into(),
                strings(["10.155.30.0/24", "2001:db8:1::/64"])
            ),
            (
                "second".into(),
                "eth2".into(),
                strings(["10.155.40.0/24", "2001:db8:3::/64"])
            ),
        ]
    );
    let mut seen = Vec::new();
    for line in stage.agents.iter().flat_map(|agent| &agent.kernel) {
        if let Body::Addr { address, uplink } = line.parse::<Entry>().unwrap().body {
            let text = address.to_string();
            let second = text.starts_with("10.155.40.") || text.starts_with("2001:db8:3:");
            assert_eq!(uplink, if second { "second" } else { "external" }, "{text}");
            seen.push(uplink);
        }
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            "external", "external", "external", "external", "second", "second"
        ]
    );
    // Without a pool of its own, an EIP takes the first of the first uplink.
    assert_eq!(
        stage.eip("tenants", "default").pool.as_deref(),
        Some("external")
    );
}

#[test]
fn an_uplink_that_is_taken_away_leaves_its_eips_unaccepted_and_the_others_ready() {
    let mut stage = two_uplinks();
    let slot = (Kind::NATGateway, None, key("net", "egress"));
    stage.server.change(&slot, true, |o| {
        if let Object::NATGateway(gateway) = o {
            gateway.spec.uplinks.truncate(1);
        }
    });
    stage.settle();
    let said = |kind, name: &str| stage.condition(kind, "tenants", name, "Accepted").1;
    assert_eq!(said(Kind::EIP, "b"), "PoolNotOnGateway");
    assert_eq!(said(Kind::SNAT, "out"), "EIPNotAccepted");
    assert_eq!(stage.not_ready(), Default::default());
    assert_eq!(settings(&stage).len(), 1);
}

#[test]
fn an_uplink_without_its_attachment_is_said_and_the_other_goes_on() {
    let mut stage = two_uplinks();
    stage.delete(Kind::Attachment, "net", "external2");
    stage.settle();
    let said = stage.condition(Kind::NATGateway, "net", "egress", "Accepted");
    assert_eq!(said, ("False".into(), "AttachmentNotFound".into()));
    assert_eq!(
        stage.condition(Kind::EIP, "tenants", "a", "Ready").0,
        "True"
    );
}
