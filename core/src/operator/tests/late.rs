//! EIPs that come to a gateway which is being deleted.

use super::objects::*;
use super::stage::{Fate, Stage};
use crate::operator::event::{ChildKind, Kind, Object};

fn said(stage: &Stage, eip: &str) -> (String, String) {
    stage.condition(Kind::EIP, "tenants", eip, "Accepted")
}

fn is_ready(stage: &Stage, eip: &str) -> bool {
    stage.condition(Kind::EIP, "tenants", eip, "Ready").0 == "True"
}

fn stands(stage: &Stage) -> bool {
    let gateway = key("net", "egress");
    stage.server.get(Kind::NATGateway, &gateway).is_some()
}

const REFUSED: (&str, &str) = ("False", "GatewayNotFound");

fn refused(stage: &Stage, eip: &str) -> bool {
    let (status, reason) = said(stage, eip);
    (status.as_str(), reason.as_str()) == REFUSED
}

#[test]
fn a_gateway_that_is_being_deleted_serves_on_and_takes_no_eip() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "old", "egress"));
    stage.settle();
    stage.delete(Kind::NATGateway, "net", "egress");
    stage.settle();
    stage.apply(eip("tenants", "late", "egress"));
    stage.settle();
    assert!(is_ready(&stage, "old"), "what it has, it serves");
    assert!(refused(&stage, "late"), "{:?}", said(&stage, "late"));
    stage.delete(Kind::EIP, "tenants", "old");
    stage.settle();
    assert!(!stands(&stage), "the late one held it");
    stage.apply(gateway("net", "egress", "net/lan"));
    stage.settle();
    assert!(is_ready(&stage, "late"), "{:?}", said(&stage, "late"));
}

#[test]
fn an_eip_that_comes_while_the_gateway_goes_does_not_hold_it() {
    for steps in 0..40 {
        let mut stage = Stage::new();
        stage.settle();
        stage.delete(Kind::NATGateway, "net", "egress");
        advance(&mut stage, steps);
        stage.apply(eip("tenants", "late", "egress"));
        stage.settle();
        assert!(!stands(&stage), "after {steps} steps");
        assert!(refused(&stage, "late"), "after {steps} steps");
    }
}

#[test]
fn an_eip_whose_claim_is_on_its_way_is_served_or_refused() {
    let mut seen = [false; 2];
    for steps in 0..60 {
        let mut stage = Stage::new();
        stage.settle();
        stage.apply(eip("tenants", "web", "egress"));
        advance(&mut stage, steps);
        stage.delete(Kind::NATGateway, "net", "egress");
        stage.settle();
        let served = is_ready(&stage, "web");
        assert_eq!(served, stands(&stage), "after {steps} steps");
        assert_ne!(served, refused(&stage, "web"), "after {steps} steps");
        seen[usize::from(served)] = true;
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn a_gateway_that_is_being_deleted_and_serves_gets_its_deployment_back() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    stage.delete(Kind::NATGateway, "net", "egress");
    stage.settle();
    let child = (
        Kind::Child,
        Some(ChildKind::Deployment),
        key("net", "sluice-egress"),
    );
    assert!(stage.server.delete(&child));
    stage.settle();
    assert!(is_ready(&stage, "web"));
    assert!(stage.server.objects.contains_key(&child));
}

#[test]
fn an_eip_that_comes_back_to_a_gateway_that_goes_is_served_or_refused() {
    let mut seen = [false; 2];
    let all = (0..24).step_by(6);
    for (away, steps) in all.flat_map(|away| (0..40).step_by(5).map(move |s| (away, s))) {
        let mut stage = Stage::new();
        stage.apply(gateway("net", "second", "net/lan2"));
        stage.apply(eip("tenants", "web", "egress"));
        stage.settle();
        move_to(&mut stage, "second");
        advance(&mut stage, away);
        stage.delete(Kind::NATGateway, "net", "egress");
        advance(&mut stage, steps);
        move_to(&mut stage, "egress");
        stage.settle();
        let served = is_ready(&stage, "web");
        let place = format!("deleted after {away} steps, back after {steps}");
        assert_eq!(served, stands(&stage), "{place}");
        assert_ne!(served, refused(&stage, "web"), "{place}");
        seen[usize::from(served)] = true;
    }
    assert_eq!(seen, [true, true]);
}

fn move_to(stage: &mut Stage, gateway: &str) {
    let slot = (Kind::EIP, None, key("tenants", "web"));
    stage.server.change(&slot, true, |o| {
        if let Object::EIP(eip) = o {
            eip.spec.gateway.name = gateway.to_owned();
        }
    });
}

/// Lets the operator take that many steps, the cluster and agents with it.
fn advance(stage: &mut Stage, steps: usize) {
    for step in 0..steps {
        stage.deliver_all();
        stage.poll();
        stage.execute(0, Fate::Done);
        if step % 4 == 3 {
            stage.cluster();
            stage.agent_round();
        }
    }
}
