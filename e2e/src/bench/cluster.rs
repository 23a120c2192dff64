//! Figures of a whole cluster: from `kubectl apply` to Ready, recovery, idle use.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use sluice_crds::{EIP, FIP, NATGateway};

use super::process;
use super::ready::Board;
use super::report::{Figure, Report};
use super::stats::quantile;
use crate::error::{Doing, LabError, Result};
use crate::evidence::watcher::resource;
use crate::{Host, Lab};

const NAMESPACE: &str = "net";
const GATEWAY: &str = "bench";
const PAIRS: usize = 1_000;
const SINGLE: usize = 200;
const CLIENTS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(120);
const IDLE: Duration = Duration::from_secs(20);
/// Nothing follows when no status has changed for this long.
const QUIET: Duration = Duration::from_secs(3);

/// Runs everything that needs a cluster.
///
/// # Errors
/// When the lab does not come up, or something never becomes Ready.
pub async fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    let client = lab.client().await?;
    apply(lab, &gateway())?;
    let board = Board::watch(&client);
    board.wait("NATGateway", 1, PATIENCE).await?;
    one_at_a_time(&client, &board, report).await?;
    bulk(lab, &client, &board, report).await?;
    memory(lab, &client, report).await?;
    recover(lab, &client, &board, report).await?;
    idle(lab, &client, report).await?;
    remove(&client, &board).await?;
    concurrent(lab, &client, &board, report).await
}

/// A pool for thousands of addresses and a gateway; the pool's next hop is the
/// lab's router, outside the pool's subnet.
fn gateway() -> String {
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

fn eip(name: &str) -> Value {
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "EIP",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"bench": "yes"}},
        "spec": {"gateway": {"name": GATEWAY}, "ipFamilyPolicy": "RequireDualStack"}})
}

fn fip(name: &str, i: usize) -> Value {
    let (high, low) = (100 + i / 250, i % 250 + 1);
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "FIP",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"bench": "yes"}},
        "spec": {"eip": {"name": name}, "target": {"ips": [
            format!("10.244.{high}.{low}"), format!("fd00:10:244::{high:x}:{low:x}")]}}})
}

