//! What is lost on the way or taken away by others comes again, and nothing is
//! believed meanwhile.

use super::objects::*;
use super::server::slot_of;
use super::stage::{Fate, Stage};
use crate::identity::Uid;
use crate::operator::action::Action;
use crate::operator::event::{Event, Kind, Object, PodFacts};

/// A gateway that serves, and a FIP whose Ready waits for a live read of the Lease.
fn before_the_read() -> Stage {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    stage.apply(fip("tenants", "web", "web", 5));
    // All but the read moves on, until nothing else is left to do.
    for _ in 0..50 {
        stage.deliver_all();
        stage.poll();
        stage.agent_round();
        while let Some(n) = stage.in_flight.iter().position(|a| !is_lease_read(a)) {
            stage.execute(n, Fate::Done);
        }
        stage.now.0 += 50;
    }
    assert!(stage.in_flight.iter().any(is_lease_read));
    assert!(!fip_is_ready(&stage));
    stage
}

fn is_lease_read(action: &Action) -> bool {
    matches!(
        action,
        Action::Read {
            kind: Kind::Lease,
            ..
        }
    )
}

fn all_is_ready(stage: &mut Stage) {
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
}

fn fip_is_ready(stage: &Stage) -> bool {
    stage.condition(Kind::FIP, "tenants", "web", "Ready").0 == "True"
}

#[test]
fn a_live_read_that_fails_is_done_again() {
    let mut stage = before_the_read();
    stage.execute(0, Fate::Lost);
    all_is_ready(&mut stage);
}

#[test]
fn a_lease_that_goes_while_it_is_read_is_read_again_when_it_is_made_anew() {
    let mut stage = before_the_read();
    let lease = slot_of(stage.server.all(Kind::Lease).next().unwrap());
    stage.server.delete(&lease);
    stage.deliver_all();
    stage.execute(0, Fate::Done);
    all_is_ready(&mut stage);
}

#[test]
fn a_live_read_that_finds_no_lease_confirms_nothing() {
    let mut stage = before_the_read();
    let lease = slot_of(stage.server.all(Kind::Lease).next().unwrap());
    stage.server.delete(&lease);
    // The watch is late.
    for _ in 0..20 {
        stage.poll();
        let reads = stage.in_flight.len();
        assert!(reads < 10, "{:?}", stage.in_flight);
        while stage.execute(0, Fate::Done) {}
        assert!(!fip_is_ready(&stage));
        stage.now.0 += 10;
    }
    all_is_ready(&mut stage);
}

#[test]
fn a_lease_that_a_late_watch_still_shows_is_not_read_without_pause() {
    let mut stage = before_the_read();
    let lease = (Kind::Lease, None, key("net", "sluice-egress"));
    assert!(stage.server.delete(&lease));
    let mut reads = 0;
    // Of what is not late, all arrives at once.
    for _ in 0..40 {
        for _ in 0..5 {
            for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Lease) {
                stage.deliver(kind, usize::MAX);
            }
            stage.poll();
            while let Some(next) = stage.in_flight.first() {
                reads += usize::from(is_lease_read(next));
                stage.execute(0, Fate::Done);
            }
        }
        stage.now.0 += 10;
    }
    assert!((1..=2).contains(&reads), "{reads} reads in 400 ms");
    all_is_ready(&mut stage);
}

#[test]
fn a_deleted_header_is_written_again() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    assert!(stage.delete(Kind::GatewayConfig, "net", "egress"));
    all_is_ready(&mut stage);
}

#[test]
fn deleted_slices_are_written_again() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let slices: Vec<_> = stage.server.all(Kind::RuleSlice).map(slot_of).collect();
    assert!(!slices.is_empty());
    for slice in &slices {
        stage.server.delete(slice);
    }
    all_is_ready(&mut stage);
    let again: Vec<_> = stage.server.all(Kind::RuleSlice).map(slot_of).collect();
    assert_eq!(again, slices);
}

