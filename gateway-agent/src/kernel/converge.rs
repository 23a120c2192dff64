//! Routes, rules, addresses, proxies and settings: compared with what the kernel holds, and
//! mended.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use super::devconf::{LAN_ANNOUNCE, NEEDED, sysctl};
use super::report::{
    Inspection, KernelError, KernelOptions, Problem, ProblemKind, Unusable, UnusableReason,
    UplinkState,
};
use super::routing::{Routing, routing};
use super::rtnl::{Address, DevConf, Hop, Link, Proxy, Request, Route, Rtnl, Rule, address_flags};
use super::settings::{Settings, Uplink};

/// `EEXIST`, `ENOENT`, `ESRCH`, `EADDRNOTAVAIL` (`asm-generic/errno-base.h`, `errno.h`).
const EEXIST: i32 = 17;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EADDRNOTAVAIL: i32 = 99;

/// The network side of the data plane.
#[derive(Debug)]
pub struct Network {
    rtnl: Rtnl,
}

/// What converging did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many objects were added, removed or set.
    pub changed: usize,
    /// Addresses that the kernel did not take, and its words.
    pub refused: BTreeMap<IpAddr, String>,
}

/// What the kernel holds.
#[derive(Debug)]
pub struct Observed {
    links: Vec<Link>,
    addresses: Vec<Address>,
    routes: BTreeSet<Route>,
    rules: BTreeSet<Rule>,
    proxies: BTreeSet<Proxy>,
    delays: BTreeMap<u32, u64>,
}

impl Observed {
    fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    fn loopback(&self) -> u32 {
        self.link("lo").map_or(1, |link| link.index)
    }

    fn local(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.hop == Hop::Local)
    }

    fn own(&self, device: u32, address: IpAddr) -> Option<&Address> {
        self.addresses
            .iter()
            .find(|own| own.device == device && own.address.addr() == address)
    }
}

impl Network {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn open() -> Result<Self, KernelError> {
        Ok(Self {
            rtnl: Rtnl::open().map_err(system("open a route netlink socket"))?,
        })
    }

