//! What the data planes can do: the one table, and what it refuses.

use sluice_crds::NATGateway;
use sluice_crds::condition::Reason;
use sluice_crds::user::{Dataplane, Ports};

use super::event::Key;
use super::resolve::rules::Ask;
use super::verdict::{Resolved, refuse};
use super::world::World;
use crate::identity::Uid;
use crate::ovn::VIPS_MAX;

/// What a data plane can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// As `spec.dataplane` names it.
    name: &'static str,
    /// Limits the rate of an EIP.
    bandwidth: bool,
    /// Limits the connections of each source.
    ports_per_source: bool,
    /// Translates one source to one of several EIPs.
    several_eips: bool,
    /// Shares connections unevenly.
    weights: bool,
    /// Forwards all ports of a protocol at once.
    all_ports: bool,
    /// So many ports by one DNAT.
    ports_max: Option<u32>,
    /// Chassis translate, and not the instance that reports: a report proves something with
    /// the word of the chassis that hosts the gateway's port, and rules do not end with the
    /// instance that wrote them.
    pub hosted: bool,
}

const NFTABLES: Capabilities = Capabilities {
    name: "nftables",
    bandwidth: true,
    ports_per_source: true,
    several_eips: true,
    weights: true,
    all_ports: true,
    ports_max: None,
    hosted: false,
};

const OVN: Capabilities = Capabilities {
    name: "OVN",
    bandwidth: false,
    ports_per_source: false,
    several_eips: false,
    weights: false,
    all_ports: false,
    ports_max: Some(VIPS_MAX),
    hosted: true,
};

impl Capabilities {
    /// Those of a data plane.
    pub(crate) const fn of(dataplane: Dataplane) -> &'static Self {
        match dataplane {
            Dataplane::Nftables => &NFTABLES,
            Dataplane::Ovn => &OVN,
        }
    }

    /// Whether an EIP's traffic can be limited as `spec.bandwidth` says.
    pub(crate) fn limits(&self, gateway: &Key, limits: &str) -> Resolved<()> {
        if self.bandwidth {
            return Ok(());
        }
        let remedy = "remove spec.bandwidth";
        self.lacks(
            gateway,
            &format!("spec.bandwidth: {limits}"),
            "does not limit the bandwidth of an EIP",
            remedy,
        )
    }

    /// Whether a rule on so many EIPs can be done.
    pub(crate) fn rule(&self, gateway: &Key, ask: &Ask, eips: usize) -> Resolved<()> {
        match ask {
            Ask::Fip(_) => Ok(()),
            Ask::Snat(_, Some(limit)) if !self.ports_per_source => self.lacks(
                gateway,
                &format!("spec.portsPerSource: {limit}"),
                "does not count the connections of a source",
                "remove spec.portsPerSource",
            ),
            Ask::Snat(..) if !self.several_eips && eips > 1 => self.lacks(
                gateway,
                &format!("spec.eips: {eips} EIPs"),
                "translates a source to one EIP",
                "name one",
            ),
            Ask::Snat(..) => Ok(()),
            Ask::Dnat(forward) => {
                let mut weights = forward.hosts.iter().map(|(_, weight)| *weight);
                let first = weights.next();
                let other = weights.find(|weight| Some(*weight) != first);
                if let Some(weight) = other.filter(|_| !self.weights) {
                    return self.lacks(
                        gateway,
                        &format!("spec.targets.weight: {weight} beside another"),
                        "shares connections evenly",
                        "give all targets the same weight",
                    );
                }
                self.ports(gateway, forward.ports)
            }
        }
    }

    fn ports(&self, gateway: &Key, ports: Ports) -> Resolved<()> {
        if ports == Ports::ALL {
            if self.all_ports {
                return Ok(());
            }
            return self.lacks(
                gateway,
                &format!("spec.ports: {ports}"),
                "forwards ports one by one",
                "name ports, or use a FIP",
            );
        }
        match self.ports_max {
            Some(most) if ports.count() > most => self.lacks(
                gateway,
                &format!("spec.ports: {ports} are {} ports", ports.count()),
                &format!("forwards ports one by one, at most {most} by one DNAT"),
                "split it, or use a FIP",
            ),
            Some(_) | None => Ok(()),
        }
    }

    fn lacks<T>(&self, gateway: &Key, field: &str, lack: &str, remedy: &str) -> Resolved<T> {
        let Key { namespace, name } = gateway;
        refuse(
            Reason::UnsupportedByDataplane,
            format!(
                "{field}: NATGateway {namespace}/{name} has spec.dataplane {}, which {lack}; {remedy}, or use a gateway with dataplane nftables",
                self.name
            ),
        )
    }
}

/// The data plane of a gateway, as it asks for it.
pub(crate) fn of(gateway: &NATGateway) -> &'static Capabilities {
    Capabilities::of(gateway.spec.dataplane)
}

/// Whether chassis serve the gateway of a UID; of one that is gone nothing is known, and
/// what is left of it is taken down as it stands.
pub(crate) fn is_hosted(world: &World, uid: &Uid) -> bool {
    let gateway = world
        .gateways_by_uid
        .get(uid)
        .and_then(|key| world.gateways.get(key));
    gateway.is_some_and(|gateway| of(gateway).hosted)
}
