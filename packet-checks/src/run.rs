//! Runs checks and says which failed, and why.

use std::io;
use std::time::Duration;

use crate::check::{Check, Step};
use crate::hosts::Hosts;
use crate::plan::{Own, Segment};

/// How patient a run is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For what must arrive.
    pub wait: Duration,
    /// Before nothing else is said to arrive.
    pub quiet: Duration,
}

impl Patience {
    /// On a whole gateway: waiting costs nothing where all arrives.
    pub const WHOLE: Self = Self {
        wait: Duration::from_secs(2),
        quiet: Duration::from_millis(30),
    };
    /// On a damaged gateway, where much does not arrive.
    pub const DAMAGED: Self = Self {
        wait: Duration::from_millis(150),
        quiet: Duration::from_millis(30),
    };
}

/// Runs a check.
///
/// # Errors
/// What went another way than the check says; the links' errors too.
pub fn run(hosts: &mut Hosts, check: &Check, patience: Patience) -> Result<(), String> {
    let io = |error: io::Error| error.to_string();
    hosts.forget().map_err(io)?;
    for (at, step) in check.steps.iter().enumerate() {
        let at = at + 1;
        match step {
            Step::Send { host, via, packet } => {
                let via = via.unwrap_or_else(|| match host.segment() {
                    Segment::Inside => Own::Lan.address(check.family),
                    Segment::Outside | Segment::Pods => packet.to,
                });
                if !hosts.send(*host, via, packet, patience.wait).map_err(io)? {
                    return Err(format!(
                        "step {at}: nobody says to {host:?} that it has {via}"
                    ));
                }
            }
            Step::Arrives { host, packet } => {
                if !hosts.expect(*host, packet, patience.wait).map_err(io)? {
                    let rest = hosts.rest(Duration::ZERO).map_err(io)?;
                    return Err(format!(
                        "step {at}: {host:?} did not receive {packet:?}; arrived: {rest:?}"
                    ));
                }
            }
            Step::Asks {
                host,
                address,
                answered,
            } => {
                let wait = if *answered {
                    patience.wait
                } else {
                    patience.quiet * 4
                };
                let is = hosts.resolve(*host, *address, wait).map_err(io)?.is_some();
                if is != *answered {
                    return Err(format!(
                        "step {at}: {host:?} asked for {address}: answered {is}, not {answered}"
                    ));
                }
            }
        }
    }
    let rest = hosts.rest(patience.quiet).map_err(io)?;
    if rest.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "nothing more should arrive, and this did: {rest:?}"
        ))
    }
}