    /// All interfaces.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn links(&mut self) -> Result<Vec<Link>, KernelError> {
        self.rtnl.links().map_err(system("list interfaces"))
    }

    /// The port of the socket that makes changes.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn port(&self) -> Result<u32, KernelError> {
        self.rtnl.port().map_err(system("name a socket"))
    }

    /// Reads what the kernel holds.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn observe(&mut self) -> Result<Observed, KernelError> {
        let rtnl = &mut self.rtnl;
        Ok(Observed {
            links: rtnl.links().map_err(system("list interfaces"))?,
            addresses: rtnl.addresses().map_err(system("list addresses"))?,
            routes: into_set(rtnl.routes().map_err(system("list routes"))?),
            rules: into_set(rtnl.rules().map_err(system("list routing rules"))?),
            proxies: into_set(rtnl.proxies().map_err(system("list proxies"))?),
            delays: rtnl
                .proxy_delays()
                .map_err(system("list neighbour settings"))?
                .into_iter()
                .collect(),
        })
    }

    /// Removes what answers for addresses that are not in `addresses`, and all of it where
    /// the instance does not hold. Returns how many objects went.
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn withdraw(
        &mut self,
        settings: &Settings,
        addresses: &BTreeMap<IpAddr, usize>,
        holding: bool,
        options: &KernelOptions,
        seen: &Observed,
    ) -> Result<usize, KernelError> {
        let wanted = routing(settings, addresses, &seen.links, holding);
        let mut requests = Vec::new();
        let proxies = seen.proxies.difference(&wanted.proxies);
        requests.extend(proxies.map(|proxy| proxy.remove()));
        let gone = seen.local().filter(|route| !wanted.local.contains(route));
        requests.extend(gone.map(|route| route.remove(seen.loopback())));
        // Next hops of settings that are no more.
        let stale = seen.addresses.iter().filter(|own| {
            let kept =
                |(device, net): &(u32, ipnet::IpNet)| *device == own.device && *net == own.address;
            own.ours && !wanted.next_hops.iter().any(kept)
        });
        requests.extend(stale.map(Address::remove));
        let mut changed = self.remove(&requests)?;
        if !holding {
            changed += self.leave_lan(settings, seen, options)?;
        }
        Ok(changed)
    }

    /// Takes the next hops off the LAN and stops forwarding.
    fn leave_lan(
        &mut self,
        settings: &Settings,
        seen: &Observed,
        options: &KernelOptions,
    ) -> Result<usize, KernelError> {
        let mut changed = 0;
        for interface in settings.interfaces() {
            let Some(link) = seen.link(interface) else {
                continue;
            };
            if link.conf(DevConf::Forwarding) == Some(1) && interface != options.pod_interface {
                changed += self.set(link, &[(DevConf::Forwarding, 0)])?;
            }
        }
        if let Some(lan) = seen.link(&settings.lan) {
            let next_hops = settings.lan_addresses.iter();
            let held = next_hops.filter_map(|net| seen.own(lan.index, net.addr()));
            let requests: Vec<Request> = held.map(Address::remove).collect();
            changed += self.remove(&requests)?;
        }
        Ok(changed)
    }

    /// Makes routes, rules, addresses, proxies and settings what they must be, in the order
    /// up, touching only what differs.
    ///
    /// # Errors
    /// [`KernelError`] where the kernel refuses what no address is to blame for.
    pub fn converge(
        &mut self,
        settings: &Settings,
        addresses: &BTreeMap<IpAddr, usize>,
        holding: bool,
        seen: &Observed,
    ) -> Result<Outcome, KernelError> {
        let wanted = routing(settings, addresses, &seen.links, holding);
        let mut outcome = Outcome {
            changed: self.converge_settings(settings, seen)?,
            ..Outcome::default()
        };
        outcome.changed += self.converge_routes(&wanted, seen)?;
        outcome.changed += self.converge_addresses(&wanted, seen, &mut outcome.refused)?;
        if holding {
            for link in settings.interfaces().filter_map(|name| seen.link(name)) {
                if link.conf(DevConf::Forwarding) != Some(1) {
                    outcome.changed += self.set(link, &[(DevConf::Forwarding, 1)])?;
                }
            }
        }
        Ok(outcome)
    }

    fn converge_settings(
        &mut self,
        settings: &Settings,
        seen: &Observed,
    ) -> Result<usize, KernelError> {
        let mut changed = 0;
        for name in settings.interfaces() {
            let Some(link) = seen.link(name) else {
                continue;
            };
            let wrong = wrong_settings(settings, link);
            if !wrong.is_empty() {
                changed += self.set(link, &wrong)?;
            }
        }
        for uplink in &settings.uplinks {
            let link = seen.link(&uplink.interface);
            let slow = link.filter(|l| seen.delays.get(&l.index).is_some_and(|d| *d != 0));
            if let Some(link) = slow {
                self.rtnl
                    .clear_proxy_delay(link.index)
                    .map_err(refused(&format!("proxy delay of {}", link.name)))?;
                changed += 1;
            }
        }
        Ok(changed)
    }

    fn set(&mut self, link: &Link, settings: &[(DevConf, u32)]) -> Result<usize, KernelError> {
        self.rtnl
            .set_conf(link.index, settings)
            .map_err(refused(&format!("settings of {}", link.name)))?;
        Ok(settings.len())
    }

    fn converge_routes(&mut self, wanted: &Routing, seen: &Observed) -> Result<usize, KernelError> {
        let loopback = seen.loopback();
        let is_local = |route: &&Route| route.hop == Hop::Local;
        // What fails closed comes first: the sort order of hops puts it before links.
        let missing: Vec<&Route> = wanted.routes.difference(&seen.routes).collect();
        let (closed, open): (Vec<&Route>, Vec<&Route>) = missing
            .into_iter()
            .partition(|route| route.hop == Hop::Unreachable);
        // Direct routes before those by a next hop that they lead to.
        let (direct, far): (Vec<&Route>, Vec<&Route>) = open
            .into_iter()
            .partition(|route| matches!(route.hop, Hop::Link { via: None, .. }));
        let mut changed = 0;
        for group in [closed, direct, far] {
            for route in group {
                changed += self.put(route.add(loopback), &route.to_string())?;
            }
        }
        for rule in wanted.rules.difference(&seen.rules) {
            changed += self.put(rule.add(), &rule.to_string())?;
        }
        let stale = seen.rules.difference(&wanted.rules).map(Rule::remove);
        let mut requests: Vec<Request> = stale.collect();
        let stale = seen.routes.difference(&wanted.routes);
        let stale = stale.filter(|route| !is_local(route));
        requests.extend(stale.map(|route| route.remove(loopback)));
        Ok(changed + self.remove(&requests)?)
    }

    fn converge_addresses(
        &mut self,
        wanted: &Routing,
        seen: &Observed,
        refused: &mut BTreeMap<IpAddr, String>,
    ) -> Result<usize, KernelError> {
        let loopback = seen.loopback();
        let mut changed = 0;
        let missing: Vec<&Route> = wanted.local.difference(&seen.routes).collect();
        let requests: Vec<Request> = missing.iter().map(|r| r.add(loopback)).collect();
        let about = missing.iter().map(|route| route.to.addr());
        changed += self.put_each(&requests, about, refused)?;
        let missing: Vec<&Proxy> = wanted.proxies.difference(&seen.proxies).collect();
        let requests: Vec<Request> = missing.iter().map(|proxy| proxy.add()).collect();
        let about = missing.iter().map(|proxy| proxy.address.into());
        changed += self.put_each(&requests, about, refused)?;
        for (device, net) in &wanted.next_hops {
            if seen
                .own(*device, net.addr())
                .is_some_and(|own| !failed(own))
            {
                continue;
            }
            let address = Address {
                device: *device,
                address: *net,
                // Others were asked before; waiting again would be an outage.
                flags: address_flags::NODAD | address_flags::NOPREFIXROUTE,
                ours: true,
            };
            if let Some(own) = seen.own(*device, net.addr()) {
                self.remove(&[own.remove()])?;
            }
            changed += self.put(address.add(), &format!("address {net} of the LAN"))?;
        }
        Ok(changed)
    }

    fn put(&mut self, request: Request, object: &str) -> Result<usize, KernelError> {
        match self.rtnl.send_one(request) {
            Ok(()) => Ok(1),
            Err(error) if error.raw_os_error() == Some(EEXIST) => Ok(0),
            Err(source) => Err(KernelError::Refused {
                object: object.to_owned(),
                source,
            }),
        }
    }

    fn put_each(
        &mut self,
        requests: &[Request],
        about: impl Iterator<Item = IpAddr>,
        refused: &mut BTreeMap<IpAddr, String>,
    ) -> Result<usize, KernelError> {
        let answers = self.rtnl.send(requests).map_err(system("add addresses"))?;
        let mut changed = 0;
        for (address, answer) in about.zip(answers) {
            match answer {
                Ok(()) => changed += 1,
                Err(error) if error.raw_os_error() == Some(EEXIST) => {}
                Err(error) => {
                    refused.insert(address, format!("address {address}: {error}"));
                }
            }
        }
        Ok(changed)
    }

    /// Removes; what is gone already is no error.
    fn remove(&mut self, requests: &[Request]) -> Result<usize, KernelError> {
        let answers = self.rtnl.send(requests).map_err(system("remove"))?;
        let mut changed = 0;
        for answer in answers {
            match answer {
                Ok(()) => changed += 1,
                Err(error)
                    if [ENOENT, ESRCH, EADDRNOTAVAIL]
                        .contains(&error.raw_os_error().unwrap_or(0)) => {}
                Err(source) => {
                    return Err(KernelError::System {
                        action: "remove a route, rule, address or proxy",
                        source,
                    });
                }
            }
        }
        Ok(changed)
    }

    /// Takes everything of ours down.
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn clear(
        &mut self,
        settings: Option<&Settings>,
        options: &KernelOptions,
    ) -> Result<(), KernelError> {
        let seen = self.observe()?;
        let loopback = seen.loopback();
        let mut requests: Vec<Request> = seen.proxies.iter().map(|p| p.remove()).collect();
        requests.extend(seen.local().map(|route| route.remove(loopback)));
        let next_hops = seen.addresses.iter().filter(|own| own.ours);
        requests.extend(next_hops.map(Address::remove));
        self.remove(&requests)?;
        if let Some(settings) = settings {
            self.leave_lan(settings, &seen, options)?;
        }
        let mut requests: Vec<Request> = seen.rules.iter().map(Rule::remove).collect();
        let routes = seen.routes.iter().filter(|route| route.hop != Hop::Local);
        requests.extend(routes.map(|route| route.remove(loopback)));
        self.remove(&requests)?;
        Ok(())
    }

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
        let wanted = routing(settings, addresses, &seen.links, holding);
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
        for name in settings.interfaces() {
            inspection.interface(settings, name, seen.link(name), holding);
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

    fn interface(&mut self, settings: &Settings, name: &str, link: Option<&Link>, holding: bool) {
        let Some(link) = link else {
            self.problem(
                ProblemKind::InterfaceNotFound,
                true,
                format!("interface {name} does not exist: check the network attachment"),
            );
            return;
        };
        if !link.up || !link.carrier {
            let what = if link.up { "has no carrier" } else { "is down" };
            let message = format!("interface {name} {what}");
            self.problem(ProblemKind::InterfaceDown, true, message);
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
                     (template.sysctls, or the node's default)"
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

fn wrong_settings(settings: &Settings, link: &Link) -> Vec<(DevConf, u32)> {
    let lan =
        (link.name == settings.lan && !settings.lan_addresses.is_empty()).then_some(LAN_ANNOUNCE);
    NEEDED
        .into_iter()
        .chain(lan)
        .filter(|(conf, value)| link.conf(*conf).is_some_and(|is| is != *value))
        .collect()
}

fn failed(address: &Address) -> bool {
    let bad = address_flags::DADFAILED | address_flags::TENTATIVE;
    address.flags & bad != 0
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

fn into_set<T: Ord>(list: Vec<T>) -> BTreeSet<T> {
    list.into_iter().collect()
}

fn system(action: &'static str) -> impl Fn(io::Error) -> KernelError {
    move |source| KernelError::System { action, source }
}

fn refused(object: &str) -> impl Fn(io::Error) -> KernelError {
    let object = object.to_owned();
    move |source| KernelError::Refused {
        object: object.clone(),
        source,
    }
}
