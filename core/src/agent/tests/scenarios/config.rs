//! Which config is followed.

use super::{generation, problem};
use crate::agent::tests::sim::{Sim, config};
use crate::agent::*;

#[test]
fn an_older_generation_is_never_applied() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    let old = sim.header.clone();
    sim.publish(&config(1..3));
    sim.begin();
    sim.settle();
    let ops = sim.ops.len();
    sim.tell(Event::Header(old.clone()));
    sim.settle();
    assert_eq!(generation(&sim), Some(2));
    sim.restart();
    sim.tell(Event::Header(old));
    sim.settle();
    assert_eq!(generation(&sim), Some(2));
    assert!(!sim.ops[ops..].iter().any(|op| op.starts_with("apply 1")));
}

#[test]
fn the_same_generation_with_another_digest_keeps_the_last_good() {
    let mut sim = Sim::serving();
    let mut other = sim.header.clone().unwrap();
    other.spec = config(1..9).header;
    sim.tell(Event::Header(Some(other)));
    sim.settle();
    assert_eq!(problem(&sim), Some("ConfigDiverged"));
    assert_eq!(generation(&sim), Some(1));
    assert!(sim.agent.is_active());
}

#[test]
fn an_unknown_format_keeps_the_last_good() {
    let mut sim = Sim::serving();
    let mut config = config(1..9);
    config.header.format = 2;
    sim.publish(&config);
    sim.tell(Event::Header(sim.header.clone()));
    sim.settle();
    assert_eq!(problem(&sim), Some("UnknownFormat"));
    assert_eq!(generation(&sim), Some(1));
    assert!(!sim.report.problems[0].blocking && sim.agent.is_active());
}

#[test]
fn an_absent_header_keeps_the_last_good() {
    let mut sim = Sim::serving();
    let before = sim.report.clone();
    sim.tell(Event::Header(None));
    sim.settle();
    assert_eq!(sim.report, before);
}

#[test]
fn a_new_header_uid_is_confirmed_by_a_quorum_read() {
    let mut sim = Sim::serving();
    let old = sim.header.take();
    sim.publish(&config(1..3));
    // An old event shows a header that is not there any more.
    let mut stray = old.unwrap();
    stray.revision.uid = crate::identity::Uid::new("stray");
    sim.tell(Event::Header(Some(stray)));
    assert_eq!(sim.open, [Action::ReadHeader]);
    sim.settle();
    assert_eq!(sim.report.applied.as_ref().unwrap().uid, "header-3");
}

#[test]
fn a_slice_with_other_content_than_its_name_tells_is_not_applied() {
    let mut sim = Sim::serving();
    let next = config(1..9);
    sim.publish(&next);
    let name = next.slices[0].0.clone();
    let good = sim
        .slices
        .insert(name.clone(), config(1..2).slices[0].1.clone());
    sim.tell(Event::Header(sim.header.clone()));
    sim.settle();
    assert_eq!(
        (problem(&sim), generation(&sim)),
        (Some("ConfigRefused"), Some(1))
    );
    sim.slices.insert(name, good.unwrap());
    sim.settle_for(10_000);
    assert_eq!((problem(&sim), generation(&sim)), (None, Some(2)));
}

#[test]
fn a_slice_that_is_gone_means_a_newer_header() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..9));
    let stale = sim.header.clone();
    sim.slices.clear();
    sim.publish(&config(1..5));
    sim.tell(Event::Header(stale));
    sim.settle();
    assert_eq!((problem(&sim), generation(&sim)), (None, Some(3)));
}
