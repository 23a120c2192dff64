//! What a client is to do.

use std::time::Duration;

use crate::connection::Limits;
use crate::monitor::TableMonitor;
use crate::transport::{Remote, Tls};

/// What a client is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The servers, tried in this order, round and round.
    pub remotes: Vec<Remote>,
    /// For `ssl:` remotes.
    pub tls: Option<Tls>,
    /// The database.
    pub database: String,
    /// What the copy holds.
    pub monitors: Vec<TableMonitor>,
    /// Whether only the leader of a cluster will do, which alone answers reads as of now. True
    /// unless told otherwise; a server that is not clustered is its own leader.
    pub leader_only: bool,
    /// How many transactions may be on their way at once. 32 unless told otherwise.
    pub window: usize,
    /// The wait after all servers were tried in vain, doubled each time,
    pub backoff: Duration,
    /// up to this. 100 ms to 5 s unless told otherwise.
    pub longest_backoff: Duration,
    /// Bounds of each connection.
    pub limits: Limits,
}

impl Config {
    /// A client of this database, which monitors nothing yet.
    pub fn new(remotes: Vec<Remote>, database: &str) -> Self {
        Self {
            remotes,
            tls: None,
            database: database.to_owned(),
            monitors: Vec::new(),
            leader_only: true,
            window: 32,
            backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_secs(5),
            limits: Limits::default(),
        }
    }

    /// With rows that the copy holds.
    #[must_use]
    pub fn monitor(mut self, table: TableMonitor) -> Self {
        self.monitors.push(table);
        self
    }

    /// With certificates.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}
