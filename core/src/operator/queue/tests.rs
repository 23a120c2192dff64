//! What is handed out, when, and again.

use super::super::event::{Key, Kind};
use super::super::urgency::Urgency;
use super::*;

fn key() -> Key {
    Key {
        namespace: "n".into(),
        name: "web".into(),
    }
}

fn subject() -> Subject {
    Subject::Status(Kind::EIP, key())
}

fn target() -> Target {
    Target::Status(Kind::EIP, key())
}

fn status(urgency: Urgency) -> Action {
    Action::WriteStatus {
        kind: Kind::EIP,
        key: key(),
        urgency,
    }
}

fn want(queue: &mut Queue, urgency: Urgency) {
    queue.set(&subject(), target(), Some(status(urgency)));
}

#[test]
fn one_action_per_target_is_under_way() {
    let mut queue = Queue::default();
    want(&mut queue, Urgency::Address);
    assert_eq!(queue.take(Millis(0)).len(), 1);
    want(&mut queue, Urgency::Address);
    assert_eq!(queue.take(Millis(0)), []);
    assert!(queue.succeeded(&target()).is_some());
    assert_eq!(queue.take(Millis(0)).len(), 1, "wanted meanwhile");
    assert!(queue.succeeded(&target()).is_some());
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_status_that_becomes_more_urgent_is_handed_out_once_more() {
    let mut queue = Queue::default();
    want(&mut queue, Urgency::Address);
    queue.take(Millis(0));
    want(&mut queue, Urgency::First);
    assert_eq!(queue.take(Millis(0)), [status(Urgency::First)]);
    want(&mut queue, Urgency::First);
    assert_eq!(queue.take(Millis(0)), []);
    want(&mut queue, Urgency::Address);
    assert_eq!(queue.take(Millis(0)), [], "less urgent is no news");
}

#[test]
fn failures_wait_longer_and_longer_and_a_change_forgives_them() {
    let mut queue = Queue::default();
    let mut now = Millis(0);
    let mut waits = Vec::new();
    for _ in 0..12 {
        want(&mut queue, Urgency::Address);
        while queue.take(now).is_empty() {
            now = queue.next_deadline().unwrap();
        }
        queue.failed(&target(), false, now);
        want(&mut queue, Urgency::Address);
        queue.take(now);
        waits.push(queue.next_deadline().unwrap().0 - now.0);
    }
    assert_eq!(waits[..4], [100, 200, 400, 800]);
    assert_eq!(waits[11], 30_000);
    assert_eq!(queue.failing(), 1);
    queue.forgive(&target());
    assert_eq!(queue.take(now).len(), 1);
    queue.succeeded(&target());
    assert_eq!((queue.failing(), queue.len()), (0, 0));
}

#[test]
fn a_conflict_is_tried_again_soon_and_counts_as_no_failure() {
    let mut queue = Queue::default();
    want(&mut queue, Urgency::Address);
    queue.take(Millis(0));
    queue.failed(&target(), true, Millis(0));
    assert_eq!(queue.failing(), 0);
    want(&mut queue, Urgency::Address);
    assert_eq!(queue.take(Millis(4)), []);
    assert_eq!(queue.take(Millis(5)).len(), 1);
}

#[test]
fn what_nobody_wants_any_more_is_not_handed_out() {
    let mut queue = Queue::default();
    want(&mut queue, Urgency::Address);
    queue.set(&subject(), target(), None);
    assert_eq!(queue.take(Millis(0)), []);
    want(&mut queue, Urgency::Address);
    queue.clear(&subject(), |_| true);
    assert_eq!(queue.take(Millis(0)), []);
    assert_eq!(queue.len(), 0);
}
