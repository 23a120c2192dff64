//! The links of the packet checks' hosts.

use std::io;

use packet_checks::hosts::Link;
use sluice_gateway_agent::kernel::packet::{ETH_P_ALL, PacketSocket};

/// Room for what arrives while nobody looks.
const RECEIVE_BYTES: usize = 4 << 20;
/// The longest frame.
const FRAME_BYTES: usize = 65_536;

/// All frames of one interface.
pub struct Interface {
    index: u32,
    socket: PacketSocket,
}

impl Interface {
    /// Opens an interface of the calling thread's network namespace.
    pub fn open(name: &str) -> io::Result<Self> {
        let any = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::DGRAM,
            None,
        )?;
        let index = rustix::net::netdevice::name_to_index(any, name)?;
        let socket = PacketSocket::listener(index, ETH_P_ALL)?;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BYTES)?;
        Ok(Self { index, socket })
    }
}

impl Link for Interface {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(self.index, frame)
    }

    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; FRAME_BYTES];
        Ok(self.socket.receive(&mut buffer)?.map(<[u8]>::to_vec))
    }
}
