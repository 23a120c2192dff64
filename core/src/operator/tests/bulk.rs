//! What deciding costs with many objects.
#![allow(clippy::disallowed_methods, reason = "measures real time")]

use std::time::Instant;

use super::objects::*;
use super::stage::{Fate, Stage};
use crate::operator::event::{Kind, Object};

/// A pool with millions of addresses.
pub fn big_pool() -> Object {
    let Object::EIPPool(mut pool) = pool("external") else {
        unreachable!()
    };
    pool.spec.subnets[0].cidr = "10.128.0.0/9".into();
    pool.spec.subnets[0].gateway = Some("10.128.0.1".into());
    pool.spec.subnets[0].ranges.clear();
    Object::EIPPool(pool)
}

/// Prints the operator's time for `n` EIPs and FIPs from apply to Ready, and
/// for one more FIP after that. Measured by hand:
/// `cargo test --release -p sluice-core bulk -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn bulk() {
    let n: usize = std::env::var("BULK")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000);
    let mut stage = Stage::new();
    stage.unchecked = true;
    stage.delete(Kind::EIPPool, "", "external");
    stage.server.create(big_pool());
    stage.settle();
    let mut spent = std::time::Duration::ZERO;
    let mut polls = 0;
    let run = |stage: &mut Stage, chunk: usize| {
        let mut spent = std::time::Duration::ZERO;
        let mut polls = 0;
        let mut idle = 0;
        while idle < 20 {
            let from = Instant::now();
            for kind in Kind::ALL {
                stage.deliver(kind, chunk);
            }
            let moved = stage.poll();
            spent += from.elapsed();
            polls += 1;
            let mut done = 0;
            while done < chunk && !stage.in_flight.is_empty() {
                let from = Instant::now();
                stage.execute(stage.in_flight.len().saturating_sub(1), Fate::Done);
                spent += from.elapsed();
                done += 1;
            }
            stage.agent_round();
            stage.now.0 += 20;
            idle = if moved || done > 0 { 0 } else { idle + 1 };
        }
        (spent, polls)
    };
    for i in 0..n {
        stage.apply(eip("tenants", &format!("e{i}"), "egress"));
        stage.apply(fip(
            "tenants",
            &format!("e{i}"),
            &format!("e{i}"),
            (i % 250 + 1) as u8,
        ));
        if i % 10 == 9 {
            let from = Instant::now();
            for kind in Kind::ALL {
                stage.deliver(kind, 20);
            }
            stage.poll();
            spent += from.elapsed();
            for _ in 0..80 {
                let from = Instant::now();
                stage.execute(stage.in_flight.len().saturating_sub(1), Fate::Done);
                spent += from.elapsed();
            }
            if i % 50 == 49 {
                stage.agent_round();
            }
            stage.now.0 += 20;
            polls += 1;
        }
    }
    println!("{n} pairs applied: operator and server {spent:?} in {polls} polls");
    let (more, polls) = run(&mut stage, 200);
    println!("and to the end: {more:?} in {polls} polls");
    assert!(stage.not_ready().is_empty());
    stage.apply(fip("tenants", "last", "e1", 251));
    stage.delete(Kind::FIP, "tenants", "e1");
    let (one, polls) = run(&mut stage, 200);
    println!(
        "one change: {one:?} in {polls} polls; writes {}",
        stage.server.writes.len()
    );
}
