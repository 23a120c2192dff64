//! Routes.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use super::message::{address, attributes, byte, word};
use super::{AF_INET, AF_INET6, PROTOCOL, Request, Rtnl, family};

/// `RTM_NEWROUTE`, `RTM_DELROUTE`, `RTM_GETROUTE` (`linux/rtnetlink.h`).
pub const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;
/// `RTN_UNICAST`, `RTN_LOCAL`, `RTN_UNREACHABLE`.
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RTN_UNREACHABLE: u8 = 7;
/// `RT_SCOPE_UNIVERSE`, `RT_SCOPE_LINK`, `RT_SCOPE_HOST`.
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;
/// `RTNH_F_ONLINK`: the next hop is on the link whatever the routes say.
const RTNH_F_ONLINK: u32 = 4;
/// `RT_TABLE_MAIN`.
const TABLE_MAIN: u32 = 254;
/// `RT_TABLE_LOCAL`.
const TABLE_LOCAL: u32 = 255;
/// Bytes of `struct rtmsg`.
const HEADER: usize = 12;
/// `NLM_F_CREATE | NLM_F_EXCL`.
const CREATE: u16 = 0x400 | 0x200;
/// The metric that IPv6 gives to routes without one.
const METRIC6: u32 = 1024;

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hop {
    /// To this host (on `lo`).
    Local,
    /// Nowhere, with an ICMP error.
    Unreachable,
    /// Out of an interface, by its index, to a next hop or directly.
    Link {
        /// Index of the interface.
        device: u32,
        /// The next hop.
        via: Option<IpAddr>,
        /// Whether the next hop is on the link whatever the routes say.
        onlink: bool,
    },
}

/// A route of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The table.
    pub table: u32,
    /// Destination.
    pub to: IpNet,
    /// Where it leads.
    pub hop: Hop,
    /// The metric, smallest first; 0 for the family's default.
    pub metric: u32,
}

impl Route {
    /// The route that makes an address local, on `lo`.
    pub fn local(address: IpAddr) -> Self {
        Self {
            table: TABLE_LOCAL,
            to: IpNet::from(address),
            hop: Hop::Local,
            metric: 0,
        }
    }

    fn request(&self, kind: u16, flags: u16, loopback: u32) -> Request {
        let (what, scope) = match &self.hop {
            Hop::Local => (RTN_LOCAL, SCOPE_HOST),
            Hop::Unreachable => (RTN_UNREACHABLE, SCOPE_UNIVERSE),
            Hop::Link { via: None, .. } => (RTN_UNICAST, SCOPE_LINK),
            Hop::Link { via: Some(_), .. } => (RTN_UNICAST, SCOPE_UNIVERSE),
        };
        let v4 = self.to.addr().is_ipv4();
        let onlink = matches!(&self.hop, Hop::Link { onlink: true, .. });
        let rtm_flags: u32 = if onlink { RTNH_F_ONLINK } else { 0 };
        let mut header = vec![
            family(self.to.addr()),
            self.to.prefix_len(),
            0,
            0,
            u8::try_from(self.table).unwrap_or(0),
            PROTOCOL,
            if v4 { scope } else { SCOPE_UNIVERSE },
            what,
        ];
        header.extend(rtm_flags.to_ne_bytes());
        let mut request = Request::new(kind, flags, &header)
            .put_address(RTA_DST, self.to.addr())
            .put_u32(RTA_TABLE, self.table);
        if self.metric != 0 {
            request = request.put_u32(RTA_PRIORITY, self.metric);
        }
        match &self.hop {
            Hop::Local => request.put_u32(RTA_OIF, loopback),
            Hop::Unreachable => request,
            Hop::Link { device, via, .. } => {
                let request = request.put_u32(RTA_OIF, *device);
                match via {
                    Some(via) => request.put_address(RTA_GATEWAY, *via),
                    None => request,
                }
            }
        }
    }

    /// The request that adds it; `loopback` is the index of `lo`.
    pub fn add(&self, loopback: u32) -> Request {
        self.request(RTM_NEWROUTE, CREATE, loopback)
    }

