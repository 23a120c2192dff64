//! The way back after the gateway pod is gone.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams};

use super::cost::Cost;
use super::pods::{gateway_pod, lab_pid};
use super::{NAMESPACE, PAIRS, PATIENCE, QUIET};
use crate::bench::process;
use crate::bench::ready::Board;
use crate::bench::report::{Figure, Report};
use crate::error::{Doing, LabError, Result};
use crate::{Host, Lab};

/// The gateway pod is deleted; from the start of the new agent's process to
/// all Ready again.
pub(super) async fn replace_pod(
    lab: &Lab,
    client: &Client,
    board: &Board,
    report: &mut Report,
) -> Result<()> {
    println!("bench: the gateway pod is replaced");
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let old = gateway_pod(&pods, None).await?;
    board.forget();
    let cost = Cost::begin(lab, client, "recover_1000").await?;
    pods.delete(&old, &DeleteParams::default())
        .await
        .doing(|| "delete the gateway pod".into())?;
    let new = gateway_pod(&pods, Some(&old)).await?;
    let host = Host::pod(NAMESPACE, &new);
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
    cost.end(lab, client, report).await
}
