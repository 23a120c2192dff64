//! Rules that ask for the same: the older one has it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use sluice_crds::address::Prefix;
use sluice_crds::condition::Reason;
use sluice_crds::user::{Ports, Protocol};

use super::super::event::{Key, Kind};
use super::super::verdict::{Resolved, Verdict, refuse};
use super::Views;
use super::forward::Forward;
use super::rules::{Ask, RuleView};

#[cfg(test)]
mod tests;

/// What the accepted rules of one EIP have of its address.
#[derive(Default)]
pub(super) struct Taken {
    /// The FIP, which has all of it.
    fip: Option<Key>,
    /// The DNATs, oldest first.
    dnats: Vec<Key>,
    /// Their ports, by protocol and first port: who has them, by the place in `dnats`.
    /// No two overlap.
    ports: BTreeMap<(Protocol, u16), (usize, Ports)>,
}

impl Taken {
    /// Takes what a rule asks, or says which older rule stands in its way. Rules come
    /// oldest first.
    pub(super) fn take(&mut self, rule: &Key, ask: &Ask) -> Resolved<()> {
        match ask {
            Ask::Fip(_) => {
                if let Some(fip) = &self.fip {
                    let message = format!(
                        "spec.eip: the older FIP {}/{} has the whole address; use another EIP or delete that one",
                        fip.namespace, fip.name
                    );
                    return refuse(Reason::Conflict, message);
                }
                if let Some(dnat) = self.dnats.first() {
                    return one_or_the_other(Kind::DNAT, dnat);
                }
                self.fip = Some(rule.clone());
            }
            Ask::Dnat(Forward {
                protocols, ports, ..
            }) => {
                if let Some(fip) = &self.fip {
                    return one_or_the_other(Kind::FIP, fip);
                }
                if let Some((dnat, taken)) = self.oldest_with(protocols, *ports) {
                    let message = format!(
                        "spec.ports: {ports} overlap with {taken} of the older DNAT {}/{}; choose other ports or delete that one",
                        dnat.namespace, dnat.name
                    );
                    return refuse(Reason::Conflict, message);
                }
                for protocol in protocols {
                    let key = (*protocol, ports.first());
                    self.ports.insert(key, (self.dnats.len(), *ports));
                }
                self.dnats.push(rule.clone());
            }
            Ask::Snat(..) => {}
        }
        Ok(())
    }

    /// The oldest DNAT that has any of the ports, and which it has.
    fn oldest_with(&self, protocols: &[Protocol], ports: Ports) -> Option<(&Key, Ports)> {
        let overlapping = |protocol: &Protocol| {
            self.ports
                .range((*protocol, 0)..=(*protocol, ports.last()))
                .rev()
                .map(|(_, taken)| taken)
                .take_while(|(_, taken)| taken.overlaps(ports))
        };
        let (place, taken) = protocols.iter().flat_map(overlapping).min()?;
        Some((self.dnats.get(*place)?, *taken))
    }
}

fn one_or_the_other(kind: Kind, older: &Key) -> Resolved<()> {
    let message = format!(
        "spec.eip: the older {kind:?} {}/{} stands on the address, and an EIP takes FIP or DNAT, not both; use another EIP or delete that one",
        older.namespace, older.name
    );
    refuse(Reason::Conflict, message)
}

/// What older SNATs of the gateway take from one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loss {
    /// All of it, for a prefix that it names.
    pub conflict: Option<Verdict>,
    /// Addresses of Pods that it selects, and who has them.
    pub lost: BTreeMap<IpAddr, Key>,
}

/// Decides which SNATs of a gateway have their prefixes and the addresses of the
/// Pods that they select: the oldest first.
pub(crate) fn snat_conflicts(views: &Views, snats: &[(Kind, Key)]) -> Vec<((Kind, Key), Loss)> {
    let mut found: Vec<(&(Kind, Key), &RuleView)> = snats
        .iter()
        .filter_map(|name| Some((name, views.rules.get(name)?)))
        .collect();
    found.sort_by(|(_, a), (_, b)| a.age.cmp(&b.age));
    let mut taken: BTreeMap<Prefix, &Key> = BTreeMap::new();
    found
        .into_iter()
        .map(|(name, view)| {
            let Some(Ask::Snat(prefixes, _)) = view.ask.as_ref().filter(|_| view.competes()) else {
                return (name.clone(), Loss::default());
            };
            let lost = prefixes.iter().find_map(|p| Some((p, *taken.get(p)?)));
            if let Some((prefix, winner)) = lost {
                let message = format!(
                    "spec.sources: {prefix} is a source of the older SNAT {}/{} on the same gateway; choose another prefix or delete that one",
                    winner.namespace, winner.name
                );
                let conflict = Some(Verdict::refused(Reason::Conflict, message));
                let lost = BTreeMap::new();
                return (name.clone(), Loss { conflict, lost });
            }
            for prefix in prefixes {
                taken.insert(*prefix, &name.1);
            }
            let mut loss = Loss::default();
            for address in view.followed.sources.keys() {
                match taken.entry(Prefix::host(*address)) {
                    Entry::Occupied(winner) => {
                        loss.lost.insert(*address, (*winner.get()).clone());
                    }
                    Entry::Vacant(free) => {
                        free.insert(&name.1);
                    }
                }
            }
            (name.clone(), loss)
        })
        .collect()
}
