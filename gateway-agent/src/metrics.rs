//! Metrics, all named `sluice_agent_…`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use sluice_core::ports::Sample;
use sluice_crds::internal::GatewayInstanceStatus;
use sluice_journal::Count;

mod flows;
mod ports;

use flows::Flows;
use ports::Ports;

type Labels = Vec<(&'static str, &'static str)>;

/// All that the agent counts; clones share the counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    kernel_seconds: Family<Labels, Histogram>,
    kernel_ops: Family<Labels, Counter>,
    requests: Family<Labels, Counter>,
    addresses: Family<Labels, Gauge>,
    adds: Family<Labels, Counter>,
    deletes: Family<Labels, Counter>,
    hop_changes: Family<Labels, Gauge>,
    mismatch: Family<Labels, Gauge>,
    own_changes: Gauge,
    /// Held while the three of addresses change, and while they are read.
    census: Arc<Mutex<()>>,
    unusable: Family<Labels, Gauge>,
    entries: Gauge,
    rejected: Gauge,
    generation: Gauge,
    active: Gauge,
    problems: Gauge,
    repairs: Gauge,
    ports: Ports,
    flows: Flows,
    warm: Arc<AtomicBool>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sluice_agent");
        let kernel_seconds = Family::<Labels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.000_5, 2.0, 14))
        });
        let metrics = Self {
            kernel_seconds: kernel_seconds.clone(),
            kernel_ops: Family::default(),
            requests: Family::default(),
            addresses: Family::default(),
            adds: Family::default(),
            deletes: Family::default(),
            hop_changes: Family::default(),
            mismatch: Family::default(),
            own_changes: Gauge::default(),
            census: Arc::default(),
            unusable: Family::default(),
            entries: Gauge::default(),
            rejected: Gauge::default(),
            generation: Gauge::default(),
            active: Gauge::default(),
            problems: Gauge::default(),
            repairs: Gauge::default(),
            ports: Ports::default(),
            flows: Flows::default(),
            warm: Arc::default(),
            registry: Arc::default(),
        };
        registry.register(
            "kernel_operation_seconds",
            "How long operations on the kernel take, by operation",
            kernel_seconds,
        );
        registry.register(
            "kernel_operations",
            "Operations on the kernel, by operation and outcome",
            metrics.kernel_ops.clone(),
        );
        registry.register(
            "requests",
            "Requests to the API server, by what for and outcome",
            metrics.requests.clone(),
        );
        registry.register(
            "addresses",
            "EIPs' addresses that this instance answers for, by family: those that came less those that went",
            metrics.addresses.clone(),
        );
        registry.register(
            "address_adds",
            "EIPs' addresses that came, by family",
            metrics.adds.clone(),
        );
        registry.register(
            "address_deletes",
            "EIPs' addresses that went, by family",
            metrics.deletes.clone(),
        );
        registry.register(
            "next_hop_changes",
            "Changes of next hops' MACs, and wrong entries that were corrected, since the process began, by family",
            metrics.hop_changes.clone(),
        );
        registry.register(
            "next_hop_mismatch_milliseconds",
            "How long the kernel sent to wrong MACs of next hops since the process began, by family",
            metrics.mismatch.clone(),
        );
        registry.register(
            "own_mac_changes",
            "Changes of own interfaces' MACs since the process began",
            metrics.own_changes.clone(),
        );
        // Touched, so that both families are shown before anything is counted.
        metrics.addresses([("ipv4", Count::default()), ("ipv6", Count::default())]);
        registry.register(
            "unusable_addresses",
            "Addresses that do not answer or do not work, by family",
            metrics.unusable.clone(),
        );
        registry.register("entries", "Entries of the config", metrics.entries.clone());
        registry.register(
            "rejected_entries",
            "Entries that the kernel does not hold",
            metrics.rejected.clone(),
        );
        registry.register(
            "applied_generation",
            "Generation of the config that the kernel holds, verified; 0: none",
            metrics.generation.clone(),
        );
        registry.register(
            "active",
            "1 while this instance answers for the gateway's addresses",
            metrics.active.clone(),
        );
        registry.register(
            "problems",
            "What is wrong with the instance as a whole",
            metrics.problems.clone(),
        );
        registry.register(
            "drift_repairs",
            "Foreign changes that were undone since the instance began",
            metrics.repairs.clone(),
        );
        metrics.ports.register(&mut registry);
        metrics.flows.register(&mut registry);
        Self {
            registry: Arc::new(registry),
            ..metrics
        }
    }
}

