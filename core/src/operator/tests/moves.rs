//! An EIP goes to another gateway: the old one gives it up before the new one may have it.

use super::agent::Agent;
use super::objects::*;
use super::server::conditions;
use super::stage::{Fate, Stage};
use crate::operator::action::Action;
use crate::operator::event::{Kind, Object};

/// Two gateways, and an EIP with a FIP on the first.
fn two_gateways() -> Stage {
    let mut stage = Stage::new();
    stage.apply(gateway("net", "second", "net/lan2"));
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    stage
}

fn move_to(stage: &mut Stage, eip: &str, gateway: &str) {
    let slot = (Kind::EIP, None, key("tenants", eip));
    stage.server.change(&slot, true, |o| {
        if let Object::EIP(eip) = o {
            eip.spec.gateway.name = gateway.to_owned();
        }
    });
}

fn agent<'a>(stage: &'a mut Stage, gateway: &str) -> &'a mut Agent {
    let mut agents = stage.agents.iter_mut();
    agents
        .find(|a| a.gateway.name == gateway && a.running)
        .unwrap()
}

/// Whether an instance of the gateway has anything of the address in its kernel.
fn holds(stage: &mut Stage, gateway: &str, address: &str) -> bool {
    let kernel = &agent(stage, gateway).kernel;
    kernel
        .iter()
        .any(|line| line.split(' ').any(|word| word == address))
}

/// All that can move moves for a while, whatever agents are stopped.
fn go_on(stage: &mut Stage, mut look: impl FnMut(&mut Stage)) {
    for _ in 0..120 {
        stage.deliver_all();
        stage.poll();
        while stage.execute(0, Fate::Done) {}
        stage.cluster();
        stage.agent_round();
        stage.now.0 += 500;
        look(stage);
    }
}

fn is_ready(stage: &Stage, kind: Kind, name: &str) -> bool {
    stage.condition(kind, "tenants", name, "Ready").0 == "True"
}

#[test]
fn while_the_old_gateway_is_stopped_the_address_is_nobody_elses() {
    for killed in [false, true] {
        let mut stage = two_gateways();
        let before = stage.eip("tenants", "web");
        let address = before.ipv4.clone().unwrap();
        agent(&mut stage, "egress").frozen = true;
        move_to(&mut stage, "web", "second");
        go_on(&mut stage, |stage| {
            assert!(holds(stage, "egress", &address));
            assert!(!holds(stage, "second", &address));
        });
        assert!(!is_ready(&stage, Kind::EIP, "web"));
        assert!(!is_ready(&stage, Kind::FIP, "web"));
        let words = stage
            .server
            .get(Kind::EIP, &key("tenants", "web"))
            .map(|o| {
                let all = conditions(o);
                let ready = all.iter().find(|c| c.type_ == "Ready");
                ready.map(|c| c.message.clone()).unwrap_or_default()
            });
        assert!(
            words
                .as_ref()
                .is_some_and(|w| w.contains("NATGateway net/egress")),
            "{words:?}"
        );
        if killed {
            // Its Pod goes: the kubelet says that its containers are no more.
            let uid = agent(&mut stage, "egress").pod.clone();
            stage.server.delete(&(Kind::Pod, None, uid));
        } else {
            agent(&mut stage, "egress").frozen = false;
        }
        stage.settle();
        let after = stage.eip("tenants", "web");
        assert_eq!((&before.ipv4, &before.ipv6), (&after.ipv4, &after.ipv6));
        assert_eq!(stage.not_ready(), Default::default());
        assert!(holds(&mut stage, "second", &address));
        assert!(!holds(&mut stage, "egress", &address));
    }
}

#[test]
fn an_eip_that_comes_back_waits_for_the_write_that_handed_its_address_over() {
    for lost in [false, true] {
        let mut stage = two_gateways();
        let address = stage.eip("tenants", "web").ipv4.unwrap();
        move_to(&mut stage, "web", "second");
        go_on_without_claims(&mut stage);
        assert!(stage.in_flight.iter().any(hands_over));
        move_to(&mut stage, "web", "egress");
        if lost {
            // The sender has given up; what it sent may land all the same.
            let sent = stage.in_flight.len();
            (0..sent).for_each(|_| assert!(stage.execute(0, Fate::Lost)));
        }
        go_on_without_claims(&mut stage);
        assert!(!holds(&mut stage, "egress", &address));
        assert!(!is_ready(&stage, Kind::EIP, "web"));
        stage.settle();
        assert_eq!(stage.not_ready(), Default::default());
        assert!(holds(&mut stage, "egress", &address));
    }
}

/// All that can move moves for a while, but no write of a claim.
fn go_on_without_claims(stage: &mut Stage) {
    for _ in 0..60 {
        stage.deliver_all();
        stage.poll();
        while let Some(n) = stage.in_flight.iter().position(|a| !hands_over(a)) {
            stage.execute(n, Fate::Done);
        }
        stage.cluster();
        stage.agent_round();
        stage.now.0 += 100;
    }
}

