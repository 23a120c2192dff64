//! What does not fit or is somebody else's is said, and what stands goes on.

use super::objects::*;
use super::stage::Stage;
use crate::identity::Uid;
use crate::operator::event::{Kind, LeaseFacts, Object};

fn gateway_says(stage: &Stage, type_: &str) -> (String, String) {
    stage.condition(Kind::NATGateway, "net", "egress", type_)
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.into(), reason.into())
}

#[test]
fn a_config_with_too_many_slices_is_said_and_the_last_good_one_stays() {
    let mut stage = Stage::new();
    stage.settings.slices_max = 1;
    stage.restart_operator();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    // Three hundred entries are two slices at least.
    for n in 0..300 {
        stage.apply(dnat(
            "tenants",
            &format!("d{n}"),
            "web",
            &format!("{}", 1_000 + n),
        ));
    }
    stage.settle();
    assert_eq!(gateway_says(&stage, "Programmed"), is("False", "TooLarge"));
    assert_eq!(gateway_says(&stage, "Ready"), is("True", "Ready"));
    let header = match stage.server.get(Kind::GatewayConfig, &key("net", "egress")) {
        Some(Object::GatewayConfig(header)) => header.clone(),
        _ => panic!("no header"),
    };
    assert!(header.spec.slices.len() <= 1);
    for n in 0..250 {
        stage.delete(Kind::DNAT, "tenants", &format!("d{n}"));
    }
    stage.settings.slices_max = 2_048;
    stage.restart_operator();
    stage.settle();
    assert_eq!(gateway_says(&stage, "Programmed"), is("True", "Programmed"));
    assert_eq!(stage.not_ready(), Default::default());
}

#[test]
fn a_lease_of_somebody_else_is_named_and_made_anew_when_it_is_gone() {
    let mut stage = Stage::bare();
    stage.apply(pool("external"));
    stage.apply(Object::Lease(LeaseFacts {
        key: key("net", "sluice-egress"),
        uid: Uid::new(""),
        resource_version: String::new(),
        gateway_uid: Uid::new(""),
        holder: "a person".into(),
        transitions: 3,
        duration_secs: 15,
        renew_time: String::new(),
        acquire_time: String::new(),
        deleting: false,
    }));
    // The watch shows only what is labelled.
    stage.server.log.remove(&Kind::Lease);
    stage.apply(gateway("net", "egress", "net/lan"));
    stage.settle();
    assert_eq!(
        gateway_says(&stage, "Programmed"),
        is("False", "LeaseTaken")
    );
    stage
        .server
        .objects
        .remove(&(Kind::Lease, None, key("net", "sluice-egress")));
    stage.now.0 += 10_000;
    for _ in 0..40 {
        stage.settle();
        stage.now.0 += 500;
    }
    assert_eq!(gateway_says(&stage, "Ready"), is("True", "Ready"));
}

#[test]
fn rules_of_other_namespaces_point_where_the_gateway_says_and_nowhere_else() {
    let mut stage = Stage::new();
    stage
        .server
        .change(&(Kind::NATGateway, None, key("net", "egress")), true, |o| {
            if let Object::NATGateway(gateway) = o {
                gateway.spec.allowed_targets.clear();
            }
        });
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(eip("net", "own", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.apply(fip("net", "own", "own", 6));
    stage.settle();
    assert_eq!(
        stage.condition(Kind::FIP, "tenants", "web", "Accepted"),
        is("False", "TargetNotAllowed")
    );
    assert_eq!(
        stage.condition(Kind::FIP, "net", "own", "Ready"),
        is("True", "Ready")
    );
    // One family is not enough.
    let allow = |stage: &mut Stage, cidrs: &[&str]| {
        let allowed = serde_json::json!({"namespaces": {"from": "All"}, "cidrs": cidrs});
        stage
            .server
            .change(&(Kind::NATGateway, None, key("net", "egress")), true, |o| {
                if let Object::NATGateway(gateway) = o {
                    gateway.spec.allowed_targets = vec![serde_json::from_value(allowed).unwrap()];
                }
            });
        stage.settle();
    };
    allow(&mut stage, &["10.244.0.0/24"]);
    assert_eq!(
        stage.condition(Kind::FIP, "tenants", "web", "Accepted"),
        is("False", "TargetNotAllowed")
    );
    allow(&mut stage, &["10.244.0.0/24", "fd00:10:244::/64"]);
    assert_eq!(
        stage.condition(Kind::FIP, "tenants", "web", "Ready"),
        is("True", "Ready")
    );
}
