//! Interfaces and their IPv4 settings.

use std::io;

use super::message::{attributes, put, text, word};
use super::{AF_INET, Request, Rtnl};

/// `RTM_NEWLINK`, `RTM_GETLINK`, `RTM_SETLINK` (`linux/rtnetlink.h`).
pub const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
/// `enum` of `IFLA_*` (`linux/if_link.h`).
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_CARRIER: u16 = 33;
const IFLA_INET_CONF: u16 = 1;
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;
/// `IFF_UP` (`linux/if.h`).
const IFF_UP: u32 = 1;
/// Bytes of `struct ifinfomsg`.
const HEADER: usize = 16;

/// A setting of an interface for IPv4 (`IPV4_DEVCONF_*`, `linux/ip.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DevConf {
    /// Forwards what comes in by it.
    Forwarding,
    /// Sends redirects.
    SendRedirects,
    /// Checks sources against the routes.
    RpFilter,
    /// Which address asks for a neighbour.
    ArpAnnounce,
    /// For which addresses it answers.
    ArpIgnore,
}

impl DevConf {
    /// The kernel's number.
    pub fn number(self) -> u16 {
        match self {
            Self::Forwarding => 1,
            Self::SendRedirects => 6,
            Self::RpFilter => 8,
            Self::ArpAnnounce => 18,
            Self::ArpIgnore => 19,
        }
    }

    /// The name of the sysctl.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forwarding => "forwarding",
            Self::SendRedirects => "send_redirects",
            Self::RpFilter => "rp_filter",
            Self::ArpAnnounce => "arp_announce",
            Self::ArpIgnore => "arp_ignore",
        }
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC, if it has one of 6 bytes.
    pub mac: Option<[u8; 6]>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whether it has a carrier.
    pub carrier: bool,
    conf: Vec<u32>,
}

impl Link {
    /// An interface with a carrier and without settings.
    #[cfg(test)]
    pub fn plain(index: u32, name: &str, up: bool) -> Self {
        Self {
            index,
            name: name.to_owned(),
            mac: None,
            mtu: 1_500,
            up,
            carrier: up,
            conf: Vec::new(),
        }
    }

    /// An IPv4 setting; `None` where the interface has none.
    pub fn conf(&self, conf: DevConf) -> Option<u32> {
        let index = usize::from(conf.number()).checked_sub(1)?;
        self.conf.get(index).copied()
    }

    /// Reads `RTM_NEWLINK`.
    pub fn read(kind: u16, body: &[u8]) -> Option<Self> {
        if kind != RTM_NEWLINK {
            return None;
        }
        let mut link = Self {
            index: word(body, 4),
            name: String::new(),
            mac: None,
            mtu: 0,
            up: word(body, 8) & IFF_UP != 0,
            carrier: true,
            conf: Vec::new(),
        };
        for (kind, payload) in attributes(body, HEADER) {
            match kind {
                IFLA_IFNAME => link.name = text(payload),
                IFLA_MTU => link.mtu = word(payload, 0),
                IFLA_ADDRESS => link.mac = payload.try_into().ok(),
                IFLA_CARRIER => link.carrier = payload.first() != Some(&0),
                IFLA_AF_SPEC => {
                    let inet = attributes(payload, 0).find(|(kind, _)| *kind == u16::from(AF_INET));
                    let conf = inet.and_then(|(_, inet)| {
                        attributes(inet, 0).find(|(kind, _)| *kind == IFLA_INET_CONF)
                    });
                    if let Some((_, conf)) = conf {
                        let words = conf.chunks_exact(4).map(|bytes| word(bytes, 0));
                        link.conf = words.collect();
                    }
                }
                _ => {}
            }
        }
        Some(link)
    }
}

impl Rtnl {
    /// All interfaces.
    ///
    /// # Errors
    /// The kernel's.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        self.dump(&Request::new(RTM_GETLINK, 0, &[0; HEADER]), Link::read)
    }

    /// Sets IPv4 settings of an interface.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_conf(&mut self, device: u32, settings: &[(DevConf, u32)]) -> io::Result<()> {
        let mut conf = Vec::new();
        for (name, value) in settings {
            put(&mut conf, name.number(), &value.to_ne_bytes());
        }
        let mut inet = Vec::new();
        put(&mut inet, IFLA_INET_CONF | NESTED, &conf);
        let mut spec = Vec::new();
        put(&mut spec, u16::from(AF_INET) | NESTED, &inet);
        let mut header = vec![0; 4];
        header.extend(device.to_ne_bytes());
        header.resize(HEADER, 0);
        self.send_one(Request::new(RTM_SETLINK, 0, &header).put_nest(IFLA_AF_SPEC, &spec))
    }
}
