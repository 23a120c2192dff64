//! What the operator does, rule by rule.

use super::objects::*;
use super::stage::{Fate, Stage};
use crate::operator::event::{Kind, Object};

#[test]
fn an_eip_and_its_fip_become_ready_and_then_nothing_is_written() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    let status = stage.eip("tenants", "web");
    assert!(status.ipv4.is_some() && status.ipv6.is_some(), "{status:?}");
    assert_eq!(
        stage.condition(Kind::FIP, "tenants", "web", "Ready"),
        ("True".into(), "Ready".into())
    );
    assert_eq!(
        stage.condition(Kind::NATGateway, "net", "egress", "Ready"),
        ("True".into(), "Ready".into())
    );
    let writes = stage.server.writes.len();
    stage.settle();
    assert_eq!(
        stage.server.writes.len(),
        writes,
        "{:#?}",
        &stage.server.writes[writes..]
    );
    stage.restart_operator();
    stage.settle();
    assert_eq!(
        stage.server.writes.len(),
        writes,
        "{:#?}",
        &stage.server.writes[writes..]
    );
}

#[test]
fn a_deleted_gateway_and_its_pool_leave_nothing() {
    let mut stage = Stage::new();
    stage.settle();
    stage.delete(Kind::NATGateway, "net", "egress");
    stage.delete(Kind::EIPPool, "", "external");
    stage.settle();
    let from = stage.server.writes.len().saturating_sub(14);
    assert_eq!(
        stage.remains(),
        Vec::<String>::new(),
        "{:#?} now {:?} {:?}",
        &stage.server.writes[from..],
        stage.now,
        stage.operator.next_deadline(stage.now)
    );
}

fn ready(stage: &Stage, kind: Kind, name: &str) -> (String, String) {
    stage.condition(kind, "tenants", name, "Ready")
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

/// The gateway's pod is replaced; the new agent has not started.
fn replace_pod(stage: &mut Stage, crash: bool) {
    stage.crash_on_delete = crash;
    let pod = super::server::slot_of(stage.server.all(Kind::Pod).next().unwrap());
    stage.server.delete(&pod);
}

/// Everything but agents moves.
fn without_agents(stage: &mut Stage) {
    for _ in 0..30 {
        stage.deliver_all();
        stage.poll();
        while stage.execute(0, Fate::Done) {}
        stage.cluster();
        stage.now.0 += 100;
    }
}

#[test]
fn deleting_a_fip_never_turns_its_eip_ready() {
    for crash in [false, true] {
        for restart in [false, true] {
            let mut stage = Stage::new();
            for (n, name) in ["a", "b", "c"].iter().enumerate() {
                stage.apply(eip("tenants", name, "egress"));
                stage.apply(fip("tenants", name, name, 5 + n as u8));
            }
            stage.settle();
            assert_eq!(stage.not_ready(), Default::default());
            replace_pod(&mut stage, crash);
            for name in ["a", "b", "c"] {
                stage.delete(Kind::FIP, "tenants", name);
            }
            if restart {
                stage.restart_operator();
            }
            without_agents(&mut stage);
            for name in ["a", "b", "c"] {
                assert_eq!(
                    ready(&stage, Kind::EIP, name).0,
                    "False",
                    "{crash} {restart}"
                );
                assert_eq!(stage.eip("tenants", name).holder, None);
            }
            stage.settle();
            for name in ["a", "b", "c"] {
                assert_eq!(ready(&stage, Kind::EIP, name), is("True", "Ready"));
                assert_eq!(
                    stage.server.get(Kind::FIP, &key("tenants", name)),
                    None,
                    "no instance can hold it any more"
                );
            }
        }
    }
}

#[test]
fn report_of_a_replaced_pod_never_makes_an_eip_ready() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let before = stage.eip("tenants", "web").holder.unwrap();
    replace_pod(&mut stage, true);
    without_agents(&mut stage);
    // The old report comes again, late.
    for back in 0..4 {
        stage.repeat(Kind::GatewayInstance, back);
    }
    without_agents(&mut stage);
    assert_eq!(ready(&stage, Kind::EIP, "web").0, "False");
    stage.settle();
    let after = stage.eip("tenants", "web").holder.unwrap();
    assert_ne!(before, after);
    assert!(after.term > before.term);
}

#[test]
fn a_report_of_a_former_term_proves_nothing_of_the_next() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    // The Lease was emptied and taken again; of the new term nothing was reported yet.
    let Some(Object::Lease(lease)) = stage.server.get(Kind::Lease, &key("net", "sluice-egress"))
    else {
        panic!("no Lease");
    };
    let mut lease = lease.clone();
    lease.transitions += 1;
    stage.server.set_lease(lease.clone());
    without_agents(&mut stage);
    assert_eq!(ready(&stage, Kind::EIP, "web").0, "False");
    stage.settle();
    let holder = stage.eip("tenants", "web").holder.unwrap();
    assert_eq!(holder.term, lease.transitions);
    assert_eq!(ready(&stage, Kind::EIP, "web"), is("True", "Ready"));
}