impl Metrics {
    /// An operation on the kernel ended.
    pub fn kernel_op(&self, op: &'static str, took: Duration, done: bool) {
        let outcome = if done { "done" } else { "failed" };
        self.kernel_seconds
            .get_or_create(&vec![("op", op)])
            .observe(took.as_secs_f64());
        self.kernel_ops
            .get_or_create(&vec![("op", op), ("outcome", outcome)])
            .inc();
    }

    /// A request to the API server ended.
    pub fn request(&self, what: &'static str, outcome: &'static str) {
        self.requests
            .get_or_create(&vec![("for", what), ("outcome", outcome)])
            .inc();
    }

    /// How many entries the config has that the kernel holds.
    pub fn entries(&self, entries: usize) {
        self.entries.set(count(entries));
    }

    /// The addresses that are answered for, and how many came and went. All at once: what
    /// came less what went is what there is, whenever somebody looks.
    pub fn addresses(&self, counts: [(&'static str, Count); 2]) {
        let _all_at_once = self.at_once();
        for (family, now) in counts {
            let label = vec![("family", family)];
            raise(&self.adds.get_or_create(&label), now.adds);
            raise(&self.deletes.get_or_create(&label), now.deletes);
            let held = i64::try_from(now.held).unwrap_or(i64::MAX);
            self.addresses.get_or_create(&label).set(held);
        }
    }

    fn at_once(&self) -> MutexGuard<'_, ()> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the report says now.
    pub fn status(&self, status: &GatewayInstanceStatus, warm: bool) {
        self.warm.store(warm, Ordering::Relaxed);
        self.rejected.set(count(status.rejected.len()));
        self.problems.set(count(status.problems.len()));
        self.active.set(i64::from(status.active.is_some()));
        self.repairs.set(status.drift_repairs);
        self.generation
            .set(status.applied.as_ref().map_or(0, |a| a.generation));
        for (family, is_v4) in [("ipv4", true), ("ipv6", false)] {
            let of_family = |text: &str| text.contains(':') != is_v4;
            let unusable = status.unusable.iter().filter(|u| of_family(&u.address));
            self.unusable
                .get_or_create(&vec![("family", family)])
                .set(count(unusable.count()));
            let label = vec![("family", family)];
            let hops = status.neighbours.iter();
            let hops = hops.filter(|n| n.address.as_deref().is_some_and(of_family));
            let (mut changes, mut mismatch_ms) = (0_i64, 0_i64);
            for hop in hops {
                changes = changes.saturating_add(hop.changes);
                mismatch_ms = mismatch_ms.saturating_add(hop.mismatch_ms);
            }
            self.hop_changes.get_or_create(&label).set(changes);
            self.mismatch.get_or_create(&label).set(mismatch_ms);
        }
        let own = status.neighbours.iter().filter(|n| n.address.is_none());
        self.own_changes
            .set(own.fold(0, |sum: i64, own| sum.saturating_add(own.changes)));
    }

    /// The use of ports.
    pub fn ports(&self, sample: &Sample) {
        self.ports.take(sample);
    }

    /// Whether the log of flows is on.
    pub fn flow_log(&self, on: bool) {
        self.flows.on(on);
    }

    /// Lines of the log of flows that were written, and that were dropped for want of room.
    pub fn flow_lines(&self, written: u64, lost: u64) {
        self.flows.lines(written, lost);
    }

    /// Events that the kernel dropped on their way to the log of flows.
    pub fn flow_overrun(&self, lost: u64) {
        self.flows.overrun(lost);
    }

    /// Whether a config is applied and acknowledged.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    /// All of it in OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let _all_at_once = self.at_once();
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Brings a counter up to a total.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
