//! A link of the kernel's, by a packet socket (`packet(7)`).

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send,
    socket_with, sockopt,
};

use crate::hosts::Link;

/// `ETH_P_ALL` (`linux/if_ether.h`).
const ALL: u16 = 0x0003;
/// Room for what arrives while nobody looks.
const RECEIVE_BYTES: usize = 4 << 20;
/// The longest frame.
const FRAME_BYTES: usize = 65_536;

/// `struct sockaddr_ll` (`linux/if_packet.h`).
#[repr(C)]
struct LinkAddress {
    family: u16,
    /// Network byte order.
    protocol: u16,
    index: i32,
    hatype: u16,
    pkttype: u8,
    halen: u8,
    address: [u8; 8],
}

// SAFETY: the pointer is that of a `struct sockaddr_ll` that lives during the call, and the
// length is its size.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        let len = SocketAddrLen::try_from(size_of::<Self>()).unwrap_or(0);
        f(std::ptr::from_ref(self).cast(), len)
    }
}

/// All frames of one interface.
#[derive(Debug)]
pub struct Interface(OwnedFd);

impl Interface {
    /// Opens an interface of the calling thread's network namespace, by its index.
    ///
    /// # Errors
    /// The system's; it needs `CAP_NET_RAW`.
    pub fn open(index: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let all = std::num::NonZeroU32::new(u32::from(ALL.to_be())).map(Protocol::from_raw);
        let fd = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, all)?;
        sockopt::set_socket_recv_buffer_size_force(&fd, RECEIVE_BYTES)?;
        let address = LinkAddress {
            family: AddressFamily::PACKET.as_raw(),
            protocol: ALL.to_be(),
            index: i32::try_from(index).unwrap_or(0),
            hatype: 0,
            pkttype: 0,
            halen: 0,
            address: [0; 8],
        };
        bind(&fd, &address)?;
        Ok(Self(fd))
    }
}

impl Link for Interface {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        send(&self.0, frame, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; FRAME_BYTES];
        match recv(&self.0, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((len, _)) => {
                buffer.truncate(len);
                Ok(Some(buffer))
            }
            // An interface that is down has nothing to say.
            Err(Errno::AGAIN | Errno::INTR | Errno::NETDOWN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}
