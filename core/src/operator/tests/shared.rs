//! SNATs of several EIPs.

use sluice_crds::internal::UnusableAddress;

use super::objects::*;
use super::server::conditions;
use super::stage::Stage;
use crate::entry::{Body, Entry};
use crate::operator::event::{Kind, Object};

const BOTH: [&str; 2] = ["10.244.0.0/16", "fd00:10:244::/64"];

/// A SNAT of two EIPs, one of which has IPv4 only.
fn pool_of_two() -> Stage {
    let mut stage = Stage::new();
    stage.apply(gateway("net", "second", "net/lan2"));
    stage.apply(eip("tenants", "a", "egress"));
    stage.apply(eip_with(
        "tenants",
        "b",
        "egress",
        serde_json::json!({"ipFamilyPolicy": "SingleStack"}),
    ));
    stage.apply(snat_of("tenants", "out", &["a", "b"], &BOTH));
    stage.settle();
    stage
}

/// Source and EIP of what kernels have of SNATs.
fn programmed(stage: &Stage) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = stage
        .agents
        .iter()
        .flat_map(|agent| &agent.kernel)
        .filter_map(|line| match line.parse::<Entry>().unwrap().body {
            Body::Snat {
                source, address, ..
            } => Some((source.to_string(), address.to_string())),
            _ => None,
        })
        .collect();
    all.sort();
    all
}

fn accepted(stage: &Stage) -> String {
    stage.condition(Kind::SNAT, "tenants", "out", "Accepted").1
}

fn message(stage: &Stage, type_: &str) -> String {
    let object = stage
        .server
        .get(Kind::SNAT, &key("tenants", "out"))
        .unwrap();
    let all = conditions(object);
    let found = all.iter().find(|c| c.type_ == type_);
    found.map(|c| c.message.clone()).unwrap_or_default()
}

fn ready(stage: &Stage, kind: Kind, name: &str) -> (String, String) {
    stage.condition(kind, "tenants", name, "Ready")
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn each_family_is_shared_among_the_eips_that_have_it() {
    let stage = pool_of_two();
    assert_eq!(stage.not_ready(), Default::default());
    assert_eq!(ready(&stage, Kind::SNAT, "out"), is("True", "Ready"));
    let (a, b) = (stage.eip("tenants", "a"), stage.eip("tenants", "b"));
    let mut expected = vec![
        (BOTH[0].to_owned(), a.ipv4.unwrap()),
        (BOTH[0].to_owned(), b.ipv4.unwrap()),
        (BOTH[1].to_owned(), a.ipv6.unwrap()),
    ];
    expected.sort();
    assert_eq!(programmed(&stage), expected);
}

#[test]
fn nothing_is_written_in_the_steady_state() {
    let mut stage = pool_of_two();
    let writes = stage.server.writes.len();
    stage.settle();
    stage.restart_operator();
    stage.settle();
    let more = &stage.server.writes[writes..];
    assert!(more.is_empty(), "{more:#?}");
}

#[test]
fn what_is_wrong_with_one_eip_is_said_with_its_name() {
    // Missing, in either place.
    for eips in [["a", "none"], ["none", "a"]] {
        let mut stage = Stage::new();
        stage.apply(eip("tenants", "a", "egress"));
        stage.apply(snat_of("tenants", "out", &eips, &BOTH));
        stage.settle();
        assert_eq!(accepted(&stage), "EIPNotFound");
        assert!(message(&stage, "Accepted").contains("EIP none does not exist"));
        assert!(programmed(&stage).is_empty());
        stage.apply(eip("tenants", "none", "egress"));
        stage.settle();
        assert_eq!(stage.not_ready(), Default::default());
        assert_eq!(programmed(&stage).len(), 4);
    }
    // Not accepted.
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "a", "egress"));
    stage.apply(eip("tenants", "b", "nowhere"));
    stage.apply(snat_of("tenants", "out", &["a", "b"], &BOTH));
    stage.settle();
    assert_eq!(accepted(&stage), "EIPNotAccepted");
    assert!(message(&stage, "Accepted").contains("EIP b is not accepted"));
    assert_eq!(ready(&stage, Kind::EIP, "a"), is("True", "Ready"));
    // Without a family that is asked.
    let mut stage = Stage::new();
    for name in ["a", "b"] {
        let single = serde_json::json!({"ipFamilyPolicy": "SingleStack"});
        stage.apply(eip_with("tenants", name, "egress", single));
    }
    stage.apply(snat_of("tenants", "out", &["a", "b"], &BOTH));
    stage.settle();
    assert_eq!(accepted(&stage), "FamilyMismatch");
    assert!(message(&stage, "Accepted").contains("EIP a, b has IPv4 only"));
}

