//! Writes to the API server: counting them, and doing as many without us.

use std::time::Instant;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use sluice_crds::NATGateway;

use super::objects::{apis, by_clients, create, eip};
use crate::Lab;
use crate::error::{Doing, Result};

/// Writes of every kind since the API server's newest resourceVersion was `before`.
pub(super) async fn writes_since(client: &Client, before: u64) -> Result<usize> {
    let writes = newest(client).await?.saturating_sub(before);
    Ok(usize::try_from(writes).unwrap_or(0))
}

/// The API server's newest resourceVersion: it counts every write of every kind.
pub(super) async fn newest(client: &Client) -> Result<u64> {
    let api: Api<NATGateway> = Api::all(client.clone());
    let list = api
        .list(&ListParams::default())
        .await
        .doing(|| "list gateways".into())?;
    Ok(list
        .metadata
        .resource_version
        .and_then(|v| v.parse().ok())
        .unwrap_or(0))
}

/// Seconds for `writes` writes in all by 16 clients, of EIPs and their status,
/// while no operator runs.
pub(super) async fn bare_eips(lab: &Lab, client: &Client, writes: usize) -> Result<f64> {
    for words in [
        "-n sluice-system scale deployment --all --replicas=0",
        "-n sluice-system wait pod --all --for=delete --timeout=60s",
    ] {
        let mut kubectl = lab.kubectl();
        tokio::task::block_in_place(|| {
            crate::command::run(kubectl.args(words.split_whitespace()))
        })?;
    }
    let (eips, _) = apis(client);
    let text = "x".repeat(200);
    let condition = |status: &str, n: usize| {
        let of = |kind: &str| {
            json!({"type": kind, "status": status, "reason": "Bench", "observedGeneration": 1,
                "message": format!("{n}{text}"), "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        json!({"status": {"conditions": [of("Accepted"), of("Programmed"), of("Ready")]}})
    };
    let (eips, condition) = (&eips, &condition);
    timed(writes, |name| async move {
        create(eips, eip(&name)).await?;
        for (n, status) in ["False", "Unknown", "True"].into_iter().enumerate() {
            let patch = Patch::Merge(condition(status, n));
            eips.patch_status(&name, &PatchParams::default(), &patch)
                .await
                .doing(|| "patch the status of an EIP".into())?;
        }
        Ok(())
    })
    .await
}

/// Seconds for `writes` writes in all by 16 clients, of ConfigMaps of an EIP's size.
pub(super) async fn bare_maps(client: &Client, writes: usize) -> Result<f64> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let text = "x".repeat(1_500);
    let shared = (&maps, &text);
    let took = timed(writes, |name| async move {
        let (maps, text) = shared;
        let labels = json!({"bench": "bare"});
        let map = json!({"metadata": {"name": name, "labels": labels}, "data": {"a": text}});
        create(maps, map).await?;
        for n in 0..3 {
            let patch = Patch::Merge(json!({"data": {"n": n.to_string()}}));
            maps.patch(&name, &PatchParams::default(), &patch)
                .await
                .doing(|| "patch a ConfigMap".into())?;
        }
        Ok(())
    })
    .await?;
    maps.delete_collection(
        &DeleteParams::default(),
        &ListParams::default().labels("bench=bare"),
    )
    .await
    .doing(|| "delete the ConfigMaps".into())?;
    Ok(took)
}

/// Seconds for `writes` writes by 16 clients; `object` makes the object of a
/// name by four of them.
async fn timed<F: Future<Output = Result<()>>>(
    writes: usize,
    object: impl Fn(String) -> F,
) -> Result<f64> {
    let start = Instant::now();
    by_clients((writes / 4).max(1), |i| object(format!("bare-{i}"))).await?;
    Ok(start.elapsed().as_secs_f64())
}
