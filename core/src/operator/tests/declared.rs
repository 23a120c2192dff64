//! A person declares dead what has not told its name.

use sluice_crds::GatewayInstance;
use sluice_crds::internal::GatewayInstanceSpec;
use sluice_crds::names::{ANNOTATION_DECLARE_DEAD, FINALIZER_FENCED};

use super::objects::*;
use super::stage::Stage;
use crate::operator::event::{Kind, Object};

/// The report that a Pod which is gone by force has left, before it told its instance.
fn nameless(stage: &mut Stage) {
    let agent = &stage.agents[0];
    let mut report = GatewayInstance::new(
        "sluice-egress-gone",
        GatewayInstanceSpec {
            gateway: agent.gateway.name.clone(),
            gateway_uid: agent.gateway_uid.clone(),
            pod_uid: "gone".to_owned(),
            node: agent.node.clone(),
        },
    );
    report.metadata.namespace = Some(agent.pod.namespace.clone());
    report.metadata.finalizers = Some(vec![FINALIZER_FENCED.to_owned()]);
    assert!(stage.server.create(Object::GatewayInstance(report)));
}

fn declare(stage: &mut Stage, dead: &str) {
    let slot = (Kind::NATGateway, None, key("net", "egress"));
    stage.server.change(&slot, false, |o| {
        if let Object::NATGateway(gateway) = o {
            let annotations = gateway.metadata.annotations.get_or_insert_default();
            annotations.insert(ANNOTATION_DECLARE_DEAD.to_owned(), dead.to_owned());
        }
    });
    stage.settle();
}

fn stands(stage: &Stage) -> (bool, bool) {
    (
        stage.exists(Kind::FIP, "tenants", "web"),
        stage.exists(Kind::GatewayInstance, "net", "sluice-egress-gone"),
    )
}

#[test]
fn an_instance_without_a_name_is_declared_dead_by_its_pod() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    nameless(&mut stage);
    stage.settle();
    stage.delete(Kind::FIP, "tenants", "web");
    stage.settle();
    // It may hold the FIP.
    assert_eq!(stands(&stage), (true, true));
    for other in ["", "pod/", "pod/gon", "pod/gone/", "gone", "pod/other"] {
        declare(&mut stage, other);
        assert_eq!(stands(&stage), (true, true), "{other:?}");
    }
    declare(&mut stage, "pod/gone");
    assert_eq!(stands(&stage), (false, false));
    let ready = stage.condition(Kind::EIP, "tenants", "web", "Ready").0;
    assert_eq!(ready, "True", "the holder is another");
}

#[test]
fn the_end_of_a_pod_is_not_the_end_of_one_before_it_of_the_same_name() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    nameless(&mut stage);
    stage.delete(Kind::FIP, "tenants", "web");
    stage.settle();
    let Some(Object::Pod(pod)) = stage.server.all(Kind::Pod).next() else {
        panic!("no Pod");
    };
    let mut next = pod.clone();
    next.key = key("net", "sluice-egress-gone");
    (next.phase, next.containers_terminated) = ("Failed".to_owned(), true);
    let slot = (Kind::Pod, None, next.key.clone());
    assert!(stage.server.create(Object::Pod(next)));
    stage.server.delete(&slot);
    stage.settle();
    assert_eq!(stands(&stage), (true, true));
}

#[test]
fn a_holder_is_declared_dead_by_its_pod() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let pod = stage.agents[0].pod_uid.clone();
    stage.agents[0].running = false;
    let ready = |stage: &Stage| stage.condition(Kind::EIP, "tenants", "web", "Ready").0;
    assert_eq!(ready(&stage), "True");
    declare(&mut stage, &format!("pod/{pod}"));
    assert_eq!(ready(&stage), "False");
}
