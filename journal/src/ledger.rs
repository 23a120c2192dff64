//! Which operations on the addresses of objects are open, and how each ended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sluice_crds::address::DualAddress;

#[cfg(test)]
mod tests;

/// What is done to an object's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// It had none, and is to have some.
    Add,
    /// It had others.
    Update,
    /// It is to have none.
    Delete,
}

impl Op {
    /// As it stands in a log line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was to be, is.
    Done,
    /// It was refused, in these words.
    Refused(String),
    /// It was taken back before it was done.
    Abandoned,
}

impl Outcome {
    /// As it stands in a log line.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused(_) => "refused",
            Self::Abandoned => "abandoned",
        }
    }

    /// The words of a refusal.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Done | Self::Abandoned => None,
        }
    }
}

/// The end of an operation: one log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<K> {
    /// Whose addresses.
    pub key: K,
    /// What was done.
    pub op: Op,
    /// The addresses that the operation is about: those added, those now, those removed.
    pub addresses: DualAddress,
    /// How it ended.
    pub outcome: Outcome,
}

/// Figures of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Addresses that came.
    pub adds: u64,
    /// Addresses that went.
    pub deletes: u64,
    /// Addresses that are there: `adds` less `deletes`.
    pub held: u64,
}

/// The addresses that objects have, and the operations on them that are open.
#[derive(Clone, Debug)]
pub struct Ledger<K> {
    held: BTreeMap<K, DualAddress>,
    /// What is wanted; none where nobody has named it yet.
    open: BTreeMap<K, Option<DualAddress>>,
    /// Refusals that were told, while they last.
    refused: BTreeMap<K, (DualAddress, String)>,
    ipv4: Count,
    ipv6: Count,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            open: BTreeMap::new(),
            refused: BTreeMap::new(),
            ipv4: Count::default(),
            ipv6: Count::default(),
        }
    }
}

impl<K: Ord + Clone> Ledger<K> {
    /// The object is to have these addresses, and has not yet; none: it is to have some
    /// that nobody has named yet, which stays open until it has some or is gone.
    pub fn begin(&mut self, key: &K, wanted: Option<DualAddress>) {
        if wanted != Some(self.of(key)) {
            self.open.insert(key.clone(), wanted);
        }
    }

    /// The object has these addresses now; none: it has none any more. The line that ends
    /// the operation, if there was one.
    pub fn has(&mut self, key: &K, now: DualAddress) -> Option<Line<K>> {
        // What was refused is there after all.
        let refused = self.refused.get(key).map(|(wanted, _)| *wanted);
        if refused == Some(now) {
            self.refused.remove(key);
        }
        let opened = self.open.remove(key);
        let before = self.held.get(key).copied().unwrap_or_default();
        let (op, addresses) = match (before.is_empty(), now.is_empty()) {
            _ if before == now => {
                let Some(wanted) = opened? else {
                    self.open.insert(key.clone(), None);
                    return None;
                };
                // Nothing came of what was begun.
                if wanted == now {
                    return None;
                }
                let op = if before.is_empty() {
                    Op::Add
                } else {
                    Op::Update
                };
                return Some(line(key, op, wanted, Outcome::Abandoned));
            }
            (true, _) => (Op::Add, now),
            (false, true) => (Op::Delete, before),
            (false, false) => (Op::Update, now),
        };
        self.count(before, now);
        if now.is_empty() {
            self.held.remove(key);
        } else {
            self.held.insert(key.clone(), now);
        }
        Some(line(key, op, addresses, Outcome::Done))
    }

    /// The object is gone, whatever it had or was to have.
    pub fn gone(&mut self, key: &K) -> Option<Line<K>> {
        self.refused.remove(key);
        if self.held.contains_key(key) {
            return self.has(key, DualAddress::default());
        }
        let wanted = self.open.remove(key)?.unwrap_or_default();
        Some(line(key, Op::Add, wanted, Outcome::Abandoned))
    }

    /// What was to be done to the object was refused. One line for each refusal, however
    /// often it is tried again.
    pub fn refuse(&mut self, key: &K, wanted: DualAddress, error: &str) -> Option<Line<K>> {
        self.open.remove(key);
        let told = (wanted, error.to_owned());
        if self.refused.get(key) == Some(&told) {
            return None;
        }
        self.refused.insert(key.clone(), told);
        let op = if self.held.contains_key(key) {
            Op::Update
        } else {
            Op::Add
        };
        Some(line(key, op, wanted, Outcome::Refused(error.to_owned())))
    }

    /// These objects have these addresses, and no others have any. Refusals of those that
    /// are not `wanted` any more are forgotten.
    pub fn all(
        &mut self,
        now: &BTreeMap<K, DualAddress>,
        wanted: impl Fn(&K) -> bool,
    ) -> Vec<Line<K>> {
        self.refused.retain(|key, _| wanted(key));
        let known = self.held.keys().chain(self.open.keys());
        let gone: BTreeSet<K> = known
            .filter(|key| !now.contains_key(*key))
            .cloned()
            .collect();
        let mut lines: Vec<Line<K>> = gone.iter().filter_map(|key| self.gone(key)).collect();
        lines.extend(now.iter().filter_map(|(key, now)| self.has(key, *now)));
        lines
    }

    /// What an object is known to have; empty where it has none.
    #[must_use]
    pub fn of(&self, key: &K) -> DualAddress {
        self.held.get(key).copied().unwrap_or_default()
    }

    /// Figures of IPv4, then of IPv6.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, Count); 2] {
        [("ipv4", self.ipv4), ("ipv6", self.ipv6)]
    }

    fn count(&mut self, before: DualAddress, now: DualAddress) {
        let families = [
            (
                &mut self.ipv4,
                before.ipv4.map(IpAddr::V4),
                now.ipv4.map(IpAddr::V4),
            ),
            (
                &mut self.ipv6,
                before.ipv6.map(IpAddr::V6),
                now.ipv6.map(IpAddr::V6),
            ),
        ];
        for (count, before, now) in families {
            if before != now {
                count.deletes = count.deletes.saturating_add(u64::from(before.is_some()));
                count.adds = count.adds.saturating_add(u64::from(now.is_some()));
            }
            count.held = count.adds.saturating_sub(count.deletes);
        }
    }
}

fn line<K: Clone>(key: &K, op: Op, addresses: DualAddress, outcome: Outcome) -> Line<K> {
    Line {
        key: key.clone(),
        op,
        addresses,
        outcome,
    }
}
