//! What the leader's log says of addresses, on every path.

use serde_json::{Value, json};

use super::*;

fn eip(uid: &str, ipv4: Option<&str>, ipv6: Option<&str>) -> Object {
    let mut status = json!({});
    for (family, address) in [("ipv4", ipv4), ("ipv6", ipv6)] {
        if let Some(address) = address {
            status[family] = Value::from(address);
        }
    }
    Object::EIP(
        serde_json::from_value(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "EIP",
            "metadata": {"namespace": "net", "name": "web", "uid": uid},
            "spec": {"gateway": {"name": "egress"}},
            "status": status,
        }))
        .unwrap(),
    )
}

fn reset(objects: Vec<Object>) -> Event {
    Event::Reset {
        kind: Kind::EIP,
        objects,
        versions: [(None, 9)].into(),
    }
}

fn apply(object: Object) -> Event {
    Event::Apply(Box::new(object))
}

fn gone(uid: &str) -> Event {
    Event::Delete {
        kind: Kind::EIP,
        child: None,
        key: Key {
            namespace: "net".into(),
            name: "web".into(),
        },
        uid: Uid::new(uid),
        version: u64::MAX,
    }
}

/// What each event ends, one text a line.
fn ended(events: Vec<Event>) -> Vec<Vec<String>> {
    let mut operations = Operations::default();
    let text = |(_, l): &Ended| {
        format!(
            "{} {} {} {}",
            l.op.as_str(),
            l.key,
            l.addresses,
            l.outcome.as_str()
        )
    };
    let each = events.iter().map(|event| operations.take(event));
    each.map(|ended| ended.iter().map(text).collect()).collect()
}

const V4: Option<&str> = Some("192.0.2.7");
const V6: Option<&str> = Some("2001:db8::7");

#[test]
fn r_log_add_update_and_delete_end_in_one_line_each() {
    let lines = ended(vec![
        reset(vec![]),
        apply(eip("u", None, None)),
        apply(eip("u", None, V6)),
        apply(eip("u", None, V6)),
        apply(eip("u", V4, V6)),
        gone("u"),
        gone("u"),
    ]);
    assert_eq!(
        lines,
        [
            vec![],
            vec![],
            vec!["add u ipv4=- ipv6=2001:db8::7 done".to_owned()],
            vec![],
            vec!["update u ipv4=192.0.2.7 ipv6=2001:db8::7 done".to_owned()],
            vec!["delete u ipv4=192.0.2.7 ipv6=2001:db8::7 done".to_owned()],
            vec![],
        ]
    );
}

#[test]
fn r_log_an_eip_that_goes_unseen_or_without_an_address_ends_in_one_line() {
    let lines = ended(vec![
        reset(vec![]),
        apply(eip("u", None, None)),
        // Deleted and made again while the watch was broken.
        reset(vec![eip("v", V4, None)]),
        reset(vec![]),
    ]);
    assert_eq!(lines[2].len(), 2, "{lines:?}");
    assert_eq!(lines[2][0], "add u ipv4=- ipv6=- abandoned");
    assert_eq!(lines[2][1], "add v ipv4=192.0.2.7 ipv6=- done");
    assert_eq!(lines[3], ["delete v ipv4=192.0.2.7 ipv6=- done"]);
}

#[test]
fn what_was_there_before_the_process_is_not_told_as_new() {
    let lines = ended(vec![reset(vec![eip("u", V4, V6)]), gone("u")]);
    assert!(lines[0].is_empty());
    assert_eq!(lines[1], ["delete u ipv4=192.0.2.7 ipv6=2001:db8::7 done"]);
}

#[test]
fn a_late_deletion_of_an_earlier_life_ends_nothing() {
    let lines = ended(vec![reset(vec![]), apply(eip("v", V4, None)), gone("u")]);
    assert!(lines[2].is_empty(), "{lines:?}");
}

#[test]
fn r_log_the_line_itself_has_each_family_under_its_own_key() {
    let mut operations = Operations::default();
    let mut ended = operations.take(&reset(vec![]));
    for event in [
        apply(eip("u", None, V6)),
        apply(eip("u", V4, V6)),
        gone("u"),
    ] {
        ended.extend(operations.take(&event));
    }
    let written = sluice_journal::captured(|| ended.iter().for_each(tell));
    let of = |key: &str| written.iter().map(|l| l[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("op"), ["add", "update", "delete"]);
    assert_eq!(
        of("ipv4"),
        [json!(null), json!("192.0.2.7"), json!("192.0.2.7")]
    );
    assert_eq!(of("ipv6"), ["2001:db8::7"; 3]);
    assert_eq!(of("name"), ["web"; 3]);
}
