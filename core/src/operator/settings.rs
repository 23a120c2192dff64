//! Times and limits that the operator goes by.

use crate::config::SLICES_MAX;

/// Times and limits that the operator goes by, in milliseconds unless named otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSettings {
    /// The next revision is published when the holder has acknowledged the last
    /// one, or has been silent for this long. Default 500.
    pub silence_ms: u64,
    /// The first status of a fresh object waits this long, counted from the
    /// publication of what it asks, for the whole truth. Default 200.
    pub first_status_ms: u64,
    /// The longest that the first status waits for claims, finalizer and
    /// publication to come about. Default 2000.
    pub first_status_max_ms: u64,
    /// Once a first status is written, steps on the way to Ready are not told
    /// for this long after the publication. Default 5000.
    pub progress_ms: u64,
    /// The same, where nothing is published. Default 30000.
    pub progress_max_ms: u64,
    /// A live read of the Lease counts for this long. Default 1000.
    pub confirmed_ms: u64,
    /// A gateway's status is written at most once in this time. Default 1000.
    pub gateway_status_ms: u64,
    /// `leaseDurationSeconds` of Leases that the operator makes. Default 15.
    pub lease_duration_secs: i64,
    /// A header write without an answer may still land for this long. Default 60000.
    pub unsettled_ms: u64,
    /// A report or Lease and a Node that name different lives of one thing tell
    /// that the instance is over when that has stood for this long, all watches
    /// in sync. Default 60000.
    pub disagreement_ms: u64,
    /// The most slices that a header names. Default 2048.
    pub slices_max: usize,
    /// So many gateways are rolled to a new Deployment at a time. Default 3.
    pub rolling_max: usize,
    /// A gateway that does not serve for this long by its new Deployment holds
    /// up no other. Default 600000.
    pub rolling_ms: u64,
    /// Changes of Ready are gathered for this long before they are announced.
    /// Default 1000.
    pub announce_ms: u64,
    /// More changes than this with a gateway in common make one Event there.
    /// Default 5.
    pub announce_each: usize,
}

impl Default for OperatorSettings {
    fn default() -> Self {
        Self {
            silence_ms: 500,
            first_status_ms: 200,
            first_status_max_ms: 2_000,
            progress_ms: 5_000,
            progress_max_ms: 30_000,
            confirmed_ms: 1_000,
            gateway_status_ms: 1_000,
            lease_duration_secs: 15,
            unsettled_ms: 60_000,
            disagreement_ms: 60_000,
            slices_max: SLICES_MAX,
            rolling_max: 3,
            rolling_ms: 600_000,
            announce_ms: 1_000,
            announce_each: 5,
        }
    }
}
