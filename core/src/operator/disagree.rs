//! Reports, Leases and Nodes that name different lives of one thing, where it
//! was not seen which of them is the older.
//!
//! A new leader finds a report of one boot and a Node of another: either the
//! node was booted anew, or the Node is late. What is late comes soon; so a
//! disagreement that stands for long, all watches in sync, tells that the
//! instance is over.

use std::collections::BTreeMap;

use super::Operator;
use super::event::{Key, Kind, Millis};
use super::subject::Subject;
use super::world::cluster_key;
use crate::identity::{InstanceId, Uid};

/// What must be in sync for a disagreement to count.
const KINDS: [Kind; 4] = [Kind::Node, Kind::Pod, Kind::GatewayInstance, Kind::Lease];

/// Something that names another life than something else does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Disagreement {
    /// An instance's boot is not the one that its node shows.
    Boot {
        node: String,
        boot: String,
        shown: String,
    },
    /// A Lease names another instance of a pod than the pod reports.
    Instance {
        pod_uid: String,
        held: String,
        reported: String,
        /// The Lease as it stands: whoever renews it is alive.
        renewed: String,
    },
}

/// Since when something disagrees, and how often a watch had broken by then.
pub(crate) type Disagreements = BTreeMap<Disagreement, (Millis, u64)>;

impl Operator {
    /// Follows what disagrees about the instances of a site, and concludes what
    /// has stood for long enough.
    pub(super) fn follow_disagreements(&mut self, uid: &Uid, now: Millis) {
        let found = self.disagreements(uid);
        let in_sync = KINDS.iter().all(|kind| self.world.in_sync(*kind));
        let breaks = self.world.breaks();
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        let before = std::mem::take(&mut site.disagreements);
        if !in_sync {
            return;
        }
        let mut next = None;
        for disagreement in found {
            let since = match before.get(&disagreement) {
                Some((since, seen)) if *seen == breaks => *since,
                _ => now,
            };
            let until = Millis(since.0.saturating_add(self.settings.disagreement_ms));
            if now < until {
                next = Some(next.map_or(until, |n: Millis| n.min(until)));
                site.disagreements.insert(disagreement, (since, breaks));
                continue;
            }
            match disagreement {
                Disagreement::Boot { node, boot, .. } => {
                    self.world.succession.boot_is_over(&node, &boot);
                }
                Disagreement::Instance { pod_uid, held, .. } => {
                    self.world.succession.instance_is_over(&pod_uid, &held);
                }
            }
        }
        if let Some(at) = next {
            self.wake(Subject::Site(uid.clone()), at);
        }
    }

    fn disagreements(&self, uid: &Uid) -> Vec<Disagreement> {
        let world = &self.world;
        let succession = &world.succession;
        let boot = |node: &str, instance: &InstanceId| {
            let shown = &world.nodes.get(&cluster_key(node))?.boot_id;
            (!shown.is_empty()
                && *shown != instance.boot_id
                && !succession.boot_is_replaced(node, &instance.boot_id))
            .then(|| Disagreement::Boot {
                node: node.to_owned(),
                boot: instance.boot_id.clone(),
                shown: shown.clone(),
            })
        };
        let mut found = Vec::new();
        let held = self.lease_of(uid).and_then(|lease| {
            let id: InstanceId = lease.holder.parse().ok()?;
            Some((lease, id))
        });
        for key in world.reports_by_gateway.of(uid) {
            let Some(report) = world.reports.get(key) else {
                continue;
            };
            let told = report.status.as_ref().map(|s| s.instance.as_str());
            let Some(id) = told.and_then(|t| t.parse::<InstanceId>().ok()) else {
                continue;
            };
            found.extend(boot(&report.spec.node, &id));
            if let Some((lease, holder)) = &held
                && holder.pod_uid.as_str() == report.spec.pod_uid
                && id.pod_uid == holder.pod_uid
                && id != *holder
                && !succession.has_ended(&report.spec.pod_uid, &lease.holder)
            {
                found.push(Disagreement::Instance {
                    pod_uid: report.spec.pod_uid.clone(),
                    held: lease.holder.clone(),
                    reported: id.to_string(),
                    renewed: lease.renew_time.clone(),
                });
            }
        }
        if let Some((_, holder)) = &held
            && let Some(node) = self.node_of(uid, holder)
        {
            found.extend(boot(&node, holder));
        }
        found
    }

    /// The node of an instance's pod, by the pod or its report.
    fn node_of(&self, uid: &Uid, instance: &InstanceId) -> Option<String> {
        let world = &self.world;
        let of_pod = |key: &Key| {
            let pod = world.pods.get(key)?;
            (pod.uid == instance.pod_uid).then(|| pod.node.clone())
        };
        let of_report = |key: &Key| {
            let spec = &world.reports.get(key)?.spec;
            (spec.pod_uid == instance.pod_uid.as_str()).then(|| spec.node.clone())
        };
        world
            .pods_by_gateway
            .of(uid)
            .find_map(of_pod)
            .or_else(|| world.reports_by_gateway.of(uid).find_map(of_report))
    }
}
