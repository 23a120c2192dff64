#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_core::entry::Entry;
use sluice_crds::internal::{ConfigLan, ConfigSettings};

use super::*;

fn snapshot(lines: &[&str]) -> Arc<Snapshot> {
    let settings = ConfigSettings::new(
        ConfigLan {
            interface: "lan0".into(),
            addresses: Vec::new(),
            routes: Vec::new(),
        },
        Vec::new(),
    );
    let entries = lines.iter().map(|l| l.parse::<Entry>().unwrap());
    Arc::new(Snapshot::new(settings, entries.collect()))
}

const WEB: [&str; 2] = [
    "addr web 1 192.0.2.7 external",
    "addr web 1 2001:db8::7 external",
];

fn texts(lines: &[Line<Uid>]) -> Vec<String> {
    let text = |l: &Line<Uid>| {
        format!(
            "{} {} {} {}",
            l.op.as_str(),
            l.key,
            l.addresses,
            l.outcome.as_str()
        )
    };
    lines.iter().map(text).collect()
}

/// Applies; the lines that this ends in.
fn apply(operations: &mut Operations, lines: &[&str], holding: bool) -> Vec<String> {
    let snapshot = snapshot(lines);
    operations.begin(&snapshot, holding);
    texts(&operations.applied(&snapshot, holding, &[]))
}

#[test]
fn r_log_an_address_stands_under_the_key_of_its_family() {
    let (v6, v4): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
    assert_eq!(
        record(&[v6, v4]).to_string(),
        "ipv4=192.0.2.1 ipv6=2001:db8::1"
    );
    assert_eq!(record(&[v6]).to_string(), "ipv4=- ipv6=2001:db8::1");
}

#[test]
fn r_log_add_update_and_delete_end_in_one_line_each_with_the_same_keys() {
    let mut operations = Operations::default();
    let lines = apply(&mut operations, &WEB, true);
    assert_eq!(lines, ["add web ipv4=192.0.2.7 ipv6=2001:db8::7 done"]);
    assert!(apply(&mut operations, &WEB, true).is_empty());
    let lines = apply(&mut operations, &WEB[1..], true);
    assert_eq!(lines, ["update web ipv4=- ipv6=2001:db8::7 done"]);
    let lines = apply(&mut operations, &[], true);
    assert_eq!(lines, ["delete web ipv4=- ipv6=2001:db8::7 done"]);
    let [(_, v4), (_, v6)] = operations.counts();
    assert_eq!((v4.adds, v4.deletes, v4.held), (1, 1, 0));
    assert_eq!((v6.adds, v6.deletes, v6.held), (1, 1, 0));
}

#[test]
fn r_log_a_holder_that_ceases_to_be_one_ends_what_it_held() {
    let mut operations = Operations::default();
    apply(&mut operations, &WEB, true);
    let lines = apply(&mut operations, &WEB, false);
    assert_eq!(lines, ["delete web ipv4=192.0.2.7 ipv6=2001:db8::7 done"]);
    assert!(operations.gone().is_empty());
    apply(&mut operations, &WEB, true);
    let lines = texts(&operations.gone());
    assert_eq!(lines, ["delete web ipv4=192.0.2.7 ipv6=2001:db8::7 done"]);
}

#[test]
fn r_log_what_was_never_programmed_is_told_once() {
    let mut operations = Operations::default();
    // The apply fails, again and again, and then the EIP is gone.
    for _ in 0..3 {
        operations.begin(&snapshot(&WEB), true);
    }
    let lines = apply(&mut operations, &[], true);
    assert_eq!(lines, ["add web ipv4=192.0.2.7 ipv6=2001:db8::7 abandoned"]);
}

#[test]
fn r_log_a_refused_address_is_told_once_and_the_other_family_goes_on() {
    let mut operations = Operations::default();
    let snapshot = snapshot(&WEB);
    let rejected = RejectedEntry {
        key: snapshot.entries().nth(1).unwrap().key(),
        digest: String::new(),
        error: "EINVAL".into(),
    };
    for tries in 0..3 {
        operations.begin(&snapshot, true);
        let lines = operations.applied(&snapshot, true, std::slice::from_ref(&rejected));
        let expected: &[&str] = match tries {
            0 => &[
                "add web ipv4=- ipv6=2001:db8::7 refused",
                "add web ipv4=192.0.2.7 ipv6=- done",
            ],
            _ => &[],
        };
        assert_eq!(texts(&lines), expected);
    }
}

#[test]
fn r_log_the_line_of_each_operation_has_the_same_keys_and_each_family_its_own() {
    let mut operations = Operations::default();
    let six = [WEB[1]];
    let mut lines = Vec::new();
    for config in [&six[..], &WEB[..], &[]] {
        let snapshot = snapshot(config);
        operations.begin(&snapshot, true);
        lines.extend(operations.applied(&snapshot, true, &[]));
    }
    let written = sluice_journal::captured(|| lines.iter().for_each(tell));
    let of = |key: &str| written.iter().map(|l| l[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("op"), ["add", "update", "delete"]);
    assert_eq!(
        of("ipv4"),
        [json!(null), json!("192.0.2.7"), json!("192.0.2.7")]
    );
    assert_eq!(of("ipv6"), ["2001:db8::7"; 3]);
    let keys = |line: &Value| {
        line.as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    for line in &written {
        assert_eq!(keys(line), keys(&written[0]));
        assert!(line.as_object().unwrap().contains_key("error"));
    }
}
