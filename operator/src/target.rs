//! What an action is about, and how urgent it is.

use sluice_core::operator::action::{Action, Target};
use sluice_core::operator::event::{Key, Kind};

/// The order in which targets are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// What kernels, and the truth of what users read, wait for.
    First,
    /// What comes before that: claims, finalizers, children.
    Second,
    /// All other statuses.
    Third,
}

impl Urgency {
    /// How many there are.
    pub const COUNT: usize = 3;
    /// All, most urgent first.
    pub const ALL: [Self; Self::COUNT] = [Self::First, Self::Second, Self::Third];
}

/// How urgent an action is.
#[must_use]
pub fn urgency(action: &Action) -> Urgency {
    match action {
        Action::WriteHeader(_)
        | Action::CreateSlice(_)
        | Action::WriteLease(_)
        | Action::Read { .. }
        | Action::WriteStatus { urgent: true, .. } => Urgency::First,
        Action::CreateClaim(_)
        | Action::UpdateClaim(_)
        | Action::DeleteClaim { .. }
        | Action::SetFinalizers { .. }
        | Action::DeleteSlice { .. }
        | Action::DeleteHeader { .. }
        | Action::DeleteLease { .. }
        | Action::EnsureChild { .. }
        | Action::DeleteChild { .. }
        | Action::DeleteInstance { .. } => Urgency::Second,
        Action::WriteStatus { urgent: false, .. } | Action::Emit(_) => Urgency::Third,
    }
}

/// Namespace and name in an object's metadata.
fn key(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Key {
    Key {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// What an action is about; nothing for [`Action::Emit`].
#[must_use]
pub fn target(action: &Action) -> Option<Target> {
    Some(match action {
        Action::CreateClaim(claim) | Action::UpdateClaim(claim) => {
            Target::Object(Kind::AddressClaim, key(&claim.metadata))
        }
        Action::DeleteClaim { name, .. } => Target::Object(
            Kind::AddressClaim,
            Key {
                namespace: String::new(),
                name: name.clone(),
            },
        ),
        Action::SetFinalizers { kind, key, .. } => Target::Object(*kind, key.clone()),
        Action::WriteStatus { kind, key, .. } => Target::Status(*kind, key.clone()),
        Action::CreateSlice(slice) => Target::Object(Kind::RuleSlice, key(&slice.metadata)),
        Action::DeleteSlice { key, .. } => Target::Object(Kind::RuleSlice, key.clone()),
        Action::WriteHeader(header) => Target::Object(Kind::GatewayConfig, key(&header.metadata)),
        Action::DeleteHeader { key, .. } => Target::Object(Kind::GatewayConfig, key.clone()),
        Action::WriteLease(lease) => Target::Object(Kind::Lease, lease.key.clone()),
        Action::DeleteLease { key, .. } => Target::Object(Kind::Lease, key.clone()),
        Action::EnsureChild { child, gateway, .. } => Target::Child(
            *child,
            Key {
                namespace: gateway.namespace.clone(),
                name: sluice_crds::names::child_name(&gateway.name),
            },
        ),
        Action::DeleteChild { child, key, .. } => Target::Child(*child, key.clone()),
        Action::DeleteInstance { key, .. } => Target::Object(Kind::GatewayInstance, key.clone()),
        Action::Read { kind, key } => Target::Read(*kind, key.clone()),
        Action::Emit(_) => return None,
    })
}
