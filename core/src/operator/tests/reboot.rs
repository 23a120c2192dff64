//! A node boots anew, or a pod goes on as another instance: what the operator
//! concludes, whatever comes first.

use super::objects::*;
use super::stage::{Fate, Stage};
use crate::operator::event::{Event, Kind, Object};

fn serving() -> Stage {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    stage.server.writes.clear();
    stage
}

fn node(stage: &Stage) -> String {
    stage.agents[0].node.clone()
}

/// All goes on for a while; events of some kinds do not arrive.
fn without(stage: &mut Stage, late: &[Kind], agents: bool) {
    for _ in 0..60 {
        for kind in Kind::ALL.iter().filter(|k| !late.contains(k)) {
            stage.deliver(*kind, usize::MAX);
        }
        stage.poll();
        while stage.execute(0, Fate::Done) {}
        if agents {
            stage.agent_round();
        }
        stage.cluster();
        stage.now.0 += 50;
    }
}

fn holder(stage: &Stage) -> String {
    match stage.server.get(Kind::Lease, &key("net", "sluice-egress")) {
        Some(Object::Lease(lease)) => lease.holder.clone(),
        _ => panic!("no Lease"),
    }
}

fn ready(stage: &Stage) -> String {
    stage.condition(Kind::EIP, "tenants", "web", "Ready").0
}

fn deleted_reports(stage: &Stage) -> Vec<&String> {
    let writes = stage.server.writes.iter();
    writes
        .filter(|w| w.starts_with("delete (GatewayInstance"))
        .collect()
}

#[test]
fn a_node_as_it_was_before_takes_no_lease_away() {
    let mut stage = serving();
    let node = node(&stage);
    for _ in 0..2 {
        stage.reboot(&node);
        stage.settle();
    }
    let now = holder(&stage);
    stage.repeat(Kind::Node, 1);
    stage.settle();
    assert_eq!((holder(&stage), ready(&stage)), (now, "True".to_owned()));
}

#[test]
fn a_report_that_overtakes_its_node_is_not_taken_for_dead() {
    let mut stage = serving();
    let node = node(&stage);
    stage.reboot(&node);
    without(&mut stage, &[Kind::Node], true);
    let new = stage.agents[0].instance.clone();
    assert_eq!(deleted_reports(&stage), Vec::<&String>::new());
    assert_eq!(holder(&stage), new);
    assert_eq!(ready(&stage), "True");
    stage.settle();
    assert_eq!(deleted_reports(&stage), Vec::<&String>::new());
    assert_eq!((holder(&stage), ready(&stage)), (new, "True".into()));
}

#[test]
fn a_node_that_overtakes_the_report_ends_the_old_instance() {
    let mut stage = serving();
    let (node, old) = (node(&stage), holder(&stage));
    stage.reboot(&node);
    without(&mut stage, &[Kind::GatewayInstance], false);
    assert_eq!(holder(&stage), "", "{old} cannot answer any more");
    assert_eq!(ready(&stage), "False");
    stage.settle();
    assert_eq!(ready(&stage), "True");
    assert_eq!(holder(&stage), stage.agents[0].instance);
}

#[test]
fn a_lease_that_overtakes_the_report_is_not_taken_away() {
    let mut stage = serving();
    let node = node(&stage);
    stage.reboot(&node);
    // The old holder's Lease is emptied, and the new instance takes it.
    without(&mut stage, &[Kind::GatewayInstance], true);
    let new = stage.agents[0].instance.clone();
    assert_eq!(holder(&stage), new);
    stage.server.writes.clear();
    without(&mut stage, &[Kind::GatewayInstance], true);
    assert_eq!(holder(&stage), new);
    let taken: Vec<_> = stage.server.writes.iter().collect();
    assert!(!taken.iter().any(|w| w.starts_with("lease")), "{taken:#?}");
    stage.settle();
    assert_eq!((holder(&stage), ready(&stage)), (new, "True".into()));
}

#[test]
fn a_taint_of_the_boot_before_takes_no_lease_away() {
    let mut stage = serving();
    let node = node(&stage);
    let slot = (Kind::Node, None, key("", &node));
    let taint = |stage: &mut Stage, on| {
        stage.server.change(&slot, false, |o| {
            if let Object::Node(node) = o {
                node.out_of_service = on;
            }
        })
    };
    taint(&mut stage, true);
    without(&mut stage, &[], false);
    assert_eq!(holder(&stage), "", "what ran there is over");
    taint(&mut stage, false);
    stage.reboot(&node);
    // The operator still sees the Node as it was.
    without(&mut stage, &[Kind::Node], true);
    let new = stage.agents[0].instance.clone();
    stage.server.writes.clear();
    without(&mut stage, &[Kind::Node], true);
    assert_eq!(holder(&stage), new);
    let taken: Vec<_> = stage.server.writes.iter().collect();
    assert!(!taken.iter().any(|w| w.starts_with("lease")), "{taken:#?}");
    stage.settle();
    assert_eq!((holder(&stage), ready(&stage)), (new, "True".into()));
}

