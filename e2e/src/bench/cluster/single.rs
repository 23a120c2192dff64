//! From one create request to Ready.

use std::time::{Duration, Instant};

use kube::Client;

use super::objects::{apis, create, eip, fip, remove};
use super::{PATIENCE, SINGLE};
use crate::bench::ready::Board;
use crate::bench::report::{Figure, Report};
use crate::bench::stats::quantile;
use crate::error::Result;

/// A FIP on an EIP that is Ready, one after the other.
pub(super) async fn one_at_a_time(
    client: &Client,
    board: &Board,
    report: &mut Report,
) -> Result<()> {
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
