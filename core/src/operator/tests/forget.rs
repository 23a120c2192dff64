//! What comes and goes leaves nothing behind in memory.

use sluice_crds::internal::ClaimPhase;

use super::bulk::big_pool;
use super::objects::*;
use super::stage::{Fate, Stage};
use crate::operator::event::{Kind, Object};

/// Goes on until nothing moves for a while.
fn drain(stage: &mut Stage) {
    let mut idle = 0;
    let mut rounds = 0;
    while idle < 25 {
        let mut moved = false;
        for kind in Kind::ALL.iter().filter(|k| **k != Kind::Lease) {
            moved |= stage.deliver(*kind, usize::MAX);
        }
        stage.deliver(Kind::Lease, usize::MAX);
        moved |= stage.poll();
        // Some writes fail, so that there is something to be forgotten.
        let mut n = 0;
        while stage.execute(
            0,
            if rounds % 9 == 8 && n == 0 {
                Fate::AnswerLost
            } else {
                Fate::Done
            },
        ) {
            n += 1;
        }
        if rounds % 3 == 0 {
            stage.agent_round();
        }
        stage.now.0 += 50;
        rounds += 1;
        idle = if moved || n > 0 { 0 } else { idle + 1 };
        assert!(rounds < 5_000, "does not come to rest");
    }
}

#[test]
fn ten_thousand_objects_leave_nothing_behind() {
    let mut stage = Stage::new();
    stage.unchecked = true;
    stage.delete(Kind::EIPPool, "", "external");
    stage.server.create(big_pool());
    stage.settle();
    let mut made = 0;
    let mut batch = 0;
    while made < 10_000 {
        batch += 1;
        let mut names = Vec::new();
        for n in 0..100 {
            let name = format!("e{batch}-{n}");
            stage.apply(eip("tenants", &name, "egress"));
            names.push((Kind::EIP, name.clone()));
            let rule = match n % 4 {
                0 => snat("tenants", &name, &name, &format!("10.244.{n}.0/24")),
                1 => dnat("tenants", &name, &name, "8080"),
                _ => fip("tenants", &name, &name, n),
            };
            names.push((super::server::slot_of(&rule).0, name));
            stage.apply(rule);
        }
        made += names.len();
        // Some go before they have come about.
        if batch % 5 != 0 {
            drain(&mut stage);
        }
        for (kind, name) in names.into_iter().rev() {
            stage.delete(kind, "tenants", &name);
        }
        drain(&mut stage);
        if batch % 7 == 0 {
            stage.relist(Kind::EIP);
            stage.relist(Kind::AddressClaim);
        }
    }
    stage.now.0 += 120_000;
    stage.settle();
    stage.delete(Kind::NATGateway, "net", "egress");
    stage.delete(Kind::EIPPool, "", "external");
    stage.settle();
    assert_eq!(stage.remains(), Vec::<String>::new());
    stage.now.0 += 120_000;
    stage.settle();
    assert_eq!(stage.operator.remembered(), Vec::<String>::new());
}

#[test]
fn whose_claims_are_anothers_is_not_remembered() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let claims = |stage: &Stage| -> Vec<String> {
        let all = stage.server.all(Kind::AddressClaim);
        all.filter_map(|o| match o {
            Object::AddressClaim(claim) if claim.spec.owner.name == "web" => {
                Some(format!("{} {}", o.identity().2, claim.spec.owner.uid))
            }
            _ => None,
        })
        .collect()
    };
    let before = claims(&stage);
    // The EIP goes, and comes anew before its address has rested.
    stage.delete(Kind::EIP, "tenants", "web");
    let rests =
        |o: &Object| matches!(o, Object::AddressClaim(c) if c.spec.phase == ClaimPhase::Releasing);
    for _ in 0..50 {
        if stage.server.all(Kind::AddressClaim).any(rests) {
            break;
        }
        stage.deliver_all();
        stage.poll();
        while stage.execute(0, Fate::Done) {}
        stage.agent_round();
    }
    let gone = |stage: &Stage| {
        let all = stage.operator.remembered();
        all.iter().any(|one| one.starts_with("proven_gone"))
    };
    assert!(gone(&stage));
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let after = claims(&stage);
    let uid = |claim: &String| claim.split(' ').next().map(str::to_owned);
    assert_eq!(
        before.iter().map(uid).collect::<Vec<_>>(),
        after.iter().map(uid).collect::<Vec<_>>()
    );
    assert_ne!(before, after);
    assert!(!gone(&stage));
}
