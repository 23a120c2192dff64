//! Kubernetes Events within a budget: changes of Ready one by one, or, when many
//! come together, one Event on the gateway with counts.

use std::collections::BTreeMap;

use super::Operator;
use super::action::Announcement;
use super::event::{Key, Kind, Millis};
use crate::identity::Uid;

/// A change of Ready, or of what runs short meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub uid: Uid,
    /// The gateway that it has in common with others.
    pub gateway: Option<Key>,
    /// Whether it is Ready now.
    pub ready: bool,
    /// What runs short, where that is the news: the reason of `Ready`.
    pub short: Option<&'static str>,
    pub message: String,
}

impl Change {
    fn is_bad(&self) -> bool {
        !self.ready || self.short.is_some()
    }

    /// How it counts in a summary.
    fn state(&self) -> &'static str {
        match (self.short, self.ready) {
            (Some(_), _) => "Ready and short of ports",
            (None, true) => "Ready",
            (None, false) => "not Ready",
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Batch {
    due: Millis,
    changes: Vec<(Kind, Key, Change)>,
    holder_changed: bool,
}

/// Gathers changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announcer {
    prepared: BTreeMap<(Kind, Key), Change>,
    batches: BTreeMap<Option<Key>, Batch>,
    holders: BTreeMap<Key, u32>,
}

impl Announcer {
    /// A status with this change is being written.
    pub(crate) fn prepare(&mut self, kind: Kind, key: &Key, change: Change) {
        self.prepared.insert((kind, key.clone()), change);
    }

    /// The holder of a gateway is another.
    pub(crate) fn holder_changed(&mut self, gateway: Key) {
        *self.holders.entry(gateway).or_default() += 1;
    }

    /// A gateway is gone.
    pub(crate) fn forget(&mut self, gateway: &Key) {
        self.holders.remove(gateway);
    }

    /// Everything that is remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.prepared.len() + self.batches.len() + self.holders.len()
    }

    fn settle(&mut self, kind: Kind, key: &Key, written: bool, due: Millis) {
        let Some(change) = self.prepared.remove(&(kind, key.clone())) else {
            return;
        };
        if !written {
            return;
        }
        let common = change.gateway.clone();
        let moved = common
            .as_ref()
            .is_some_and(|g| self.holders.remove(g).is_some());
        let batch = self.batches.entry(common).or_insert_with(|| Batch {
            due,
            ..Batch::default()
        });
        batch.holder_changed |= moved;
        batch.changes.push((kind, key.clone(), change));
    }

    /// Events whose time has come.
    ///
    /// More than `each` with a gateway in common make one on it; `gateway` tells
    /// its UID.
    pub(crate) fn take(
        &mut self,
        now: Millis,
        each: usize,
        gateway: impl Fn(&Key) -> Option<Uid>,
    ) -> Vec<Announcement> {
        let due: Vec<Option<Key>> = self
            .batches
            .iter()
            .filter(|(_, b)| b.due <= now)
            .map(|(g, _)| g.clone())
            .collect();
        let mut out = Vec::new();
        for common in due {
            let Some(batch) = self.batches.remove(&common) else {
                continue;
            };
            let summary = common
                .as_ref()
                .and_then(|g| Some((g.clone(), gateway(g)?)))
                .filter(|_| batch.holder_changed || batch.changes.len() > each);
            match summary {
                Some((key, uid)) => out.push(summarize(key, uid, &batch)),
                None => {
                    out.extend(
                        batch
                            .changes
                            .into_iter()
                            .map(|(kind, key, change)| Announcement {
                                kind,
                                key,
                                warning: change.is_bad(),
                                uid: change.uid,
                                reason: match (change.short, change.ready) {
                                    (Some(reason), _) => reason,
                                    (None, true) => "Ready",
                                    (None, false) => "NotReady",
                                },
                                message: change.message,
                            }),
                    )
                }
            }
        }
        out
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.batches.values().map(|b| b.due).min()
    }
}

fn summarize(key: Key, uid: Uid, batch: &Batch) -> Announcement {
    let mut counts: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    for (kind, _, change) in &batch.changes {
        *counts.entry((*kind, change.state())).or_default() += 1;
    }
    let lost = batch.changes.iter().any(|(_, _, c)| c.is_bad());
    let parts: Vec<String> = counts
        .into_iter()
        .map(|((kind, state), n)| format!("{n} {kind:?} {state}"))
        .collect();
    let cause = if batch.holder_changed {
        "the holder changed: "
    } else {
        ""
    };
    Announcement {
        kind: Kind::NATGateway,
        key,
        uid,
        warning: lost,
        reason: if batch.holder_changed {
            "HolderChanged"
        } else {
            "ReadyChanged"
        },
        message: format!("{cause}{}", parts.join(", ")),
    }
}

impl Operator {
    pub(super) fn announced(&mut self, kind: Kind, key: &Key, written: bool, now: Millis) {
        let due = Millis(now.0.saturating_add(self.settings.announce_ms));
        self.announcer.settle(kind, key, written, due);
    }
}
