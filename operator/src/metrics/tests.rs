//! The text of a scrape.

use serde_json::json;
use sluice_core::identity::Uid;
use sluice_core::operator::event::Key;

use super::*;

fn claim(name: &str, address: &str) -> Object {
    Object::AddressClaim(
        serde_json::from_value(json!({
            "apiVersion": "internal.sluice.dev/v1alpha1", "kind": "AddressClaim", "metadata": {"name": name},
            "spec": {"network": "default", "address": address, "gatewayUID": "g", "phase": "Bound",
                     "owner": {"kind": "EIP", "uid": "u", "namespace": "n", "name": "e"}},
        }))
        .unwrap(),
    )
}

fn value(text: &str, line: &str) -> Option<i64> {
    text.lines()
        .find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn adds_less_deletes_is_the_gauge_whatever_comes_twice() {
    let metrics = Metrics::default();
    let apply = |object: Object| metrics.census(&Event::Apply(Box::new(object)));
    let delete = |name: &str| {
        metrics.census(&Event::Delete {
            kind: Kind::AddressClaim,
            child: None,
            key: Key {
                namespace: String::new(),
                name: name.into(),
            },
            uid: Uid::new("u"),
            version: u64::MAX,
        });
    };
    apply(claim("a", "10.0.0.1"));
    apply(claim("a", "10.0.0.1"));
    apply(claim("b", "2001:db8::1"));
    apply(claim("c", "10.0.0.2"));
    delete("c");
    delete("c");
    metrics.census(&Event::Reset {
        kind: Kind::AddressClaim,
        objects: vec![claim("a", "10.0.0.1"), claim("d", "2001:db8::2")],
        versions: [(None, 9)].into(),
    });
    let text = metrics.text(true, (3, 2), &Gauges::default()).unwrap();
    for (family, adds, deletes) in [("IPv4", 2, 1), ("IPv6", 2, 1)] {
        let line = |name: &str| value(&text, &format!("sluice_{name}{{family=\"{family}\"}}"));
        assert_eq!(line("address_claims_total"), Some(adds));
        assert_eq!(line("address_releases_total"), Some(deletes));
        assert_eq!(line("addresses_claimed"), Some(adds - deletes));
    }
    assert_eq!(value(&text, "sluice_operator_leader"), Some(1));
    assert_eq!(value(&text, "sluice_operator_queue_waiting"), Some(3));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn all_kinds_must_be_listed() {
    let metrics = Metrics::default();
    for kind in Kind::ALL {
        // Pods as targets are listed only where a rule needs them.
        assert_eq!(metrics.all_listed(), kind == Kind::InsidePod);
        metrics.synced(kind);
    }
    assert!(metrics.all_listed());
    metrics.acted("Read", &Outcome::Done, Duration::from_millis(3));
    let text = metrics
        .text(
            false,
            (0, 0),
            &Gauges {
                published: 4,
                ..Gauges::default()
            },
        )
        .unwrap();
    assert!(
        text.contains("sluice_operator_actions_total{action=\"Read\",outcome=\"done\"} 1"),
        "{text}"
    );
    assert_eq!(
        value(&text, "sluice_operator_published_revisions_total"),
        Some(4)
    );
    assert!(
        text.contains("# UNIT sluice_operator_action_duration_seconds seconds"),
        "{text}"
    );
}
