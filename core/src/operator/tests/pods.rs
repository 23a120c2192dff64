//! Pods as targets and sources.

use serde_json::json;

use super::objects::*;
use super::server::{Slot, conditions};
use super::stage::Stage;
use crate::operator::event::{Event, InsidePodFacts, Key, Kind, Object};

/// How a Pod goes.
type Go = fn(&mut Stage);

const LAN: [&str; 2] = ["10.244.0.5", "fd00:10:244::5"];

fn slot(name: &str) -> Slot {
    (Kind::InsidePod, None, key("tenants", name))
}

fn pod(stage: &mut Stage, name: &str, lan: &[&str]) {
    stage.apply(Object::InsidePod(inside_pod("tenants", name, lan)));
}

fn change(stage: &mut Stage, name: &str, change: impl FnOnce(&mut InsidePodFacts)) {
    let changed = stage.server.change(&slot(name), false, |o| {
        if let Object::InsidePod(pod) = o {
            change(pod);
        }
    });
    assert!(changed);
}

/// An EIP, a FIP that names Pod `web`, and a SNAT that selects Pod `job`.
fn rules(stage: &mut Stage) {
    stage.apply(eip("tenants", "in", "egress"));
    stage.apply(eip("tenants", "out", "egress"));
    stage.apply(fip_of_pod("tenants", "web", "in", "web"));
    let selector = json!({"podSelector": {"matchLabels": {"app": "job"}}});
    stage.apply(snat_of_pods("tenants", "job", "out", selector));
}

fn kernel(stage: &Stage, word: &str) -> Vec<String> {
    let lines = stage.agents.iter().flat_map(|a| &a.kernel);
    lines.filter(|l| l.starts_with(word)).cloned().collect()
}

fn said(stage: &Stage, kind: Kind, name: &str) -> [(String, String); 3] {
    ["Accepted", "Programmed", "Ready"].map(|c| stage.condition(kind, "tenants", name, c))
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.into(), reason.into())
}

fn status_writes(stage: &Stage, kind: Kind, name: &str) -> usize {
    let of = |event: &&Event| match event {
        Event::Apply(object) => object.identity().1 == key("tenants", name),
        _ => false,
    };
    let seen = stage.server.log.get(&kind).into_iter().flatten().filter(of);
    let mut told: Vec<_> = seen
        .map(|event| match event {
            Event::Apply(object) => conditions(object).to_vec(),
            _ => vec![],
        })
        .collect();
    told.dedup();
    // The first is the object as it was created.
    told.len() - 1
}

#[test]
fn pods_that_no_rule_names_cause_no_decision_and_no_write() {
    let mut stage = Stage::new();
    rules(&mut stage);
    pod(&mut stage, "web", &LAN);
    pod(&mut stage, "job", &["10.244.0.6"]);
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    let writes = stage.server.writes.len();
    let mut churned = 0;
    for n in 0..200 {
        let name = format!("other-{n}");
        pod(&mut stage, &name, &[&format!("10.244.7.{n}")]);
        change(&mut stage, &name, |p| p.over = true);
        // A Pod's labels and addresses may be those of one that counts, elsewhere.
        let mut elsewhere = inside_pod("net", "web", &LAN);
        elsewhere.labels = [("app".to_owned(), "job".to_owned())].into();
        stage.server.create(Object::InsidePod(elsewhere));
        stage.server.delete(&slot(&name));
        stage
            .server
            .delete(&(Kind::InsidePod, None, key("net", "web")));
        // What does not count of one that counts.
        let of_web = stage.server.get(Kind::InsidePod, &key("tenants", "web"));
        let Some(Object::InsidePod(mut web)) = of_web.cloned() else {
            panic!()
        };
        stage.deliver(Kind::InsidePod, usize::MAX);
        web.resource_version = format!("{}", 1_000_000 + n);
        let touched = Event::Apply(Box::new(Object::InsidePod(web)));
        stage.operator.apply(touched);
        assert!(stage.operator.world.dirty.is_empty(), "{n}");
        assert!(stage.operator.world.left.is_empty(), "{n}");
        assert_eq!(stage.operator.poll(stage.now), vec![]);
        churned += 5;
    }
    assert_eq!(churned, 1_000);
    assert_eq!(stage.server.writes.len(), writes);
    // That something would be noticed.
    let mut ended = inside_pod("tenants", "web", &LAN);
    ended.resource_version = "2000000".to_owned();
    ended.over = true;
    let ended = Event::Apply(Box::new(Object::InsidePod(ended)));
    stage.operator.apply(ended);
    assert!(!stage.operator.world.dirty.is_empty());
}

