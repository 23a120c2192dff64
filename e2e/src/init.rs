//! The first process of a pid namespace: reaps orphans, and ends, and with it
//! the whole namespace, when its one child ends.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Pid, Signal, WaitOptions, set_parent_process_death_signal, setsid, wait};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::cgroup::Cgroup;
use crate::error::{Doing, Result};
use crate::node::append;
use crate::paths::LabPaths;

/// Moves this process into a fresh mount namespace and `more`; the next child
/// that it starts is the first process of a fresh pid namespace.
///
/// # Errors
/// When namespaces are not permitted.
pub fn make_namespaces(more: UnshareFlags) -> Result<()> {
    // SAFETY: file descriptors are not unshared, and this process has one thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID | UnshareFlags::NEWNS | more) }
        .doing(|| "make namespaces".into())?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .doing(|| "make mounts private".into())
}

/// This program again, with an internal command.
#[must_use]
pub fn internal(args: &[&str]) -> Command {
    let own = env::current_exe().unwrap_or_else(|_| "sluice-lab".into());
    let mut command = Command::new(own);
    command.arg("internal").args(args).stdin(Stdio::null());
    command
}

/// The `internal spawn` command: detaches from the caller and starts the lab's
/// first process. Prints its number, in the caller's pid namespace.
///
/// # Errors
/// When namespaces or cgroups are not permitted.
pub fn spawn_lab(paths: &LabPaths) -> Result<()> {
    setsid().doing(|| "start a session".into())?;
    let cgroup = Cgroup::new(paths.unique()).child("cp");
    cgroup.create()?;
    cgroup.join()?;
    make_namespaces(UnshareFlags::empty())?;
    let log = append(&paths.dir.join("supervisor.log"))?;
    let errors = log.try_clone().doing(|| "copy a log's descriptor".into())?;
    let child = internal(&["init", "supervise", &paths.name])
        .stdout(log)
        .stderr(errors)
        .spawn()
        .doing(|| "start the first process".into())?;
    println!("{}", child.id());
    Ok(())
}

/// The `internal init` command: never returns before its child ends; the
/// value is the exit status to end with.
///
/// # Errors
/// When the child cannot be started.
pub fn run(args: &[String], die_with_parent: bool) -> Result<i32> {
    if die_with_parent {
        set_parent_process_death_signal(Some(Signal::KILL))
            .doing(|| "ask to die with the parent".into())?;
    }
    mount_proc(Path::new("/proc"))?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let child = internal(&args)
        .spawn()
        .doing(|| "start the child of the first process".into())?;
    let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == child => {
                let status = std::process::ExitStatus::from_raw(status.as_raw());
                return Ok(status.code().unwrap_or(1));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for children".into()),
        }
    }
}

/// Mounts the `/proc` of the caller's pid namespace.
///
/// # Errors
/// When the kernel refuses.
fn mount_proc(target: &Path) -> Result<()> {
    mount("proc", target, "proc", MountFlags::empty(), None)
        .doing(|| format!("mount {}", target.display()))
}
