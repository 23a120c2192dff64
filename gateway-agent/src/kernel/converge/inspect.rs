//! What the kernel holds compared with what it must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sluice_crds::names::ANNOTATION_UPLINK_ADDRESS;

use super::{Network, Observed, failed, wrong_settings};
use crate::kernel::devconf::sysctl;
use crate::kernel::neighbours::{Hop, Neighbours};
use crate::kernel::own;
use crate::kernel::report::{
    Inspection, KernelError, Problem, ProblemKind, Unusable, UnusableReason, UplinkState,
};
use crate::kernel::routing::{Routing, routing};
use crate::kernel::rtnl::{self, Address, DevConf, Link, Proxy, Route, address_flags};
use crate::kernel::settings::{Settings, Uplink};
use crate::kernel::shaping::Shaping;

impl Network {
    /// Compares what the kernel holds with what it must hold.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn inspect(
        &mut self,
        settings: &Settings,
        addresses: &BTreeMap<IpAddr, usize>,
        holding: bool,
        shaping: &Shaping,
        node: &str,
        neighbours: &mut Neighbours,
    ) -> Result<Inspection, KernelError> {
        let seen = self.observe()?;
        let wanted = routing(settings, addresses, &seen.links, &seen.defaults, holding);
        let mut inspection = Inspection::default();
        let missing = wanted.routes.difference(&seen.routes);
        inspection.missing(missing.map(ToString::to_string));
        inspection.missing(
            wanted
                .rules
                .difference(&seen.rules)
                .map(ToString::to_string),
        );
        let missing = wanted.local.difference(&seen.routes);
        inspection.missing(missing.map(ToString::to_string));
        let missing = wanted.proxies.difference(&seen.proxies);
        inspection.missing(missing.map(|p| format!("proxy of {}", p.address)));
        let is_known = |r: &&Route| wanted.routes.contains(*r) || wanted.local.contains(*r);
        let strange = seen.routes.iter().filter(|route| !is_known(route));
        inspection.extra(strange.map(ToString::to_string));
        inspection.extra(
            seen.rules
                .difference(&wanted.rules)
                .map(ToString::to_string),
        );
        inspection.extra(
            seen.proxies
                .difference(&wanted.proxies)
                .map(|p| format!("proxy of {}", p.address)),
        );
        inspection.drift.extend(seen.shaping_drift(shaping));
        // One uplink of several that is down stops its own addresses only.
        let works = |name: &str| seen.link(name).is_some_and(|l| l.up && l.carrier);
        let some_uplink = settings.uplinks.iter().any(|u| works(&u.interface));
        for name in settings.interfaces() {
            let vital = name == settings.lan || !some_uplink;
            inspection.interface(settings, name, seen.link(name), holding, vital);
        }
        inspection.namespace(settings, addresses, holding);
        if holding {
            inspection.usable(settings, addresses, &wanted, &seen);
        }
        let noted = inspection.annotation(settings, node);
        for (index, uplink) in settings.uplinks.iter().enumerate() {
            let noted = match &noted {
                Ok(all) => Ok(all.iter().filter(|(of, _)| *of == index)),
                Err(Unreadable) => Err(Unreadable),
            };
            let noted = noted.map(|list| list.map(|(_, address)| *address).collect());
            let state = inspection.uplink(uplink, noted, addresses, &seen);
            inspection.uplinks.push(state);
        }
        inspection.lan_mac = seen.link(&settings.lan).and_then(|link| link.mac);
        if holding {
            let hops = next_hops(&wanted, addresses, &seen, &inspection.uplinks);
            let found = neighbours.look(&mut self.rtnl, &seen.links, &hops, settings.watch);
            inspection.problems.extend(found.problems);
            inspection.neighbours = found.changes;
            inspection.mended = found.repaired;
        } else {
            neighbours.rest();
        }
        Ok(inspection)
    }
}

impl Inspection {
    fn missing(&mut self, objects: impl Iterator<Item = String>) {
        self.drift
            .extend(objects.map(|o| format!("{o} is missing")));
    }

    fn extra(&mut self, objects: impl Iterator<Item = String>) {
        self.drift.extend(objects.map(|o| format!("{o} is stale")));
    }

    fn problem(&mut self, kind: ProblemKind, blocking: bool, message: String) {
        self.problems.push(Problem {
            kind,
            message,
            blocking,
        });
    }

