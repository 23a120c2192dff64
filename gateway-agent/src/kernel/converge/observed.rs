//! What the kernel holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Network, system};
use crate::kernel::report::KernelError;
use crate::kernel::rtnl::{Address, Class, Hop, Link, Proxy, Qdisc, ROOT, Route, Rule};
use crate::kernel::shaping;

/// What the kernel holds.
#[derive(Debug)]
pub struct Observed {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<Address>,
    pub(super) routes: BTreeSet<Route>,
    /// Default routes of the main table, which others made.
    pub(super) defaults: Vec<Route>,
    /// Own addresses that default routes of the main table name, with their interface.
    pub(super) sources: Vec<(u32, IpAddr)>,
    pub(super) rules: BTreeSet<Rule>,
    pub(super) proxies: BTreeSet<Proxy>,
    pub(super) delays: BTreeMap<u32, u64>,
    /// Our HTBs.
    pub(super) roots: Vec<Qdisc>,
    /// What waits in their classes, by interface and class.
    pub(super) queues: BTreeMap<(u32, u32), Qdisc>,
    /// Their classes, by interface and handle.
    pub(super) classes: BTreeMap<(u32, u32), Class>,
}

impl Observed {
    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    pub(super) fn loopback(&self) -> u32 {
        super::loopback(&self.links)
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
        let qdiscs = rtnl.qdiscs().map_err(system("list qdiscs"))?;
        let (roots, others): (Vec<Qdisc>, Vec<Qdisc>) = qdiscs
            .into_iter()
            .partition(|qdisc| qdisc.parent == ROOT && qdisc.handle == shaping::handle(0));
        let queues = others.into_iter().filter(|qdisc| is_ours(qdisc.parent));
        let mut classes = Vec::new();
        for root in &roots {
            let of_device = rtnl.classes(root.device);
            classes.extend(of_device.map_err(system("list classes of traffic"))?);
        }
        classes.retain(|class| is_ours(class.handle));
        let classes = classes.into_iter();
        let routes = rtnl.routes().map_err(system("list routes"))?;
        Ok(Observed {
            roots,
            queues: queues.map(|q| ((q.device, q.parent), q)).collect(),
            classes: classes.map(|c| ((c.device, c.handle), c)).collect(),
            links: rtnl.links().map_err(system("list interfaces"))?,
            addresses: rtnl.addresses().map_err(system("list addresses"))?,
            routes: routes.ours,
            defaults: routes.defaults,
            sources: routes.sources,
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

/// Whether a class is one of ours, by its handle.
fn is_ours(class: u32) -> bool {
    shaping::number(class).is_some()
}

fn into_set<T: Ord>(list: Vec<T>) -> BTreeSet<T> {
    list.into_iter().collect()
}
