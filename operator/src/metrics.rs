//! What is counted, in OpenMetrics' words. Labels have few values, all from
//! our own enums.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sluice_core::operator::Gauges;
use sluice_core::operator::action::Outcome;
use sluice_core::operator::event::{Event, Kind, Object};

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FamilyLabel {
    family: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// All metrics of the operator.
pub struct Metrics {
    registry: Registry,
    lists: Family<KindLabel, Counter>,
    breaks: Family<KindLabel, Counter>,
    unreadable: Family<KindLabel, Counter>,
    in_sync: Family<KindLabel, Gauge>,
    actions: Family<ActionLabels, Counter>,
    action_seconds: Histogram,
    decisions: Counter,
    decision_seconds: Histogram,
    events: Family<ResultLabel, Counter>,
    claimed: Family<FamilyLabel, Gauge>,
    adds: Family<FamilyLabel, Counter>,
    deletes: Family<FamilyLabel, Counter>,
    leader: Gauge,
    objects: Family<KindLabel, Gauge>,
    gateways_held: Gauge,
    entries: Gauge,
    shortages: Gauge,
    failing: Gauge,
    dropped_reports: Counter,
    published: Counter,
    waiting: Gauge,
    writing: Gauge,
    claims: Mutex<HashMap<String, &'static str>>,
    synced_kinds: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sluice");
        let mut metrics = Self {
            lists: Family::default(),
            breaks: Family::default(),
            unreadable: Family::default(),
            in_sync: Family::default(),
            actions: Family::default(),
            action_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            decisions: Counter::default(),
            decision_seconds: Histogram::new(exponential_buckets(0.000_05, 4.0, 9)),
            events: Family::default(),
            claimed: Family::default(),
            adds: Family::default(),
            deletes: Family::default(),
            leader: Gauge::default(),
            objects: Family::default(),
            gateways_held: Gauge::default(),
            entries: Gauge::default(),
            shortages: Gauge::default(),
            failing: Gauge::default(),
            dropped_reports: Counter::default(),
            published: Counter::default(),
            waiting: Gauge::default(),
            writing: Gauge::default(),
            claims: Mutex::default(),
            synced_kinds: AtomicU64::new(0),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register(
            "operator_lists",
            "Lists of a kind, at start and after a broken watch",
            metrics.lists.clone(),
        );
        r.register(
            "operator_watch_breaks",
            "Watches that broke",
            metrics.breaks.clone(),
        );
        r.register(
            "operator_unreadable_objects",
            "Objects left out because they do not fit their schema",
            metrics.unreadable.clone(),
        );
        r.register(
            "operator_watch_in_sync",
            "1 while the kind's watch is in sync",
            metrics.in_sync.clone(),
        );
        r.register(
            "operator_actions",
            "Writes and live reads by how they ended",
            metrics.actions.clone(),
        );
        r.register_with_unit(
            "operator_action_duration",
            "Time from taking an action to its answer",
            Unit::Seconds,
            metrics.action_seconds.clone(),
        );
        r.register(
            "operator_decided_actions",
            "Actions that were decided on",
            metrics.decisions.clone(),
        );
        r.register_with_unit(
            "operator_decision_duration",
            "Time that one round of deciding took",
            Unit::Seconds,
            metrics.decision_seconds.clone(),
        );
        r.register(
            "operator_events",
            "Kubernetes Events by what became of them",
            metrics.events.clone(),
        );
        r.register(
            "addresses_claimed",
            "Addresses that a claim holds now",
            metrics.claimed.clone(),
        );
        r.register(
            "address_claims",
            "Claims that appeared",
            metrics.adds.clone(),
        );
        r.register(
            "address_releases",
            "Claims that went",
            metrics.deletes.clone(),
        );
        r.register(
            "operator_leader",
            "1 while this process surely leads",
            metrics.leader.clone(),
        );
        r.register(
            "operator_queue_waiting",
            "Targets that wait to be written",
            metrics.waiting.clone(),
        );
        r.register(
            "operator_queue_writing",
            "Targets that are being written",
            metrics.writing.clone(),
        );
        r.register("operator_objects", "Objects known", metrics.objects.clone());
        r.register(
            "gateways_held",
            "Gateways with a holder whose Lease is alive",
            metrics.gateways_held.clone(),
        );
        r.register(
            "config_entries",
            "Entries that all configs together shall have",
            metrics.entries.clone(),
        );
        r.register(
            "shortages",
            "Addresses of EIPs that run short of ports, or whose SNATs refuse sources",
            metrics.shortages.clone(),
        );
        r.register(
            "operator_failing_targets",
            "Targets that wait to be tried again after a failure",
            metrics.failing.clone(),
        );
        r.register(
            "operator_dropped_reports",
            "Reports of instances that do not hold, dropped",
            metrics.dropped_reports.clone(),
        );
        r.register(
            "operator_published_revisions",
            "Revisions of configs published",
            metrics.published.clone(),
        );
        for family in ["IPv4", "IPv6"] {
            let label = FamilyLabel { family };
            metrics.claimed.get_or_create(&label).set(0);
            // Touched, so that they are shown before anything is counted.
            metrics.adds.get_or_create(&label).inc_by(0);
            metrics.deletes.get_or_create(&label).inc_by(0);
        }
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    /// A kind was listed.
    pub fn listed(&self, kind: Kind) {
        self.lists.get_or_create(&label(kind)).inc();
    }

    /// A kind's list was taken up.
    pub fn synced(&self, kind: Kind) {
        self.in_sync.get_or_create(&label(kind)).set(1);
        self.synced_kinds
            .fetch_or(bit(kind), std::sync::atomic::Ordering::Relaxed);
    }

    /// A kind's watch broke.
    pub fn broken(&self, kind: Kind) {
        self.breaks.get_or_create(&label(kind)).inc();
        self.in_sync.get_or_create(&label(kind)).set(0);
    }

    /// Whether every kind has been listed at least once, but Pods as targets,
    /// which are listed only where a rule needs them.
    #[must_use]
    pub fn all_listed(&self) -> bool {
        let always = Kind::ALL.into_iter().filter(|k| *k != Kind::InsidePod);
        let all = always.fold(0, |bits, kind| bits | bit(kind));
        self.synced_kinds.load(std::sync::atomic::Ordering::Relaxed) & all == all
    }

    /// An object was left out.
    pub fn unreadable(&self, kind: Kind) {
        self.unreadable.get_or_create(&label(kind)).inc();
    }

    /// An action ended.
    pub fn acted(&self, action: &'static str, outcome: &Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Done => "done",
            Outcome::Conflict => "conflict",
            Outcome::Refused(_) => "refused",
            Outcome::Unknown(_) => "unknown",
        };
        self.actions
            .get_or_create(&ActionLabels { action, outcome })
            .inc();
        self.action_seconds.observe(took.as_secs_f64());
    }

    /// A round of deciding ended.
    pub fn polled(&self, took: Duration, actions: usize) {
        self.decision_seconds.observe(took.as_secs_f64());
        self.decisions
            .inc_by(u64::try_from(actions).unwrap_or(u64::MAX));
    }

    /// What became of a Kubernetes Event.
    pub fn event(&self, result: &'static str) {
        self.events.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts addresses: adds less deletes is the gauge, at any time.
    pub fn census(&self, event: &Event) {
        match event {
            Event::Apply(object) => {
                if let Object::AddressClaim(claim) = object.as_ref() {
                    self.claimed(claim);
                }
            }
            Event::Delete {
                kind: Kind::AddressClaim,
                key,
                ..
            } => self.released(&key.name),
            Event::Reset {
                kind: Kind::AddressClaim,
                objects,
                ..
            } => {
                let names: std::collections::HashSet<&str> =
                    objects.iter().filter_map(claim_name).collect();
                let gone: Vec<String> = self
                    .claims()
                    .keys()
                    .filter(|name| !names.contains(name.as_str()))
                    .cloned()
                    .collect();
                gone.iter().for_each(|name| self.released(name));
                for object in objects {
                    if let Object::AddressClaim(claim) = object {
                        self.claimed(claim);
                    }
                }
            }
            Event::Delete { .. }
            | Event::Reset { .. }
            | Event::OutOfSync(_)
            | Event::Rendered { .. } => {}
        }
    }

    fn claimed(&self, claim: &sluice_crds::AddressClaim) {
        let family = if claim.spec.address.contains(':') {
            "IPv6"
        } else {
            "IPv4"
        };
        let name = claim.metadata.name.clone().unwrap_or_default();
        // Held until both are counted: a scrape sees both or neither.
        let mut claims = self.claims();
        if claims.insert(name, family).is_none() {
            self.adds.get_or_create(&FamilyLabel { family }).inc();
            self.claimed.get_or_create(&FamilyLabel { family }).inc();
        }
    }

    fn released(&self, name: &str) {
        let mut claims = self.claims();
        if let Some(family) = claims.remove(name) {
            self.deletes.get_or_create(&FamilyLabel { family }).inc();
            self.claimed.get_or_create(&FamilyLabel { family }).dec();
        }
    }

    fn claims(&self) -> std::sync::MutexGuard<'_, HashMap<String, &'static str>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text that a scrape gets.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn text(
        &self,
        leads: bool,
        queue: (usize, usize),
        gauges: &Gauges,
    ) -> Result<String, std::fmt::Error> {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.leader.set(leads.into());
        self.waiting.set(count(queue.0));
        self.writing.set(count(queue.1));
        for (kind, objects) in &gauges.objects {
            self.objects
                .get_or_create(&label(*kind))
                .set(count(*objects));
        }
        let gateways = gauges.gateways.values();
        self.gateways_held
            .set(count(gateways.clone().filter(|g| g.held).count()));
        self.entries
            .set(count(gateways.clone().map(|g| g.entries).sum()));
        self.shortages
            .set(count(gateways.map(|g| g.shortages).sum()));
        self.failing.set(count(gauges.failing_targets));
        raise(&self.dropped_reports, gauges.dropped_reports);
        raise(&self.published, gauges.published);
        let _counted = self.claims();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn claim_name(object: &Object) -> Option<&str> {
    match object {
        Object::AddressClaim(claim) => claim.metadata.name.as_deref(),
        _ => None,
    }
}

/// Brings a counter up to what core has counted.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn label(kind: Kind) -> KindLabel {
    KindLabel {
        kind: format!("{kind:?}"),
    }
}

fn bit(kind: Kind) -> u64 {
    Kind::ALL
        .iter()
        .position(|k| *k == kind)
        .map_or(0, |at| 1 << at)
}
