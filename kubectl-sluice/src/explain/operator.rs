//! Whether the operator works.

use k8s_openapi::jiff::Timestamp;

use super::pods::trouble;
use crate::world::{Key, OPERATOR, World};

/// How the operator stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// It leads, and renewed its Lease so many seconds ago.
    Leads {
        /// Who.
        identity: String,
        /// Seconds.
        ago: i64,
    },
    /// It does not work, and why; what to do.
    Down(String, String),
    /// The asker may not see it.
    Unseen,
}

/// How the operator stands.
#[must_use]
pub fn operator(world: &World) -> Operator {
    let key = Key::new(&world.operator_namespace, OPERATOR);
    let lease = world.leases.iter().find(|l| Key::of(&l.metadata) == key);
    if lease.is_none() && world.hides("leases") {
        return Operator::Unseen;
    }
    let spec = lease.and_then(|l| l.spec.as_ref());
    let identity = spec
        .and_then(|s| s.holder_identity.clone())
        .unwrap_or_default();
    let renewed = spec.and_then(|s| s.renew_time.as_ref()).map(|t| t.0);
    let lasts = spec
        .and_then(|s| s.lease_duration_seconds)
        .unwrap_or_default();
    let ago = renewed.map(|at| seconds(at, world.now));
    if let Some(ago) = ago.filter(|ago| !identity.is_empty() && *ago <= i64::from(lasts)) {
        return Operator::Leads { identity, ago };
    }
    let since = match ago {
        Some(ago) if !identity.is_empty() => format!("its Lease has not been renewed for {ago} s"),
        _ => "nobody has its Lease".to_owned(),
    };
    let deployment = world
        .deployments
        .iter()
        .find(|d| Key::of(&d.metadata) == key);
    let Some(deployment) = deployment else {
        let says =
            format!("the operator is not running: {since}, and there is no Deployment {key}");
        return Operator::Down(
            says,
            "install it, or name its namespace by --operator-namespace".to_owned(),
        );
    };
    if deployment.spec.as_ref().and_then(|s| s.replicas) == Some(0) {
        let says = format!("the operator is not running: Deployment {key} has 0 replicas");
        let scale = format!(
            "kubectl scale deployment {OPERATOR} -n {} --replicas=1",
            key.namespace
        );
        return Operator::Down(says, scale);
    }
    let own = |pod: &&k8s_openapi::api::core::v1::Pod| {
        let labels = pod.metadata.labels.as_ref();
        pod.metadata.namespace.as_deref() == Some(key.namespace.as_str())
            && labels
                .and_then(|all| all.get("app.kubernetes.io/name"))
                .map(String::as_str)
                == Some(OPERATOR)
    };
    let (why, remedy) = world
        .pods
        .iter()
        .filter(own)
        .find_map(|pod| trouble(world, pod))
        .unwrap_or_else(|| {
            (
                since,
                format!("kubectl logs deployment/{OPERATOR} -n {}", key.namespace),
            )
        });
    Operator::Down(format!("the operator is not running: {why}"), remedy)
}

impl Operator {
    /// What to say where the operator should have written and did not.
    #[must_use]
    pub fn behind(&self) -> (String, String) {
        match self {
            Self::Leads { identity, ago } => (
                format!(
                    "the operator {identity} works (its Lease is {ago} s old) and has not written it yet"
                ),
                format!("look again; if it stays: kubectl logs deployment/{OPERATOR}"),
            ),
            Self::Down(says, remedy) => (says.clone(), remedy.clone()),
            Self::Unseen => (
                "the operator has not looked at it yet".to_owned(),
                "look again; if it stays, ask who runs the operator".to_owned(),
            ),
        }
    }
}

/// Seconds from one moment to another, 0 where the clocks differ.
#[must_use]
pub fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second().saturating_sub(from.as_second()).max(0)
}
