//! 1,000 pairs of EIP and FIP at once.

use std::time::Instant;

use kube::Client;

use super::cost::Cost;
use super::objects::{apis, apply, by_clients, create, eip, fip, remove};
use super::writes::{bare_eips, bare_maps, newest, writes_since};
use super::{CLIENTS, PAIRS, PATIENCE};
use crate::Lab;
use crate::bench::ready::Board;
use crate::bench::report::{Figure, Report};
use crate::bench::stats::quantile;
use crate::error::Result;

/// 1,000 EIPs and 1,000 FIPs, dual stack, by one `kubectl apply`.
pub(super) async fn by_kubectl(
    lab: &Lab,
    client: &Client,
    board: &Board,
    report: &mut Report,
) -> Result<()> {
    println!("bench: {PAIRS} EIPs and {PAIRS} FIPs, dual stack, by kubectl apply");
    let text: String = (0..PAIRS)
        .flat_map(|i| [eip(&format!("b-{i}")), fip(&format!("b-{i}"), i)])
        .map(|object| format!("{object}\n---\n"))
        .collect();
    let before = newest(client).await?;
    let cost = Cost::begin(lab, client, "apply_1000").await?;
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
    cost.end(lab, client, report).await?;
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
pub(super) async fn concurrent(
    lab: &Lab,
    client: &Client,
    board: &Board,
    report: &mut Report,
) -> Result<()> {
    println!("bench: the same by {CLIENTS} clients");
    let (eips, fips) = apis(client);
    let before = newest(client).await?;
    let cost = Cost::begin(lab, client, "concurrent_1000").await?;
    let start = Instant::now();
    let (eips, fips) = (&eips, &fips);
    by_clients(PAIRS, |i| async move {
        let name = format!("c-{i}");
        create(eips, eip(&name)).await?;
        create(fips, fip(&name, i)).await
    })
    .await?;
    board.wait("EIP", PAIRS, PATIENCE).await?;
    board.wait("FIP", PAIRS, PATIENCE).await?;
    let ours = start.elapsed().as_secs_f64();
    let writes = writes_since(client, before).await?;
    cost.end(lab, client, report).await?;
    remove(client, board).await?;
    println!("bench: {writes} bare writes by {CLIENTS} clients");
    let bare = bare_maps(client, writes).await?;
    report.add(
        Figure::new(
            "ready_1000_vs_bare_writes",
            "s",
            &[ours],
            "16 clients create 1,000 pairs: first request to all Ready",
        )
        .beside("as many bare writes of ConfigMaps by 16 clients", &[bare]),
    );
    let own = bare_eips(lab, client, writes).await?;
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
