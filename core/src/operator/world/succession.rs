//! What was seen to take the place of what: boots of a node, instances of a pod.
//!
//! Events of different kinds overtake each other: that a report names another
//! boot than its Node does not tell which of the two is the older. One watch
//! shows its objects in order, so what it has shown replaced is gone for good, and so is
//! what it has shown to have ended: also when nothing speaks of it any more.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use crate::identity::InstanceId;

/// Boots of a node and instances of a pod that are remembered as replaced.
const REMEMBERED: usize = 16;

/// What was replaced, by what it was part of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Succession {
    /// By node: the boot that it was last seen with, and those before.
    boots: BTreeMap<String, Line>,
    /// By pod UID: the instance that it last reported, and those before.
    instances: BTreeMap<String, Line>,
}

#[derive(Clone, Debug, Default)]
struct Line {
    last: String,
    replaced: Vec<String>,
    /// Nothing comes after it, and it has ended itself.
    ended: bool,
}

impl Line {
    fn show(&mut self, now: &str) {
        if now.is_empty() || self.last == now {
            return;
        }
        let before = std::mem::replace(&mut self.last, now.to_owned());
        self.replaced.retain(|r| r != now);
        if !before.is_empty() {
            self.conclude(before);
        }
    }

    fn conclude(&mut self, gone: String) {
        if !self.replaced.contains(&gone) {
            self.replaced.push(gone);
        }
        if self.replaced.len() > REMEMBERED {
            self.replaced.remove(0);
        }
    }
}

fn is_replaced(lines: &BTreeMap<String, Line>, of: &str, what: &str) -> bool {
    lines
        .get(of)
        .is_some_and(|line| line.replaced.iter().any(|r| r == what))
}

impl Succession {
    /// A node was seen with this boot.
    pub(crate) fn boot_shown(&mut self, node: &str, boot: &str) {
        self.boots.entry(node.to_owned()).or_default().show(boot);
    }

    /// A pod was seen to report as this instance.
    pub(crate) fn instance_shown(&mut self, pod_uid: &str, instance: &str) {
        self.instances
            .entry(pod_uid.to_owned())
            .or_default()
            .show(instance);
    }

    /// A pod was seen to run nothing any more, for good.
    pub(crate) fn pod_ended(&mut self, pod_uid: &str) {
        self.instances.entry(pod_uid.to_owned()).or_default().ended = true;
    }

    /// Whether a node has left this boot behind.
    pub(crate) fn boot_is_replaced(&self, node: &str, boot: &str) -> bool {
        is_replaced(&self.boots, node, boot)
    }

    /// Whether a pod has left this instance behind, or has ended with it.
    pub(crate) fn has_ended(&self, pod_uid: &str, instance: &str) -> bool {
        let line = self.instances.get(pod_uid);
        line.is_some_and(|line| line.ended) || is_replaced(&self.instances, pod_uid, instance)
    }

    /// A boot that a node does not show is taken for one that it has left behind.
    pub(crate) fn boot_is_over(&mut self, node: &str, boot: &str) {
        let line = self.boots.entry(node.to_owned()).or_default();
        if line.last != boot {
            line.conclude(boot.to_owned());
        }
    }

    /// An instance that a pod does not report is taken for one that it has left behind.
    pub(crate) fn instance_is_over(&mut self, pod_uid: &str, instance: &str) {
        let line = self.instances.entry(pod_uid.to_owned()).or_default();
        if line.last != instance {
            line.conclude(instance.to_owned());
        }
    }

    /// Pods whose instances are known.
    #[cfg(test)]
    pub(crate) fn pods(&self) -> usize {
        self.instances.len()
    }

    /// Forgets all but these nodes and pods.
    pub(super) fn retain(&mut self, nodes: &BTreeSet<&str>, pods: &BTreeSet<&str>) {
        self.boots.retain(|node, _| nodes.contains(node.as_str()));
        self.instances.retain(|pod, _| pods.contains(pod.as_str()));
    }
}

impl World {
    /// Forgets the lives of nodes and pods that nothing names any more.
    pub(super) fn forget_lives(&mut self) {
        let mut nodes: BTreeSet<&str> = self.nodes.iter().map(|(k, _)| k.name.as_str()).collect();
        let mut pods = BTreeSet::new();
        for (_, pod) in self.pods.iter() {
            nodes.insert(&pod.node);
            pods.insert(pod.uid.as_str());
        }
        for (_, report) in self.reports.iter() {
            nodes.insert(&report.spec.node);
            pods.insert(report.spec.pod_uid.as_str());
        }
        let holders: Vec<InstanceId> = self
            .leases
            .iter()
            .filter_map(|(_, lease)| lease.holder.parse().ok())
            .collect();
        pods.extend(holders.iter().map(|holder| holder.pod_uid.as_str()));
        self.succession.retain(&nodes, &pods);
    }
}
