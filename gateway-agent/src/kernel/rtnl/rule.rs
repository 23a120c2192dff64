//! Routing rules.

use std::io;

use ipnet::IpNet;

use super::message::{address, attributes, byte, text, word};
use super::{AF_INET, AF_INET6, PROTOCOL, Request, Rtnl};

/// `RTM_NEWRULE`, `RTM_DELRULE`, `RTM_GETRULE` (`linux/rtnetlink.h`).
pub const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
/// `enum` of `FRA_*` (`linux/fib_rules.h`).
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_PROTOCOL: u16 = 21;
/// `FR_ACT_TO_TBL`.
const FR_ACT_TO_TBL: u8 = 1;
/// Bytes of `struct fib_rule_hdr`.
const HEADER: usize = 12;
/// `NLM_F_CREATE | NLM_F_EXCL`.
const CREATE: u16 = 0x400 | 0x200;

/// A routing rule of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Whether it is for IPv4.
    pub v4: bool,
    /// Order among the rules, lowest first.
    pub priority: u32,
    /// The incoming interface; `lo` for what this host sends.
    pub interface: Option<String>,
    /// The packet's mark and which bits of it count.
    pub mark: Option<(u32, u32)>,
    /// The source.
    pub from: Option<IpNet>,
    /// The table to look in.
    pub table: u32,
}

impl Rule {
    fn request(&self, kind: u16, flags: u16) -> Request {
        let header = [
            if self.v4 { AF_INET } else { AF_INET6 },
            0,
            self.from.map_or(0, |from| from.prefix_len()),
            0,
            u8::try_from(self.table).unwrap_or(0),
            0,
            0,
            FR_ACT_TO_TBL,
            0,
            0,
            0,
            0,
        ];
        let mut request = Request::new(kind, flags, &header)
            .put_u32(FRA_PRIORITY, self.priority)
            .put_u32(FRA_TABLE, self.table)
            .put(FRA_PROTOCOL, &[PROTOCOL]);
        if let Some(interface) = &self.interface {
            let mut name = interface.clone().into_bytes();
            name.push(0);
            request = request.put(FRA_IIFNAME, &name);
        }
        if let Some((mark, mask)) = self.mark {
            request = request.put_u32(FRA_FWMARK, mark).put_u32(FRA_FWMASK, mask);
        }
        if let Some(from) = self.from {
            request = request.put_address(FRA_SRC, from.addr());
        }
        request
    }

    /// The request that adds it.
    pub fn add(&self) -> Request {
        self.request(RTM_NEWRULE, CREATE)
    }

    /// The request that removes it.
    pub fn remove(&self) -> Request {
        self.request(RTM_DELRULE, 0)
    }

    pub(super) fn read(kind: u16, body: &[u8]) -> Option<Self> {
        if kind != RTM_NEWRULE || byte(body, 7) != FR_ACT_TO_TBL {
            return None;
        }
        let mut rule = Self {
            v4: byte(body, 0) == AF_INET,
            priority: 0,
            interface: None,
            mark: None,
            from: None,
            table: u32::from(byte(body, 4)),
        };
        let (mut protocol, mut mark, mut mask) = (0, None, u32::MAX);
        for (kind, payload) in attributes(body, HEADER) {
            match kind {
                FRA_PRIORITY => rule.priority = word(payload, 0),
                FRA_TABLE => rule.table = word(payload, 0),
                FRA_IIFNAME => rule.interface = Some(text(payload)),
                FRA_FWMARK => mark = Some(word(payload, 0)),
                FRA_FWMASK => mask = word(payload, 0),
                FRA_PROTOCOL => protocol = byte(payload, 0),
                FRA_SRC => {
                    rule.from = IpNet::new(address(payload)?, byte(body, 2)).ok();
                }
                _ => {}
            }
        }
        rule.mark = mark.map(|mark| (mark, mask));
        (protocol == PROTOCOL).then_some(rule)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = if self.v4 { "IPv4" } else { "IPv6" };
        write!(f, "{family} rule {}", self.priority)?;
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " iif {interface}")?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " fwmark {mark:#x}/{mask:#x}")?;
        }
        write!(f, " lookup {}", self.table)
    }
}

impl Rtnl {
    /// Our routing rules.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rules(&mut self) -> io::Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let mut header = [0; HEADER];
            header[0] = family;
            let request = Request::new(RTM_GETRULE, 0, &header);
            rules.extend(self.dump(&request, Rule::read)?);
        }
        Ok(rules)
    }
}
