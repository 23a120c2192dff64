#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use super::abort_on_panic;

/// Says to the process that runs the test again what it is to do.
const WHERE: &str = "PANIC_WHERE";

/// `SIGABRT` (POSIX).
const SIGABRT: i32 = 6;

#[test]
fn a_panic_anywhere_ends_the_process() {
    if let Ok(place) = std::env::var(WHERE) {
        abort_on_panic();
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        // Nobody asks how the thread or the task ended, as in the agent.
        runtime.block_on(async {
            match place.as_str() {
                "task" => drop(tokio::spawn(async { panic!("in a task") })),
                _ => drop(std::thread::spawn(|| panic!("in a thread"))),
            }
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        });
        return;
    }
    for place in ["task", "thread"] {
        let again = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "logging::tests::a_panic_anywhere_ends_the_process",
            ])
            .env(WHERE, place)
            .output()
            .unwrap();
        assert_eq!(again.status.signal(), Some(SIGABRT), "{place}: {again:?}");
    }
}