#[test]
fn another_instance_of_the_pod_ends_the_one_before() {
    let mut stage = serving();
    let agent = &mut stage.agents[0];
    agent.instance = agent.instance.replace("/1", "/2");
    agent.kernel.clear();
    agent.forget();
    let new = agent.instance.clone();
    stage.settle();
    assert_eq!((holder(&stage), ready(&stage)), (new, "True".into()));
}

/// The node has booted anew while no operator ran, and the agent does not come back.
fn rebooted_unseen() -> Stage {
    let mut stage = serving();
    let node = node(&stage);
    stage.reboot(&node);
    stage.agents[0].running = false;
    stage.restart_operator();
    stage
}

fn idle(stage: &mut Stage, ms: u64) {
    for _ in 0..ms / 1_000 {
        stage.now.0 += 1_000;
        stage.deliver_all();
        stage.poll();
        while stage.execute(0, Fate::Done) {}
    }
}

#[test]
fn a_boot_that_was_not_seen_replaced_is_believed_after_a_minute() {
    let mut stage = rebooted_unseen();
    let old = holder(&stage);
    idle(&mut stage, 58_000);
    assert_eq!(holder(&stage), old);
    idle(&mut stage, 4_000);
    assert_eq!(holder(&stage), "");
}

#[test]
fn a_broken_watch_starts_the_minute_anew() {
    for kind in [Kind::Node, Kind::GatewayInstance, Kind::Lease] {
        let mut stage = rebooted_unseen();
        let old = holder(&stage);
        idle(&mut stage, 40_000);
        stage.operator.apply(Event::OutOfSync(kind));
        idle(&mut stage, 40_000);
        assert_eq!(holder(&stage), old);
        stage.relist(kind);
        idle(&mut stage, 58_000);
        assert_eq!(holder(&stage), old);
        idle(&mut stage, 4_000);
        assert_eq!(holder(&stage), "");
    }
}

#[test]
fn a_new_leader_believes_a_holder_that_its_pod_does_not_report_for_a_minute() {
    let mut stage = serving();
    let old = holder(&stage);
    let agent = &mut stage.agents[0];
    agent.instance = agent.instance.replace("/1", "/2");
    agent.kernel.clear();
    agent.forget();
    stage.agent_round();
    stage.restart_operator();
    idle(&mut stage, 58_000);
    assert_eq!(holder(&stage), old);
    idle(&mut stage, 4_000);
    assert_eq!(holder(&stage), "");
    stage.settle();
    assert_eq!(ready(&stage), "True");
}

#[test]
fn an_instance_of_a_new_boot_that_has_not_reported_may_hold_what_is_deleted() {
    let mut stage = serving();
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    let node = node(&stage);
    stage.reboot(&node);
    without(&mut stage, &[], false);
    // The old instance is dead, its pod runs on: it may have begun with an older config.
    stage.delete(Kind::FIP, "tenants", "web");
    without(&mut stage, &[], false);
    assert!(stage.exists(Kind::FIP, "tenants", "web"));
    stage.settle();
    assert!(!stage.exists(Kind::FIP, "tenants", "web"));
}

/// Another pod takes over, of which only the first of its events arrive. How often its
/// Lease is taken away then?
fn taken_from_a_pod_seen_late(events: usize) -> usize {
    let mut stage = serving();
    let old = holder(&stage);
    let pod = stage.server.all(Kind::Pod).find_map(|o| match o {
        Object::Pod(pod) => Some((Kind::Pod, None, pod.key.clone())),
        _ => None,
    });
    stage.server.delete(&pod.unwrap());
    let late = [Kind::Pod, Kind::GatewayInstance];
    without(&mut stage, &late, true);
    let new = holder(&stage);
    assert_ne!(new, old);
    assert_ne!(new, "");
    stage.deliver(Kind::Pod, events);
    stage.server.writes.clear();
    without(&mut stage, &late, true);
    assert_eq!(holder(&stage), new);
    let writes = stage.server.writes.iter();
    let taken = writes.filter(|w| w.starts_with("lease")).count();
    stage.settle();
    assert_eq!((holder(&stage), ready(&stage)), (new, "True".into()));
    taken
}

#[test]
fn a_holder_whose_pod_is_seen_late_keeps_its_lease() {
    for events in 0..12 {
        assert_eq!(taken_from_a_pod_seen_late(events), 0, "{events} events");
    }
}