#[test]
fn pods_are_asked_for_only_where_a_rule_needs_them() {
    let mut stage = Stage::new();
    pod(&mut stage, "web", &LAN);
    stage.apply(eip("tenants", "in", "egress"));
    stage.apply(fip("tenants", "plain", "in", 9));
    stage.settle();
    assert!(!stage.operator.wants_pods());
    assert_eq!(stage.operator.world.inside_pods.len(), 0);
    stage.delete(Kind::FIP, "tenants", "plain");
    stage.settle();
    stage.apply(fip_of_pod("tenants", "web", "in", "web"));
    stage.deliver(Kind::FIP, usize::MAX);
    // Until they are listed nothing is decided: it would be wrong.
    assert!(stage.operator.wants_pods());
    assert_eq!(stage.operator.poll(stage.now), vec![]);
    assert_eq!(stage.operator.next_deadline(stage.now), None);
    stage.settle();
    assert_eq!(said(&stage, Kind::FIP, "web")[2], is("True", "Ready"));
}

#[test]
fn a_new_leader_takes_no_rule_back_before_it_has_seen_the_pods() {
    let mut stage = Stage::new();
    rules(&mut stage);
    pod(&mut stage, "web", &LAN);
    pod(&mut stage, "job", &["10.244.0.6"]);
    stage.settle();
    let (writes, before) = (stage.server.writes.len(), kernel(&stage, ""));
    stage.restart_operator();
    for _ in 0..20 {
        for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::InsidePod) {
            stage.deliver(kind, usize::MAX);
        }
        assert!(!stage.poll());
        stage.now.0 += 500;
    }
    stage.settle();
    assert_eq!(kernel(&stage, ""), before);
    let more = &stage.server.writes[writes..];
    assert!(more.is_empty(), "{more:#?}");
}

#[test]
fn at_most_two_status_writes_from_creation_to_ready_of_what_waits_for_a_pod() {
    for (appears, addressed) in [
        (0, 0),
        (500, 900),
        (1_500, 4_000),
        (3_000, 9_000),
        (5_000, 25_000),
    ] {
        let mut stage = Stage::new();
        stage.settle();
        rules(&mut stage);
        let begun = stage.now.0;
        let mut step = 0;
        while stage.now.0 < begun + 40_000 {
            let past = stage.now.0 - begun;
            if step == 0 && past >= appears {
                pod(&mut stage, "web", &[]);
                pod(&mut stage, "job", &[]);
                step = 1;
            }
            if step == 1 && past >= addressed {
                let at = |lan: &[&str]| inside_pod("tenants", "", lan).attached;
                change(&mut stage, "web", |p| p.attached = at(&LAN));
                change(&mut stage, "job", |p| p.attached = at(&["10.244.0.6"]));
                step = 2;
            }
            stage.deliver_all();
            stage.poll();
            while stage.execute(0, super::stage::Fate::Done) {}
            stage.cluster();
            stage.agent_round();
            stage.now.0 += 50;
        }
        for (kind, name) in [(Kind::FIP, "web"), (Kind::SNAT, "job")] {
            assert_eq!(
                said(&stage, kind, name)[2],
                is("True", "Ready"),
                "{addressed}"
            );
            let writes = status_writes(&stage, kind, name);
            assert!(
                (1..=2).contains(&writes),
                "{name} {addressed}: {writes} writes"
            );
        }
    }
}

