//! What an apply is to bring about.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use sluice_crds::internal::RejectedEntry;

use crate::agent::Good;
use crate::agent::event::Addresses;
use crate::config::Snapshot;
use crate::entry::Entry;

/// What an apply brings about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Goal {
    pub(super) config: Good,
    pub(super) holding: bool,
    /// Addresses that another host answers for.
    pub(super) withheld: BTreeMap<IpAddr, String>,
}

impl Goal {
    /// The addresses that are answered for once the goal is reached.
    pub(super) fn answered(&self) -> Arc<Addresses> {
        if !self.holding {
            return Arc::default();
        }
        let all = &self.config.addresses;
        if self.withheld.is_empty() {
            return Arc::clone(all);
        }
        let is_free = |address: &&IpAddr| !self.withheld.contains_key(*address);
        Arc::new(all.iter().filter(is_free).copied().collect())
    }

    /// What the kernel is given: without the entries of withheld addresses.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        if self.withheld.is_empty() {
            return Arc::clone(&self.config.snapshot);
        }
        let is_free = |entry: &Entry| !self.withheld.contains_key(&entry.body.address());
        Arc::new(self.config.snapshot.retain(is_free))
    }

    /// The entries that the kernel is not given, as refused ones.
    pub(super) fn held_back(&self) -> impl Iterator<Item = RejectedEntry> + '_ {
        let withheld = !self.withheld.is_empty();
        let entries = self.config.snapshot.entries();
        entries.take_while(move |_| withheld).filter_map(|entry| {
            let who = self.withheld.get(&entry.body.address())?;
            Some(RejectedEntry {
                key: entry.key(),
                digest: entry.digest().short(),
                error: format!("{} is answered for by {who}", entry.body.address()),
            })
        })
    }
}
