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
