//! Order, replacement, exclusion and fairness.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use sluice_core::operator::event::{Key, Kind};

use super::*;

fn key(name: &str) -> Key {
    Key {
        namespace: "n".into(),
        name: name.into(),
    }
}

fn status(name: &str, urgent: bool) -> Action {
    Action::WriteStatus {
        kind: Kind::EIP,
        key: key(name),
        urgency: Urgency::of_status(Kind::EIP, urgent),
    }
}

fn finalizers(name: &str, version: &str) -> Action {
    Action::SetFinalizers {
        kind: Kind::EIP,
        key: key(name),
        uid: sluice_core::identity::Uid::new("u"),
        resource_version: version.into(),
        finalizers: vec![],
    }
}

fn drain(queue: &Queue) -> Vec<Action> {
    std::iter::from_fn(|| queue.try_take().map(|(_, action)| action)).collect()
}

#[test]
fn urgent_targets_go_first_and_others_in_their_order() {
    let queue = Queue::new(48);
    for action in [
        status("a", false),
        finalizers("b", "1"),
        status("c", true),
        status("d", false),
        status("e", true),
    ] {
        assert!(queue.push(action).is_none());
    }
    assert_eq!(
        drain(&queue),
        [
            status("c", true),
            status("e", true),
            finalizers("b", "1"),
            status("a", false),
            status("d", false)
        ]
    );
}

#[test]
fn the_last_value_wins_and_takes_one_place() {
    let queue = Queue::new(48);
    assert!(queue.push(finalizers("a", "1")).is_none());
    assert!(queue.push(finalizers("b", "1")).is_none());
    assert!(queue.push(finalizers("a", "2")).is_none());
    assert_eq!(drain(&queue), [finalizers("a", "2"), finalizers("b", "1")]);
}

#[test]
fn a_target_that_becomes_urgent_moves_up_and_is_served_once() {
    let queue = Queue::new(48);
    assert!(queue.push(status("a", false)).is_none());
    assert!(queue.push(status("b", false)).is_none());
    assert!(queue.push(status("b", true)).is_none());
    assert!(queue.push(status("b", false)).is_none());
    assert_eq!(drain(&queue), [status("b", false), status("a", false)]);
}

#[test]
fn no_target_is_written_twice_at_once() {
    let queue = Queue::new(48);
    assert!(queue.push(status("a", true)).is_none());
    let (target, _) = queue.try_take().unwrap();
    assert!(queue.push(status("a", true)).is_none());
    assert_eq!(queue.try_take(), None);
    assert_eq!(queue.depth(), (1, 1));
    queue.finish(&target);
    assert_eq!(drain(&queue), [status("a", true)]);
}

#[test]
fn a_place_left_behind_serves_no_target_that_is_under_way() {
    let queue = Queue::new(48);
    assert!(queue.push(status("a", false)).is_none());
    assert!(queue.push(status("a", true)).is_none());
    let (target, _) = queue.try_take().unwrap();
    assert!(queue.push(status("a", false)).is_none());
    assert_eq!(queue.try_take(), None);
    queue.finish(&target);
    assert_eq!(drain(&queue), [status("a", false)]);
}

/// The same of another namespace.
fn of(namespace: &str, mut action: Action) -> Action {
    if let Action::SetFinalizers { key, .. } | Action::WriteStatus { key, .. } = &mut action {
        key.namespace = namespace.into();
    }
    action
}

#[test]
fn a_namespace_with_many_objects_does_not_hold_up_another() {
    let queue = Queue::new(48);
    for i in 0..100 {
        assert!(
            queue
                .push(of("many", finalizers(&format!("e{i}"), "1")))
                .is_none()
        );
    }
    assert!(queue.push(of("few", finalizers("web", "1"))).is_none());
    let order = [0, 1].map(|_| queue.try_take().unwrap().1);
    assert_eq!(order[0], of("many", finalizers("e0", "1")));
    assert_eq!(order[1], of("few", finalizers("web", "1")));
}

#[test]
fn a_namespace_has_its_share_of_writers_and_no_more() {
    let queue = Queue::new(16);
    for i in 0..6 {
        assert!(
            queue
                .push(of("many", finalizers(&format!("e{i}"), "1")))
                .is_none()
        );
    }
    let taken = [queue.try_take().unwrap().0, queue.try_take().unwrap().0];
    assert!(queue.push(of("few", finalizers("web", "1"))).is_none());
    assert_eq!(
        queue.try_take().unwrap().1,
        of("few", finalizers("web", "1"))
    );
    assert_eq!(
        queue.try_take(),
        None,
        "two of sixteen writers are its share"
    );
    queue.finish(&taken[0]);
    assert_eq!(
        queue.try_take().unwrap().1,
        of("many", finalizers("e2", "1"))
    );
    assert_eq!(queue.try_take(), None);
    for target in &taken {
        queue.finish(target);
    }
    assert!(queue.try_take().is_some(), "a share is given back");
}

#[test]
fn a_namespace_that_is_alone_has_all_writers() {
    let queue = Queue::new(16);
    for i in 0..9 {
        let of_users = of("many", finalizers(&format!("e{i}"), "1"));
        assert!(queue.push(of_users).is_none());
    }
    // What is written for the gateway is no other user's.
    assert!(
        queue
            .push(Action::Read {
                kind: Kind::Pod,
                key: key("gw"),
                known: None,
            })
            .is_none()
    );
    assert_eq!(drain(&queue).len(), 10);
}

#[test]
fn corrections_are_bound_by_no_share() {
    let queue = Queue::new(3);
    assert!(queue.push(of("few", finalizers("web", "1"))).is_none());
    for i in 0..4 {
        assert!(queue.push(status(&format!("e{i}"), true)).is_none());
    }
    assert_eq!(drain(&queue).len(), 5);
}

#[tokio::test]
async fn every_push_is_taken_by_some_worker() {
    let queue = std::sync::Arc::new(Queue::new(48));
    let workers: Vec<_> = (0..16)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while let Ok((target, _)) =
                    tokio::time::timeout(std::time::Duration::from_secs(1), queue.take()).await
                {
                    done += 1;
                    tokio::task::yield_now().await;
                    queue.finish(&target);
                }
                done
            })
        })
        .collect();
    for i in 0..500 {
        assert!(queue.push(status(&format!("e{i}"), i % 2 == 0)).is_none());
        if i % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    assert_eq!(done, 500);
    assert_eq!(queue.depth(), (0, 0));
}