#[test]
fn a_pod_that_was_evicted_gives_way_to_the_next() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let Some(Object::Pod(old)) = stage.server.all(Kind::Pod).next().cloned() else {
        panic!("no pod");
    };
    for agent in &mut stage.agents {
        agent.kernel.clear();
        agent.running = false;
    }
    let slot = (Kind::Pod, None, old.key.clone());
    stage.server.change(&slot, false, |object| {
        if let Object::Pod(pod) = object {
            pod.phase = "Failed".into();
            pod.containers_terminated = true;
        }
    });
    stage.server.create(Object::Pod(PodFacts {
        key: key("net", "sluice-egress-rs-99"),
        uid: Uid::new(""),
        ..old.clone()
    }));
    all_is_ready(&mut stage);
    let held = stage.eip("tenants", "web").holder.unwrap();
    assert!(!held.instance.contains(old.uid.as_str()), "{held:?}");
}

#[test]
fn what_waits_for_a_broken_watch_goes_on_when_that_is_whole_again() {
    for broken in Kind::ALL {
        let mut stage = Stage::new();
        stage.apply(eip("tenants", "web", "egress"));
        stage.apply(fip("tenants", "web", "web", 5));
        stage.settle();
        stage.delete(Kind::FIP, "tenants", "web");
        stage.deliver_all();
        stage.break_watch(broken);
        // Until all that the other watches tell has been worked off.
        for _ in 0..50 {
            stage.deliver_all();
            stage.poll();
            while stage.execute(0, Fate::Done) {}
            stage.agent_round();
            stage.now.0 += 100;
        }
        // Nothing that is released hangs on Pods as targets.
        let waits = broken != Kind::InsidePod;
        assert_eq!(
            stage.exists(Kind::FIP, "tenants", "web"),
            waits,
            "{broken:?}"
        );
        stage.settle();
        assert!(!stage.exists(Kind::FIP, "tenants", "web"), "{broken:?}");
    }
}

#[test]
fn an_answer_that_is_older_than_a_list_brings_nothing_back() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let old = stage.server.all(Kind::EIP).next().unwrap().clone();
    stage.break_watch(Kind::EIP);
    stage.delete(Kind::EIP, "tenants", "web");
    let slot = slot_of(&old);
    stage.server.change(&slot, false, |object| {
        if let Object::EIP(eip) = object {
            eip.metadata.finalizers = None;
        }
    });
    assert!(!stage.exists(Kind::EIP, "tenants", "web"));
    stage.relist(Kind::EIP);
    stage.operator.apply(Event::Apply(Box::new(old)));
    stage.settle();
    assert!(
        stage.server.all(Kind::AddressClaim).all(|claim| {
            !matches!(claim, Object::AddressClaim(c) if c.spec.owner.name == "web")
        })
    );
}

#[test]
fn what_a_write_did_not_find_does_not_come_back_with_a_late_watch() {
    let slot = (Kind::FIP, None, key("tenants", "web"));
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    let uid = stage.server.objects[&slot].identity().2;
    // Changed, then removed by force: the watch shows neither for a while.
    stage.server.change(&slot, false, |object| {
        if let Object::FIP(fip) = object {
            fip.metadata.labels = Some([("tier".to_owned(), "front".to_owned())].into());
        }
    });
    stage.delete(Kind::FIP, "tenants", "web");
    stage.server.change(&slot, false, |object| {
        if let Object::FIP(fip) = object {
            fip.metadata.finalizers = None;
        }
    });
    assert!(!stage.exists(Kind::FIP, "tenants", "web"));
    // What becomes of the Lease is told in every status.
    let lease = slot_of(stage.server.all(Kind::Lease).next().unwrap());
    stage.server.delete(&lease);
    let round = |stage: &mut Stage| {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::FIP) {
            stage.deliver(kind, usize::MAX);
        }
        stage.poll();
        while stage.execute(0, Fate::Done) {}
        stage.agent_round();
        stage.now.0 += 100;
    };
    let published = |stage: &Stage| {
        stage.server.all(Kind::RuleSlice).any(|slice| match slice {
            Object::RuleSlice(slice) => {
                let mut entries = slice.spec.entries.iter();
                entries.any(|entry| entry.contains(uid.as_str()))
            }
            _ => false,
        })
    };
    for _ in 0..50 {
        round(&mut stage);
    }
    assert!(!published(&stage));
    // The watch shows how it was before it went.
    while stage.deliver(Kind::FIP, 1) {
        for _ in 0..10 {
            round(&mut stage);
            assert!(!published(&stage));
        }
    }
    stage.settle();
    assert!(!published(&stage));
}