#[test]
fn a_pod_that_goes_takes_its_rules_at_once_and_leaves_the_eip_alone() {
    let gone: [(&str, Go); 3] = [
        ("PodNotFound", |stage| {
            assert!(stage.server.delete(&slot("web")));
            assert!(stage.server.delete(&slot("job")));
        }),
        ("TargetNotReady", |stage| {
            change(stage, "web", |p| p.over = true);
            change(stage, "job", |p| p.over = true);
        }),
        ("TargetNotReady", |stage| {
            change(stage, "web", |p| p.attached.clear());
            change(stage, "job", |p| p.attached.clear());
        }),
    ];
    for (reason, go) in gone {
        let mut stage = Stage::new();
        rules(&mut stage);
        pod(&mut stage, "web", &LAN);
        pod(&mut stage, "job", &["10.244.0.6"]);
        stage.settle();
        assert_eq!(kernel(&stage, "fip").len(), 2);
        assert_eq!(kernel(&stage, "snat").len(), 1);
        let before = stage.server.log[&Kind::EIP].len();
        let began = stage.now.0;
        go(&mut stage);
        for _ in 0..6 {
            stage.deliver_all();
            stage.poll();
            while stage.execute(0, super::stage::Fate::Done) {}
            stage.agent_round();
            stage.now.0 += 10;
        }
        assert!(stage.now.0 - began < 100);
        assert_eq!(kernel(&stage, "fip"), Vec::<String>::new());
        assert_eq!(kernel(&stage, "snat"), Vec::<String>::new());
        let fip = said(&stage, Kind::FIP, "web");
        let not_ready = is("False", "NotProgrammed");
        assert_eq!(
            fip,
            [
                is("True", "Accepted"),
                is("False", reason),
                not_ready.clone()
            ]
        );
        let snat = said(&stage, Kind::SNAT, "job");
        assert_eq!(
            snat,
            [is("True", "Accepted"), is("False", "NoSources"), not_ready]
        );
        stage.settle();
        let after = &stage.server.log[&Kind::EIP][before..];
        assert!(after.is_empty(), "EIPs were written: {after:#?}");
    }
}

#[test]
fn a_snat_with_too_many_pod_addresses_is_refused() {
    let mut stage = Stage::new();
    stage.unchecked = true;
    stage.apply(eip("tenants", "out", "egress"));
    for n in 0..4_097_u32 {
        let mut facts = inside_pod("tenants", &format!("p{n}"), &[]);
        let address = format!("10.244.{}.{}", 10 + n / 250, 1 + n % 250);
        facts.attached = inside_pod("tenants", "", &[&address]).attached;
        stage.apply(Object::InsidePod(facts));
    }
    let selector = json!({"podSelector": {}});
    stage.apply(snat_of_pods("tenants", "job", "out", selector));
    stage.settle();
    let accepted = |stage: &Stage| said(stage, Kind::SNAT, "job")[0].clone();
    assert_eq!(accepted(&stage), is("False", "TooLarge"));
    assert_eq!(kernel(&stage, "snat").len(), 0);
    stage.server.delete(&slot("p7"));
    stage.settle();
    assert_eq!(accepted(&stage), is("True", "Accepted"));
    assert_eq!(kernel(&stage, "snat").len(), 4_096);
}

#[test]
fn a_namespace_that_gets_the_label_is_selected_from() {
    let mut stage = Stage::new();
    stage.apply(eip("net", "out", "egress"));
    pod(&mut stage, "web", &LAN);
    let selector =
        json!({"podSelector": {}, "namespaceSelector": {"matchLabels": {"egress": "yes"}}});
    stage.apply(snat_of_pods("net", "all", "out", selector));
    stage.settle();
    let lines = |stage: &Stage| kernel(stage, "snat").len();
    assert_eq!(lines(&stage), 0);
    let label = |stage: &mut Stage, value: Option<&str>| {
        let tenants: (Kind, _, Key) = (Kind::Namespace, None, key("", "tenants"));
        stage.server.change(&tenants, false, |o| {
            if let Object::Namespace(n) = o {
                n.labels.remove("egress");
                n.labels
                    .extend(value.map(|v| ("egress".to_owned(), v.to_owned())));
            }
        });
        stage.settle();
    };
    label(&mut stage, Some("yes"));
    assert_eq!(lines(&stage), 2);
    label(&mut stage, None);
    assert_eq!(lines(&stage), 0);
}

#[test]
fn a_gateways_own_pod_is_neither_target_nor_source() {
    let mut stage = Stage::new();
    rules(&mut stage);
    for name in ["web", "job"] {
        let mut facts = inside_pod("tenants", name, &LAN);
        facts.gateway = true;
        stage.apply(Object::InsidePod(facts));
    }
    stage.settle();
    assert_eq!(
        said(&stage, Kind::FIP, "web")[1],
        is("False", "TargetNotAllowed")
    );
    assert_eq!(said(&stage, Kind::SNAT, "job")[1], is("False", "NoSources"));
    assert_eq!(
        kernel(&stage, "fip").len() + kernel(&stage, "snat").len(),
        0
    );
}
