//! Network namespaces: making, entering, and running programs in them.
//!
//! A namespace is entered by a thread of its own that ends with the work, so
//! no other thread of the process ever changes its network.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::error::{Doing, LabError, Result};

/// Makes a network namespace, with `lo` up. It lasts as long as the file is open.
///
/// # Errors
/// When namespaces are not permitted.
pub fn make() -> Result<File> {
    in_thread(|| {
        // SAFETY: only the network namespace is unshared, not the file
        // descriptors, so nothing of another thread changes.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
            .doing(|| "make a network namespace".into())?;
        crate::command::run(std::process::Command::new("ip").args(["link", "set", "lo", "up"]))?;
        File::open("/proc/thread-self/ns/net").doing(|| "open a new network namespace".into())
    })
}

/// The path of a namespace that this process holds open, also for the programs
/// that it starts.
#[must_use]
pub fn path_of(namespace: &File) -> PathBuf {
    let fd = namespace.as_raw_fd();
    PathBuf::from(format!("/proc/{}/fd/{fd}", std::process::id()))
}

/// Makes a network namespace, with `lo` up, and keeps it mounted at `path`.
///
/// # Errors
/// When namespaces or mounts are not permitted.
pub fn create(path: &Path) -> Result<()> {
    let made = make()?;
    File::create(path).doing(|| format!("create {}", path.display()))?;
    mount_bind(path_of(&made), path)
        .doing(|| format!("mount a network namespace at {}", path.display()))
}

/// Unmounts the namespace at `path`; it ends with the last process in it.
/// Doing nothing when there is none.
pub fn remove(path: &Path) {
    if path.exists() {
        let _ = unmount(path, UnmountFlags::DETACH);
        let _ = fs::remove_file(path);
    }
}

/// Moves the calling thread, for good, into the namespace at `path`.
///
/// # Errors
/// When there is no namespace at `path`.
pub fn enter(path: &Path) -> Result<()> {
    let file =
        File::open(path).doing(|| format!("open the network namespace {}", path.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .doing(|| format!("enter the network namespace {}", path.display()))
}

/// Runs `work` in the namespace at `path`, and waits for it. Processes started
/// by `work` are in that namespace too.
///
/// # Errors
/// When the namespace cannot be entered, and whatever `work` fails with.
pub fn within<T: Send>(path: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    in_thread(|| {
        enter(path)?;
        work()
    })
}

/// Writes settings below `/proc/sys` of the calling thread's namespace, given
/// as `name value`; names that this kernel does not have are passed over.
///
/// # Errors
/// When a setting exists and cannot be written.
pub fn set_sysctls(settings: &[(&str, &str)]) -> Result<()> {
    for (name, value) in settings {
        let path = Path::new("/proc/sys").join(name);
        if path.exists() {
            fs::write(&path, value).doing(|| format!("set {} to {value}", path.display()))?;
        }
    }
    Ok(())
}

fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|_| Err(LabError::Content("a thread in a namespace died".into())))
    })
}
