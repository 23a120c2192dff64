//! Where lines go, and what the kernel dropped on the way here.

use std::io;

use rustix::fs::FileType;

/// Where lines go.
pub trait Output: Send {
    /// Bytes that can be written now without waiting.
    fn room(&self) -> usize;

    /// Writes all of it.
    ///
    /// # Errors
    /// The system's.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Of a pipe, the log of flows fills this much at most: the agent's own lines, written by
/// others, find room at any time. A pipe takes 64 kB.
const SHARE: usize = 32 << 10;

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub struct Stdout {
    is_pipe: bool,
}

impl Stdout {
    /// Standard output as it is now.
    #[must_use]
    pub fn new() -> Self {
        let stat = rustix::fs::fstat(io::stdout());
        Self {
            is_pipe: stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo),
        }
    }
}

impl Default for Stdout {
    fn default() -> Self {
        Self::new()
    }
}

impl Output for Stdout {
    fn room(&self) -> usize {
        if !self.is_pipe {
            return SHARE;
        }
        let waiting = rustix::io::ioctl_fionread(io::stdout()).unwrap_or(0);
        SHARE.saturating_sub(usize::try_from(waiting).unwrap_or(usize::MAX))
    }

    // Not by `std::io::stdout`, whose lock others would wait for.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(io::stdout(), bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// `NETLINK_NETFILTER` (`linux/netlink.h`).
const NETLINK_NETFILTER: &str = "12";

/// How many messages the kernel has dropped for the netlink socket with this port, by
/// `/proc/net/netlink` of the calling thread's network namespace.
pub fn dropped(port: u32) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/netlink").ok()?;
    of_socket(&text, port)
}

fn of_socket(text: &str, port: u32) -> Option<u64> {
    let port = port.to_string();
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [_, protocol, of, _, _, _, _, _, drops, ..]
                if *protocol == NETLINK_NETFILTER && *of == port =>
            {
                drops.parse().ok()
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drops_of_a_socket_are_read_from_its_own_line() {
        let text = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
                    0000000000000000 0   7          00000551 0        0        0     2        5        101\n\
                    0000000000000000 12  4102       00000005 0        0        0     2        0        102\n\
                    0000000000000000 12  7          00000005 212992   0        0     2        4711     103\n";
        assert_eq!(of_socket(text, 7), Some(4711));
        assert_eq!(of_socket(text, 4102), Some(0));
        assert_eq!(of_socket(text, 8), None);
    }
}
