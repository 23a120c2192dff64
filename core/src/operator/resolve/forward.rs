//! What a DNAT asks: which ports, and who shares their connections.

use sluice_crds::address::{DualAddress, parse_hosts};
use sluice_crds::condition::Reason;
use sluice_crds::user::{DNATSpec, IpFamily, Ports, Protocol};

use super::super::verdict::{Resolved, Verdict, refuse};
use crate::entry::{TARGETS_MAX, Targets, WEIGHT_MAX, cost};

/// What a DNAT asks, whatever addresses its EIP has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    /// In order, each once.
    pub protocols: Vec<Protocol>,
    pub ports: Ports,
    /// As many as `ports`.
    pub target_ports: Ports,
    /// Inside hosts with their weights, in the order of the spec.
    pub hosts: Vec<(DualAddress, u8)>,
}

impl Forward {
    /// Reads a spec.
    ///
    /// # Errors
    /// `Invalid`, with the field, its value and the remedy.
    pub(crate) fn read(spec: &DNATSpec) -> Resolved<Self> {
        let invalid = |message: String| Verdict::refused(Reason::Invalid, message);
        let read = |field: &str, value: &_| {
            Ports::from_field(value).ok_or_else(|| {
                invalid(format!(
                    "spec.{field}: not a port or a range of ports: write 8080, \"8000-8099\" or \"*\", 1 to 65535"
                ))
            })
        };
        let ports = read("ports", &spec.ports)?;
        let target_ports = match &spec.target_ports {
            Some(field) => read("targetPorts", field)?,
            None => ports,
        };
        if target_ports.count() != ports.count() {
            let remedy = if ports == Ports::ALL {
                "leave targetPorts out: all ports stay as they are"
            } else {
                "make the ranges equally long"
            };
            return Err(invalid(format!(
                "spec.targetPorts: {target_ports} are not as many ports as spec.ports {ports}; {remedy}"
            )));
        }
        let mut hosts = Vec::new();
        for (i, target) in spec.targets.iter().enumerate() {
            let addresses = parse_hosts(&target.ips)
                .map_err(|e| invalid(format!("spec.targets[{i}].ips: {e}")))?;
            let weight = u8::try_from(target.weight).ok();
            let weight = weight.filter(|w| *w <= WEIGHT_MAX).ok_or_else(|| {
                invalid(format!(
                    "spec.targets[{i}].weight: {} is not a weight: write 0 to {WEIGHT_MAX}",
                    target.weight
                ))
            })?;
            hosts.push((addresses, weight));
        }
        let mut protocols = spec.protocols.clone();
        protocols.sort_unstable();
        protocols.dedup();
        let forward = Self {
            protocols,
            ports,
            target_ports,
            hosts,
        };
        forward.check()?;
        Ok(forward)
    }

    /// Whether the targets can share connections.
    fn check(&self) -> Resolved<()> {
        if self.hosts.is_empty() || self.hosts.len() > TARGETS_MAX {
            return refuse(
                Reason::Invalid,
                format!(
                    "spec.targets: {} targets; name 1 to {TARGETS_MAX}",
                    self.hosts.len()
                ),
            );
        }
        for family in IpFamily::BOTH {
            let mut list: Vec<_> = self.of(family).collect();
            list.sort_unstable();
            let twice = list.windows(2).find(|pair| match pair {
                [(a, _), (b, _)] => a == b,
                _ => false,
            });
            if let Some([(address, _), ..]) = twice {
                return refuse(
                    Reason::Invalid,
                    format!(
                        "spec.targets: {address} stands in two targets; write it once, with the weight that it shall have"
                    ),
                );
            }
            if !list.is_empty() && list.iter().all(|(_, weight)| *weight == 0) {
                return refuse(
                    Reason::Invalid,
                    format!(
                        "spec.targets: every {family:?} target has weight 0, so new connections would have none; give one a weight of 1 or more, or delete the DNAT"
                    ),
                );
            }
        }
        Ok(())
    }

    fn of(&self, family: IpFamily) -> impl Iterator<Item = (std::net::IpAddr, u8)> {
        self.hosts
            .iter()
            .filter_map(move |(host, weight)| Some((host.get(family)?, *weight)))
    }

    /// The targets of a family; `None` where there are none.
    pub(crate) fn targets(&self, family: IpFamily) -> Option<Targets> {
        Targets::new(self.of(family))
    }

    /// How many of a gateway's elements it takes, as [`cost::expanded`] counts them.
    pub(crate) fn expanded(&self) -> u32 {
        let families = IpFamily::BOTH;
        let each = families
            .into_iter()
            .filter_map(|family| self.targets(family))
            .map(|targets| cost::expanded(self.ports, self.target_ports, &targets))
            .fold(0, u32::saturating_add);
        self.protocols
            .iter()
            .fold(0, |all: u32, _| all.saturating_add(each))
    }
}
