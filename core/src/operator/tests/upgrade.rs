//! An upgrade of the operator rolls a few gateways at a time.

use super::objects::*;
use super::server::slot_of;
use super::stage::{Fate, Stage};
use crate::operator::event::{Kind, Object};

const GATEWAYS: usize = 8;

/// Gateways that serve, their pods ready.
fn fleet() -> Stage {
    let mut stage = Stage::new();
    for n in 1..GATEWAYS {
        let lan = format!("lan-{n}");
        let next_hop = format!("10.{n}.0.254/16");
        stage.apply(attachment("net", &lan, &[&next_hop]));
        stage.apply(gateway("net", &format!("gw{n}"), &format!("net/{lan}")));
    }
    stage.settle();
    ready(&mut stage);
    stage.settle();
    stage
}

/// The kubelets report every pod ready.
fn ready(stage: &mut Stage) {
    let pods: Vec<_> = stage.server.all(Kind::Pod).map(slot_of).collect();
    for pod in pods {
        stage.server.change(&pod, false, |o| {
            if let Object::Pod(pod) = o {
                pod.ready = true;
            }
        });
    }
}

/// Goes on for a while; Deployments that were replaced meanwhile.
fn replaced(stage: &mut Stage, ms: u64) -> usize {
    let from = stage.server.writes.len();
    for _ in 0..ms / 100 {
        stage.deliver_all();
        stage.poll();
        while stage.execute(0, Fate::Done) {}
        stage.agent_round();
        stage.now.0 += 100;
    }
    stage.server.writes[from..]
        .iter()
        .filter(|w| *w == "child Deployment")
        .count()
}

fn upgrade(stage: &mut Stage) {
    stage.rendered = "render-2".into();
    stage.restart_operator();
}

/// The Deployments that are new replace their pods.
fn next_pods(stage: &mut Stage) {
    let new: Vec<_> = stage
        .server
        .all(Kind::Child)
        .filter_map(|o| match o {
            Object::Child(c) if c.digest == "render-2" => Some(c.gateway_uid.clone()),
            _ => None,
        })
        .collect();
    let pods: Vec<_> = stage
        .server
        .all(Kind::Pod)
        .filter(|o| matches!(o, Object::Pod(p) if new.contains(&p.gateway_uid)))
        .map(slot_of)
        .collect();
    for pod in pods {
        stage.server.delete(&pod);
    }
    stage.cluster();
    stage.cluster();
}

#[test]
fn no_more_than_three_gateways_are_rolled_at_once() {
    let mut stage = fleet();
    upgrade(&mut stage);
    assert_eq!(replaced(&mut stage, 10_000), 3);
    next_pods(&mut stage);
    assert_eq!(replaced(&mut stage, 60_000), 0, "three do not serve yet");
    // A new leader does not begin with others.
    stage.restart_operator();
    assert_eq!(replaced(&mut stage, 60_000), 0);
    ready(&mut stage);
    assert_eq!(replaced(&mut stage, 10_000), 3);
    next_pods(&mut stage);
    replaced(&mut stage, 2_000);
    ready(&mut stage);
    assert_eq!(replaced(&mut stage, 10_000), GATEWAYS - 6);
}

#[test]
fn gateways_that_do_not_come_up_hold_up_the_others_for_ten_minutes_only() {
    let mut stage = fleet();
    upgrade(&mut stage);
    assert_eq!(replaced(&mut stage, 10_000), 3);
    next_pods(&mut stage);
    assert_eq!(replaced(&mut stage, 580_000), 0);
    assert_eq!(replaced(&mut stage, 30_000), 3);
}
