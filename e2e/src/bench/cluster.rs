//! Figures of a whole cluster: from `kubectl apply` to Ready, recovery, idle use.

mod bulk;
mod cost;
mod idle;
mod objects;
mod pods;
mod recover;
mod scale;
mod single;
mod writes;

use std::time::Duration;

use kube::Client;

use super::ready::Board;
use super::report::Report;
use crate::Lab;
use crate::error::Result;

const NAMESPACE: &str = "net";
const GATEWAY: &str = "bench";
const PAIRS: usize = 1_000;
const SINGLE: usize = 200;
const CLIENTS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(120);
const IDLE: Duration = Duration::from_secs(20);
/// Nothing follows when no status has changed for this long.
const QUIET: Duration = Duration::from_secs(3);

/// Single objects, a thousand, recovery, and idleness.
///
/// # Errors
/// When something never becomes Ready.
pub async fn measure(lab: &Lab, report: &mut Report) -> Result<()> {
    let (client, board) = with_gateway(lab).await?;
    single::one_at_a_time(&client, &board, report).await?;
    bulk::by_kubectl(lab, &client, &board, report).await?;
    idle::memory(lab, &client, report).await?;
    recover::replace_pod(lab, &client, &board, report).await?;
    idle::at_rest(lab, &client, report).await?;
    objects::remove(&client, &board).await?;
    bulk::concurrent(lab, &client, &board, report).await
}

/// As much as one gateway is made for.
///
/// # Errors
/// When something never becomes Ready.
pub async fn full(lab: &Lab, report: &mut Report) -> Result<()> {
    let (client, board) = with_gateway(lab).await?;
    scale::fill(lab, &client, &board, report).await
}

async fn with_gateway(lab: &Lab) -> Result<(Client, Board)> {
    let client = lab.client().await?;
    objects::apply(lab, &objects::gateway())?;
    let board = Board::watch(&client);
    board.wait("NATGateway", 1, PATIENCE).await?;
    Ok((client, board))
}
