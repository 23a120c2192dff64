//! Figures for the edge's metrics.

use std::collections::BTreeMap;

use super::Operator;
use super::event::{Key, Kind};
use super::lease::Holder;

/// Counts since the operator began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Reports of instances that do not hold, or not at the current term.
    pub dropped_reports: u64,
    /// Actions that failed otherwise than by a conflict.
    pub failed: u64,
    /// Revisions published.
    pub published: u64,
}

/// Figures for the edge's metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Objects per kind.
    pub objects: BTreeMap<Kind, usize>,
    /// Reports of instances that do not hold, dropped since the operator began.
    pub dropped_reports: u64,
    /// Actions that failed otherwise than by a conflict, since the operator began.
    pub failed_actions: u64,
    /// Targets that wait to be tried again after a failure.
    pub failing_targets: usize,
    /// Revisions published since the operator began.
    pub published: u64,
    /// Per gateway: entries that its config shall have, and whether a holder is alive.
    pub gateways: BTreeMap<Key, GatewayGauge>,
}

/// Figures of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayGauge {
    /// Entries that its config shall have.
    pub entries: usize,
    /// Whether an instance holds it, its Lease alive.
    pub held: bool,
    /// EIPs' addresses that run short of something.
    pub shortages: usize,
}

impl Operator {
    /// Figures for the edge's metrics, as of now.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let world = &self.world;
        Gauges {
            objects: BTreeMap::from([
                (Kind::NATGateway, world.gateways.len()),
                (Kind::EIPPool, world.pools.len()),
                (Kind::EIP, world.eips.len()),
                (Kind::FIP, world.fips.len()),
                (Kind::DNAT, world.dnats.len()),
                (Kind::SNAT, world.snats.len()),
                (Kind::AddressClaim, world.claims.len()),
                (Kind::GatewayInstance, world.reports.len()),
                (Kind::RuleSlice, world.slices.len()),
            ]),
            dropped_reports: self.counters.dropped_reports,
            failed_actions: self.counters.failed,
            failing_targets: self.queue.failing(),
            published: self.counters.published,
            gateways: self
                .sites
                .values()
                .map(|site| {
                    let gauge = GatewayGauge {
                        entries: site.desired.values().map(|p| p.entries.len()).sum(),
                        held: matches!(site.evidence.holder, Holder::Held { .. }),
                        shortages: site.evidence.shortages.len(),
                    };
                    (site.key.clone(), gauge)
                })
                .collect(),
        }
    }
}
