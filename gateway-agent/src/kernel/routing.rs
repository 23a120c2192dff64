//! The routes, rules, addresses and proxies that the kernel must hold, as a pure function of
//! the config and of the interfaces that there are.
//!
//! One table for the LAN and one per uplink, chosen by mark, each with an unreachable
//! default: when an interface goes down its routes vanish, and what would have used them
//! must not leave by another way. The main table is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::rtnl::{Hop, Link, Proxy, Route, Rule};
use super::ruleset::{LAN_MARK, UPLINK_MASK};
use super::settings::{Settings, Uplink};

#[cfg(test)]
mod tests;

/// The LAN's routing table.
const LAN_TABLE: u32 = 90;
/// The routing table of uplink `n` is this plus `n`.
const UPLINK_TABLE: u32 = 100;
/// Priorities of the rules: by mark, by source, by interface.
const BY_MARK: u32 = 100;
const BY_SOURCE: u32 = 110;
const BY_INTERFACE: u32 = 120;

/// What the kernel must hold besides the nft tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Routes of the tables of LAN and uplinks.
    pub routes: BTreeSet<Route>,
    /// Rules that choose the table.
    pub rules: BTreeSet<Rule>,
    /// Routes that make the EIPs local.
    pub local: BTreeSet<Route>,
    /// Proxies that answer for IPv6 EIPs.
    pub proxies: BTreeSet<Proxy>,
    /// Next-hop addresses of the LAN interface, with its index.
    pub next_hops: Vec<(u32, IpNet)>,
}

/// Works out what the kernel must hold. What would stand on an interface that is absent or
/// down is left out: the kernel could not hold it. `defaults` are the default routes of the
/// main table: inside hosts are behind them where the LAN is the pod's own interface.
pub fn routing(
    settings: &Settings,
    addresses: &BTreeMap<IpAddr, usize>,
    links: &[Link],
    defaults: &[Route],
    holding: bool,
) -> Routing {
    let device = |name: &str| links.iter().find(|link| link.name == name && link.up);
    let mut routing = Routing::default();
    for v4 in [true, false] {
        routing.routes.insert(unreachable(LAN_TABLE, v4));
        let mark = Some((LAN_MARK, UPLINK_MASK));
        routing.rule(v4, BY_MARK, Some("lo"), mark, None, LAN_TABLE);
        for interface in settings.interfaces() {
            routing.rule(v4, BY_INTERFACE, Some(interface), None, None, LAN_TABLE);
        }
    }
    if let Some(lan) = device(&settings.lan) {
        routing.lan(settings, lan.index, holding);
        if settings.lan_addresses.is_empty() {
            routing.lan_defaults(lan.index, defaults);
        }
    }
    for uplink in &settings.uplinks {
        routing.uplink(&settings.lan, uplink, device(&uplink.interface));
    }
    for (address, index) in addresses.iter().filter(|_| holding) {
        routing.local.insert(Route::local(*address));
        let uplink = settings.uplinks.get(*index);
        let link = uplink.and_then(|uplink| device(&uplink.interface));
        if let (IpAddr::V6(address), Some(link)) = (address, link) {
            routing.proxies.insert(Proxy {
                device: link.index,
                address: *address,
            });
        }
    }
    routing
}

impl Routing {
    fn lan(&mut self, settings: &Settings, device: u32, holding: bool) {
        for next_hop in &settings.lan_addresses {
            self.link_route(LAN_TABLE, next_hop.trunc(), device, None, false);
            let own = Some(IpNet::from(next_hop.addr()));
            let v4 = next_hop.addr().is_ipv4();
            self.rule(v4, BY_SOURCE, Some("lo"), None, own, LAN_TABLE);
            if holding {
                self.next_hops.push((device, *next_hop));
            }
        }
        for (to, via) in &settings.lan_routes {
            let near = settings.lan_addresses.iter().any(|net| net.contains(via));
            self.link_route(LAN_TABLE, *to, device, Some(*via), !near);
        }
    }

    /// The pod's own interface has no subnet of the LAN's: its default next hop knows the
    /// way to all that the settings have no route to.
    fn lan_defaults(&mut self, device: u32, defaults: &[Route]) {
        for v4 in [true, false] {
            let all = everything(v4);
            let own = defaults.iter().filter(|route| route.to == all);
            let ways = own.filter_map(|route| match &route.hop {
                Hop::Link {
                    device: on, via, ..
                } if *on == device => Some((route.metric, *via)),
                _ => None,
            });
            if let Some((_, via)) = ways.min() {
                // Its own route may lie outside every subnet of the interface.
                self.link_route(LAN_TABLE, all, device, via, via.is_some_and(is_global));
            }
        }
    }

    fn uplink(&mut self, lan: &str, uplink: &Uplink, link: Option<&Link>) {
        let table = UPLINK_TABLE + u32::from(uplink.number);
        let mark = Some((u32::from(uplink.number), UPLINK_MASK));
        for v4 in [true, false] {
            self.routes.insert(unreachable(table, v4));
            self.rule(v4, BY_MARK, Some(lan), mark, None, table);
            self.rule(v4, BY_MARK, Some("lo"), mark, None, table);
        }
        for (subnet, _) in &uplink.subnets {
            let v4 = subnet.addr().is_ipv4();
            self.rule(v4, BY_SOURCE, Some("lo"), None, Some(*subnet), table);
        }
        let Some(link) = link else { return };
        for (subnet, _) in &uplink.subnets {
            self.link_route(table, *subnet, link.index, None, false);
        }
        for v4 in [true, false] {
            // The first next hop of a family serves the whole table.
            let gateways = uplink.subnets.iter().filter_map(|(_, gateway)| *gateway);
            let Some(gateway) = gateways.into_iter().find(|g| g.is_ipv4() == v4) else {
                continue;
            };
            let near = uplink.subnets.iter().any(|(net, _)| net.contains(&gateway));
            self.link_route(
                table,
                everything(v4),
                link.index,
                Some(gateway),
                !near && is_global(gateway),
            );
        }
    }

    fn link_route(&mut self, table: u32, to: IpNet, device: u32, via: Option<IpAddr>, far: bool) {
        self.routes.insert(Route {
            table,
            to,
            hop: Hop::Link {
                device,
                via,
                onlink: far,
            },
            metric: 0,
        });
    }

    fn rule(
        &mut self,
        v4: bool,
        priority: u32,
        interface: Option<&str>,
        mark: Option<(u32, u32)>,
        from: Option<IpNet>,
        table: u32,
    ) {
        self.rules.insert(Rule {
            v4,
            priority,
            interface: interface.map(str::to_owned),
            mark,
            from,
            table,
        });
    }
}

/// IPv6 link-local next hops are on the link in any case.
fn is_global(address: IpAddr) -> bool {
    !matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn everything(v4: bool) -> IpNet {
    let zero: IpAddr = if v4 {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    // Length 0 is valid in both families.
    IpNet::new(zero, 0).unwrap_or_else(|_| IpNet::from(zero))
}

/// Fails closed: the last choice of a table.
fn unreachable(table: u32, v4: bool) -> Route {
    Route {
        table,
        to: everything(v4),
        hop: Hop::Unreachable,
        metric: u32::MAX,
    }
}
