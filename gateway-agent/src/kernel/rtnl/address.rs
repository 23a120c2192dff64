//! Addresses of interfaces.

use std::io;

use ipnet::IpNet;

use super::message::{address, attributes, byte, word};
use super::{PROTOCOL, Request, Rtnl, family};

/// `RTM_NEWADDR`, `RTM_DELADDR`, `RTM_GETADDR` (`linux/rtnetlink.h`).
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
/// `enum` of `IFA_*` (`linux/if_addr.h`).
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
/// Bytes of `struct ifaddrmsg`.
const HEADER: usize = 8;
/// `NLM_F_CREATE | NLM_F_EXCL`.
const CREATE: u16 = 0x400 | 0x200;

/// `IFA_F_*` (`linux/if_addr.h`).
pub mod flags {
    /// `IFA_F_TEMPORARY`: a privacy address (IPv6).
    pub const TEMPORARY: u32 = 0x01;
    /// `IFA_F_NODAD`: used without asking whether others have it.
    pub const NODAD: u32 = 0x02;
    /// `IFA_F_DADFAILED`: others have it.
    pub const DADFAILED: u32 = 0x08;
    /// `IFA_F_DEPRECATED`.
    pub const DEPRECATED: u32 = 0x20;
    /// `IFA_F_TENTATIVE`: not usable yet.
    pub const TENTATIVE: u32 = 0x40;
    /// `IFA_F_NOPREFIXROUTE`: no route to its prefix is made.
    pub const NOPREFIXROUTE: u32 = 0x200;
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the interface.
    pub device: u32,
    /// The address, with its prefix length.
    pub address: IpNet,
    /// [`flags`].
    pub flags: u32,
    /// Whether it was put there by an instance of this program (Linux 5.18 and later know).
    pub ours: bool,
}

impl Address {
    fn request(&self, kind: u16, flags: u16) -> Request {
        let mut header = vec![family(self.address.addr()), self.address.prefix_len(), 0, 0];
        header.extend(self.device.to_ne_bytes());
        Request::new(kind, flags, &header)
            .put_address(IFA_LOCAL, self.address.addr())
            .put_address(IFA_ADDRESS, self.address.addr())
            .put_u32(IFA_FLAGS, self.flags)
            .put(IFA_PROTO, &[PROTOCOL])
    }

    /// The request that adds it.
    pub fn add(&self) -> Request {
        self.request(RTM_NEWADDR, CREATE)
    }

    /// The request that removes it.
    pub fn remove(&self) -> Request {
        self.request(RTM_DELADDR, 0)
    }

    pub(super) fn read(kind: u16, body: &[u8]) -> Option<Self> {
        if kind != RTM_NEWADDR {
            return None;
        }
        let (mut local, mut peer, mut flags) = (None, None, u32::from(byte(body, 2)));
        let mut ours = false;
        for (kind, payload) in attributes(body, HEADER) {
            match kind {
                IFA_LOCAL => local = address(payload),
                IFA_ADDRESS => peer = address(payload),
                IFA_FLAGS => flags = word(payload, 0),
                IFA_PROTO => ours = byte(payload, 0) == PROTOCOL,
                _ => {}
            }
        }
        Some(Self {
            device: word(body, 4),
            address: IpNet::new(local.or(peer)?, byte(body, 1)).ok()?,
            flags,
            ours,
        })
    }
}

impl Rtnl {
    /// All addresses of all interfaces, in the kernel's order.
    ///
    /// # Errors
    /// The kernel's.
    pub fn addresses(&mut self) -> io::Result<Vec<Address>> {
        self.dump(&Request::new(RTM_GETADDR, 0, &[0; HEADER]), Address::read)
    }
}
