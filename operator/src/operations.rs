//! The operations on EIPs' addresses, as the API server shows them: each ends in one log
//! line, written by the leader.

use std::collections::BTreeMap;

use sluice_core::identity::Uid;
use sluice_core::operator::event::{Event, Key, Kind, Object};
use sluice_crds::EIP;
use sluice_crds::address::DualAddress;
use sluice_journal::{Ledger, Line, or_null};

#[cfg(test)]
mod tests;

/// What is known of the EIPs and their addresses.
#[derive(Debug, Default)]
pub struct Operations {
    ledger: Ledger<Uid>,
    lives: BTreeMap<Key, Uid>,
    /// Before the first list nobody knows what was there before.
    listed: bool,
}

/// The end of an operation, with the EIP's name.
pub type Ended = (Key, Line<Uid>);

impl Operations {
    /// Takes in what the world shows; what ended by it.
    #[must_use]
    pub fn take(&mut self, event: &Event) -> Vec<Ended> {
        match event {
            Event::Apply(object) => match object.as_ref() {
                Object::EIP(eip) => self.shown(eip),
                _ => Vec::new(),
            },
            Event::Delete {
                kind: Kind::EIP,
                key,
                uid,
                ..
            } => {
                let same = self.lives.get(key) == Some(uid);
                if same { self.gone(key) } else { Vec::new() }
            }
            Event::Reset {
                kind: Kind::EIP,
                objects,
                ..
            } => {
                let first = !std::mem::replace(&mut self.listed, true);
                let eips: Vec<&EIP> = objects.iter().filter_map(eip).collect();
                let named: Vec<Key> = eips.iter().map(|eip| key(eip)).collect();
                let lost = self.lives.keys().filter(|key| !named.contains(key));
                let lost: Vec<Key> = lost.cloned().collect();
                let mut ended: Vec<Ended> = lost.iter().flat_map(|key| self.gone(key)).collect();
                ended.extend(eips.into_iter().flat_map(|eip| self.shown(eip)));
                // What was there before this process did not begin in it.
                if first { Vec::new() } else { ended }
            }
            Event::Delete { .. }
            | Event::Reset { .. }
            | Event::OutOfSync(_)
            | Event::Rendered { .. } => Vec::new(),
        }
    }

    fn shown(&mut self, eip: &EIP) -> Vec<Ended> {
        let key = key(eip);
        let uid = Uid::new(eip.metadata.uid.clone().unwrap_or_default());
        let mut ended = Vec::new();
        if self.lives.get(&key).is_some_and(|life| *life != uid) {
            ended.extend(self.gone(&key));
        }
        if self.lives.insert(key.clone(), uid.clone()).is_none() {
            self.ledger.begin(&uid, None);
        }
        let line = self.ledger.has(&uid, record(eip));
        ended.extend(line.map(|line| (key, line)));
        ended
    }

    fn gone(&mut self, key: &Key) -> Vec<Ended> {
        let line = self
            .lives
            .remove(key)
            .and_then(|uid| self.ledger.gone(&uid));
        line.map(|line| (key.clone(), line)).into_iter().collect()
    }
}

/// The log line that ends an operation.
pub fn tell((key, line): &Ended) {
    let ipv4 = or_null(line.addresses.ipv4);
    let ipv6 = or_null(line.addresses.ipv6);
    let error = or_null(line.outcome.error());
    let (op, outcome) = (line.op.as_str(), line.outcome.as_str());
    let Key { namespace, name } = key;
    tracing::info!(op, outcome, eip = %line.key, namespace, name, ipv4, ipv6, error, "addresses");
}

fn eip(object: &Object) -> Option<&EIP> {
    match object {
        Object::EIP(eip) => Some(eip),
        _ => None,
    }
}

fn key(eip: &EIP) -> Key {
    Key {
        namespace: eip.metadata.namespace.clone().unwrap_or_default(),
        name: eip.metadata.name.clone().unwrap_or_default(),
    }
}

/// The addresses that the status names.
fn record(eip: &EIP) -> DualAddress {
    let status = eip.status.as_ref();
    DualAddress {
        ipv4: status.and_then(|s| s.ipv4.as_ref()?.parse().ok()),
        ipv6: status.and_then(|s| s.ipv6.as_ref()?.parse().ok()),
    }
}
