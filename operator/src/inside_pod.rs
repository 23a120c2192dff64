//! Pods as targets and sources of rules: the few facts of each that count. A
//! cluster has many, so what nobody decides on is dropped here.

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde::Deserialize;
use sluice_core::identity::Uid;
use sluice_core::operator::event::{Attached, InsidePodFacts, Key};
use sluice_crds::address::{DualAddress, parse_host};
use sluice_crds::names::LABEL_GATEWAY_UID;

#[cfg(test)]
mod tests;

/// Where Multus tells which addresses a Pod has on which attachment.
const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";
/// Attachments of one Pod that are kept; whoever may patch a Pod writes as many
/// as fit into an annotation.
const ATTACHED_MAX: usize = 64;

/// Characters of an error that are kept.
const ERROR_MAX: usize = 160;

/// One entry of the annotation: NetworkStatus of the Network Plumbing Working
/// Group's specification, section 4.1.2.
#[derive(Deserialize)]
struct NetworkStatus {
    #[serde(default)]
    name: String,
    #[serde(default)]
    ips: Vec<String>,
}

/// What counts of a Pod. `terminated`: whether all of its containers are.
pub fn facts(key: Key, uid: Uid, pod: Pod, terminated: bool) -> InsidePodFacts {
    let status = pod.status.unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or_default();
    let deleting = pod.metadata.deletion_timestamp.is_some();
    let annotations = pod.metadata.annotations.unwrap_or_default();
    let (attached, unreadable) = match annotations.get(NETWORK_STATUS).map(|text| attached(text)) {
        None => (Vec::new(), None),
        Some(Ok(attached)) => (attached, None),
        // It may repeat what it cannot read.
        Some(Err(error)) => (
            Vec::new(),
            Some(error.to_string().chars().take(ERROR_MAX).collect()),
        ),
    };
    let labels = pod.metadata.labels.unwrap_or_default();
    InsidePodFacts {
        key,
        uid,
        resource_version: pod.metadata.resource_version.unwrap_or_default(),
        gateway: labels.contains_key(LABEL_GATEWAY_UID),
        labels,
        host_network: pod
            .spec
            .and_then(|spec| spec.host_network)
            .unwrap_or_default(),
        over: matches!(phase, "Succeeded" | "Failed") || (deleting && terminated),
        ips: pod_ips(&status),
        attached,
        unreadable,
    }
}

fn pod_ips(status: &PodStatus) -> DualAddress {
    let all = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    first_of_each(all.chain(status.pod_ip.as_deref()))
}

fn first_of_each<'a>(texts: impl Iterator<Item = &'a str>) -> DualAddress {
    let mut addresses = DualAddress::default();
    for address in texts.filter_map(|text| parse_host(text).ok()) {
        addresses.insert(address);
    }
    addresses
}

/// Attachments by `namespace/name`, of several of one name the first; the pod
/// network has a name without a namespace and is left out.
fn attached(annotation: &str) -> Result<Vec<Attached>, serde_json::Error> {
    if annotation.trim().is_empty() {
        return Ok(Vec::new());
    }
    let entries: Vec<NetworkStatus> = serde_json::from_str(annotation)?;
    let mut kept: Vec<Attached> = Vec::new();
    for entry in entries {
        if kept.len() < ATTACHED_MAX
            && entry.name.contains('/')
            && kept.iter().all(|a| a.network != entry.name)
        {
            kept.push(Attached {
                addresses: first_of_each(entry.ips.iter().map(String::as_str)),
                network: entry.name,
            });
        }
    }
    Ok(kept)
}
