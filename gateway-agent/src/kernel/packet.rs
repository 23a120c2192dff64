//! Raw frames on an interface (`packet(7)`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with,
    sockopt,
};

/// All protocols (`linux/if_ether.h`).
pub const ETH_P_ALL: u16 = 0x0003;
/// ARP.
pub const ETH_P_ARP: u16 = 0x0806;
/// IPv6.
pub const ETH_P_IPV6: u16 = 0x86dd;

/// Bytes of the send buffer: room for a burst of a thousand frames.
const SEND_BYTES: usize = 1 << 20;
/// How long sending waits where the interface's queue is full.
const PATIENCE: Duration = Duration::from_millis(20);

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

impl LinkAddress {
    fn new(device: u32, protocol: u16) -> Self {
        Self {
            family: AddressFamily::PACKET.as_raw(),
            protocol: protocol.to_be(),
            index: i32::try_from(device).unwrap_or(0),
            hatype: 0,
            pkttype: 0,
            halen: 0,
            address: [0; 8],
        }
    }
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

/// A socket for whole Ethernet frames.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// A socket that only sends.
    ///
    /// # Errors
    /// The system's; it needs `CAP_NET_RAW`.
    pub fn sender() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
        if sockopt::set_socket_send_buffer_size_force(&fd, SEND_BYTES).is_err() {
            sockopt::set_socket_send_buffer_size(&fd, SEND_BYTES)?;
        }
        Ok(Self(fd))
    }

    /// A socket that also receives what one interface receives of one protocol.
    ///
    /// # Errors
    /// The system's.
    pub fn listener(device: u32, protocol: u16) -> io::Result<Self> {
        let socket = Self::sender()?;
        bind(&socket.0, &LinkAddress::new(device, protocol))?;
        Ok(socket)
    }

    /// Sends a frame; waits a little where the queue is full.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&self, device: u32, frame: &[u8]) -> io::Result<()> {
        let to = LinkAddress::new(device, 0);
        for _ in 0..3 {
            match sendto(&self.0, frame, SendFlags::empty(), &to) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOBUFS) => {
                    wait(&[(&self.0, PollFlags::OUT)], PATIENCE)?;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(rustix::io::Errno::NOBUFS.into())
    }

    /// The next frame that was received, cut at the buffer's length; `None` if there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match recv(&self.0, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((len, _)) => Ok(Some(buffer.get(..len).unwrap_or_default())),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            // The interface went down: nothing will be heard.
            Err(rustix::io::Errno::NETDOWN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of the sockets is ready.
///
/// # Errors
/// The system's.
pub fn wait(sockets: &[(&impl AsFd, PollFlags)], timeout: Duration) -> io::Result<()> {
    let mut fds: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|(socket, flags)| PollFd::new(*socket, *flags))
        .collect();
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