    fn interface(
        &mut self,
        settings: &Settings,
        name: &str,
        link: Option<&Link>,
        holding: bool,
        vital: bool,
    ) {
        let Some(link) = link else {
            self.problem(
                ProblemKind::InterfaceNotFound,
                vital,
                format!("interface {name} does not exist: check the network attachment"),
            );
            return;
        };
        if !link.up || !link.carrier {
            let what = if link.up { "has no carrier" } else { "is down" };
            let message = format!(
                "interface {name} {what}: look at its network attachment and at the Node's link"
            );
            self.problem(ProblemKind::InterfaceDown, vital, message);
        }
        for (conf, value) in wrong_settings(settings, link) {
            let drift = format!("{name}: {} must be {value}", conf.name());
            self.drift.push(drift);
        }
        if holding && link.conf(DevConf::Forwarding) != Some(1) {
            self.drift.push(format!("{name}: forwarding must be 1"));
        }
    }

    /// Settings of the whole namespace, which cannot be set from here.
    fn namespace(
        &mut self,
        settings: &Settings,
        addresses: &BTreeMap<IpAddr, usize>,
        holding: bool,
    ) {
        if let Some(all) = sysctl("ipv4/conf/all/rp_filter").filter(|all| *all != 0) {
            self.problem(
                ProblemKind::RPFilterBlocks,
                all == 1,
                format!(
                    "net.ipv4.conf.all.rp_filter is {all} and overrules the interfaces: set it to 0 \
                     on the Node, and replace this pod"
                ),
            );
        }
        let v6 = addresses.keys().any(IpAddr::is_ipv6)
            || settings
                .lan_addresses
                .iter()
                .any(|net| net.addr().is_ipv6());
        if !v6 || !holding {
            return;
        }
        for name in ["forwarding", "proxy_ndp"] {
            if sysctl(&format!("ipv6/conf/all/{name}")) != Some(1) {
                self.problem(
                    ProblemKind::ForwardingDisabled,
                    true,
                    format!(
                        "net.ipv6.conf.all.{name} is not 1: let template.sysctls set it (mode Pod \
                         needs the kubelet's allowedUnsafeSysctls)"
                    ),
                );
            }
        }
    }

    fn usable(
        &mut self,
        settings: &Settings,
        addresses: &BTreeMap<IpAddr, usize>,
        wanted: &Routing,
        seen: &Observed,
    ) {
        let off = self
            .problems
            .iter()
            .any(|p| p.kind == ProblemKind::ForwardingDisabled);
        for (address, index) in addresses {
            let Some(uplink) = settings.uplinks.get(*index) else {
                continue;
            };
            let link = seen.link(&uplink.interface).filter(|l| l.up && l.carrier);
            let reason = match (link, address) {
                (None, _) => Some(UnusableReason::InterfaceDown),
                (Some(_), _) if !seen.routes.contains(&Route::local(*address)) => {
                    Some(UnusableReason::RouteMissing)
                }
                (Some(link), IpAddr::V6(address)) => {
                    let proxy = Proxy {
                        device: link.index,
                        address: *address,
                    };
                    if !seen.proxies.contains(&proxy) {
                        Some(UnusableReason::ProxyMissing)
                    } else {
                        off.then_some(UnusableReason::ForwardingDisabled)
                    }
                }
                _ => None,
            };
            if let Some(reason) = reason {
                self.unusable(*address, reason, &uplink.interface);
            }
        }
        for (device, net) in &wanted.next_hops {
            let own = seen.own(*device, net.addr());
            if own.is_none_or(failed) {
                self.drift
                    .push(format!("address {net} of the LAN is missing"));
                self.unusable(net.addr(), UnusableReason::AddressMissing, &settings.lan);
            }
        }
    }

    fn unusable(&mut self, address: IpAddr, reason: UnusableReason, interface: &str) {
        let what = match reason {
            UnusableReason::RouteMissing => "its local route is missing; it is put back",
            UnusableReason::ProxyMissing => "its proxy entry is missing; it is put back",
            UnusableReason::ForwardingDisabled => {
                "net.ipv6.conf.all.forwarding and proxy_ndp must be 1"
            }
            UnusableReason::InterfaceDown => "the interface is down or absent",
            UnusableReason::AddressConflict => "another host answers for it",
            UnusableReason::AddressMissing => "it is missing from the interface; it is put back",
        };
        self.unusable.push(Unusable {
            address,
            reason,
            message: format!("address {address} on {interface}: {what}"),
        });
    }

    /// What the Node's annotation says, with the uplink's index.
    fn annotation(
        &mut self,
        settings: &Settings,
        node: &str,
    ) -> Result<Vec<(usize, IpAddr)>, Unreadable> {
        let Some(text) = settings.nodes.get(node) else {
            return Ok(Vec::new());
        };
        let names: Vec<&str> = settings.uplinks.iter().map(|u| u.name.as_str()).collect();
        own::annotation(text, &names).map_err(|error| {
            let message = format!("Node {node}: annotation {ANNOTATION_UPLINK_ADDRESS}: {error}");
            self.problem(ProblemKind::AnnotationInvalid, false, message);
            Unreadable
        })
    }

