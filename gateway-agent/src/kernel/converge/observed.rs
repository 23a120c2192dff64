//! What the kernel holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Network, system};
use crate::kernel::report::KernelError;
use crate::kernel::rtnl::{Address, Hop, Link, Proxy, Route, Rule};

/// What the kernel holds.
#[derive(Debug)]
pub struct Observed {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<Address>,
    pub(super) routes: BTreeSet<Route>,
    /// Default routes of the main table, which others made.
    pub(super) defaults: Vec<Route>,
    pub(super) rules: BTreeSet<Rule>,
    pub(super) proxies: BTreeSet<Proxy>,
    pub(super) delays: BTreeMap<u32, u64>,
}

impl Observed {
    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    pub(super) fn loopback(&self) -> u32 {
        self.link("lo").map_or(1, |link| link.index)
    }

    pub(super) fn local(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.hop == Hop::Local)
    }

    pub(super) fn own(&self, device: u32, address: IpAddr) -> Option<&Address> {
        self.addresses
            .iter()
            .find(|own| own.device == device && own.address.addr() == address)
    }
}

impl Network {
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
            defaults: rtnl.defaults().map_err(system("list default routes"))?,
            rules: into_set(rtnl.rules().map_err(system("list routing rules"))?),
            proxies: into_set(rtnl.proxies().map_err(system("list proxies"))?),
            delays: rtnl
                .proxy_delays()
                .map_err(system("list neighbour settings"))?
                .into_iter()
                .collect(),
        })
    }
}

fn into_set<T: Ord>(list: Vec<T>) -> BTreeSet<T> {
    list.into_iter().collect()
}
