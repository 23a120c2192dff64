//! Network namespaces of tests.

use std::process::Command;

use nfnetlink::Socket;

/// Runs a test in a fresh network namespace on a thread of its own; the namespace goes away
/// with the thread. Skips where that is not possible.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: not root");
        return;
    }
    let thread = std::thread::spawn(|| {
        // SAFETY: only the network namespace changes, descriptors stay shared.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
            .expect("unshare(CLONE_NEWNET)");
        if let Err(error) = Socket::open().and_then(|mut socket| socket.generation()) {
            eprintln!("SKIPPED: nf_tables is missing: {error}");
            return;
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a program in the namespace of the calling thread and returns what it prints.
pub(crate) fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("output is UTF-8")
}
