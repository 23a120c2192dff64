//! Which instances surely answer for nothing any more.

use std::collections::BTreeSet;

use sluice_crds::GatewayInstance;
use sluice_crds::names::ANNOTATION_DECLARE_DEAD;

use super::capability;
use super::event::{Key, PodFacts};
use super::world::{Meta, World, cluster_key};
use crate::identity::{InstanceId, Uid};

/// How an instance is known to be dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadBy {
    /// It has reported that it has given up.
    Final,
    /// A person has declared it dead.
    Declared,
    /// The kubelet has reported its containers terminated. Only the Pod shows
    /// it, so the report goes before the Pod.
    Kubelet,
    /// Its node is out of service.
    OutOfService,
    /// Its node has booted anew.
    Booted,
}

/// What is known of a gateway's instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Instances {
    /// Reports whose instance is dead, and how that is known.
    pub dead: Vec<(Key, DeadBy)>,
    /// Reports whose instance may still answer.
    pub alive: Vec<Key>,
    /// Pods that may run an instance that has not reported: also those whose last
    /// report is of a boot that their node has left behind.
    pub silent: Vec<Key>,
    /// Pods being deleted whose instance, if any, is dead, and which nobody needs
    /// as a witness.
    pub free_pods: Vec<Key>,
    /// Pods being deleted that run nowhere and show no report: free once a live
    /// read has shown that there is none.
    pub unreported: Vec<Key>,
}

/// Sorts a gateway's reports and pods.
pub(crate) fn instances(world: &World, gateway: &Uid) -> Instances {
    let declared = Declared::of(world, gateway);
    let hosted = capability::is_hosted(world, gateway);
    let mut found = Instances::default();
    let mut reported: BTreeSet<String> = BTreeSet::new();
    let mut dead_uids: BTreeSet<String> = BTreeSet::new();
    for key in world.reports_by_gateway.of(gateway) {
        let Some(report) = world.reports.get(key) else {
            continue;
        };
        let pod_uid = report.spec.pod_uid.clone();
        let why = why_dead(world, report, declared);
        let leaves = |why: &DeadBy| !hosted || leaves_nothing(world, gateway, report, *why);
        match why.filter(leaves) {
            Some(why) => {
                found.dead.push((key.clone(), why));
                match why {
                    // Only the Pod shows it.
                    DeadBy::Kubelet => {}
                    // Its pod may run on as an instance that has not reported.
                    DeadBy::Booted => continue,
                    DeadBy::Final | DeadBy::Declared | DeadBy::OutOfService => {
                        dead_uids.insert(pod_uid.clone());
                    }
                }
            }
            None => found.alive.push(key.clone()),
        }
        reported.insert(pod_uid);
    }
    for key in world.pods_by_gateway.of(gateway) {
        let Some(pod) = world.pods.get(key) else {
            continue;
        };
        let uid = pod.uid.as_str();
        let over = !reported.contains(uid) && never_or_no_more(world, pod);
        if pod.deleting && dead_uids.contains(uid) {
            found.free_pods.push(key.clone());
        } else if pod.deleting && over {
            found.unreported.push(key.clone());
        }
        if !reported.contains(uid) && !never_or_no_more(world, pod) {
            found.silent.push(key.clone());
        }
    }
    found
}

/// Whether nothing that an instance wrote stands where chassis serve the gateway. Its rules do
/// not end with it: it has taken them back itself, a person vouches for that, it was told of
/// the last one's end and said so, or another instance has taken them over and answers for them.
fn leaves_nothing(world: &World, gateway: &Uid, report: &GatewayInstance, why: DeadBy) -> bool {
    match why {
        DeadBy::Final | DeadBy::Declared => true,
        DeadBy::Kubelet | DeadBy::OutOfService | DeadBy::Booted => {
            let term = |report: &GatewayInstance| {
                let active = report.status.as_ref()?.active.as_ref()?;
                Some((active.lease_uid.clone(), active.term))
            };
            let lease = world
                .leases_by_gateway
                .of(gateway)
                .find_map(|key| world.leases.get(key))
                .filter(|lease| !lease.deleting);
            let now = lease.map(|lease| (lease.uid.to_string(), lease.transitions));
            let others = world
                .reports_by_gateway
                .of(gateway)
                .filter_map(|key| world.reports.get(key))
                .filter(|other| other.spec.pod_uid != report.spec.pod_uid);
            let mut terms = others.filter_map(term);
            has_applied_nothing(world, gateway, report)
                || now.is_some() && terms.any(|term| Some(term) == now)
        }
    }
}

/// Whether the last that an instance applied is the present config, and has no entries.
fn has_applied_nothing(world: &World, gateway: &Uid, report: &GatewayInstance) -> bool {
    let status = report.status.as_ref();
    let Some(applied) = status.and_then(|status| status.applied.as_ref()) else {
        return false;
    };
    let header = world
        .configs_by_gateway
        .of(gateway)
        .find_map(|key| world.configs.get(key));
    header.is_some_and(|header| {
        header.spec.entries == 0
            && header.metadata.uid.as_deref() == Some(&applied.uid)
            && header.metadata.generation == Some(applied.generation)
    })
}