fn apply(lab: &Lab, text: &str) -> Result<()> {
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

/// A FIP on an EIP that is Ready, one after the other.
async fn one_at_a_time(client: &Client, board: &Board, report: &mut Report) -> Result<()> {
    println!("bench: {SINGLE} FIPs, one at a time");
    let (eips, fips) = apis(client);
    for i in 0..SINGLE {
        create(&eips, eip(&format!("s-{i}"))).await?;
    }
    board.wait("EIP", SINGLE, PATIENCE).await?;
    let mut took = Vec::new();
    for i in 0..SINGLE {
        let name = format!("s-{i}");
        let start = Instant::now();
        create(&fips, fip(&name, i)).await?;
        let ready = board.wait_one("FIP", &name, PATIENCE).await?;
        took.push(ready.duration_since(start).as_secs_f64() * 1e3);
        // Not in step with any timer of the operator or the agent.
        tokio::time::sleep(Duration::from_millis(20 + (i as u64 * 7) % 40)).await;
    }
    let p99 = quantile(&took, 0.99);
    report.add(Figure::new(
        "apply_to_ready_p50_ms",
        "ms",
        &took,
        "a FIP's create request sent to its Ready=True seen by a watcher",
    ));
    report.add(Figure::new(
        "apply_to_ready_p99_ms",
        "ms",
        &[p99],
        "the 99th percentile of the same",
    ));
    remove(client, board).await
}

/// 1,000 EIPs and 1,000 FIPs, dual stack, by one `kubectl apply`.
async fn bulk(lab: &Lab, client: &Client, board: &Board, report: &mut Report) -> Result<()> {
    println!("bench: {PAIRS} EIPs and {PAIRS} FIPs, dual stack, by kubectl apply");
    let text: String = (0..PAIRS)
        .flat_map(|i| [eip(&format!("b-{i}")), fip(&format!("b-{i}"), i)])
        .map(|object| format!("{object}\n---\n"))
        .collect();
    let before = newest(client).await?;
    let start = Instant::now();
    tokio::task::block_in_place(|| apply(lab, &text))?;
    let applied = Instant::now();
    board.wait("EIP", PAIRS, PATIENCE).await?;
    board.wait("FIP", PAIRS, PATIENCE).await?;
    let after = Instant::now().duration_since(applied).as_secs_f64();
    let writes = writes_since(client, before).await?;
    report.add(Figure::new(
        "apply_1000_s",
        "s",
        &[applied.duration_since(start).as_secs_f64()],
        "kubectl apply of the 2,000 objects itself",
    ));
    report.add(Figure::new(
        "ready_1000_s",
        "s",
        &[after],
        "kubectl apply returned to all 2,000 Ready",
    ));
    report.add(Figure::new(
        "writes_per_pair",
        "",
        &[writes as f64 / PAIRS as f64],
        "API writes per EIP and FIP, the user's two included",
    ));
    let versions: Vec<f64> = board
        .status_writes()
        .into_iter()
        .map(|n| n as f64)
        .collect();
    report.add(Figure::new(
        "status_writes_max",
        "",
        &[quantile(&versions, 1.0)],
        "status writes of an object until Ready, the most",
    ));
    report.add(Figure::new(
        "status_writes_mean",
        "",
        &[versions.iter().sum::<f64>() / versions.len().max(1) as f64],
        "the same, the mean",
    ));
    Ok(())
}

/// The same by 16 clients, beside as many bare writes by 16 clients: of
/// ConfigMaps, and of EIPs while no operator looks.
async fn concurrent(lab: &Lab, client: &Client, board: &Board, report: &mut Report) -> Result<()> {
    println!("bench: the same by {CLIENTS} clients");
    let (eips, fips) = apis(client);
    let before = newest(client).await?;
    let start = Instant::now();
    let made: Vec<Result<()>> = stream::iter(0..PAIRS)
        .map(|i| {
            let (eips, fips, name) = (eips.clone(), fips.clone(), format!("c-{i}"));
            async move {
                create(&eips, eip(&name)).await?;
                create(&fips, fip(&name, i)).await
            }
        })
        .buffer_unordered(CLIENTS)
        .collect()
        .await;
    made.into_iter().collect::<Result<Vec<()>>>()?;
    board.wait("EIP", PAIRS, PATIENCE).await?;
    board.wait("FIP", PAIRS, PATIENCE).await?;
    let ours = start.elapsed().as_secs_f64();
    let writes = writes_since(client, before).await?;
    remove(client, board).await?;
    println!("bench: {writes} bare writes by {CLIENTS} clients");
    let bare = bare_writes(client, writes).await?;
    report.add(
        Figure::new(
            "ready_1000_vs_bare_writes",
            "s",
            &[ours],
            "16 clients create 1,000 pairs: first request to all Ready",
        )
        .beside("as many bare writes of ConfigMaps by 16 clients", &[bare]),
    );
    let own = bare_eip_writes(lab, client, writes).await?;
    report.add(
        Figure::new(
            "ready_1000_vs_eip_writes",
            "s",
            &[ours],
            "the same, beside writes that the API server validates as it does ours",
        )
        .beside(
            "as many bare writes of EIPs by 16 clients, no operator",
            &[own],
        ),
    );
    Ok(())
}

/// Creates EIPs and writes their status, `writes` writes in all, while no
/// operator runs.
async fn bare_eip_writes(lab: &Lab, client: &Client, writes: usize) -> Result<f64> {
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
    let objects = (writes / 4).max(1);
    let text = "x".repeat(200);
    let condition = |status: &str, n: usize| {
        let of = |kind: &str| {
            json!({"type": kind, "status": status, "reason": "Bench", "observedGeneration": 1,
                "message": format!("{n}{text}"), "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        json!({"status": {"conditions": [of("Accepted"), of("Programmed"), of("Ready")]}})
    };
    let start = Instant::now();
    let results: Vec<Result<()>> = stream::iter(0..objects)
        .map(|i| {
            let (eips, name, condition) = (eips.clone(), format!("bare-{i}"), &condition);
            async move {
                create(&eips, eip(&name)).await?;
                for (n, status) in ["False", "Unknown", "True"].into_iter().enumerate() {
                    let patch = Patch::Merge(condition(status, n));
                    eips.patch_status(&name, &PatchParams::default(), &patch)
                        .await
                        .doing(|| "patch the status of an EIP".into())?;
                }
                Ok(())
            }
        })
        .buffer_unordered(CLIENTS)
        .collect()
        .await;
    let took = start.elapsed().as_secs_f64();
    results.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(took)
}

/// Creates and patches ConfigMaps of an EIP's size, `writes` writes in all.
async fn bare_writes(client: &Client, writes: usize) -> Result<f64> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let objects = (writes / 4).max(1);
    let text = "x".repeat(1_500);
    let start = Instant::now();
    let results: Vec<Result<()>> = stream::iter(0..objects)
        .map(|i| {
            let (maps, text) = (maps.clone(), text.clone());
            async move {
                let name = format!("bare-{i}");
                let map = json!({"metadata": {"name": name, "labels": {"bench": "bare"}}, "data": {"a": text}});
                let map: ConfigMap = serde_json::from_value(map)
                    .map_err(|e| LabError::Content(format!("a ConfigMap: {e}")))?;
                maps.create(&PostParams::default(), &map).await.doing(|| "create a ConfigMap".into())?;
                for n in 0..3 {
                    let patch = Patch::Merge(json!({"data": {"n": n.to_string()}}));
                    maps.patch(&name, &PatchParams::default(), &patch).await.doing(|| "patch a ConfigMap".into())?;
                }
                Ok(())
            }
        })
        .buffer_unordered(CLIENTS)
        .collect()
        .await;
    let took = start.elapsed().as_secs_f64();
    results.into_iter().collect::<Result<Vec<()>>>()?;
    maps.delete_collection(
        &DeleteParams::default(),
        &ListParams::default().labels("bench=bare"),
    )
    .await
    .doing(|| "delete the ConfigMaps".into())?;
    Ok(took)
}

/// The gateway pod is deleted; from the start of the new agent's process to
/// all Ready again.
async fn recover(lab: &Lab, client: &Client, board: &Board, report: &mut Report) -> Result<()> {
    println!("bench: the gateway pod is replaced");
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let old = gateway_pod(&pods, None).await?;
    board.forget();
    pods.delete(&old, &DeleteParams::default())
        .await
        .doing(|| "delete the gateway pod".into())?;
    let new = gateway_pod(&pods, Some(&old)).await?;
    let host = Host::Pod {
        namespace: NAMESPACE.into(),
        name: new,
    };
    let deadline = Instant::now() + PATIENCE;
    let pid = loop {
        match lab_pid(lab, &host) {
            Some(pid) => break pid,
            None if Instant::now() > deadline => {
                return Err(LabError::Content(format!(
                    "no agent process in {host} after {} s",
                    PATIENCE.as_secs()
                )));
            }
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let started = process::started(pid)?;
    let eips = board.wait_again("EIP", PAIRS, PATIENCE).await?;
    // A FIP names no holder, and need not be said Ready anew if that never
    // became untrue: it is by the new holder once its EIP is.
    let fips = board
        .wait_settled("FIP", PAIRS, QUIET, PATIENCE)
        .await?
        .max(eips);
    let since = |at: Instant| at.duration_since(started).as_secs_f64();
    report.add(Figure::new(
        "recover_1000_s",
        "s",
        &[since(eips)],
        "new agent process started to all 1,000 EIPs Ready",
    ));
    report.add(Figure::new(
        "recover_1000_fips_s",
        "s",
        &[since(fips)],
        "the same to all 1,000 FIPs Ready",
    ));
    Ok(())
}

async fn memory(lab: &Lab, client: &Client, report: &mut Report) -> Result<()> {
    for (name, pid) in pids(lab, client).await? {
        report.add(Figure::new(
            &format!("{name}_rss_mib"),
            "MiB",
            &[process::rss_mib(pid)?],
            "resident, with 1,000 EIPs and 1,000 FIPs",
        ));
    }
    Ok(())
}

/// Processor time and writes while nothing happens.
async fn idle(lab: &Lab, client: &Client, report: &mut Report) -> Result<()> {
    println!("bench: idle for {} s", IDLE.as_secs());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pids = pids(lab, client).await?;
    let before: Vec<f64> = pids
        .iter()
        .map(|(_, pid)| process::cpu_secs(*pid))
        .collect::<Result<_>>()?;
    let versions = resource_versions(client).await?;
    tokio::time::sleep(IDLE).await;
    let later = resource_versions(client).await?;
    let written: Vec<&String> = later
        .iter()
        .filter(|(object, version)| versions.get(*object) != Some(version))
        .map(|(object, _)| object)
        .collect();
    for object in written.iter().take(10) {
        println!("bench: written while idle: {object}");
    }
    report.add(Figure::new(
        "idle_writes",
        "",
        &[written.len() as f64],
        "objects of our kinds written while nothing happens; Leases are renewed",
    ));
    for ((name, pid), before) in pids.iter().zip(before) {
        let percent = (process::cpu_secs(*pid)? - before) / IDLE.as_secs_f64() * 100.0;
        report.add(Figure::new(
            &format!("{name}_idle_cpu_percent"),
            "%",
            &[percent],
            "of one core, with 1,000 EIPs and 1,000 FIPs",
        ));
    }
    Ok(())
}

/// The resourceVersion of every object of our kinds.
async fn resource_versions(client: &Client) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for kind in [
        "NATGateway",
        "EIPPool",
        "EIP",
        "FIP",
        "GatewayConfig",
        "RuleSlice",
        "GatewayInstance",
        "AddressClaim",
    ] {
        let Some(resource) = resource(kind) else {
            continue;
        };
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let list = api
            .list(&ListParams::default())
            .await
            .doing(|| format!("list {kind}"))?;
        for object in list {
            let version = object.resource_version().unwrap_or_default();
            found.insert(format!("{kind} {}", object.name_any()), version);
        }
    }
    Ok(found)
}

async fn pids(lab: &Lab, client: &Client) -> Result<Vec<(&'static str, i32)>> {
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
        let host = Host::Pod {
            namespace: namespace.into(),
            name: pod.name_any(),
        };
        let pid = lab_pid(lab, &host)
            .ok_or_else(|| LabError::Content(format!("no process in {host}")))?;
        found.push((name, pid));
    }
    Ok(found)
}

fn lab_pid(lab: &Lab, host: &Host) -> Option<i32> {
    let processes = host.processes(lab.paths(), lab.state()).ok()?;
    processes
        .into_iter()
        .find(|p| !p.pause && process::runs_sluice(p.pid))
        .map(|p| p.pid)
}

/// Name of the bench gateway's pod, another one than `not`.
async fn gateway_pod(pods: &Api<Pod>, not: Option<&str>) -> Result<String> {
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

async fn remove(client: &Client, board: &Board) -> Result<()> {
    let (eips, fips) = apis(client);
    let ours = ListParams::default().labels("bench=yes");
    fips.delete_collection(&DeleteParams::default(), &ours)
        .await
        .doing(|| "delete the FIPs".into())?;
    eips.delete_collection(&DeleteParams::default(), &ours)
        .await
        .doing(|| "delete the EIPs".into())?;
    board.wait_gone(&["EIP", "FIP"], PATIENCE).await
}

fn apis(client: &Client) -> (Api<EIP>, Api<FIP>) {
    (
        Api::namespaced(client.clone(), NAMESPACE),
        Api::namespaced(client.clone(), NAMESPACE),
    )
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let object: K = serde_json::from_value(object)
        .map_err(|e| LabError::Content(format!("an object of the bench: {e}")))?;
    api.create(&PostParams::default(), &object)
        .await
        .doing(|| "create an object".into())?;
    Ok(())
}

/// Writes of every kind since the API server's newest resourceVersion was `before`.
async fn writes_since(client: &Client, before: u64) -> Result<usize> {
    let writes = newest(client).await?.saturating_sub(before);
    Ok(usize::try_from(writes).unwrap_or(0))
}

/// The API server's newest resourceVersion: it counts every write of every kind.
async fn newest(client: &Client) -> Result<u64> {
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

/// Shared, so that the watch tasks can fill it.
pub(super) type Shared<T> = Arc<Mutex<T>>;

/// Locks, whatever happened to another holder.
pub(super) fn lock<T>(shared: &Shared<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kind and name.
pub(super) type Names = BTreeMap<(String, String), super::ready::Seen>;
