//! Which instance this process speaks for.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use sluice_core::identity::{InstanceId, Uid};

/// Where the kernel tells its boot apart from others (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why the instance cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The boot ID cannot be read.
    #[error("cannot read {BOOT_ID}")]
    BootId(#[source] io::Error),
    /// The kernel does not tell the cookie of the network namespace.
    #[error("cannot read SO_NETNS_COOKIE: Linux 5.14 or later is needed")]
    NetnsCookie(#[source] io::Error),
}

/// The instance of this process: its Pod, boot and network namespace.
///
/// # Errors
/// Where the kernel does not tell.
pub fn instance(pod_uid: Uid) -> Result<InstanceId, IdentityError> {
    let boot_id = std::fs::read_to_string(BOOT_ID).map_err(IdentityError::BootId)?;
    Ok(InstanceId {
        pod_uid,
        boot_id: boot_id.trim().to_owned(),
        netns_cookie: netns_cookie().map_err(IdentityError::NetnsCookie)?,
    })
}

/// `SO_NETNS_COOKIE` (socket.h): a number that no other network namespace of
/// this boot has or had.
fn netns_cookie() -> io::Result<u64> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).or_else(|_| UdpSocket::bind(("::1", 0)))?;
    let mut cookie = 0_u64;
    let mut len = 8;
    // SAFETY: both pointers are to live locals, and `len` is the size of the first.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if done == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_the_same_for_two_processes_of_one_namespace() {
        let first = instance(Uid::new("u")).unwrap();
        assert_eq!(first, instance(Uid::new("u")).unwrap());
        assert!(first.netns_cookie > 0);
        assert_eq!(first.to_string().parse(), Ok(first));
    }
}
