//! A full gateway: 10,000 EIPs with FIPs, 5,000 DNATs, 500 SNATs.

use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};

use super::NAMESPACE;
use super::cost::Cost;
use super::objects::{apis, apply, create, eip, fip};
use super::pods::pids;
use super::writes::{newest, writes_since};
use crate::Lab;
use crate::bench::process;
use crate::bench::ready::Board;
use crate::bench::report::{Figure, Report};
use crate::bench::stats::quantile;
use crate::error::Result;

const PAIRS: usize = 10_000;
const DNATS: usize = 5_000;
const SNATS: usize = 500;
/// EIPs of the DNATs and of the SNATs: one with a FIP has no ports left.
const SHARED: usize = 50;
/// FIPs that are made beside all of them, one after the other.
const MORE: usize = 20;
/// For all to become Ready, counted from the end of `kubectl apply`.
const LONG: Duration = Duration::from_secs(900);

/// Applies all of it with one `kubectl apply`, then one FIP at a time.
pub(super) async fn fill(
    lab: &Lab,
    client: &Client,
    board: &Board,
    report: &mut Report,
) -> Result<()> {
    let text: String = objects().map(|object| format!("{object}\n---\n")).collect();
    let count = objects().count();
    println!("bench: {count} objects on one gateway, by kubectl apply; this takes minutes");
    let before = newest(client).await?;
    let cost = Cost::begin(lab, client, "apply_25k").await?;
    let start = Instant::now();
    tokio::task::block_in_place(|| apply(lab, &text))?;
    let applied = Instant::now();
    report.add(Figure::new(
        "apply_25k_s",
        "s",
        &[applied.duration_since(start).as_secs_f64()],
        "kubectl apply of 10,070 EIPs, 10,000 FIPs, 5,000 DNATs and 500 SNATs itself",
    ));
    for (kind, n) in [
        ("EIP", PAIRS + SHARED + MORE),
        ("FIP", PAIRS),
        ("DNAT", DNATS),
        ("SNAT", SNATS),
    ] {
        board.wait(kind, n, LONG).await?;
    }
    report.add(Figure::new(
        "ready_25k_s",
        "s",
        &[applied.elapsed().as_secs_f64()],
        "kubectl apply returned to all of them Ready",
    ));
    report.add(Figure::new(
        "writes_per_object_25k",
        "",
        &[writes_since(client, before).await? as f64 / count as f64],
        "API writes per object, the user's one included",
    ));
    cost.end(lab, client, report).await?;
    for (name, pid) in pids(lab, client).await? {
        report.add(Figure::new(
            &format!("{name}_25k_rss_mib"),
            "MiB",
            &[process::rss_mib(pid)?],
            "resident, with all of them",
        ));
    }
    one_more(client, board, report).await
}

/// A FIP beside all of them, one after the other.
async fn one_more(client: &Client, board: &Board, report: &mut Report) -> Result<()> {
    let (_, fips) = apis(client);
    let mut took = Vec::new();
    for i in 0..MORE {
        let name = format!("more-{i}");
        let start = Instant::now();
        create(&fips, fip(&name, PAIRS + i)).await?;
        let ready = board.wait_one("FIP", &name, LONG).await?;
        took.push(ready.duration_since(start).as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    report.add(Figure::new(
        "apply_to_ready_at_25k_p50_ms",
        "ms",
        &took,
        "one more FIP beside all of them: its create request to its Ready=True",
    ));
    report.add(Figure::new(
        "apply_to_ready_at_25k_max_ms",
        "ms",
        &[quantile(&took, 1.0)],
        "the slowest of the same",
    ));
    Ok(())
}

fn objects() -> impl Iterator<Item = Value> {
    let shared = (0..SHARED).map(|i| eip(&format!("shared-{i}")));
    let more = (0..MORE).map(|i| eip(&format!("more-{i}")));
    let pairs = (0..PAIRS).flat_map(|i| [eip(&format!("f-{i}")), fip(&format!("f-{i}"), i)]);
    let dnats = (0..DNATS).map(dnat);
    shared
        .chain(more)
        .chain(pairs)
        .chain(dnats)
        .chain((0..SNATS).map(snat))
}

fn dnat(i: usize) -> Value {
    let port = 10_000 + i / SHARED;
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "DNAT",
        "metadata": {"name": format!("d-{i}"), "namespace": NAMESPACE, "labels": {"bench": "yes"}},
        "spec": {"eip": {"name": format!("shared-{}", i % SHARED)}, "protocols": ["TCP"],
            "ports": port, "targetPorts": 80,
            "targets": [{"ips": ["10.244.1.1", "fd00:10:244::1:1"]}]}})
}

fn snat(i: usize) -> Value {
    let v4 = format!("10.244.{}.{}/26", 128 + i / 4, i % 4 * 64);
    let v6 = format!("fd00:10:244:{:x}::/64", i + 1);
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "SNAT",
        "metadata": {"name": format!("s-{i}"), "namespace": NAMESPACE, "labels": {"bench": "yes"}},
        "spec": {"eips": [{"name": format!("shared-{}", i % SHARED)}], "sources": [v4, v6]}})
}
