//! The process that holds a pod's namespaces: it reaps orphans and sleeps.

use std::time::Duration;

use rustix::process::{WaitOptions, wait};

fn main() {
    loop {
        // No children is the usual case; orphans of a shared pid namespace are
        // reaped within a second. As process 1 it ends by SIGKILL only, and
        // that is what the runtime falls back to at once for a sandbox.
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        std::thread::sleep(Duration::from_secs(1));
    }
}
