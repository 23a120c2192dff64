//! SCTP associations begun by hand (RFC 9260): the kernel under test need not speak it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketType, bind, recvfrom, sendto, socket,
    sockopt,
};

use super::in_ns;

const IPPROTO_SCTP: u32 = 132;
pub const INIT: u8 = 1;
pub const INIT_ACK: u8 = 2;

/// A packet with one INIT or INIT ACK chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sctp {
    pub source: u16,
    pub destination: u16,
    pub tag: u32,
    pub chunk: u8,
    /// The tag that the sender wants to see.
    pub own_tag: u32,
}

impl Sctp {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.tag.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend([self.chunk, 0, 0, 20]);
        bytes.extend(self.own_tag.to_be_bytes());
        bytes.extend(65_536_u32.to_be_bytes());
        bytes.extend([0, 1, 0, 1]);
        bytes.extend(1_u32.to_be_bytes());
        let sum = crc32c(&bytes).to_le_bytes();
        bytes[8..12].copy_from_slice(&sum);
        bytes
    }

    /// `None` for what is not whole, or has another checksum.
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let ports = word(0)?;
        let packet = Self {
            source: (ports >> 16) as u16,
            destination: ports as u16,
            tag: word(4)?,
            chunk: *bytes.get(12)?,
            own_tag: word(16)?,
        };
        (packet.bytes() == bytes).then_some(packet)
    }
}

/// CRC32c, bit by bit (RFC 9260, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let carry = if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            crc >> 1 ^ carry
        })
    })
}

/// A raw socket at an address of a namespace.
pub struct SctpHost {
    socket: OwnedFd,
    address: IpAddr,
}

impl SctpHost {
    pub fn new(ns: &str, address: IpAddr) -> Self {
        let socket = in_ns(ns, move || {
            let family = match address {
                IpAddr::V4(_) => AddressFamily::INET,
                IpAddr::V6(_) => AddressFamily::INET6,
            };
            let protocol = Protocol::from_raw(IPPROTO_SCTP.try_into().unwrap());
            let socket = socket(family, SocketType::RAW, Some(protocol)).unwrap();
            bind(&socket, &SocketAddr::new(address, 0)).unwrap();
            let wait = Some(Duration::from_millis(100));
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, wait).unwrap();
            socket
        });
        Self {
            socket: socket.join().unwrap(),
            address,
        }
    }

    pub fn send(&self, to: IpAddr, packet: Sctp) {
        let to = SocketAddr::new(to, 0);
        sendto(&self.socket, &packet.bytes(), SendFlags::empty(), &to).unwrap();
    }

    /// The next packet and who sent it; `None` where none comes within the time.
    pub fn receive(&self, time: Duration) -> Option<(IpAddr, Sctp)> {
        let end = Instant::now() + time;
        let mut buffer = [0; 256];
        while Instant::now() < end {
            let Ok((len, _, Some(from))) =
                recvfrom(&self.socket, &mut buffer[..], RecvFlags::empty())
            else {
                continue;
            };
            let from = SocketAddr::try_from(from).unwrap().ip();
            // IPv4 comes with its header, IPv6 without.
            let header = if self.address.is_ipv4() {
                usize::from(buffer[0] & 0x0f) * 4
            } else {
                0
            };
            if let Some(packet) = Sctp::read(&buffer[header..len]) {
                return Some((from, packet));
            }
        }
        None
    }
}