#[test]
fn a_report_of_another_proves_nothing_although_it_names_the_term() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    // The holder says nothing of what comes now; beside its report is one that has all of it.
    stage.agents[0].running = false;
    stage.apply(eip("tenants", "two", "egress"));
    without_agents(&mut stage);
    let report = stage.server.all(Kind::GatewayInstance).next().cloned();
    let header = stage.server.all(Kind::GatewayConfig).next().cloned();
    let (Some(Object::GatewayInstance(mut report)), Some(Object::GatewayConfig(header))) =
        (report, header)
    else {
        panic!("no report, or no header");
    };
    // The last that is looked at.
    report.metadata.name = Some("sluice-egress-zz".to_owned());
    report.spec.pod_uid = "other".to_owned();
    let status = report.status.as_mut().unwrap();
    status.instance = "pod/other/boot-n1-1/1".to_owned();
    let applied = status.applied.as_mut().unwrap();
    applied.generation = header.metadata.generation.unwrap();
    applied.digest.clone_from(&header.spec.digest);
    assert!(status.active.is_some());
    assert!(stage.server.create(Object::GatewayInstance(report)));
    without_agents(&mut stage);
    assert_eq!(ready(&stage, Kind::EIP, "two").0, "False");
    assert_eq!(ready(&stage, Kind::EIP, "web").0, "True");
}

#[test]
fn a_silent_holder_makes_everything_unknown_once_its_lease_expires() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    stage.agents[0].running = false;
    without_agents(&mut stage);
    assert_eq!(ready(&stage, Kind::EIP, "web"), is("True", "Ready"));
    stage.now.0 += 16_000;
    without_agents(&mut stage);
    assert_eq!(ready(&stage, Kind::EIP, "web"), is("Unknown", "HolderLost"));
    assert_eq!(ready(&stage, Kind::FIP, "web"), is("Unknown", "HolderLost"));
    assert_eq!(
        stage.condition(Kind::NATGateway, "net", "egress", "Ready"),
        is("Unknown", "HolderLost")
    );
    stage.agents[0].running = true;
    stage.settle();
    assert_eq!(ready(&stage, Kind::EIP, "web"), is("True", "Ready"));
}

#[test]
fn a_broken_watch_of_leases_expires_nobody() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let broken = crate::operator::event::Event::OutOfSync(Kind::Lease);
    stage.operator.apply(broken);
    stage.now.0 += 60_000;
    stage.poll();
    while stage.execute(0, Fate::Done) {}
    assert_eq!(ready(&stage, Kind::EIP, "web"), is("True", "Ready"));
}

#[test]
fn at_most_two_status_writes_from_creation_to_ready() {
    let mut stage = Stage::new();
    stage.settle();
    let from = stage.server.writes.len();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    for name in ["EIP tenants/web", "FIP tenants/web"] {
        let word = format!("status {name} ");
        let writes = stage.server.writes[from..]
            .iter()
            .filter(|w| w.starts_with(&word))
            .count();
        assert!((1..=2).contains(&writes), "{name}: {writes} writes");
    }
}

#[test]
fn the_younger_of_two_fips_on_an_eip_waits_and_is_taken_up_by_itself() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "old", "web", 5));
    stage.apply(fip("tenants", "young", "web", 6));
    stage.apply(dnat("tenants", "port", "web", "8080"));
    stage.settle();
    assert_eq!(ready(&stage, Kind::FIP, "old"), is("True", "Ready"));
    for (kind, name) in [(Kind::FIP, "young"), (Kind::DNAT, "port")] {
        assert_eq!(
            stage.condition(kind, "tenants", name, "Accepted"),
            is("False", "Conflict")
        );
    }
    stage.delete(Kind::FIP, "tenants", "old");
    stage.settle();
    assert_eq!(ready(&stage, Kind::FIP, "young"), is("True", "Ready"));
    stage.delete(Kind::FIP, "tenants", "young");
    stage.settle();
    assert_eq!(ready(&stage, Kind::DNAT, "port"), is("True", "Ready"));
}

#[test]
fn of_two_snats_with_one_source_on_a_gateway_the_older_has_it() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "a", "egress"));
    stage.apply(eip("tenants", "b", "egress"));
    stage.apply(snat("tenants", "old", "a", "10.244.0.0/24"));
    stage.apply(snat("tenants", "young", "b", "10.244.0.0/24"));
    stage.settle();
    assert_eq!(ready(&stage, Kind::SNAT, "old"), is("True", "Ready"));
    assert_eq!(
        stage.condition(Kind::SNAT, "tenants", "young", "Accepted"),
        is("False", "Conflict")
    );
    stage.delete(Kind::SNAT, "tenants", "old");
    stage.settle();
    assert_eq!(ready(&stage, Kind::SNAT, "young"), is("True", "Ready"));
}

