//! The objects that are measured: making them, and removing them again.

use std::fmt::Debug;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice_crds::{EIP, FIP};

use super::{CLIENTS, GATEWAY, NAMESPACE};
use crate::Lab;
use crate::bench::ready::Board;
use crate::error::{Doing, LabError, Result};
use crate::evidence::watcher::resource;

/// For all objects to go, the many too.
const REMOVAL: Duration = Duration::from_secs(1_200);

/// A pool for thousands of addresses and a gateway; the pool's next hop is the
/// lab's router, outside the pool's subnet.
pub(super) fn gateway() -> String {
    format!(
        "apiVersion: sluice.dev/v1alpha1
kind: EIPPool
metadata: {{name: {GATEWAY}}}
spec:
  subnets:
  - {{cidr: 10.155.64.0/18, gateway: 10.155.30.1}}
  - {{cidr: \"2001:db8:1:bbbb::/64\", gateway: \"2001:db8:1::1\"}}
---
apiVersion: sluice.dev/v1alpha1
kind: NATGateway
metadata: {{name: {GATEWAY}, namespace: {NAMESPACE}}}
spec:
  uplinks: [{{name: external, pools: [{GATEWAY}], networkAttachment: external}}]
  lan: {{networkAttachment: lan}}
"
    )
}

pub(super) fn eip(name: &str) -> Value {
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "EIP",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"bench": "yes"}},
        "spec": {"gateway": {"name": GATEWAY}, "ipFamilyPolicy": "RequireDualStack"}})
}

pub(super) fn fip(name: &str, i: usize) -> Value {
    let (high, low) = (100 + i / 250, i % 250 + 1);
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "FIP",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"bench": "yes"}},
        "spec": {"eip": {"name": name}, "target": {"ips": [
            format!("10.244.{high}.{low}"), format!("fd00:10:244::{high:x}:{low:x}")]}}})
}

pub(super) fn apply(lab: &Lab, text: &str) -> Result<()> {
    let mut child = lab
        .kubectl()
        .args(["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .doing(|| "start kubectl".into())?;
    let fed = child
        .stdin
        .take()
        .map(|mut pipe| pipe.write_all(text.as_bytes()));
    let status = child.wait().doing(|| "wait for kubectl".into())?;
    match (status.success(), fed) {
        (true, Some(Ok(()))) => Ok(()),
        _ => Err(LabError::Content(format!(
            "kubectl apply failed ({status})"
        ))),
    }
}

pub(super) fn apis(client: &Client) -> (Api<EIP>, Api<FIP>) {
    (
        Api::namespaced(client.clone(), NAMESPACE),
        Api::namespaced(client.clone(), NAMESPACE),
    )
}

pub(super) async fn create<K>(api: &Api<K>, object: Value) -> Result<()>
where
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    let object: K = serde_json::from_value(object)
        .map_err(|e| LabError::Content(format!("an object of the bench: {e}")))?;
    api.create(&PostParams::default(), &object)
        .await
        .doing(|| "create an object".into())?;
    Ok(())
}

/// Does `one` for every number below `count`, for 16 of them at a time.
pub(super) async fn by_clients<F: Future<Output = Result<()>>>(
    count: usize,
    one: impl Fn(usize) -> F,
) -> Result<()> {
    let done: Vec<Result<()>> = stream::iter(0..count)
        .map(one)
        .buffer_unordered(CLIENTS)
        .collect()
        .await;
    done.into_iter().collect()
}

pub(super) async fn remove(client: &Client, board: &Board) -> Result<()> {
    let ours = ListParams::default().labels("bench=yes");
    for kind in ["FIP", "DNAT", "SNAT", "EIP"] {
        let Some(resource) = resource(kind) else {
            continue;
        };
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
        api.delete_collection(&DeleteParams::default(), &ours)
            .await
            .doing(|| format!("delete all {kind}s"))?;
    }
    let kinds = ["EIP", "FIP", "DNAT", "SNAT"];
    board.wait_gone(&kinds, REMOVAL).await
}
