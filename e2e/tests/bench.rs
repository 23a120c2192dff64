//! That a benchmark that is killed leaves no network namespace behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A benchmark of flows in a folder of its own; killed when dropped.
struct Bench {
    child: Child,
    folder: PathBuf,
    /// Kept open: it could not go on without.
    _says: ChildStdout,
}

impl Bench {
    /// Starts one, and waits until it has made namespaces: which ones.
    fn start(what: &str) -> (Self, BTreeSet<String>) {
        let mut foreign = mounted(Path::new("/proc/self"));
        foreign.extend(entered(Path::new("/proc/self")));
        let folder = env::temp_dir().join(format!("sluice-bench-{what}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sluice-bench"))
            .arg("flows")
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let process = Path::new("/proc").join(child.id().to_string());
        let bench = Self {
            _says: child.stdout.take().unwrap(),
            child,
            folder,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut used = mounted(&process);
            used.extend(entered(&process));
            let used: BTreeSet<String> = used.difference(&foreign).cloned().collect();
            // Three hosts in a row.
            if used.len() >= 3 {
                return (bench, used);
            }
            assert!(Instant::now() < deadline, "it only made {used:?}");
            sleep(Duration::from_millis(5));
        }
    }

    fn end(&mut self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Network namespaces that a process sees mounted, as `net:[number]`.
fn mounted(process: &Path) -> BTreeSet<String> {
    let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
    let roots = mounts.lines().filter_map(|line| line.split(' ').nth(3));
    roots
        .filter(|root| root.starts_with("net:["))
        .map(str::to_owned)
        .collect()
}

/// Network namespaces that a process is in, with any thread, or holds open.
fn entered(process: &Path) -> BTreeSet<String> {
    let tasks = fs::read_dir(process.join("task")).into_iter().flatten();
    let links = tasks.flatten().map(|task| task.path().join("ns/net"));
    let files = fs::read_dir(process.join("fd")).into_iter().flatten();
    links
        .chain(files.flatten().map(|file| file.path()))
        .filter_map(|path| {
            fs::read_link(path)
                .ok()?
                .into_os_string()
                .into_string()
                .ok()
        })
        .filter(|name| name.starts_with("net:["))
        .collect()
}

/// Which of these namespaces anything on this machine still keeps.
fn kept(namespaces: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = mounted(Path::new("/proc/self"));
    for process in fs::read_dir("/proc").unwrap().flatten() {
        found.extend(entered(&process.path()));
    }
    found.intersection(namespaces).cloned().collect()
}

fn expect_none_kept(signal: Signal, namespaces: &BTreeSet<String>) {
    // A program that the benchmark had started ends a little later.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let kept = kept(namespaces);
        if kept.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{signal:?} left {kept:?}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_killed_benchmark_leaves_no_namespace_and_touches_none_of_another() {
    let (mut other, others) = Bench::start("other");
    for signal in [Signal::TERM, Signal::KILL] {
        let (mut bench, namespaces) = Bench::start("ended");
        bench.end(signal);
        expect_none_kept(signal, &namespaces);
    }
    assert!(other.child.try_wait().unwrap().is_none(), "it ended early");
    other.end(Signal::KILL);
    expect_none_kept(Signal::KILL, &others);
}