#[test]
fn an_eip_with_rules_stays_in_service_until_they_are_gone() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    stage.delete(Kind::EIP, "tenants", "web");
    stage.apply(snat("tenants", "late", "web", "10.244.0.0/24"));
    stage.settle();
    assert_eq!(
        stage.condition(Kind::EIP, "tenants", "web", "Accepted"),
        is("True", "DeletionBlocked")
    );
    assert_eq!(ready(&stage, Kind::FIP, "web"), is("True", "Ready"));
    assert_eq!(
        stage.condition(Kind::SNAT, "tenants", "late", "Accepted"),
        is("False", "EIPTerminating")
    );
    stage.delete(Kind::FIP, "tenants", "web");
    stage.settle();
    assert!(!stage.exists(Kind::EIP, "tenants", "web"));
    assert_eq!(
        stage.condition(Kind::SNAT, "tenants", "late", "Accepted"),
        is("False", "EIPNotFound")
    );
}

#[test]
fn an_eip_created_anew_gets_its_address_back() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let before = stage.eip("tenants", "web");
    stage.delete(Kind::EIP, "tenants", "web");
    for _ in 0..6 {
        stage.deliver_all();
        stage.poll();
        while stage.execute(0, Fate::Done) {}
        stage.agent_round();
        if !stage.exists(Kind::EIP, "tenants", "web") {
            break;
        }
    }
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let after = stage.eip("tenants", "web");
    assert_eq!((before.ipv4, before.ipv6), (after.ipv4, after.ipv6));
    assert_eq!(ready(&stage, Kind::EIP, "web"), is("True", "Ready"));
}

#[test]
fn a_rule_the_kernel_refuses_fails_by_itself() {
    let mut stage = Stage::new();
    stage.settle();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let v4 = stage.eip("tenants", "web").ipv4.unwrap();
    stage.apply(fip("tenants", "web", "web", 5));
    let uid = stage
        .server
        .get(Kind::FIP, &key("tenants", "web"))
        .unwrap()
        .identity()
        .2;
    let refused = format!("fip {uid} {v4} 10.244.0.5 both");
    stage.agents[0].refuses.insert(refused.clone());
    let judge = |stage: &Stage| {
        assert_eq!(
            stage.condition(Kind::FIP, "tenants", "web", "Programmed"),
            is("False", "Rejected")
        );
        assert_eq!(ready(stage, Kind::EIP, "web"), is("True", "Ready"));
    };
    stage.settle();
    judge(&stage);
    // Nor does it keep the EIP from turning Ready with the next holder.
    replace_pod(&mut stage, true);
    without_agents(&mut stage);
    assert_eq!(ready(&stage, Kind::EIP, "web").0, "False");
    for agent in &mut stage.agents {
        agent.refuses.insert(refused.clone());
    }
    stage.settle();
    judge(&stage);
}

#[test]
fn an_exhausted_pool_is_said_and_a_freed_address_is_taken_up() {
    let mut stage = Stage::new();
    for n in 0..12 {
        stage.apply(eip_with(
            "tenants",
            &format!("e{n}"),
            "egress",
            serde_json::json!({}),
        ));
    }
    stage.settle();
    let refused: Vec<String> = (0..12)
        .map(|n| format!("e{n}"))
        .filter(|n| stage.condition(Kind::EIP, "tenants", n, "Accepted").1 == "PoolExhausted")
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(
        stage.condition(Kind::EIPPool, "", "external", "Exhausted"),
        is("True", "Exhausted")
    );
    let winner = (0..12)
        .map(|n| format!("e{n}"))
        .find(|n| *n != refused[0])
        .unwrap();
    stage.delete(Kind::EIP, "tenants", &winner);
    stage.settle();
    assert_eq!(ready(&stage, Kind::EIP, &refused[0]), is("True", "Ready"));
}

#[test]
fn a_rule_may_not_point_where_the_gateway_does_not_allow() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(snat("tenants", "far", "web", "10.99.0.0/24"));
    stage.settle();
    assert_eq!(
        stage.condition(Kind::SNAT, "tenants", "far", "Accepted"),
        is("False", "TargetNotAllowed")
    );
}

#[test]
fn a_moved_eip_leaves_the_old_gateway_before_it_comes_to_the_new_one() {
    let mut stage = Stage::new();
    stage.apply(gateway("net", "second", "net/lan2"));
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    let before = stage.eip("tenants", "web");
    stage
        .server
        .change(&(Kind::EIP, None, key("tenants", "web")), true, |o| {
            if let crate::operator::event::Object::EIP(eip) = o {
                eip.spec.gateway.name = "second".into();
            }
        });
    stage.settle();
    let after = stage.eip("tenants", "web");
    assert_eq!((before.ipv4, before.ipv6), (after.ipv4, after.ipv6));
    assert_ne!(before.holder, after.holder);
    assert_eq!(ready(&stage, Kind::FIP, "web"), is("True", "Ready"));
}

#[test]
fn many_changes_of_one_cause_make_one_event() {
    let mut stage = Stage::new();
    stage.settle();
    stage.announced.clear();
    for n in 0..9 {
        stage.apply(eip_with(
            "tenants",
            &format!("e{n}"),
            "egress",
            serde_json::json!({}),
        ));
    }
    stage.settle();
    let told: Vec<_> = stage
        .announced
        .iter()
        .map(|a| (a.kind, a.message.clone()))
        .collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].0, Kind::NATGateway);
}
