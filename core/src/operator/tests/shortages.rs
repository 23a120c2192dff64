//! What runs short while it still works: told by SNATs, which stay Ready.

use sluice_crds::internal::Shortage;

use super::objects::*;
use super::stage::Stage;
use crate::operator::action::Announcement;
use crate::operator::event::{Kind, Object};

/// Two SNATs with EIPs of their own, and a FIP and a DNAT beside.
fn two_snats() -> Stage {
    let mut stage = Stage::new();
    for name in ["a", "b"] {
        stage.apply(eip("tenants", name, "egress"));
    }
    let both = |n: u8| {
        [
            format!("10.244.{n}.0/24"),
            format!("fd00:10:244::{n}:0/112"),
        ]
    };
    for (n, name) in [(1, "a"), (2, "b")] {
        let sources = both(n);
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        stage.apply(snat_of("tenants", name, &[name], &sources));
    }
    stage.settle();
    stage.announced.clear();
    stage
}

fn report(stage: &mut Stage, shortages: &[Shortage]) {
    for agent in &mut stage.agents {
        agent.shortages = shortages.to_vec();
    }
    stage.settle();
}

fn low(address: &str) -> Shortage {
    Shortage {
        address: address.to_owned(),
        reason: "PortsLow".to_owned(),
        rule: None,
        message: format!("the ports of {address} run short"),
    }
}

fn ready(stage: &Stage, name: &str) -> (String, String) {
    stage.condition(Kind::SNAT, "tenants", name, "Ready")
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

/// Kind, name and reason.
fn told(all: &[Announcement]) -> Vec<(Kind, &str, &str, bool)> {
    all.iter()
        .map(|a| (a.kind, a.key.name.as_str(), a.reason, a.warning))
        .collect()
}

#[test]
fn an_eip_short_of_ports_is_told_by_its_snats_until_it_is_not_any_more() {
    let mut stage = two_snats();
    let short = stage.eip("tenants", "a");
    for address in [short.ipv4.unwrap(), short.ipv6.unwrap()] {
        report(&mut stage, &[low(&address)]);
        assert_eq!(ready(&stage, "a"), is("True", "PortsLow"));
        assert_eq!(ready(&stage, "b"), is("True", "Ready"));
        let said = stage.condition(Kind::EIP, "tenants", "a", "Ready");
        assert_eq!(said, is("True", "Ready"));
        report(&mut stage, &[]);
        assert_eq!(ready(&stage, "a"), is("True", "Ready"));
        assert_eq!(
            told(&stage.announced),
            [
                (Kind::SNAT, "a", "PortsLow", true),
                (Kind::SNAT, "a", "Ready", false)
            ]
        );
        stage.announced.clear();
    }
}

#[test]
fn a_limit_that_is_reached_is_told_by_its_own_snat_only() {
    let mut stage = two_snats();
    let also = snat_of("tenants", "also", &["a"], &["10.244.3.0/24"]);
    stage.apply(also);
    stage.settle();
    stage.announced.clear();
    let also = stage.server.get(Kind::SNAT, &key("tenants", "also"));
    let Some(Object::SNAT(also)) = also else {
        panic!("it is not there")
    };
    let uid = also.metadata.uid.clone().unwrap();
    let address = stage.eip("tenants", "a").ipv4.unwrap();
    let reached = Shortage {
        reason: "PortsPerSourceReached".to_owned(),
        rule: Some(uid),
        ..low(&address)
    };
    report(&mut stage, &[reached]);
    assert_eq!(ready(&stage, "also"), is("True", "PortsPerSourceReached"));
    assert_eq!(ready(&stage, "a"), is("True", "Ready"));
}

#[test]
fn many_that_run_short_at_once_make_one_event() {
    let mut stage = two_snats();
    for n in 10..20 {
        let name = format!("s{n}");
        let sources = format!("10.244.{n}.0/24");
        stage.apply(snat_of("tenants", &name, &["a"], &[&sources]));
    }
    stage.settle();
    stage.announced.clear();
    let address = stage.eip("tenants", "a").ipv4.unwrap();
    report(&mut stage, &[low(&address)]);
    assert_eq!(
        told(&stage.announced),
        [(Kind::NATGateway, "egress", "ReadyChanged", true)]
    );
    let message = &stage.announced[0].message;
    assert_eq!(message, "11 SNAT Ready and short of ports");
}

#[test]
fn a_limit_stands_in_the_entries_of_all_eips_and_families() {
    let mut stage = two_snats();
    let Object::SNAT(mut snat) = snat_of("tenants", "a", &["a"], &["10.244.1.0/24"]) else {
        unreachable!()
    };
    snat.metadata.name = Some("limited".to_owned());
    snat.spec.sources = vec!["10.244.9.0/24".into(), "fd00:10:244::9:0/112".into()];
    snat.spec.ports_per_source = Some(100);
    stage.apply(Object::SNAT(snat));
    stage.settle();
    assert_eq!(ready(&stage, "limited"), is("True", "Ready"));
    let kernel = stage.agents.iter().flat_map(|agent| &agent.kernel);
    let limited = kernel.filter(|line| line.starts_with("snat ") && line.ends_with(" 100"));
    assert_eq!(limited.count(), 2);
}
