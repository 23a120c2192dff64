//! Addresses in logs: one record an object, both keys always there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sluice_core::config::{Snapshot, difference};
use sluice_core::entry::Entry;
use sluice_core::identity::Uid;
use sluice_crds::address::DualAddress;
use sluice_crds::internal::RejectedEntry;
use sluice_journal::{Ledger, Line, or_null};

#[cfg(test)]
mod tests;

/// The record of a list; of two addresses of one family the first.
#[must_use]
pub fn record(addresses: &[IpAddr]) -> DualAddress {
    let mut record = DualAddress::default();
    for address in addresses {
        record.insert(*address);
    }
    record
}

/// The addresses of a config by the EIP that asked for them.
#[must_use]
pub fn by_owner(snapshot: &Snapshot) -> BTreeMap<Uid, DualAddress> {
    of_entries(snapshot, |_| true)
}

/// The same of some entries only.
fn of_entries(snapshot: &Snapshot, take: impl Fn(&Entry) -> bool) -> BTreeMap<Uid, DualAddress> {
    let mut owners: BTreeMap<Uid, DualAddress> = BTreeMap::new();
    for entry in snapshot.entries() {
        if let Some(address) = entry.body.held().filter(|_| take(entry)) {
            owners.entry(entry.uid.clone()).or_default().insert(address);
        }
    }
    owners
}

/// The EIPs whose addresses differ between two configs.
fn changed(old: &Snapshot, new: &Snapshot) -> BTreeSet<Uid> {
    let (gone, come) = difference(old, new);
    let entries = gone.into_iter().chain(come);
    let addresses = entries.filter(|entry| entry.body.held().is_some());
    addresses.map(|entry| entry.uid.clone()).collect()
}

/// The operations on addresses that a process has begun and ended.
#[derive(Debug, Default)]
pub struct Operations {
    ledger: Ledger<Uid>,
    /// The config that is in force as a whole: what follows is told by what differs.
    clean: Option<Snapshot>,
    /// Whether one has begun and not ended.
    open: bool,
}

impl Operations {
    /// A config is being applied.
    pub fn begin(&mut self, snapshot: &Snapshot, holding: bool) {
        if std::mem::replace(&mut self.open, true) {
            // What the one before had begun ends with this one.
            self.clean = None;
        }
        if holding {
            let wanted = match &self.clean {
                Some(clean) => {
                    let changed = changed(clean, snapshot);
                    of_entries(snapshot, |entry| changed.contains(&entry.uid))
                }
                None => by_owner(snapshot),
            };
            for (uid, addresses) in wanted {
                self.ledger.begin(&uid, Some(addresses));
            }
        }
    }

    /// It is applied, but for what was refused.
    #[must_use]
    pub fn applied(
        &mut self,
        snapshot: &Snapshot,
        holding: bool,
        rejected: &[RejectedEntry],
    ) -> Vec<Line<Uid>> {
        self.open = false;
        if !holding {
            return self.gone();
        }
        let whole = rejected.is_empty().then(|| snapshot.clone());
        let clean = std::mem::replace(&mut self.clean, whole);
        if let Some(clean) = clean.filter(|_| rejected.is_empty()) {
            let changed = changed(&clean, snapshot);
            let now = of_entries(snapshot, |entry| changed.contains(&entry.uid));
            let end = |uid: &Uid| match now.get(uid) {
                Some(now) => self.ledger.has(uid, *now),
                None => self.ledger.gone(uid),
            };
            return changed.iter().filter_map(end).collect();
        }
        let wanted = by_owner(snapshot);
        let mut lines = Vec::new();
        let keys: BTreeSet<&str> = rejected.iter().map(|r| &*r.key).collect();
        for entry in snapshot.entries().filter(|_| !keys.is_empty()) {
            let Some(address) = entry.body.held() else {
                continue;
            };
            let key = entry.key();
            if let Some(refused) = rejected.iter().find(|r| r.key == key) {
                let address = DualAddress::of(address);
                lines.extend(self.ledger.refuse(&entry.uid, address, &refused.error));
            }
        }
        let in_force = |entry: &Entry| keys.is_empty() || !keys.contains(&*entry.key());
        let now = of_entries(snapshot, in_force);
        lines.extend(self.ledger.all(&now, |uid| wanted.contains_key(uid)));
        lines
    }

    /// Nothing is answered for any more.
    #[must_use]
    pub fn gone(&mut self) -> Vec<Line<Uid>> {
        self.clean = None;
        self.ledger.all(&BTreeMap::new(), |_| false)
    }

    /// What is counted.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, sluice_journal::Count); 2] {
        self.ledger.counts()
    }
}

/// The log line that ends an operation.
pub fn tell(line: &Line<Uid>) {
    let ipv4 = or_null(line.addresses.ipv4);
    let ipv6 = or_null(line.addresses.ipv6);
    let error = or_null(line.outcome.error());
    let (op, outcome) = (line.op.as_str(), line.outcome.as_str());
    if line.outcome.error().is_some() {
        tracing::warn!(op, outcome, eip = %line.key, ipv4, ipv6, error, "addresses");
    } else {
        tracing::info!(op, outcome, eip = %line.key, ipv4, ipv6, error, "addresses");
    }
}
