#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

/// Fails first, then tells one change after the other.
struct Faulty(bool);

impl Watch for Faulty {
    fn wait(&mut self, _: Duration) -> Result<Vec<Notice>, String> {
        if std::mem::take(&mut self.0) {
            return Err("no buffer space".to_owned());
        }
        Ok(vec![Notice::Changed])
    }
}

#[test]
fn events_go_on_after_a_failure_and_nothing_of_that_time_is_missed() {
    let (notices, mut told) = mpsc::unbounded_channel();
    let thread = std::thread::spawn(move || pass_on(&mut Faulty(true), &notices));
    let mut next = || match told.blocking_recv() {
        Some(FromKernel::Notice(notice)) => notice,
        other => panic!("{other:?}"),
    };
    let changed = |notice: &Notice| matches!(notice, Notice::Changed);
    assert!(changed(&next()));
    assert!(matches!(next(), Notice::Link), "as if all had changed");
    assert!(changed(&next()), "and then what is told");
    drop(told);
    thread.join().unwrap();
}
