//! The table of packet checks on a real kernel: whole gateways of one family and of both,
//! and damaged ones, on which the checks must fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::collections::BTreeMap;

use packet_checks::check::Check;
use packet_checks::damage::Damage;
use packet_checks::plan::Family;
use packet_checks::run::{Patience, run};
use packet_checks::table::checks;
use rig::Bare;

/// The checks of a family; `PACKET_CHECK=TEXT` in the environment leaves those with the text
/// in their names.
fn wanted(family: Family) -> impl Iterator<Item = Check> {
    let text = std::env::var("PACKET_CHECK").unwrap_or_default();
    checks(family)
        .into_iter()
        .filter(move |check| check.name.contains(&text))
}

/// Runs all checks of these families on a gateway that has these only.
fn whole(families: &[Family]) {
    let bare = Bare::new(families);
    let gateway = rig::Gateway::open(&bare.gw, true);
    bare.apply(&gateway);
    let mut hosts = bare.hosts();
    let mut failed = Vec::new();
    let mut count = 0;
    for family in families {
        for check in wanted(*family) {
            count += 1;
            if let Err(why) = run(&mut hosts, &check, Patience::WHOLE) {
                failed.push(format!("{:?} {}: {why}", check.family, check.name));
            }
        }
    }
    println!("{count} checks, {} failed", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn all_packet_checks_hold_with_ipv4_only() {
    whole(&[Family::V4]);
}

#[test]
fn all_packet_checks_hold_with_ipv6_only() {
    whole(&[Family::V6]);
}

#[test]
fn all_packet_checks_hold_with_both_families() {
    whole(&Family::BOTH);
}

/// Does each damage of a family's checks in turn; each check must fail where it says so.
fn damaged(family: Family) {
    let bare = Bare::new(&Family::BOTH);
    let gateway = rig::Gateway::open(&bare.gw, false);
    bare.apply(&gateway);
    let mut hosts = bare.hosts();
    let mut by_damage: BTreeMap<Damage, Vec<Check>> = BTreeMap::new();
    for check in wanted(family) {
        for damage in &check.notices {
            by_damage
                .entry(damage.clone())
                .or_default()
                .push(check.clone());
        }
    }
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (damage, checks) in by_damage {
        bare.forget_flows();
        if let Err(why) = bare.script(&damage.script(family)) {
            wrong.push(format!("{damage:?} cannot be done: {why}"));
        }
        for check in checks {
            match run(&mut hosts, &check, Patience::DAMAGED) {
                Ok(()) => wrong.push(format!("{damage:?} is not noticed by: {}", check.name)),
                Err(_) => seen += 1,
            }
        }
        bare.restore(&gateway);
    }
    println!("{seen} failures seen");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_ipv4_packet_check_fails_on_the_damage_that_it_names() {
    damaged(Family::V4);
}

#[test]
fn each_ipv6_packet_check_fails_on_the_damage_that_it_names() {
    damaged(Family::V6);
}
