//! The kernel of the instance.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use sluice_crds::internal::RejectedEntry;

use crate::agent::*;
use crate::config::Snapshot;
use crate::entry::Entry;
use crate::identity::Revision;

/// The kernel.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    pub stamp: Option<(Revision, String)>,
    /// What the last apply of this process that did not fail brought about: a
    /// repair brings it back.
    pub repairs_to: Option<(Revision, String)>,
    pub answering: bool,
    pub entries: BTreeSet<String>,
    /// What is answered for while `answering`: EIPs and the LAN's next hops.
    pub held: BTreeSet<IpAddr>,
    pub announced: BTreeSet<IpAddr>,
    /// Revisions that were confirmed to the agent.
    pub confirmed: Vec<(Revision, String)>,
    /// Removed, and not flushed a second time since; with the revision that removed it,
    /// or that was cleared.
    pub unflushed: BTreeMap<String, Revision>,
    /// Cleared, and nothing applied since: it lets no packet through, also not of a
    /// connection that is left.
    pub guarded: bool,
    pub refuse: Option<String>,
    pub conflicts: Vec<IpAddr>,
    pub inspection: Inspection,
}

impl Kernel {
    pub fn carry_out(&mut self, op: KernelOp) -> KernelAnswer {
        match op {
            KernelOp::Apply {
                snapshot,
                revision,
                holding,
            } => self.apply(&snapshot, revision, holding),
            KernelOp::Flush => {
                self.unflushed.clear();
                KernelAnswer::Flushed
            }
            KernelOp::Announce(addresses) => {
                self.announced.extend(addresses);
                KernelAnswer::Announced
            }
            KernelOp::Probe(addresses) => {
                let others = self.conflicts.iter().filter(|a| addresses.contains(a));
                KernelAnswer::Probed(others.map(|a| (*a, "another".to_owned())).collect())
            }
            KernelOp::Inspect => KernelAnswer::Inspected(self.inspection.clone()),
            KernelOp::Repair => {
                self.inspection.drift.clear();
                KernelAnswer::Repaired(1)
            }
            KernelOp::Clear => {
                self.lose_all();
                self.guarded = true;
                self.repairs_to = None;
                self.answering = false;
                self.held.clear();
                self.announced.clear();
                KernelAnswer::Cleared
            }
        }
    }

    fn apply(
        &mut self,
        snapshot: &Arc<Snapshot>,
        revision: Revision,
        holding: bool,
    ) -> KernelAnswer {
        let (refused, kept): (Vec<&Entry>, Vec<&Entry>) = snapshot.entries().partition(|e| {
            self.refuse
                .as_ref()
                .is_some_and(|text| e.to_string().contains(text))
        });
        let held: BTreeSet<IpAddr> = kept.iter().filter_map(|e| e.body.held()).collect();
        let kept: BTreeSet<String> = kept.iter().map(|entry| entry.key()).collect();
        let lost: Vec<String> = self.entries.difference(&kept).cloned().collect();
        let flush_again = !lost.is_empty();
        for key in lost {
            self.unflushed.entry(key).or_insert(revision.clone());
        }
        self.entries = kept;
        self.guarded = false;
        let next_hops = snapshot.settings.lan.addresses.iter();
        self.held = next_hops
            .filter_map(|text| text.split('/').next()?.parse().ok())
            .collect();
        self.held.extend(held);
        self.answering = holding;
        if !holding {
            self.announced.clear();
        }
        let stamp = (revision, snapshot.digest.to_string());
        self.confirmed.push(stamp.clone());
        self.repairs_to = Some(stamp.clone());
        self.stamp = Some(stamp);
        KernelAnswer::Applied {
            rejected: refused
                .iter()
                .map(|entry| RejectedEntry {
                    key: entry.key(),
                    digest: entry.digest().short(),
                    error: "refused".to_owned(),
                })
                .collect(),
            flush_again,
        }
    }

    /// All rules go, their connections do not.
    fn lose_all(&mut self) {
        let Some((revision, _)) = self.stamp.take() else {
            return;
        };
        for key in std::mem::take(&mut self.entries) {
            self.unflushed.entry(key).or_insert(revision.clone());
        }
    }
}

/// Short words for what was done.
pub fn name(op: &KernelOp) -> String {
    match op {
        KernelOp::Apply {
            revision, holding, ..
        } => format!("apply {} {holding}", revision.generation),
        KernelOp::Flush => "flush".to_owned(),
        KernelOp::Announce(addresses) => format!("announce {}", addresses.len()),
        KernelOp::Probe(addresses) => format!("probe {}", addresses.len()),
        KernelOp::Inspect => "inspect".to_owned(),
        KernelOp::Repair => "repair".to_owned(),
        KernelOp::Clear => "clear".to_owned(),
    }
}