#[test]
fn a_list_that_is_older_than_an_answer_takes_nothing_away() {
    let mut stage = Stage::new();
    stage.settle();
    // It is served, and arrives only when what came after it is known.
    let (list, at) = stage.server.list(Kind::RuleSlice);
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    stage.server.writes.clear();
    stage.break_watch(Kind::RuleSlice);
    stage.listed(Kind::RuleSlice, list, at);
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    let writes = stage.server.writes.iter();
    let created: Vec<_> = writes.filter(|w| w.starts_with("create slice")).collect();
    assert!(created.is_empty(), "{created:?}");
    // It goes on from that list: what is there can be changed.
    stage.apply(eip("tenants", "two", "egress"));
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
}

#[test]
fn a_slice_that_goes_while_it_is_wanted_again_costs_nobody_its_ready() {
    let is_deletion = |action: &Action| matches!(action, Action::DeleteSlice { .. });
    let is_header = |action: &Action| matches!(action, Action::WriteHeader(_));
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let slice = stage.server.all(Kind::RuleSlice).next().unwrap().clone();
    stage.apply(eip("tenants", "two", "egress"));
    stage.settle();
    // Nobody names it any more; its deletion is slow to land.
    assert!(stage.server.create(slice));
    stage.deliver_all();
    stage.poll();
    assert!(stage.in_flight.iter().any(is_deletion));
    stage.delete(Kind::EIP, "tenants", "two");
    for _ in 0..200 {
        stage.deliver_all();
        stage.poll();
        if stage.in_flight.iter().any(is_header) {
            break;
        }
        stage.agent_round();
        let other = |action: &Action| !is_deletion(action) && !is_header(action);
        while let Some(n) = stage.in_flight.iter().position(other) {
            stage.execute(n, Fate::Done);
        }
        stage.now.0 += 50;
    }
    for next in [is_deletion, is_header] {
        let n = stage.in_flight.iter().position(next).unwrap();
        stage.execute(n, Fate::Done);
    }
    for _ in 0..400 {
        stage.deliver_all();
        stage.poll();
        stage.agent_round();
        while stage.execute(0, Fate::Done) {
            let ready = stage.condition(Kind::EIP, "tenants", "web", "Ready");
            assert_eq!(ready.0, "True", "{ready:?}");
        }
        stage.now.0 += 50;
    }
    all_is_ready(&mut stage);
}

#[test]
fn a_new_leader_whose_list_lacks_an_eip_leaves_it_its_address() {
    let mut stage = Stage::new();
    stage.settle();
    let older = stage.server.list(Kind::EIP);
    stage.apply(eip("tenants", "web", "egress"));
    // The address is bound; nothing of it is published yet.
    let claims = |stage: &Stage| {
        let all = stage.server.all(Kind::AddressClaim);
        all.filter_map(|object| match object {
            Object::AddressClaim(claim) => Some((claim.metadata.uid.clone(), claim.spec.clone())),
            _ => None,
        })
        .collect::<Vec<_>>()
    };
    let before = claims(&stage).len();
    while claims(&stage).len() < before + 2 {
        stage.deliver_all();
        stage.poll();
        let claim = |a: &Action| matches!(a, Action::CreateClaim(_));
        match stage.in_flight.iter().position(claim) {
            Some(n) => stage.execute(n, Fate::Done),
            None => stage.execute(0, Fate::Done),
        };
    }
    let bound = claims(&stage);
    stage.restart_operator_with(Some((Kind::EIP, older)));
    // The watch of EIPs is late, too.
    for _ in 0..100 {
        stage.poll();
        while stage.execute(0, Fate::Done) {}
        stage.agent_round();
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::EIP) {
            stage.deliver(kind, usize::MAX);
        }
        stage.now.0 += 100;
    }
    assert_eq!(claims(&stage), bound);
    all_is_ready(&mut stage);
    assert_eq!(claims(&stage).len(), bound.len());
}

