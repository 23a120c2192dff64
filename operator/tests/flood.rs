//! A flood of objects in one namespace, and an EIP of another: how much longer it takes.
//!
//! The short form has 1,000 objects; `FLOOD=10000` makes it long.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod control_plane;

use std::time::{Duration, Instant};

use control_plane::objects::{NETWORKS, OBJECTS};
use control_plane::program::Program;
use control_plane::{ControlPlane, agent};
use futures::{StreamExt as _, stream};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use sluice_crds::{EIP, FIP};

/// A pool that lasts, and a gateway for all namespaces.
const ROOM: &str = r#"
apiVersion: sluice.dev/v1alpha1
kind: EIPPool
metadata: {name: external}
spec:
  subnets: [{cidr: 10.96.0.0/12, gateway: 10.96.0.1, ranges: [10.100.0.1-10.107.255.254]}]
---
apiVersion: sluice.dev/v1alpha1
kind: NATGateway
metadata: {name: egress, namespace: net}
spec:
  uplinks: [{name: external, pools: [external], networkAttachment: net/external}]
  lan: {networkAttachment: net/lan}
  allowedNamespaces: {from: All}
---
apiVersion: v1
kind: Namespace
metadata: {name: noisy}
---
apiVersion: v1
kind: Namespace
metadata: {name: quiet}
"#;

fn eip(name: &str, gateway: &str) -> EIP {
    serde_json::from_value(json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "EIP", "metadata": {"name": name},
        "spec": {"gateway": {"name": gateway, "namespace": "net"}},
    }))
    .unwrap()
}

/// Junk: an EIP of no gateway, a FIP of no EIP, an EIP that takes an address, in turn.
async fn junk(client: &Client, n: usize) {
    let eips: Api<EIP> = Api::namespaced(client.clone(), "noisy");
    let fips: Api<FIP> = Api::namespaced(client.clone(), "noisy");
    let params = PostParams::default();
    let name = format!("junk-{n}");
    match n % 3 {
        0 => drop(eips.create(&params, &eip(&name, "none")).await.unwrap()),
        1 => {
            let fip = json!({"metadata": {"name": name},
                "spec": {"eip": {"name": "none"}, "target": {"ips": ["10.244.0.5"]}}});
            let fip: FIP = serde_json::from_value(fip).unwrap();
            fips.create(&params, &fip).await.unwrap();
        }
        _ => drop(eips.create(&params, &eip(&name, "egress")).await.unwrap()),
    }
}

fn ready(eip: &EIP) -> bool {
    let value: Value = serde_json::to_value(&eip.status).unwrap();
    let conditions = value["conditions"].as_array().cloned().unwrap_or_default();
    conditions
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// From the request for an EIP of the quiet namespace to its Ready.
async fn takes(client: &Client, name: &str) -> Duration {
    let eips: Api<EIP> = Api::namespaced(client.clone(), "quiet");
    let began = Instant::now();
    eips.create(&PostParams::default(), &eip(name, "egress"))
        .await
        .unwrap();
    while !ready(&eips.get(name).await.unwrap()) {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{name} is not Ready in 60 s"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// How many objects of the noisy namespace have no condition of their generation yet.
async fn unseen(client: &Client) -> usize {
    let eips: Api<EIP> = Api::namespaced(client.clone(), "noisy");
    let fips: Api<FIP> = Api::namespaced(client.clone(), "noisy");
    let list = Default::default();
    let (eips, fips) = (
        eips.list(&list).await.unwrap(),
        fips.list(&list).await.unwrap(),
    );
    let seen = |status: Option<Option<i64>>| status.flatten().is_none();
    eips.iter()
        .filter(|e| seen(e.status.as_ref().map(|s| s.observed_generation)))
        .count()
        + fips
            .iter()
            .filter(|f| seen(f.status.as_ref().map(|s| s.observed_generation)))
            .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_one_namespace_delays_no_eip_of_another_much() {
    let flood: usize = std::env::var("FLOOD").map_or(1_000, |n| n.parse().unwrap());
    let plane = ControlPlane::start("flood").await;
    let program = Program::start(&plane);
    plane.apply(NETWORKS);
    let established = [
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=30s",
    ];
    plane.kubectl(&established);
    plane.apply(OBJECTS);
    plane.apply(ROOM);
    for child in ["serviceaccounts", "rolebindings", "leases"] {
        plane
            .wait(child, || plane.get(child, "net", "sluice-egress"))
            .await;
    }
    let gateway = plane
        .get("natgateways.sluice.dev", "net", "egress")
        .unwrap();
    let gateway_uid = gateway["metadata"]["uid"].as_str().unwrap().to_owned();
    let (uid, token) = agent::pod(&plane, "gw-1", true, &gateway_uid);
    let of_agent = plane.client(&token).await;
    let agent = tokio::spawn(agent::run(of_agent, "gw-1".into(), uid, gateway_uid));

    let client = plane.client("admin").await;
    takes(&client, "first").await;
    let mut alone = Vec::new();
    for n in 0..7 {
        alone.push(takes(&client, &format!("alone-{n}")).await);
    }
    let alone = median(alone);

    // All of the flood at once: it comes while nobody leads.
    program.kill();
    stream::iter(0..flood)
        .for_each_concurrent(16, |n| junk(&client, n))
        .await;
    let program = Program::start(&plane);
    let before = unseen(&client).await;
    assert!(
        before > flood / 2,
        "only {before} of {flood} are not looked at yet"
    );
    let eips: Api<EIP> = Api::namespaced(client.clone(), "noisy");
    let began = Instant::now();
    loop {
        let all = eips.list(&Default::default()).await.unwrap();
        if all.iter().any(|eip| eip.metadata.finalizers.is_some()) {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "no new leader is at work"
        );
    }
    let began = Instant::now();
    let mut beside = Vec::new();
    while unseen(&client).await > 0 {
        beside.push(takes(&client, &format!("beside-{}", beside.len())).await);
        assert!(
            began.elapsed() < Duration::from_secs(600),
            "the flood is not over"
        );
    }
    let lasted = began.elapsed();
    let worst = beside.iter().max().copied().unwrap_or_default();
    let count = beside.len();
    let usual = median(beside);
    println!(
        "{flood} objects for {lasted:?}: an EIP of another namespace takes {usual:?} ({worst:?} at most, {count} of them), alone {alone:?}"
    );
    agent.abort();
    program.kill();
    assert!(count >= 3, "the flood was over after {count} EIPs");
    // It does not wait for the flood; how much it is slowed by a busy API server is for the
    // long form to say, on a machine that has nothing else to do.
    assert!(worst * 4 <= lasted, "{worst:?} of {lasted:?}");
    if std::env::var("FLOOD").is_ok() {
        assert!(
            usual <= 2 * alone + Duration::from_millis(50),
            "{usual:?} beside, {alone:?} alone"
        );
    }
}