fn hands_over(action: &Action) -> bool {
    matches!(action, Action::UpdateClaim(_))
}

#[test]
fn an_eip_of_which_one_family_was_handed_over_comes_back_with_both() {
    let mut stage = two_gateways();
    move_to(&mut stage, "web", "second");
    go_on_without_claims(&mut stage);
    let under_way = stage.in_flight.iter().filter(|a| hands_over(a)).count();
    assert_eq!(under_way, 2);
    // One lands, of the other nothing is known yet.
    let n = stage.in_flight.iter().position(hands_over).unwrap();
    stage.execute(n, Fate::Done);
    stage.deliver_all();
    move_to(&mut stage, "web", "egress");
    let other = |action: &Action| match action {
        Action::UpdateClaim(claim) => claim.spec.address.contains(':'),
        _ => false,
    };
    for _ in 0..60 {
        stage.deliver_all();
        stage.poll();
        while let Some(n) = stage.in_flight.iter().position(|a| !other(a)) {
            stage.execute(n, Fate::Done);
        }
        stage.cluster();
        stage.agent_round();
        stage.now.0 += 100;
    }
    let address = stage.eip("tenants", "web").ipv4.unwrap();
    assert!(holds(&mut stage, "egress", &address));
    while let Some(n) = stage.in_flight.iter().position(other) {
        stage.execute(n, Fate::Lost);
    }
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
}

#[test]
fn a_late_handover_of_an_earlier_leader_takes_no_address_away() {
    let mut stage = two_gateways();
    let address = stage.eip("tenants", "web").ipv4.unwrap();
    move_to(&mut stage, "web", "second");
    go_on_without_claims(&mut stage);
    let late: Vec<Action> = stage.in_flight.extract_if(.., |a| hands_over(a)).collect();
    assert_eq!(late.len(), 2);
    // The next leader knows nothing of them.
    move_to(&mut stage, "web", "egress");
    stage.restart_operator();
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    assert!(holds(&mut stage, "egress", &address));
    agent(&mut stage, "egress").frozen = true;
    move_to(&mut stage, "web", "second");
    for action in &late {
        let rendered = stage.rendered.clone();
        stage.server.execute(action, &rendered);
    }
    go_on(&mut stage, |stage| {
        assert!(!holds(stage, "second", &address));
    });
    agent(&mut stage, "egress").frozen = false;
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    assert!(holds(&mut stage, "second", &address));
}

#[test]
fn a_new_leader_writes_no_claim_that_is_in_a_header() {
    let mut stage = two_gateways();
    stage.restart_operator();
    for _ in 0..60 {
        stage.deliver_all();
        stage.poll();
        assert!(!stage.in_flight.iter().any(hands_over));
        while stage.execute(0, Fate::Done) {}
        stage.agent_round();
        stage.now.0 += 100;
    }
    assert_eq!(stage.not_ready(), Default::default());
}

#[test]
fn an_eip_is_not_ready_between_two_gateways() {
    let mut stage = two_gateways();
    let address = stage.eip("tenants", "web").ipv4.unwrap();
    move_to(&mut stage, "web", "second");
    let mut between = 0;
    go_on(&mut stage, |stage| {
        let (old, new) = (
            holds(stage, "egress", &address),
            holds(stage, "second", &address),
        );
        assert!(!(old && new));
        if !old && !new {
            between += 1;
            let ready = is_ready(stage, Kind::EIP, "web");
            // What the old one has acknowledged is told at once.
            assert!(!ready || between < 3, "{between}");
        }
    });
    assert!(is_ready(&stage, Kind::EIP, "web") && is_ready(&stage, Kind::FIP, "web"));
    assert!(between > 0);
}

#[test]
fn there_and_back_again_before_the_old_gateway_has_noticed() {
    let mut stage = two_gateways();
    let before = stage.eip("tenants", "web");
    agent(&mut stage, "egress").frozen = true;
    move_to(&mut stage, "web", "second");
    go_on(&mut stage, |_| {});
    move_to(&mut stage, "web", "egress");
    go_on(&mut stage, |_| {});
    agent(&mut stage, "egress").frozen = false;
    stage.settle();
    let after = stage.eip("tenants", "web");
    assert_eq!((before.ipv4, before.ipv6), (after.ipv4, after.ipv6));
    assert_eq!(stage.not_ready(), Default::default());
}

#[test]
fn a_leader_that_dies_during_a_move_leaves_it_to_the_next() {
    for at in 0..12 {
        let mut stage = two_gateways();
        let before = stage.eip("tenants", "web");
        move_to(&mut stage, "web", "second");
        for _ in 0..at {
            stage.deliver_all();
            stage.poll();
            stage.execute(0, Fate::Done);
            stage.agent_round();
        }
        stage.restart_operator();
        stage.settle();
        let after = stage.eip("tenants", "web");
        assert_eq!((before.ipv4, before.ipv6), (after.ipv4, after.ipv6));
        assert_ne!(before.holder, after.holder);
        assert_eq!(stage.not_ready(), Default::default());
    }
}