#[test]
fn eips_of_two_gateways_are_refused_until_they_meet() {
    let mut stage = pool_of_two();
    let slot = |name: &str| (Kind::EIP, None, key("tenants", name));
    let to_second = |o: &mut Object| {
        if let Object::EIP(eip) = o {
            eip.spec.gateway.name = "second".into();
        }
    };
    stage.server.change(&slot("b"), true, to_second);
    stage.settle();
    assert_eq!(accepted(&stage), "GatewayMismatch");
    let words = message(&stage, "Accepted");
    assert!(
        words.contains("net/egress") && words.contains("net/second"),
        "{words}"
    );
    assert!(programmed(&stage).is_empty());
    // Its EIPs are none the worse for it.
    for name in ["a", "b"] {
        assert_eq!(ready(&stage, Kind::EIP, name), is("True", "Ready"));
    }
    stage.server.change(&slot("a"), true, to_second);
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    assert_eq!(programmed(&stage).len(), 3);
}

#[test]
fn a_snat_holds_each_of_its_eips() {
    for name in ["a", "b"] {
        let mut stage = pool_of_two();
        stage.delete(Kind::EIP, "tenants", name);
        stage.settle();
        assert!(stage.exists(Kind::EIP, "tenants", name));
        let said = stage.condition(Kind::EIP, "tenants", name, "Accepted");
        assert_eq!(said, is("True", "DeletionBlocked"));
        // It stays in service, and a new one may not have it.
        assert_eq!(ready(&stage, Kind::SNAT, "out"), is("True", "Ready"));
        assert_eq!(programmed(&stage).len(), 3);
        let late = snat_of("tenants", "late", &["b", "a"], &["10.244.9.0/24"]);
        stage.apply(late);
        stage.settle();
        let said = stage.condition(Kind::SNAT, "tenants", "late", "Accepted");
        assert_eq!(said, is("False", "EIPTerminating"));
        stage.delete(Kind::SNAT, "tenants", "late");
        stage.delete(Kind::SNAT, "tenants", "out");
        stage.settle();
        assert!(!stage.exists(Kind::EIP, "tenants", name));
        assert!(programmed(&stage).is_empty());
    }
}

#[test]
fn a_snat_is_ready_when_all_its_eips_are_usable() {
    for (dead, alive) in [("a", "b"), ("b", "a")] {
        let mut stage = pool_of_two();
        let address = stage.eip("tenants", dead).ipv4.unwrap();
        let agent = stage
            .agents
            .iter_mut()
            .find(|a| a.gateway.name == "egress")
            .unwrap();
        agent.unusable = vec![UnusableAddress {
            address: address.clone(),
            reason: "InterfaceDown".into(),
            message: "its uplink is down".into(),
        }];
        stage.settle();
        assert_eq!(ready(&stage, Kind::EIP, dead), is("False", "InterfaceDown"));
        assert_eq!(ready(&stage, Kind::EIP, alive), is("True", "Ready"));
        assert_eq!(
            ready(&stage, Kind::SNAT, "out"),
            is("False", "InterfaceDown")
        );
        assert!(message(&stage, "Ready").contains(&address));
        let agent = stage
            .agents
            .iter_mut()
            .find(|a| a.gateway.name == "egress")
            .unwrap();
        agent.unusable.clear();
        stage.settle();
        assert_eq!(stage.not_ready(), Default::default());
    }
}

#[test]
fn of_two_snats_with_one_source_the_older_has_it_whichever_eips_they_share() {
    let mut stage = pool_of_two();
    stage.apply(snat_of("tenants", "younger", &["b", "a"], &[BOTH[0]]));
    stage.settle();
    let said = stage.condition(Kind::SNAT, "tenants", "younger", "Accepted");
    assert_eq!(said, is("False", "Conflict"));
    stage.delete(Kind::SNAT, "tenants", "out");
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    assert_eq!(programmed(&stage).len(), 2);
}