    /// The request that removes it.
    pub fn remove(&self, loopback: u32) -> Request {
        self.request(RTM_DELROUTE, 0, loopback)
    }

    /// Reads `RTM_NEWROUTE`; `None` for routes not of a known kind.
    pub(super) fn read(kind: u16, body: &[u8]) -> Option<Self> {
        if kind != RTM_NEWROUTE {
            return None;
        }
        let v4 = match byte(body, 0) {
            AF_INET => true,
            AF_INET6 => false,
            _ => return None,
        };
        let mut to = None;
        let mut via = None;
        let (mut device, mut metric, mut table) = (0, 0, u32::from(byte(body, 4)));
        for (kind, payload) in attributes(body, HEADER) {
            match kind {
                RTA_DST => to = address(payload),
                RTA_OIF => device = word(payload, 0),
                RTA_GATEWAY => via = address(payload),
                RTA_PRIORITY => metric = word(payload, 0),
                RTA_TABLE => table = word(payload, 0),
                _ => {}
            }
        }
        let zero: IpAddr = if v4 {
            std::net::Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        };
        let hop = match byte(body, 7) {
            RTN_LOCAL => Hop::Local,
            RTN_UNREACHABLE => Hop::Unreachable,
            RTN_UNICAST => Hop::Link {
                device,
                via,
                onlink: word(body, 8) & RTNH_F_ONLINK != 0,
            },
            _ => return None,
        };
        Some(Self {
            table,
            to: IpNet::new(to.unwrap_or(zero), byte(body, 1)).ok()?,
            hop,
            metric: if !v4 && metric == METRIC6 { 0 } else { metric },
        })
    }
}

/// What of the routing tables concerns us.
#[derive(Debug, Default)]
pub struct Routes {
    /// Our routes, in all tables.
    pub ours: BTreeSet<Route>,
    /// The default routes of the main table, whoever made them.
    pub defaults: Vec<Route>,
    /// The own addresses that those name, with their interface.
    pub sources: Vec<(u32, IpAddr)>,
}

/// A route as the kernel lists it.
struct Listed {
    route: Route,
    /// Who made it, one of `RTPROT_*`.
    protocol: u8,
    /// The own address that it names.
    source: Option<IpAddr>,
}

impl Listed {
    /// Reads `RTM_NEWROUTE`; `None` for routes not of a known kind.
    fn read(kind: u16, body: &[u8]) -> Option<Self> {
        let route = Route::read(kind, body)?;
        let mut named = attributes(body, HEADER).filter(|(kind, _)| *kind == RTA_PREFSRC);
        Some(Self {
            route,
            protocol: byte(body, 5),
            source: named.next().and_then(|(_, payload)| address(payload)),
        })
    }
}

impl Routes {
    fn add(&mut self, listed: Listed) {
        let Listed {
            route,
            protocol,
            source,
        } = listed;
        if route.table == TABLE_MAIN && route.to.prefix_len() == 0 {
            if let (Hop::Link { device, .. }, Some(source)) = (&route.hop, source) {
                self.sources.push((*device, source));
            }
            self.defaults.push(route.clone());
        }
        if protocol == PROTOCOL {
            self.ours.insert(route);
        }
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.hop {
            Hop::Local => write!(f, "route local {}", self.to)?,
            Hop::Unreachable => write!(f, "route unreachable {}", self.to)?,
            Hop::Link { device, via, .. } => {
                write!(f, "route {}", self.to)?;
                if let Some(via) = via {
                    write!(f, " via {via}")?;
                }
                write!(f, " on interface {device}")?;
            }
        }
        write!(f, " in table {}", self.table)
    }
}

impl Rtnl {
    /// Reads all routing tables once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn routes(&mut self) -> io::Result<Routes> {
        let mut routes = Routes::default();
        for family in [AF_INET, AF_INET6] {
            let mut header = [0; HEADER];
            header[0] = family;
            let request = Request::new(RTM_GETROUTE, 0, &header);
            let listed = self.dump(&request, Listed::read)?;
            listed.into_iter().for_each(|one| routes.add(one));
        }
        Ok(routes)
    }
}
