//! What must hold at every moment.

use std::collections::BTreeMap;

use sluice_crds::internal::ClaimPhase;

use super::super::agent::Agent;
use super::super::server::conditions;
use super::Stage;
use crate::entry::{Body, Entry};
use crate::operator::event::{Key, Kind, Object};

impl Stage {
    /// Fails the test where something does not hold.
    pub fn check(&self) {
        if self.unchecked {
            return;
        }
        let bound = self.bound();
        self.check_eips(&bound);
        self.check_rules();
        self.check_kernels(&bound);
    }

    /// Addresses that claims bind, and UIDs of their owners.
    fn bound(&self) -> BTreeMap<&str, &str> {
        self.server
            .all(Kind::AddressClaim)
            .filter_map(|o| match o {
                Object::AddressClaim(claim) if claim.spec.phase == ClaimPhase::Bound => {
                    Some((&*claim.spec.address, &*claim.spec.owner.uid))
                }
                _ => None,
            })
            .collect()
    }

    /// An address is never in two EIPs, and Ready=True is evidence.
    fn check_eips(&self, bound: &BTreeMap<&str, &str>) {
        let mut owners: BTreeMap<&str, Key> = BTreeMap::new();
        for object in self.server.all(Kind::EIP) {
            let Object::EIP(eip) = object else { continue };
            let (_, name, uid) = object.identity();
            let Some(status) = &eip.status else { continue };
            for address in [&status.ipv4, &status.ipv6].into_iter().flatten() {
                if bound.get(&**address) == Some(&uid.as_str()) {
                    let other = owners.insert(address, name.clone());
                    assert_eq!(other, None, "{address} is in two EIPs");
                }
            }
            let ready = conditions(object)
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True");
            assert_eq!(ready, status.holder.is_some(), "{name:?}: {status:?}");
            let Some(holder) = &status.holder else {
                continue;
            };
            for address in [&status.ipv4, &status.ipv6].into_iter().flatten() {
                let proved = self.proofs.iter().any(|(instance, term, lease, line)| {
                    *instance == holder.instance
                        && *term == holder.term
                        && *lease == holder.lease_uid
                        && line.starts_with(&format!("addr {uid} "))
                        && line.contains(&format!(" {address} "))
                });
                assert!(
                    proved,
                    "{name:?} is Ready at {holder:?}, which never proved {address}"
                );
            }
        }
    }

    /// A rule that is Ready was proved by somebody, for each inside address that it names.
    fn check_rules(&self) {
        for kind in [Kind::FIP, Kind::DNAT, Kind::SNAT] {
            for object in self.server.all(kind) {
                let (_, name, uid) = object.identity();
                if self.condition(kind, &name.namespace, &name.name, "Ready").0 != "True" {
                    continue;
                }
                let word = format!("{kind:?} {uid} ").to_lowercase();
                for inside in inside(object) {
                    let proved = self.proofs.iter().any(|(.., line)| {
                        let mut words = line.split([' ', ',', '=']);
                        line.starts_with(&word) && words.any(|w| w == inside)
                    });
                    assert!(
                        proved,
                        "{name:?} is Ready and nobody ever proved its {inside}"
                    );
                }
            }
        }
    }

    /// While a kernel answers for an address, nobody else has it.
    fn check_kernels(&self, bound: &BTreeMap<&str, &str>) {
        let mut answering: BTreeMap<String, &Agent> = BTreeMap::new();
        for agent in &self.agents {
            for line in &agent.kernel {
                let entry: Entry = line.parse().unwrap();
                if let Body::Addr { address, .. } = entry.body {
                    let address = address.to_string();
                    if let Some(other) = answering.insert(address.clone(), agent) {
                        assert_eq!(
                            other.gateway_uid, agent.gateway_uid,
                            "{address} stands in kernels of two gateways"
                        );
                    }
                    assert!(
                        bound.contains_key(&*address),
                        "{address} was freed while a kernel has it"
                    );
                }
            }
        }
    }
}

/// The inside addresses or prefixes that a rule names.
fn inside(rule: &Object) -> Vec<String> {
    match rule {
        Object::FIP(fip) => fip.spec.target.ips.clone(),
        Object::DNAT(dnat) => dnat
            .spec
            .targets
            .iter()
            .flat_map(|t| t.ips.clone())
            .collect(),
        Object::SNAT(snat) => snat.spec.sources.clone(),
        _ => vec![],
    }
}
