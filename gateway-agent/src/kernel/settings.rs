//! The settings of a gateway, parsed once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use sluice_crds::internal::ConfigSettings;
use sluice_crds::user::MssClamp;

use super::report::KernelError;
use super::rtnl::Link;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// Interfaces, subnets and policies of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Interface of the inside network.
    pub lan: String,
    /// The pods' next hops, with prefix.
    pub lan_addresses: Vec<IpNet>,
    /// Inside subnets behind routers.
    pub lan_routes: Vec<(IpNet, IpAddr)>,
    /// The external networks, in order.
    pub uplinks: Vec<Uplink>,
    /// Whether an EIP answers ping when no rule takes it.
    pub ping_eips: bool,
    /// The largest TCP segment, if there is a limit.
    pub mss_clamp: Option<MssClamp>,
    /// MTUs of interfaces, in bytes, where segments go by them. Not among what is parsed.
    pub mtus: BTreeMap<String, u32>,
    /// Whether translations are logged.
    pub flow_log: bool,
    /// How next hops are watched.
    pub watch: Watch,
    /// Nodes' annotations for own addresses, as written, by the Node's name.
    pub nodes: BTreeMap<String, String>,
}

/// How next hops are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Whether a wrong entry of the kernel is replaced.
    pub repair: bool,
    /// Milliseconds between two questions to a next hop.
    pub probe_ms: u64,
}

/// An external network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name, which `addr` entries use.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// Its number, from 1: the mark of its packets.
    pub number: u8,
    /// Subnets and their next hops.
    pub subnets: Vec<(IpNet, Option<IpAddr>)>,
    /// Own IPv4 address, where it is overridden.
    pub ipv4: Option<Ipv4Addr>,
    /// Own IPv6 address, where it is overridden.
    pub ipv6: Option<Ipv6Addr>,
}

impl Settings {
    /// Parses the settings of a config.
    ///
    /// # Errors
    /// [`KernelError::Settings`] naming the field and the value that cannot be used.
    pub fn parse(settings: &ConfigSettings) -> Result<Self, KernelError> {
        let lan = &settings.lan;
        interface("lan.interface", &lan.interface)?;
        let mut uplinks: Vec<Uplink> = Vec::new();
        for (index, uplink) in settings.uplinks.iter().enumerate() {
            let field = format!("uplinks[{index}]");
            interface(&format!("{field}.interface"), &uplink.interface)?;
            let twice = uplinks.iter().any(|u| u.interface == uplink.interface);
            if twice || uplink.interface == lan.interface {
                return Err(bad(
                    &format!("{field}.interface"),
                    &uplink.interface,
                    "give each uplink and the LAN an interface of its own",
                ));
            }
            let mut subnets = Vec::new();
            for subnet in &uplink.subnets {
                let prefix: IpNet = parse(&format!("{field}.subnets.cidr"), &subnet.cidr)?;
                let gateway = match &subnet.gateway {
                    Some(text) => {
                        let name = format!("{field}.subnets.gateway");
                        let gateway: IpAddr = parse(&name, text)?;
                        same_family(&name, text, prefix.addr(), gateway)?;
                        Some(gateway)
                    }
                    None => None,
                };
                subnets.push((prefix.trunc(), gateway));
            }
            let number = u8::try_from(index + 1).ok().filter(|n| *n <= MAX_UPLINKS);
            let number = number.ok_or_else(|| {
                bad(
                    "uplinks",
                    &settings.uplinks.len().to_string(),
                    "name at most 8",
                )
            })?;
            uplinks.push(Uplink {
                name: uplink.name.clone(),
                interface: uplink.interface.clone(),
                number,
                subnets,
                ipv4: optional(&format!("{field}.ipv4"), uplink.ipv4.as_deref())?,
                ipv6: optional(&format!("{field}.ipv6"), uplink.ipv6.as_deref())?,
            });
        }
        let mut lan_addresses = Vec::new();
        for text in &lan.addresses {
            lan_addresses.push(parse("lan.addresses", text)?);
        }
        let mut lan_routes = Vec::new();
        for route in &lan.routes {
            let to: IpNet = parse("lan.routes.to", &route.to)?;
            let via = parse("lan.routes.via", &route.via)?;
            same_family("lan.routes.via", &route.via, to.addr(), via)?;
            lan_routes.push((to.trunc(), via));
        }
        let mss_clamp = settings.mss_clamp.as_deref().map(|text| {
            let remedy = "write Auto, or a number of 536 to 65495";
            MssClamp::parse(text).ok_or_else(|| bad("mssClamp", text, remedy))
        });
        Ok(Self {
            lan: lan.interface.clone(),
            lan_addresses,
            lan_routes,
            uplinks,
            ping_eips: settings.ping_eips,
            mss_clamp: mss_clamp.transpose()?,
            mtus: BTreeMap::new(),
            flow_log: settings.flow_log,
            watch: Watch {
                repair: settings.neighbours.repair,
                probe_ms: u64::try_from(settings.neighbours.probe_secs.clamp(1, 60))
                    .unwrap_or(1)
                    .saturating_mul(1_000),
            },
            nodes: settings
                .nodes
                .iter()
                .map(|node| (node.name.clone(), node.uplink_address.clone()))
                .collect(),
        })
    }

