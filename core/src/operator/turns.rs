//! Whose turn it is: what waits is served namespace by namespace, so that a namespace
//! with many objects delays another one's by one place, not by all of its own.

use std::collections::{BTreeMap, VecDeque};

use super::action::{Action, Target};
use super::event::Kind;

#[cfg(test)]
mod tests;

impl Action {
    /// Whether an object of the namespace's users asks for it, so that they wait for it.
    #[must_use]
    pub fn is_for_users(&self) -> bool {
        match self {
            Self::CreateClaim(_) | Self::UpdateClaim(_) => true,
            Self::SetFinalizers { kind, .. } | Self::WriteStatus { kind, .. } => {
                matches!(kind, Kind::EIP | Kind::FIP | Kind::DNAT | Kind::SNAT)
            }
            _ => false,
        }
    }

    /// The namespace of the users on whose behalf it is done; empty where that is nobody
    /// in particular.
    #[must_use]
    pub fn on_behalf_of(&self) -> &str {
        match self {
            Self::CreateClaim(claim) | Self::UpdateClaim(claim) => &claim.spec.owner.namespace,
            Self::DeleteClaim { .. } => "",
            Self::CreateSlice(slice) => slice.metadata.namespace.as_deref().unwrap_or_default(),
            Self::WriteHeader(header) => header.metadata.namespace.as_deref().unwrap_or_default(),
            Self::WriteLease(lease) => &lease.key.namespace,
            Self::SetFinalizers { key, .. }
            | Self::WriteStatus { key, .. }
            | Self::DeleteSlice { key, .. }
            | Self::DeleteHeader { key, .. }
            | Self::DeleteLease { key, .. }
            | Self::EnsureChild { gateway: key, .. }
            | Self::DeleteChild { key, .. }
            | Self::DeleteInstance { key, .. }
            | Self::Read { key, .. } => &key.namespace,
            Self::Emit(_) => "",
        }
    }
}

/// Targets in line, each in the line of its namespace. Namespaces take turns; within one
/// it is first come, first served.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    lines: BTreeMap<String, VecDeque<Target>>,
    /// Each namespace whose line is not empty, once; the next one first.
    order: VecDeque<String>,
}

impl Turns {
    /// Puts a target at the end of its namespace's line.
    pub fn push(&mut self, namespace: &str, target: Target) {
        let line = self.lines.entry(namespace.to_owned()).or_default();
        if line.is_empty() {
            self.order.push_back(namespace.to_owned());
        }
        line.push_back(target);
    }

    /// The next target of the first namespace that may have one; that namespace goes to
    /// the end.
    pub fn pop(&mut self, may: impl Fn(&str) -> bool) -> Option<Target> {
        let place = self.order.iter().position(|namespace| may(namespace))?;
        let namespace = self.order.remove(place)?;
        let line = self.lines.get_mut(&namespace)?;
        let target = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&namespace);
        } else {
            self.order.push_back(namespace);
        }
        target
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