#[test]
fn a_lease_that_lost_its_label_counts_again_once_it_has_it_back() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let slot = (Kind::Lease, None, key("net", "sluice-egress"));
    let renew = |stage: &mut Stage, time: &str| {
        let renewed = stage.server.change(&slot, false, |object| {
            if let Object::Lease(lease) = object {
                time.clone_into(&mut lease.renew_time);
            }
        });
        assert!(renewed);
        let lease = stage.server.get(Kind::Lease, &slot.2).cloned().unwrap();
        (lease.identity().2, lease.version())
    };
    // A watch of what has the label ends with the version that lacks it.
    let (uid, version) = renew(&mut stage, "2026-01-01T00:00:01.000000Z");
    let log = stage.server.log.get_mut(&Kind::Lease).unwrap();
    log.pop();
    log.push(Event::Delete {
        kind: Kind::Lease,
        child: None,
        key: slot.2.clone(),
        uid,
        version,
    });
    stage.deliver_all();
    stage.poll();
    assert!(!stage.not_ready().is_empty() || !stage.in_flight.is_empty());
    renew(&mut stage, "2026-01-01T00:00:02.000000Z");
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    stage.apply(eip("tenants", "more", "egress"));
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
}

#[test]
fn a_new_leader_turns_nothing_ready_by_a_lease_that_nobody_renews() {
    let mut stage = Stage::new();
    stage.settle();
    let freeze = |stage: &mut Stage, frozen| {
        for agent in &mut stage.agents {
            agent.frozen = frozen;
        }
    };
    let work = |stage: &mut Stage| {
        for _ in 0..10 {
            stage.deliver_all();
            stage.poll();
            while stage.execute(0, Fate::Done) {}
            stage.now.0 += 500;
        }
    };
    // The holder reports it, and nobody takes that in before all is silent for long.
    freeze(&mut stage, true);
    stage.apply(eip("tenants", "web", "egress"));
    work(&mut stage);
    freeze(&mut stage, false);
    for _ in 0..3 {
        stage.agent_round();
    }
    freeze(&mut stage, true);
    stage.server.clock += 20;
    stage.restart_operator();
    work(&mut stage);
    assert_eq!(stage.not_ready().len(), 1);
    // It lives after all.
    freeze(&mut stage, false);
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
}

#[test]
fn a_new_leader_that_sees_a_rule_late_does_not_bring_it_back() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    let older = stage.server.list(Kind::FIP);
    let uid = match stage.server.get(Kind::FIP, &key("tenants", "web")) {
        Some(Object::FIP(fip)) => fip.metadata.uid.clone().unwrap(),
        _ => panic!("the FIP is there"),
    };
    stage.delete(Kind::FIP, "tenants", "web");
    stage.settle();
    assert!(!stage.exists(Kind::FIP, "tenants", "web"));
    stage.restart_operator_with(Some((Kind::FIP, older)));
    for _ in 0..20 {
        stage.poll();
        while stage.execute(0, Fate::Done) {
            let slices: Vec<String> = stage
                .server
                .all(Kind::RuleSlice)
                .map(|slice| format!("{slice:?}"))
                .filter(|slice| slice.contains(&uid))
                .collect();
            assert!(slices.is_empty(), "{slices:?}");
        }
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::FIP) {
            stage.deliver(*kind, usize::MAX);
        }
        stage.agent_round();
        stage.now.0 += 200;
    }
}

#[test]
fn a_new_leader_goes_on_with_a_rule_that_was_on_its_way() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    stage.apply(fip("tenants", "web", "web", 5));
    // The leader dies once the rule has its finalizer.
    for _ in 0..50 {
        let has = match stage.server.get(Kind::FIP, &key("tenants", "web")) {
            Some(Object::FIP(fip)) => fip.metadata.finalizers.is_some(),
            _ => false,
        };
        if has {
            break;
        }
        stage.deliver_all();
        stage.poll();
        stage.execute(0, Fate::Done);
    }
    stage.restart_operator();
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
}
