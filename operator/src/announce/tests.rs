//! The budget and the shape of Events.

use sluice_core::identity::Uid;
use sluice_core::operator::event::Key;

use super::*;

#[test]
fn a_burst_is_followed_by_a_trickle() {
    let start = tokio::time::Instant::now();
    let mut budget = Budget::new(start);
    let sent = (0..200).filter(|_| budget.take(start)).count();
    assert_eq!(sent, 50);
    assert!(!budget.take(start + REFILL / 2));
    assert!(budget.take(start + REFILL));
    assert!(!budget.take(start + REFILL));
    let later = start + REFILL * 1_000;
    assert_eq!((0..200).filter(|_| budget.take(later)).count(), 50);
}

#[test]
fn an_event_names_its_object_and_fits_its_bounds() {
    let announcement = Announcement {
        kind: Kind::EIPPool,
        key: Key {
            namespace: String::new(),
            name: format!("{}-", "p".repeat(199)),
        },
        uid: Uid::new("u"),
        warning: true,
        reason: "Exhausted",
        message: "é".repeat(900),
    };
    let event = event(&announcement, "operator", jiff::Timestamp::UNIX_EPOCH, 31);
    assert_eq!(event["metadata"]["namespace"], "default");
    assert_eq!(
        event["metadata"]["name"],
        format!("{}.0.1f", "p".repeat(199))
    );
    assert_eq!(event["eventTime"], "1970-01-01T00:00:00.000000Z");
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["regarding"]["kind"], "EIPPool");
    assert_eq!(event["note"].as_str().unwrap().len(), 1_024);
}
