//! What the kernel holds compared with what it must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Network, Observed, failed, wrong_settings};
use crate::kernel::devconf::sysctl;
use crate::kernel::report::{
    Inspection, KernelError, Problem, ProblemKind, Unusable, UnusableReason, UplinkState,
};
use crate::kernel::routing::{Routing, routing};
use crate::kernel::rtnl::{Address, DevConf, Link, Proxy, Route, address_flags};
use crate::kernel::settings::{Settings, Uplink};

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
        let local: BTreeSet<Route> = seen.local().cloned().collect();
        let missing = wanted.local.difference(&local);
        inspection.missing(missing.map(ToString::to_string));
        let missing = wanted.proxies.difference(&seen.proxies);
        inspection.missing(missing.map(|p| format!("proxy of {}", p.address)));
        let known = wanted.routes.union(&wanted.local).cloned().collect();
        inspection.extra(seen.routes.difference(&known).map(ToString::to_string));
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
        for uplink in &settings.uplinks {
            let state = inspection.uplink(uplink, addresses, &seen);
            inspection.uplinks.push(state);
        }
        inspection.lan_mac = seen.link(&settings.lan).and_then(|link| link.mac);
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

    /// An uplink's own addresses: what is overridden, else the first that the interface has.
    fn uplink(
        &mut self,
        uplink: &Uplink,
        addresses: &BTreeMap<IpAddr, usize>,
        seen: &Observed,
    ) -> UplinkState {
        let link = seen.link(&uplink.interface);
        let own: Vec<IpAddr> = link.map_or_else(Vec::new, |link| {
            let of_link = seen.addresses.iter().filter(|a| a.device == link.index);
            let fit = of_link.filter(|a| is_own(a) && !addresses.contains_key(&a.address.addr()));
            fit.map(|a| a.address.addr()).collect()
        });
        let mut first = |v4: bool, asked: Option<IpAddr>| match asked {
            Some(asked) if own.contains(&asked) => Some(asked),
            Some(asked) => {
                self.problem(
                    ProblemKind::AddressNotOnInterface,
                    false,
                    format!(
                        "uplink {}: own address {asked} is not on interface {}: correct the override",
                        uplink.name, uplink.interface
                    ),
                );
                None
            }
            // For IPv6 the kernel lists the newest first.
            None if v4 => own.iter().find(|a| a.is_ipv4()).copied(),
            None => own.iter().rfind(|a| a.is_ipv6()).copied(),
        };
        let v4 = first(true, uplink.ipv4.map(IpAddr::V4));
        let v6 = first(false, uplink.ipv6.map(IpAddr::V6));
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

fn is_own(address: &Address) -> bool {
    let unfit = address_flags::TEMPORARY
        | address_flags::DADFAILED
        | address_flags::DEPRECATED
        | address_flags::TENTATIVE;
    let link_local = match address.address.addr() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    address.flags & unfit == 0 && !link_local
}
