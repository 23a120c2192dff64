//! Routes, rules, addresses, proxies, settings and classes of traffic: compared with what the kernel holds, and
//! mended.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use super::devconf::{LAN_ANNOUNCE, NEEDED};
use super::report::{KernelError, KernelOptions};
use super::routing::{Routing, routing};
use super::rtnl::{Address, DevConf, Hop, Link, Proxy, Request, Route, Rtnl, Rule, address_flags};
use super::settings::Settings;
use super::shaping::Shaping;

mod inspect;
mod observed;
mod requests;
mod shaping;

use observed::Observed;

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
        let wanted = routing(settings, addresses, &seen.links, &seen.defaults, holding);
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
        let wanted = routing(settings, addresses, &seen.links, &seen.defaults, holding);
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
        let routes = wanted.local.difference(&seen.routes);
        let proxies = wanted.proxies.difference(&seen.proxies);
        let mut changed = self.put_addresses(routes, proxies, &seen.links, refused)?;
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

    /// Answers for these addresses no more. Returns how many objects went.
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn take_away(
        &mut self,
        settings: &Settings,
        addresses: &BTreeMap<IpAddr, usize>,
    ) -> Result<usize, KernelError> {
        if addresses.is_empty() {
            return Ok(0);
        }
        let links = self.links()?;
        let standing = routing(settings, addresses, &links, &[], true);
        let mut requests: Vec<Request> = standing.proxies.iter().map(|p| p.remove()).collect();
        let routes = standing.local.iter();
        requests.extend(routes.map(|route| route.remove(loopback(&links))));
        self.remove(&requests)
    }

    /// Answers for these addresses, too.
    ///
    /// # Errors
    /// [`KernelError`] where no address is to blame.
    pub fn add(
        &mut self,
        settings: &Settings,
        addresses: &BTreeMap<IpAddr, usize>,
    ) -> Result<Outcome, KernelError> {
        let mut outcome = Outcome::default();
        if addresses.is_empty() {
            return Ok(outcome);
        }
        let links = self.links()?;
        let wanted = routing(settings, addresses, &links, &[], true);
        let (routes, proxies) = (wanted.local.iter(), wanted.proxies.iter());
        outcome.changed += self.put_addresses(routes, proxies, &links, &mut outcome.refused)?;
        Ok(outcome)
    }

    fn put_addresses<'a>(
        &mut self,
        routes: impl Iterator<Item = &'a Route> + Clone,
        proxies: impl Iterator<Item = &'a Proxy> + Clone,
        links: &[Link],
        refused: &mut BTreeMap<IpAddr, String>,
    ) -> Result<usize, KernelError> {
        let device = loopback(links);
        let requests: Vec<Request> = routes.clone().map(|route| route.add(device)).collect();
        let about = routes.map(|route| route.to.addr());
        let mut changed = self.put_each(&requests, about, refused)?;
        let requests: Vec<Request> = proxies.clone().map(|proxy| proxy.add()).collect();
        let about = proxies.map(|proxy| proxy.address.into());
        changed += self.put_each(&requests, about, refused)?;
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
        self.unshape(&Shaping::default(), &seen)?;
        Ok(())
    }
}

/// The index of `lo`.
fn loopback(links: &[Link]) -> u32 {
    let lo = links.iter().find(|link| link.name == "lo");
    lo.map_or(1, |link| link.index)
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