    /// An uplink's own addresses. Where the annotation cannot be read, only what the spec
    /// asks for is used.
    fn uplink(
        &mut self,
        uplink: &Uplink,
        noted: Result<Vec<IpAddr>, Unreadable>,
        addresses: &BTreeMap<IpAddr, usize>,
        seen: &Observed,
    ) -> UplinkState {
        let link = seen.link(&uplink.interface);
        let mut resolve = |v4: bool, spec: Option<IpAddr>| {
            let annotation = match &noted {
                Ok(noted) => noted.iter().find(|a| a.is_ipv4() == v4).copied(),
                Err(Unreadable) if spec.is_none() => return None,
                Err(Unreadable) => None,
            };
            let device = link?.index;
            let of_family = own_addresses(device, v4, addresses, seen);
            let named = |(on, source): &&(u32, IpAddr)| *on == device && source.is_ipv4() == v4;
            let known = own::Known {
                spec,
                annotation,
                interface: &of_family,
                default_route: seen.sources.iter().find(named).map(|(_, source)| *source),
            };
            own::resolve(known).unwrap_or_else(|own::NotThere { asked, by }| {
                self.problem(
                    ProblemKind::AddressNotOnInterface,
                    false,
                    format!(
                        "uplink {}: own address {asked}, asked for by {by}, is not on interface {}: correct it there; no other is used in its place",
                        uplink.name, uplink.interface
                    ),
                );
                None
            })
        };
        let v4 = resolve(true, uplink.ipv4.map(IpAddr::V4));
        let v6 = resolve(false, uplink.ipv6.map(IpAddr::V6));
        UplinkState {
            name: uplink.name.clone(),
            interface: uplink.interface.clone(),
            up: link.is_some_and(|link| link.up && link.carrier),
            mac: link.and_then(|link| link.mac),
            ipv4: match v4 {
                Some(IpAddr::V4(address)) => Some(address),
                _ => None,
            },
            ipv6: match v6 {
                Some(IpAddr::V6(address)) => Some(address),
                _ => None,
            },
        }
    }
}

/// The Node's annotation cannot be read, which was told.
struct Unreadable;

/// An interface's own addresses of a family, the oldest first.
fn own_addresses(
    device: u32,
    v4: bool,
    addresses: &BTreeMap<IpAddr, usize>,
    seen: &Observed,
) -> Vec<IpAddr> {
    let of_link = seen.addresses.iter().filter(|a| a.device == device);
    let fit = of_link.filter(|a| is_own(a) && !addresses.contains_key(&a.address.addr()));
    let of_family = fit.map(|a| a.address.addr()).filter(|a| a.is_ipv4() == v4);
    let mut list: Vec<IpAddr> = of_family.collect();
    if !v4 {
        // The kernel lists the newest first.
        list.reverse();
    }
    list
}

/// The next hops of the routes, each once, and the own address that asks them: the
/// uplink's, else another of the interface, else a link-local one.
fn next_hops(
    wanted: &Routing,
    addresses: &BTreeMap<IpAddr, usize>,
    seen: &Observed,
    uplinks: &[UplinkState],
) -> Vec<Hop> {
    let of_routes = wanted.routes.iter().filter_map(|route| match &route.hop {
        rtnl::Hop::Link {
            device,
            via: Some(via),
            ..
        } => Some((*device, *via)),
        _ => None,
    });
    let each: BTreeSet<(u32, IpAddr)> = of_routes.collect();
    let hop = |(device, address): (u32, IpAddr)| {
        let link = seen.links.iter().find(|link| link.index == device)?;
        let v4 = address.is_ipv4();
        let resolved = uplinks.iter().find(|u| u.interface == link.name);
        let resolved = resolved.and_then(|u| match v4 {
            true => u.ipv4.map(IpAddr::V4),
            false => u.ipv6.map(IpAddr::V6),
        });
        let others = || own_addresses(device, v4, addresses, seen).first().copied();
        let link_local = || {
            let mut on = seen
                .addresses
                .iter()
                .filter(|a| a.device == device && !failed(a));
            on.find(|a| matches!(a.address.addr(), IpAddr::V6(a) if a.is_unicast_link_local()))
                .map(|a| a.address.addr())
                .filter(|_| !v4)
        };
        Some(Hop {
            device,
            interface: link.name.clone(),
            address,
            own: resolved.or_else(others).or_else(link_local),
        })
    };
    each.into_iter().filter_map(hop).collect()
}

fn is_own(address: &Address) -> bool {
    let mut unfit = address_flags::DADFAILED | address_flags::DEPRECATED | address_flags::TENTATIVE;
    if address.address.addr().is_ipv6() {
        // For IPv4 the same bit says that another of the subnet came before.
        unfit |= address_flags::TEMPORARY;
    }
    let link_local = match address.address.addr() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    address.flags & unfit == 0 && !link_local
}
