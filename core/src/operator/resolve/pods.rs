//! Pods as targets and sources: which addresses they have on a gateway's LAN,
//! and which of those a rule may use.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sluice_crds::address::{DualAddress, Prefix, family};
use sluice_crds::condition::Reason;
use sluice_crds::user::{IpFamily, LabelSelector, SNATSpec};
use sluice_crds::{NATGateway, SNAT};

use super::super::event::{InsidePodFacts, Key, Kind};
use super::super::verdict::{Resolved, refuse};
use super::super::world::{Record, World, attachment_key};
use super::Views;
use super::allowed::target_allowed;
use super::eip::EipView;
use super::rules::{Ask, RuleView};

/// The most Pod addresses that a SNAT may have.
pub(crate) const SOURCES_MAX: usize = 4_096;
/// So many names stand in a message.
const NAMES_MAX: usize = 5;

/// What a rule gets from Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// A SNAT's sources, and whose they are.
    pub sources: BTreeMap<IpAddr, Key>,
    /// Sources that the gateway does not allow, and whose they are.
    refused: BTreeMap<IpAddr, Key>,
    /// Why there is nothing to be translated, if so.
    pub missing: Option<Missing>,
}

/// Why a rule that is accepted has nothing to be translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Reason of `Programmed`.
    pub reason: Reason,
    /// What is missing, and the remedy.
    pub message: String,
}

impl Missing {
    fn new(reason: Reason, message: String) -> Self {
        Self { reason, message }
    }

    /// Whether it may be there within a moment.
    pub(crate) fn passes(&self) -> bool {
        matches!(
            self.reason,
            Reason::PodNotFound | Reason::TargetNotReady | Reason::NoSources
        )
    }
}

/// Where Pods are looked for, and by whom.
struct Place<'a> {
    world: &'a World,
    gateway: &'a NATGateway,
    gateway_key: Key,
    /// The gateway's LAN attachment; `None`: eth0.
    lan: Option<String>,
    /// Names of the rule's EIPs.
    eips: String,
    /// Families that these have together.
    families: Vec<IpFamily>,
    /// Namespace of the rule.
    namespace: &'a str,
}

