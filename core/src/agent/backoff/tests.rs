use super::*;

#[test]
fn waits_double_up_to_the_longest_and_begin_anew() {
    let mut backoff = Backoff::new(100, 500);
    assert_eq!(backoff.due(), Millis(0));
    let mut now = Millis(0);
    let mut waits = Vec::new();
    for _ in 0..5 {
        backoff.failed(now);
        waits.push(backoff.due().0 - now.0);
        now = backoff.due();
    }
    assert_eq!(waits, [100, 200, 400, 500, 500]);
    backoff.reset();
    assert_eq!(backoff.due(), Millis(0));
    backoff.failed(Millis(u64::MAX - 1));
    assert_eq!(
        backoff.due(),
        Millis(u64::MAX),
        "the end of time is no panic"
    );
}

#[test]
fn the_earliest_of_what_is_not_due_wakes() {
    let mut wake = Wake::default();
    assert!(wake.reached(Millis(5), Millis(5)));
    assert_eq!(wake.at(), None);
    for due in [30, 10, 20] {
        assert!(!wake.reached(Millis(5), Millis(due)));
    }
    assert_eq!(wake.at(), Some(Millis(10)));
}