/// A pod without a report whose containers run nowhere: never placed, or
/// terminated for good.
fn never_or_no_more(world: &World, pod: &PodFacts) -> bool {
    let node = world.nodes.get(&cluster_key(&pod.node));
    pod.node.is_empty()
        || runs_no_more(pod)
        || (pod.deleting && node.is_some_and(|n| n.out_of_service))
}

/// Whether its containers have terminated, and the kubelet starts none any more: it is
/// being deleted, or, as after an eviction, in a phase that no Pod leaves.
pub(crate) fn runs_no_more(pod: &PodFacts) -> bool {
    let ending = pod.deleting || matches!(pod.phase.as_str(), "Failed" | "Succeeded");
    ending && pod.containers_terminated
}

/// What a person has declared dead at a gateway: an instance, or, as `pod/<pod UID>`, all
/// instances of a Pod, also one that has not told its name.
#[derive(Clone, Copy)]
struct Declared<'a>(Option<&'a str>);

impl<'a> Declared<'a> {
    fn of(world: &'a World, gateway: &Uid) -> Self {
        Self(
            world
                .gateways_by_uid
                .get(gateway)
                .and_then(|key| world.gateways.get(key))
                .and_then(|g| g.meta().annotations.as_ref())
                .and_then(|a| a.get(ANNOTATION_DECLARE_DEAD))
                .map(String::as_str),
        )
    }

    /// Whether it is said of this instance, which is empty where it has no name yet.
    fn names(self, pod_uid: &str, instance: &str) -> bool {
        self.0.is_some_and(|declared| {
            !instance.is_empty() && declared == instance
                || !pod_uid.is_empty() && declared.strip_prefix("pod/") == Some(pod_uid)
        })
    }
}

/// Why the instance that a report speaks of is dead; `None`: it may be alive.
fn why_dead(world: &World, report: &GatewayInstance, declared: Declared) -> Option<DeadBy> {
    let status = report.status.as_ref();
    if status.is_some_and(|s| s.is_final) {
        return Some(DeadBy::Final);
    }
    let instance = status.map(|s| s.instance.as_str()).unwrap_or_default();
    if declared.names(&report.spec.pod_uid, instance) {
        return Some(DeadBy::Declared);
    }
    let pod = world
        .pods
        .get(&Key {
            namespace: report.metadata.namespace.clone().unwrap_or_default(),
            name: report.metadata.name.clone().unwrap_or_default(),
        })
        .filter(|p| p.uid.as_str() == report.spec.pod_uid);
    if pod.is_some_and(runs_no_more) {
        return Some(DeadBy::Kubelet);
    }
    let node = &report.spec.node;
    let boot = instance
        .parse::<InstanceId>()
        .map_or(String::new(), |id| id.boot_id);
    if is_out_of_service(world, node, &boot) {
        return Some(DeadBy::OutOfService);
    }
    let booted = world.succession.boot_is_replaced(node, &boot);
    booted.then_some(DeadBy::Booted)
}

/// Whether a node is out of service as what it ran with this boot, which is empty where
/// it is not known. A Node may be seen late: it says nothing of a boot after its own.
fn is_out_of_service(world: &World, node: &str, boot: &str) -> bool {
    let node = world.nodes.get(&cluster_key(node));
    node.is_some_and(|node| {
        let same = boot.is_empty() || node.boot_id.is_empty() || node.boot_id == boot;
        node.out_of_service && same
    })
}

/// Whether the holder that a Lease names is dead: its report says so, or its pod
/// was seen to end or to go on as another instance, or its node as another boot, or
/// neither report nor pod is left of it and the Lease is `lost`.
pub(crate) fn holder_is_dead(world: &World, gateway: &Uid, holder: &str, lost: bool) -> bool {
    let Ok(id) = holder.parse::<InstanceId>() else {
        return false;
    };
    let declared = Declared::of(world, gateway);
    if declared.names(id.pod_uid.as_str(), holder) {
        return true;
    }
    let report = world
        .reports_by_gateway
        .of(gateway)
        .filter_map(|key| world.reports.get(key))
        .find(|r| r.spec.pod_uid == id.pod_uid.as_str());
    let pod = world
        .pods_by_gateway
        .of(gateway)
        .filter_map(|key| world.pods.get(key))
        .find(|p| p.uid == id.pod_uid);
    if let Some(report) = report {
        let told = report.status.as_ref().map(|s| s.instance.as_str());
        if told == Some(holder) {
            return why_dead(world, report, declared).is_some();
        }
    }
    // A report of another instance of that pod may be the older of the two.
    if world.succession.has_ended(id.pod_uid.as_str(), holder) {
        return true;
    }
    let booted = |node: &str| {
        is_out_of_service(world, node, &id.boot_id)
            || world.succession.boot_is_replaced(node, &id.boot_id)
    };
    match (report, pod) {
        // Of one that lives, both may be seen late.
        (None, None) => lost,
        // One that is seen before it was placed runs somewhere by now.
        (_, Some(pod)) => runs_no_more(pod) || booted(&pod.node),
        (Some(report), None) => booted(&report.spec.node),
    }
}
