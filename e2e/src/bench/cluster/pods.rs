//! The pods that are measured, and their processes.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use super::{GATEWAY, NAMESPACE, PATIENCE};
use crate::bench::process;
use crate::error::{Doing, LabError, Result};
use crate::{Host, Lab};

pub(super) async fn pids(lab: &Lab, client: &Client) -> Result<Vec<(&'static str, i32)>> {
    let mut found = Vec::new();
    for (name, namespace, starts) in [
        ("operator", "sluice-system", ""),
        ("agent", NAMESPACE, "sluice-bench"),
    ] {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let list = pods
            .list(&ListParams::default())
            .await
            .doing(|| "list pods".into())?;
        let pod = list
            .items
            .iter()
            .find(|p| p.name_any().starts_with(starts) && p.metadata.deletion_timestamp.is_none())
            .ok_or_else(|| LabError::Content(format!("no {name} pod in {namespace}")))?;
        let host = Host::pod(namespace, &pod.name_any());
        let pid = lab_pid(lab, &host)
            .ok_or_else(|| LabError::Content(format!("no process in {host}")))?;
        found.push((name, pid));
    }
    Ok(found)
}

pub(super) fn lab_pid(lab: &Lab, host: &Host) -> Option<i32> {
    let processes = host.processes(lab.paths(), lab.state()).ok()?;
    processes
        .into_iter()
        .find(|p| !p.pause && process::runs_sluice(p.pid))
        .map(|p| p.pid)
}

/// Name of the bench gateway's pod, another one than `not`.
pub(super) async fn gateway_pod(pods: &Api<Pod>, not: Option<&str>) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let selector =
        ListParams::default().labels(&format!("{}={GATEWAY}", sluice_crds::names::LABEL_GATEWAY));
    while Instant::now() < deadline {
        let list = pods
            .list(&selector)
            .await
            .doing(|| "list gateway pods".into())?;
        let name = list
            .items
            .iter()
            .map(ResourceExt::name_any)
            .find(|n| Some(n.as_str()) != not);
        if let Some(name) = name {
            return Ok(name);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(LabError::Content(format!(
        "gateway {GATEWAY} has no pod after {} s",
        PATIENCE.as_secs()
    )))
}
