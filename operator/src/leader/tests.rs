//! What is sent and what is read.

use super::*;

fn write(base: Option<Record>) -> Write {
    Write {
        base,
        holder: "me".into(),
        transitions: 4,
        duration_secs: 15,
        acquires: true,
    }
}

#[test]
fn a_lease_reads_as_it_was_written() {
    let key = Key {
        namespace: "sluice-system".into(),
        name: "sluice-operator".into(),
    };
    let base = Record {
        uid: "u".into(),
        resource_version: "9".into(),
        holder: String::new(),
        transitions: 3,
        duration_secs: 15,
    };
    let sent = serde_json::to_value(lease(
        &key,
        &write(Some(base)),
        &jiff::Timestamp::UNIX_EPOCH,
    ))
    .unwrap();
    assert_eq!(sent.pointer("/metadata/resourceVersion").unwrap(), "9");
    assert_eq!(sent.pointer("/metadata/uid").unwrap(), "u");
    let read = record(&sent).unwrap();
    assert_eq!(
        (read.holder.as_str(), read.transitions, read.duration_secs),
        ("me", 4, 15)
    );
}

#[test]
fn a_new_lease_names_no_version() {
    let sent = serde_json::to_value(lease(
        &Key::default(),
        &write(None),
        &jiff::Timestamp::UNIX_EPOCH,
    ))
    .unwrap();
    assert!(sent.pointer("/metadata/resourceVersion").is_none());
    assert_eq!(record(&sent), None);
}

#[test]
fn leadership_ends_by_itself() {
    let leadership = Leadership::default();
    assert!(!leadership.held());
    leadership.set(Some(Millis(clock::now().0 + 30)));
    assert!(leadership.held());
    std::thread::sleep(Duration::from_millis(50));
    assert!(!leadership.held());
}