/// Finds what an accepted rule gets from Pods: a FIP's target is put into `ask`.
///
/// # Errors
/// Refuses a FIP whose Pod has an address that the gateway does not allow, and a
/// SNAT with too many of them.
pub(crate) fn follow(
    world: &World,
    views: &Views,
    rule: &RuleView,
    (kind, key): &(Kind, Key),
    ask: &mut Ask,
) -> Resolved<Followed> {
    let eips: Vec<&EipView> = rule.eips().filter_map(|eip| views.eips.get(eip)).collect();
    let gateway = rule.gateway.as_ref();
    let Some(gateway) = gateway.and_then(|gateway| world.gateways.get(gateway)) else {
        return Ok(Followed::default());
    };
    let gateway_key = gateway.key();
    let attachment = gateway.spec.lan.as_ref();
    let attachment = attachment.and_then(|lan| lan.network_attachment.as_ref());
    let lan = attachment.map(|text| {
        let key = attachment_key(text, &gateway_key.namespace);
        format!("{}/{}", key.namespace, key.name)
    });
    let place = Place {
        world,
        gateway,
        gateway_key,
        lan,
        eips: rule
            .eips()
            .map(|eip| eip.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        families: IpFamily::BOTH
            .into_iter()
            .filter(|family| eips.iter().any(|eip| eip.families.contains(family)))
            .collect(),
        namespace: &key.namespace,
    };
    match (kind, ask) {
        (Kind::FIP, Ask::Fip(target)) => {
            let pod = world.fips.get(key).and_then(|f| f.spec.target.pod.as_ref());
            let Some(pod) = pod else {
                return Ok(Followed::default());
            };
            let pod = Key {
                namespace: key.namespace.clone(),
                name: pod.name.clone(),
            };
            let found = place.target(&pod)?;
            *target = *found.as_ref().unwrap_or(&DualAddress::default());
            Ok(Followed {
                missing: found.err(),
                ..Followed::default()
            })
        }
        (Kind::SNAT, Ask::Snat(prefixes, _)) => match world.snats.get(key) {
            Some(snat) => place.sources(snat, prefixes),
            None => Ok(Followed::default()),
        },
        _ => Ok(Followed::default()),
    }
}

impl Place<'_> {
    fn lan_name(&self) -> &str {
        self.lan.as_deref().unwrap_or("eth0")
    }

    /// The addresses that a Pod has on the LAN.
    fn addresses(&self, pod: &InsidePodFacts) -> Result<DualAddress, Missing> {
        let name = format!("Pod {}/{}", pod.key.namespace, pod.key.name);
        let not_ready = |words: String| Err(Missing::new(Reason::TargetNotReady, words));
        if pod.gateway {
            return Err(Missing::new(
                Reason::TargetNotAllowed,
                format!("{name} is a gateway's own; name another Pod"),
            ));
        }
        if pod.host_network {
            return Err(Missing::new(
                Reason::HostNetwork,
                format!(
                    "{name} runs in the network of its node (hostNetwork) and has no address of its own on the gateway's LAN; run it without hostNetwork"
                ),
            ));
        }
        if pod.over {
            return not_ready(format!(
                "{name} has ended, and its addresses may be another's; start it anew"
            ));
        }
        let Some(lan) = &self.lan else {
            return if pod.ips.is_empty() {
                not_ready(format!(
                    "{name} has no address yet (status.podIPs); it is taken up as soon as it has one"
                ))
            } else {
                Ok(pod.ips)
            };
        };
        if let Some(error) = &pod.unreadable {
            return not_ready(format!(
                "{name}: its annotation k8s.v1.cni.cncf.io/network-status cannot be read ({error}); Multus writes it, so undo what changed it or start the Pod anew"
            ));
        }
        match pod.attached.iter().find(|a| a.network == *lan) {
            Some(attached) if !attached.addresses.is_empty() => Ok(attached.addresses),
            _ => not_ready(format!(
                "{name} has no address on {lan}, the LAN of NATGateway {}/{}, by its annotation k8s.v1.cni.cncf.io/network-status; it is taken up as soon as it has one, for which its annotation k8s.v1.cni.cncf.io/networks has to name {lan}",
                self.gateway_key.namespace, self.gateway_key.name
            )),
        }
    }

    /// Those of the EIP's families.
    fn of_eips_families(&self, addresses: DualAddress) -> DualAddress {
        let mut kept = DualAddress::default();
        for address in addresses.iter() {
            if self.families.contains(&family(address)) {
                kept.insert(address);
            }
        }
        kept
    }

    /// Whether the rule may use an address of that Pod.
    ///
    /// An address on an attachment is what an annotation says, which anybody may
    /// write who may patch the Pod: so it counts as far as rules of the Pod's own
    /// namespace may point at it. `status.podIPs` is the kubelet's.
    fn allows(&self, pod: &Key, address: IpAddr) -> bool {
        if self.lan.is_some() {
            return self.may(self.namespace, address) && self.may(&pod.namespace, address);
        }
        let own = self.gateway.spec.allowed_targets.is_empty() && pod.namespace == self.namespace;
        own || self.may(self.namespace, address)
    }

    /// Whether rules of a namespace may point at an address.
    fn may(&self, namespace: &str, address: IpAddr) -> bool {
        target_allowed(
            self.world,
            self.gateway,
            &self.gateway_key.namespace,
            namespace,
            Prefix::host(address),
        )
    }

    /// The addresses of the Pod that a FIP names, or why it has none.
    fn target(&self, key: &Key) -> Resolved<Result<DualAddress, Missing>> {
        let Some(pod) = self.world.inside_pods.get(key) else {
            let message = format!(
                "spec.target.pod: there is no Pod {} in namespace {}; create it, or name another",
                key.name, key.namespace
            );
            return Ok(Err(Missing::new(Reason::PodNotFound, message)));
        };
        let all = match self.addresses(pod) {
            Ok(all) => all,
            Err(mut missing) => {
                missing.message.insert_str(0, "spec.target.pod: ");
                return Ok(Err(missing));
            }
        };
        let addresses = self.of_eips_families(all);
        if addresses.is_empty() {
            let families: Vec<String> = self.families.iter().map(|f| format!("{f:?}")).collect();
            let message = format!(
                "spec.target.pod: Pod {}/{} has {all} on {}, and EIP {} is {} only; give them a family in common",
                key.namespace,
                key.name,
                self.lan_name(),
                self.eips,
                families.join(" and ")
            );
            return Ok(Err(Missing::new(Reason::FamilyMismatch, message)));
        }
        match addresses.iter().find(|a| !self.allows(key, *a)) {
            Some(address) => refuse(
                Reason::TargetNotAllowed,
                format!(
                    "spec.target.pod: Pod {}/{} has {address}, and {}",
                    key.namespace,
                    key.name,
                    self.remedy(self.namespace)
                ),
            ),
            None => Ok(Ok(addresses)),
        }
    }

    fn remedy(&self, namespace: &str) -> String {
        format!(
            "NATGateway {}/{} does not let rules of namespace {namespace} point at it; cover it by spec.allowedTargets[].cidrs there",
            self.gateway_key.namespace, self.gateway_key.name,
        )
    }

    /// The addresses of the Pods that a SNAT selects, but those that stand in its
    /// prefixes.
    fn sources(&self, snat: &SNAT, prefixes: &[Prefix]) -> Resolved<Followed> {
        let Some(selector) = &snat.spec.pod_selector else {
            return Ok(Followed::default());
        };
        let mut followed = Followed::default();
        let mut first_lack = None;
        let mut matched = 0_usize;
        for pod in self.selected(&snat.spec, selector) {
            matched += 1;
            let addresses = match self.addresses(pod) {
                Ok(addresses) => addresses,
                Err(missing) => {
                    first_lack.get_or_insert(missing.message);
                    continue;
                }
            };
            for address in self.of_eips_families(addresses).iter() {
                if prefixes.contains(&Prefix::host(address)) {
                    continue;
                }
                let list = if self.allows(&pod.key, address) {
                    &mut followed.sources
                } else {
                    &mut followed.refused
                };
                list.entry(address).or_insert_with(|| pod.key.clone());
            }
        }
        let found = followed.sources.len();
        if found > SOURCES_MAX {
            return refuse(
                Reason::TooLarge,
                format!(
                    "spec.podSelector: the selected Pods have {found} addresses, and a SNAT takes {SOURCES_MAX}; select fewer, or write their prefix into spec.sources"
                ),
            );
        }
        if found == 0 && prefixes.is_empty() {
            followed.missing = Some(self.no_sources(&followed, matched, first_lack));
        }
        Ok(followed)
    }

    fn selected(
        &self,
        spec: &SNATSpec,
        selector: &LabelSelector,
    ) -> impl Iterator<Item = &InsidePodFacts> {
        let namespaces: Vec<&str> = match &spec.namespace_selector {
            None => vec![self.namespace],
            Some(wanted) => self
                .world
                .namespaces
                .iter()
                .filter(|(_, facts)| wanted.matches(&facts.labels))
                .map(|(key, _)| key.name.as_str())
                .collect(),
        };
        namespaces
            .into_iter()
            .flat_map(|namespace| self.world.inside_pods.in_namespace(namespace))
            .map(|(_, pod)| pod)
            .filter(|pod| !pod.gateway && selector.matches(&pod.labels))
    }

    fn no_sources(
        &self,
        followed: &Followed,
        matched: usize,
        first_lack: Option<String>,
    ) -> Missing {
        if let Some((address, pod)) = followed.refused.first_key_value() {
            let whose = if self.may(self.namespace, *address) {
                &pod.namespace
            } else {
                self.namespace
            };
            let message = format!(
                "spec.podSelector: no address of the selected Pods ({matched}) is allowed: Pod {}/{} has {address}, and {}",
                pod.namespace,
                pod.name,
                self.remedy(whose)
            );
            return Missing::new(Reason::TargetNotAllowed, message);
        }
        let message = match first_lack {
            Some(lack) => format!(
                "spec.podSelector: no selected Pod (of {matched}) has an address that can be used: {lack}"
            ),
            None if matched > 0 => format!(
                "spec.podSelector: no selected Pod (of {matched}) has an address of a family of EIP {} on {}; give them a family in common",
                self.eips,
                self.lan_name()
            ),
            None => "spec.podSelector: no Pod matches; label Pods so that it does, or change it"
                .to_owned(),
        };
        Missing::new(Reason::NoSources, message)
    }
}

impl Followed {
    /// Addresses of selected Pods that are left out, and why; `lost` are those
    /// that older SNATs have. `None`: there is none.
    pub(crate) fn left_out(&self, lost: &BTreeMap<IpAddr, Key>) -> Option<String> {
        let taken = self.sources.iter().filter_map(|(address, pod)| {
            let winner = lost.get(address)?;
            Some(format!(
                "{address} of Pod {}/{} (the older SNAT {}/{} has it)",
                pod.namespace, pod.name, winner.namespace, winner.name
            ))
        });
        let refused = self.refused.iter().map(|(address, pod)| {
            format!(
                "{address} of Pod {}/{} (not in the gateway's spec.allowedTargets[].cidrs)",
                pod.namespace, pod.name
            )
        });
        let mut names = taken.chain(refused);
        let mut first: Vec<String> = names.by_ref().take(NAMES_MAX).collect();
        let more = names.count();
        let all = first.len() + more;
        if all == 0 {
            return None;
        }
        if more > 0 {
            first.push(format!("and {more} more"));
        }
        let first = first.join(", ");
        Some(format!(
            "addresses of selected Pods left out ({all}): {first}"
        ))
    }
}
