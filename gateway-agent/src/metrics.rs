//! Metrics, all named `sluice_agent_…`.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use sluice_crds::internal::GatewayInstanceStatus;

type Labels = Vec<(&'static str, &'static str)>;

/// All that the agent counts; clones share the counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    kernel_seconds: Family<Labels, Histogram>,
    kernel_ops: Family<Labels, Counter>,
    requests: Family<Labels, Counter>,
    addresses: Family<Labels, Gauge>,
    unusable: Family<Labels, Gauge>,
    entries: Gauge,
    rejected: Gauge,
    generation: Gauge,
    active: Gauge,
    problems: Gauge,
    repairs: Gauge,
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
            unusable: Family::default(),
            entries: Gauge::default(),
            rejected: Gauge::default(),
            generation: Gauge::default(),
            active: Gauge::default(),
            problems: Gauge::default(),
            repairs: Gauge::default(),
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
            "Addresses of the config, by family",
            metrics.addresses.clone(),
        );
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

    /// The config that the kernel holds.
    pub fn config(&self, entries: usize, addresses: &[IpAddr]) {
        self.entries.set(count(entries));
        for (family, is_v4) in [("ipv4", true), ("ipv6", false)] {
            let of_family = addresses.iter().filter(|a| a.is_ipv4() == is_v4).count();
            self.addresses
                .get_or_create(&vec![("family", family)])
                .set(count(of_family));
        }
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
        }
    }

    /// Whether a config is applied and acknowledged.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    /// All of it in OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