    /// The prefixes of the inside network: of the next hops, and behind routers.
    pub fn inside_prefixes(&self) -> Vec<IpNet> {
        let near = self.lan_addresses.iter().map(IpNet::trunc);
        near.chain(self.lan_routes.iter().map(|(to, _)| *to))
            .collect()
    }

    /// All interfaces of the data plane: the LAN, then the uplinks.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        let uplinks = self.uplinks.iter().map(|uplink| uplink.interface.as_str());
        std::iter::once(self.lan.as_str()).chain(uplinks)
    }

    /// Takes over the MTUs of the interfaces, where segments go by them; says whether any is
    /// another than before.
    pub fn follow_mtus(&mut self, links: &[Link]) -> bool {
        if self.mss_clamp != Some(MssClamp::Auto) {
            return false;
        }
        let ours = |link: &&Link| self.interfaces().any(|name| name == link.name);
        let found = links.iter().filter(ours).map(|l| (l.name.clone(), l.mtu));
        let found: BTreeMap<String, u32> = found.collect();
        let changed = found != self.mtus;
        self.mtus = found;
        changed
    }

    /// The number and the interface of the uplink of each address, given its index.
    pub fn places(&self, addresses: &BTreeMap<IpAddr, usize>) -> BTreeMap<IpAddr, (u8, &str)> {
        let place = |(address, index): (&IpAddr, &usize)| {
            let uplink = self.uplinks.get(*index)?;
            Some((*address, (uplink.number, uplink.interface.as_str())))
        };
        addresses.iter().filter_map(place).collect()
    }
}

/// A gateway has at most this many uplinks.
const MAX_UPLINKS: u8 = 8;

/// Why an address can be neither an EIP nor an inside address; `None` for one that can.
/// The kernel and the standard parsers accept all of these.
pub fn unfit(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) if address.octets().first() == Some(&0) => Some("is in 0.0.0.0/8"),
        IpAddr::V6(address) if address.is_unspecified() => Some("is the unspecified address"),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            Some("is an IPv4 address in IPv6 form")
        }
        _ if address.is_loopback() => Some("is a loopback address"),
        _ if address.is_multicast() => Some("is a multicast address"),
        IpAddr::V4(address) if address.octets().first().is_some_and(|first| *first >= 240) => {
            Some("is in 240.0.0.0/4")
        }
        IpAddr::V4(address) if address.is_link_local() => Some("is a link-local address"),
        IpAddr::V6(address) if address.is_unicast_link_local() => Some("is a link-local address"),
        _ => None,
    }
}

fn bad(field: &str, value: &str, remedy: &str) -> KernelError {
    KernelError::Settings(format!("{field}: {value:?} cannot be used: {remedy}"))
}

fn interface(field: &str, name: &str) -> Result<(), KernelError> {
    let fits = !name.is_empty()
        && name.len() <= 15
        && name != "lo"
        && !name.contains(['/', '*'])
        && name.chars().all(|c| c.is_ascii_graphic());
    if fits {
        Ok(())
    } else {
        Err(bad(
            field,
            name,
            "give the name of an interface, 1 to 15 characters",
        ))
    }
}

fn parse<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, KernelError> {
    text.parse()
        .map_err(|_| bad(field, text, "write an address or a prefix"))
}

fn optional<T: std::str::FromStr>(
    field: &str,
    text: Option<&str>,
) -> Result<Option<T>, KernelError> {
    text.map(|text| {
        text.parse()
            .map_err(|_| bad(field, text, "write an address of this family"))
    })
    .transpose()
}

fn same_family(field: &str, text: &str, a: IpAddr, b: IpAddr) -> Result<(), KernelError> {
    if a.is_ipv4() == b.is_ipv4() {
        Ok(())
    } else {
        Err(bad(
            field,
            text,
            "write an address of the same family as the prefix",
        ))
    }
}
