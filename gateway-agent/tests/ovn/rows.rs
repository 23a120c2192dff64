//! Rows: whose they are, who writes them, what somebody else does to them.

use std::time::Duration;

use sluice_gateway_agent::dataplane::DataPlane as _;

use crate::lab::{Lab, is_blocked, snapshot};

const RULES: [&str; 4] = [
    "addr e1 1 10.155.30.201 outside",
    "fip f1 1 10.155.30.201 10.244.0.11 both",
    "snat s1 1 10.244.0.0/16 10.155.30.203",
    "dnat d1 1 10.155.30.202 tcp 80 10.244.0.12 8080",
];

/// What the tables hold of others.
fn others(lab: &Lab) -> String {
    let nat = lab.nbctl("--columns=_uuid,type,external_ip,logical_ip,external_ids find nat external_ids:owner=other");
    let balancers =
        lab.nbctl("--columns=_uuid,vips,external_ids find load_balancer external_ids:owner=other");
    format!("{nat}\n{balancers}")
}

#[test]
fn rows_of_others_stay_and_what_is_right_is_not_written_again() {
    let lab = Lab::up();
    lab.nbctl("lr-nat-add r1 dnat_and_snat 10.155.30.210 10.244.0.13");
    lab.nbctl("set nat 10.155.30.210 external_ids:owner=other");
    lab.nbctl("lb-add theirs 10.155.30.211:80 10.244.0.13:80");
    lab.nbctl("set load_balancer theirs external_ids:owner=other");
    lab.nbctl("lr-lb-add r1 theirs");
    let before = others(&lab);
    assert!(
        before.contains("10.155.30.210") && before.contains("10.155.30.211"),
        "{before}"
    );
    let mut plane = lab.plane("one");
    let mut lines = RULES.to_vec();
    // Against rows of others: refused, all else holds.
    lines.push("fip f2 1 10.155.30.210 10.244.0.12 both");
    lines.push("dnat d2 1 10.155.30.211 tcp 80 10.244.0.12 8080");
    let done = plane.hold(&lines);
    let refused: Vec<&str> = done
        .rejected
        .iter()
        .map(|entry| entry.error.split(':').next().unwrap())
        .collect();
    assert_eq!(refused, ["AddressInUse", "AddressInUse"]);
    let rows = lab.rows();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(done.changed > 0);
    // The same again, by another process of the instance and by this one.
    let mut again = lab.plane("one");
    let found = again.plane.found().expect("a note").expect("something");
    assert_eq!((found.revision, found.answering), (plane.revision(), true));
    assert_eq!(found.digest, snapshot(&lines).digest.to_string());
    assert_eq!(again.hold(&lines).changed, 0);
    assert_eq!(plane.hold(&lines).changed, 0);
    // Other rules, then none.
    plane.hold(&[
        "addr e1 2 10.155.30.201 outside",
        "fip f1 2 10.155.30.201 10.244.0.12 both",
    ]);
    assert_eq!(lab.rows(), ["dnat_and_snat,10.155.30.201,10.244.0.12"]);
    plane.plane.clear().expect("cleared");
    assert_eq!(lab.rows(), Vec::<String>::new());
    assert_eq!(plane.plane.found().expect("no note"), None);
    assert_eq!(others(&lab), before);
}

#[test]
fn more_rows_than_one_transaction_takes_come_and_go_at_once() {
    let lab = Lab::up();
    let mut plane = lab.plane("one");
    let line = |n: u32| {
        let (high, low) = (40 + n / 200, n % 200 + 1);
        format!("fip f{n} 1 10.155.{high}.{low} 10.244.{high}.{low} both")
    };
    let all: Vec<String> = (0..1_000).map(line).collect();
    let lines: Vec<&str> = all.iter().map(String::as_str).collect();
    plane.hold(&lines);
    assert_eq!(lab.rows().len(), lines.len());
    plane.hold(&lines[..10]);
    assert_eq!(lab.rows().len(), 10);
}

#[test]
fn what_somebody_changes_is_seen_and_put_right() {
    let lab = Lab::up();
    let mut plane = lab.plane("one");
    plane.hold(&RULES);
    let right = lab.rows();
    let of = |entry: &str| lab.nbctl(&format!("--bare --columns=_uuid find {entry}"));
    let fip = of("nat external_ip=10.155.30.201");
    let balancer = of("load_balancer protocol=tcp");
    for spoil in [
        format!("set nat {fip} logical_ip=10.244.0.13"),
        format!("set nat {fip} options:stateless=true"),
        format!("remove logical_router r1 nat {fip}"),
        "lr-nat-del r1 snat".to_owned(),
        format!("remove logical_router r1 load_balancer {balancer}"),
        format!("remove logical_switch lan load_balancer {balancer}"),
        format!("lb-del {balancer}"),
        format!("set load_balancer {balancer} options:ct_flush=false"),
    ] {
        lab.nbctl(&spoil);
        plane.look_until(&spoil, |seen| !seen.drift.is_empty());
        assert!(plane.plane.repair().expect("put right") > 0, "{spoil}");
        let seen = plane.look();
        assert_eq!(
            (&seen.drift, is_blocked(&seen)),
            (&vec![], false),
            "{spoil}"
        );
        assert_eq!(lab.rows(), right, "{spoil}");
    }
}

#[test]
fn who_does_not_hold_any_more_writes_nothing() {
    let lab = Lab::up();
    let mut old = lab.plane("one");
    old.hold(&RULES);
    let mut new = lab.plane("two");
    // A standby writes nothing either.
    let standby = new
        .plane
        .apply(&snapshot(&RULES), &old.revision(), false)
        .expect("compiled");
    assert_eq!((standby.changed, standby.rejected), (0, vec![]));
    assert_eq!(new.hold(&RULES).changed, 0);
    new.hold(&RULES[..2]);
    let rows = lab.rows();
    // The old one does not know yet: its look tells, and what it would write fails.
    std::thread::sleep(Duration::from_millis(200));
    assert!(!old.look().drift.is_empty());
    let error = old.plane.repair().expect_err("overtaken");
    assert!(error.starts_with("two writes"), "{error}");
    old.try_hold(&RULES).expect_err("overtaken");
    assert_eq!(lab.rows(), rows);
    old.plane.clear().expect("nothing of it is there");
    assert_eq!(lab.rows(), rows);
    assert_eq!(new.look().drift, Vec::<String>::new());
}

#[test]
fn a_gateway_without_a_place_is_told_what_is_missing() {
    let lab = Lab::up();
    lab.nbctl("lrp-set-gateway-chassis r1-outside chassis2 50");
    let mut plane = lab.plane("one");
    lab.nbctl("set logical_router r1 name=r2");
    std::thread::sleep(Duration::from_millis(300));
    let error = plane.try_hold(&RULES).expect_err("no router");
    assert!(error.contains("r1"), "{error}");
    assert_eq!(lab.rows(), Vec::<String>::new());
    lab.nbctl("set logical_router r2 name=r1");
    plane.hold(&RULES);
}
