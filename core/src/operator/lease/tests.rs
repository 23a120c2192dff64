//! When a Lease counts as run out.

use super::super::event::Key;
use super::*;
use crate::identity::Uid;

fn lease(holder: &str, renewed: &str) -> LeaseFacts {
    LeaseFacts {
        key: Key::default(),
        uid: Uid::new("l"),
        resource_version: "1".into(),
        gateway_uid: Uid::new("g"),
        holder: holder.into(),
        transitions: 1,
        duration_secs: 15,
        renew_time: renewed.into(),
        acquire_time: String::new(),
        deleting: false,
    }
}

fn lost(clock: &mut LeaseClock, lease: &LeaseFacts, in_sync: bool, secs: u64) -> bool {
    let (holder, _) = clock.look(Some(lease), in_sync, Millis(secs * 1_000));
    matches!(holder, Holder::Lost { .. })
}

#[test]
fn it_runs_out_when_it_stood_for_its_whole_duration() {
    let mut clock = LeaseClock::default();
    let stands = lease("i", "t1");
    assert_eq!(
        clock.look(Some(&stands), true, Millis(5_000)).1,
        Some(Millis(20_000))
    );
    assert!(!lost(&mut clock, &stands, true, 19));
    assert!(lost(&mut clock, &stands, true, 20));
    // A renewal brings it back, whatever time it names.
    assert!(!lost(&mut clock, &lease("i", "t0"), true, 21));
}

#[test]
fn time_counts_only_while_the_watch_is_in_sync() {
    let mut clock = LeaseClock::default();
    let stands = lease("i", "t1");
    assert!(!lost(&mut clock, &stands, true, 0));
    assert!(!lost(&mut clock, &stands, false, 10));
    assert!(!lost(&mut clock, &stands, false, 100));
    assert!(!lost(&mut clock, &stands, true, 101));
    assert!(!lost(&mut clock, &stands, true, 115));
    assert!(lost(&mut clock, &stands, true, 116));
    // What has run out stays so while nobody renews it.
    assert!(lost(&mut clock, &stands, false, 117));
}

#[test]
fn an_empty_or_absent_lease_is_nobodys() {
    let mut clock = LeaseClock::default();
    let nobody = (Holder::Nobody, None);
    assert_eq!(clock.look(None, true, Millis(0)), nobody);
    assert_eq!(clock.look(Some(&lease("", "t")), true, Millis(0)), nobody);
    assert!(!lost(&mut clock, &lease("i", "t"), true, 100));
}

#[test]
fn a_duration_that_is_no_duration_ends_at_once() {
    let mut clock = LeaseClock::default();
    let odd = LeaseFacts {
        duration_secs: -1,
        ..lease("i", "t")
    };
    assert!(lost(&mut clock, &odd, true, 0));
}

#[test]
fn what_a_new_leader_finds_is_doubted_by_the_clock_on_the_wall() {
    let wall: Timestamp = "2026-01-02T03:04:30Z".parse().unwrap();
    let found = |renewed: &str| {
        let mut clock = LeaseClock::default();
        let lease = lease("i", renewed);
        clock.look(Some(&lease), true, Millis(0));
        clock.is_fresh(&lease, wall)
    };
    assert!(found("2026-01-02T03:04:15.000001Z"));
    assert!(!found("2026-01-02T03:04:15Z"));
    // The holder's clock may be ahead, but no further than what is measured.
    assert!(found("2026-01-02T03:04:44Z"));
    assert!(!found("2026-01-02T03:04:45Z"));
    assert!(!found(""));
}

#[test]
fn what_was_seen_to_be_renewed_is_not_doubted() {
    let wall: Timestamp = "2026-01-02T03:04:30Z".parse().unwrap();
    let (old, older) = ("2026-01-02T03:00:01Z", "2026-01-02T03:00:00Z");
    let mut clock = LeaseClock::default();
    clock.look(Some(&lease("i", older)), true, Millis(0));
    clock.look(Some(&lease("i", older)), true, Millis(1));
    assert!(!clock.is_fresh(&lease("i", older), wall));
    clock.look(Some(&lease("i", old)), true, Millis(2));
    assert!(clock.is_fresh(&lease("i", old), wall));
    // Taken where nobody was.
    let mut clock = LeaseClock::default();
    clock.look(None, true, Millis(0));
    clock.look(Some(&lease("i", old)), true, Millis(1));
    assert!(clock.is_fresh(&lease("i", old), wall));
}
