//! Who answers for an address on a link.

use std::net::IpAddr;

use nfnetlink::nftables::Hook;

use super::machine::{Context, Decision};
use super::{Model, flows::Tracked};
use crate::packet::{Body, ICMPV6, Packet};
use crate::plan::{Family, Host};

/// Neighbour solicitation (RFC 4861 §4.3).
const SOLICIT: u8 = 135;

impl Model {
    /// Whether the gateway answers a host that asks for an address on its link.
    pub(super) fn answers(&self, host: Host, address: IpAddr) -> Result<bool, String> {
        let interface = host.segment().interface();
        match address {
            // To all of a link.
            IpAddr::V6(group) if group.is_multicast() => Ok(true),
            IpAddr::V6(target) => {
                let mut data = vec![SOLICIT, 0, 0, 0, 0, 0, 0, 0];
                data.extend(target.octets());
                let body = Body::Other {
                    protocol: ICMPV6,
                    data,
                };
                let from = host.address(Family::V6);
                let mut context = Context {
                    packet: Packet::new(from, address, body).hops(255),
                    bytes: None,
                    input: interface.to_owned(),
                    output: String::new(),
                    mark: 0,
                    tracked: Tracked::Untracked,
                };
                let heard = self.hook(&self.inet, Hook::Prerouting, &mut context)?;
                let holds = self
                    .own
                    .iter()
                    .chain(&self.proxies)
                    .any(|(own, at)| *own == address && at == interface);
                Ok(heard == Decision::Passes && holds)
            }
            IpAddr::V4(target) => {
                let IpAddr::V4(from) = host.address(Family::V4) else {
                    return Ok(false);
                };
                // An ARP request (RFC 826).
                let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1];
                bytes.extend(host.mac());
                bytes.extend(from.octets());
                bytes.extend([0; 6]);
                bytes.extend(target.octets());
                let nothing = Body::Other {
                    protocol: 0,
                    data: Vec::new(),
                };
                let mut context = Context {
                    packet: Packet::new(from.into(), address, nothing),
                    bytes: Some(bytes),
                    input: interface.to_owned(),
                    output: String::new(),
                    mark: 0,
                    tracked: Tracked::Untracked,
                };
                let heard = self.hook(&self.arp, Hook::Input, &mut context)?;
                // On whatever interface: arp_ignore is 0.
                Ok(heard == Decision::Passes && self.is_local(address))
            }
        }
    }

    /// Whether the kernel takes an address for its own.
    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        self.local.contains(&address) || self.own.iter().any(|(own, _)| *own == address)
    }
}
