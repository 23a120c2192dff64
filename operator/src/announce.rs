//! Kubernetes Events, within a budget: what is over it is counted, not sent.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_core::operator::action::Announcement;
use sluice_core::operator::event::Kind;
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::rest::Rest;

#[cfg(test)]
mod tests;

/// Events that may go out at once.
const BURST: u32 = 50;
/// One more may go out each time this much has passed.
const REFILL: Duration = Duration::from_millis(500);
/// Longest `note` that the API server takes, in bytes.
const NOTE_MAX: usize = 1_024;

/// Where decisions leave what is to be told.
#[derive(Clone)]
pub struct Announcer {
    sender: mpsc::Sender<Announcement>,
    metrics: Arc<Metrics>,
}

/// Sends what was left with its [`Announcer`].
pub struct Speaker {
    receiver: mpsc::Receiver<Announcement>,
    rest: Rest,
    instance: String,
    metrics: Arc<Metrics>,
}

/// Both ends.
#[must_use]
pub fn announcer(rest: Rest, instance: String, metrics: Arc<Metrics>) -> (Announcer, Speaker) {
    let (sender, receiver) = mpsc::channel(256);
    (
        Announcer {
            sender,
            metrics: metrics.clone(),
        },
        Speaker {
            receiver,
            rest,
            instance,
            metrics,
        },
    )
}

impl Announcer {
    /// Leaves an announcement; dropped and counted when too many wait.
    pub fn push(&self, announcement: Announcement) {
        if self.sender.try_send(announcement).is_err() {
            self.metrics.event("dropped");
        }
    }
}

impl Speaker {
    /// Sends until every [`Announcer`] is gone.
    pub async fn run(mut self) {
        let mut budget = Budget::new(tokio::time::Instant::now());
        let mut count = 0_u64;
        while let Some(announcement) = self.receiver.recv().await {
            if !budget.take(tokio::time::Instant::now()) {
                self.metrics.event("dropped");
                continue;
            }
            count += 1;
            let now = jiff::Timestamp::now();
            let event = event(&announcement, &self.instance, now, count);
            let namespace = event
                .pointer("/metadata/namespace")
                .and_then(Value::as_str)
                .unwrap_or("default");
            let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
            match self.rest.create(&path, &event).await {
                Ok(_) => self.metrics.event("sent"),
                Err(failure) => {
                    self.metrics.event("failed");
                    tracing::debug!(%failure, reason = announcement.reason, "an Event was not taken");
                }
            }
        }
    }
}

/// A token bucket.
struct Budget {
    tokens: u32,
    since: tokio::time::Instant,
}

impl Budget {
    fn new(now: tokio::time::Instant) -> Self {
        Self {
            tokens: BURST,
            since: now,
        }
    }

    fn take(&mut self, now: tokio::time::Instant) -> bool {
        let refills = now.saturating_duration_since(self.since).as_millis() / REFILL.as_millis();
        if let Ok(refills) = u32::try_from(refills) {
            self.tokens = self.tokens.saturating_add(refills).min(BURST);
            self.since += REFILL * refills;
        } else {
            (self.tokens, self.since) = (BURST, now);
        }
        let spare = self.tokens.checked_sub(1);
        self.tokens = spare.unwrap_or(0);
        spare.is_some()
    }
}

fn event(announcement: &Announcement, instance: &str, now: jiff::Timestamp, count: u64) -> Value {
    let (api_version, kind) = regarding(announcement.kind);
    let namespace = match announcement.key.namespace.as_str() {
        "" => "default",
        namespace => namespace,
    };
    let mut note = announcement.message.clone();
    if note.len() > NOTE_MAX {
        let end = (0..=NOTE_MAX)
            .rev()
            .find(|&at| note.is_char_boundary(at))
            .unwrap_or(0);
        note.truncate(end);
    }
    // A name must be at most 253 long; that of the object may be as long.
    let stem: String = announcement.key.name.chars().take(200).collect();
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "namespace": namespace,
            "name": format!("{}.{:x}.{count:x}", stem.trim_end_matches(['.', '-']), now.as_microsecond()),
        },
        "eventTime": format!("{now:.6}"),
        "reportingController": "sluice.dev/operator",
        "reportingInstance": instance.chars().take(128).collect::<String>(),
        "action": announcement.reason,
        "reason": announcement.reason,
        "type": if announcement.warning { "Warning" } else { "Normal" },
        "regarding": {
            "apiVersion": api_version,
            "kind": kind,
            "namespace": announcement.key.namespace,
            "name": announcement.key.name,
            "uid": announcement.uid.as_str(),
        },
        "note": note,
    })
}

fn regarding(kind: Kind) -> (&'static str, &'static str) {
    let (user, internal) = ("sluice.dev/v1alpha1", "internal.sluice.dev/v1alpha1");
    match kind {
        Kind::NATGateway => (user, "NATGateway"),
        Kind::EIPPool => (user, "EIPPool"),
        Kind::EIP => (user, "EIP"),
        Kind::FIP => (user, "FIP"),
        Kind::DNAT => (user, "DNAT"),
        Kind::SNAT => (user, "SNAT"),
        Kind::GatewayConfig => (internal, "GatewayConfig"),
        Kind::RuleSlice => (internal, "RuleSlice"),
        Kind::GatewayInstance => (internal, "GatewayInstance"),
        Kind::AddressClaim => (internal, "AddressClaim"),
        Kind::Lease => ("coordination.k8s.io/v1", "Lease"),
        Kind::Pod | Kind::InsidePod => ("v1", "Pod"),
        Kind::Node => ("v1", "Node"),
        Kind::Namespace => ("v1", "Namespace"),
        Kind::Attachment => ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"),
        Kind::Child => ("apps/v1", "Deployment"),
    }
}
