//! The socket options of netlink, which rustix does not offer.

use std::os::fd::{AsFd, AsRawFd};

use crate::{Errno, Error};

/// `SOL_NETLINK` (`linux/socket.h`).
const SOL_NETLINK: i32 = 270;
/// `NETLINK_CAP_ACK` (`linux/netlink.h`): errors quote only the header of the request.
const NETLINK_CAP_ACK: i32 = 10;
/// `NETLINK_EXT_ACK` (`linux/netlink.h`): errors carry text and offset.
const NETLINK_EXT_ACK: i32 = 11;

// The C library that std is linked with anyway.
unsafe extern "C" {
    fn setsockopt(fd: i32, level: i32, name: i32, value: *const i32, len: u32) -> i32;
}

/// Asks for errors with text and offset that do not quote the whole request.
pub(crate) fn set_extended_errors(fd: impl AsFd) -> Result<(), Error> {
    for option in [NETLINK_CAP_ACK, NETLINK_EXT_ACK] {
        let on = 1;
        // SAFETY: the descriptor is open, and `value` points to the 4 bytes that `len` says.
        let result = unsafe {
            setsockopt(
                fd.as_fd().as_raw_fd(),
                SOL_NETLINK,
                option,
                &raw const on,
                4,
            )
        };
        if result != 0 {
            let errno = Errno::from_io_error(&std::io::Error::last_os_error());
            return Err(Error::Io {
                call: "setsockopt",
                errno: errno.unwrap_or(Errno::INVAL),
            });
        }
    }
    Ok(())
}
