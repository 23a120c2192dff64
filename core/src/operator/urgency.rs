//! In which order writes are served when many wait.

use super::action::Action;
use super::event::Kind;

/// The order in which targets are served, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// What kernels wait for, and Ready=True of EIPs that does not hold any more.
    First,
    /// Other statuses that say True and must not any more.
    Correction,
    /// What comes before programming and after it: claims, finalizers, children.
    Groundwork,
    /// Statuses of EIPs.
    Address,
    /// All other statuses.
    Other,
}

impl Urgency {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// All, most urgent first.
    pub const ALL: [Self; Self::COUNT] = [
        Self::First,
        Self::Correction,
        Self::Groundwork,
        Self::Address,
        Self::Other,
    ];

    /// Of a status write; `correction`: what stands says Ready and must not any more.
    #[must_use]
    pub fn of_status(kind: Kind, correction: bool) -> Self {
        match (correction, kind == Kind::EIP) {
            (true, true) => Self::First,
            (true, false) => Self::Correction,
            (false, true) => Self::Address,
            (false, false) => Self::Other,
        }
    }
}

impl Action {
    /// How urgent it is.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        match self {
            Self::WriteHeader(_)
            | Self::CreateSlice(_)
            | Self::WriteLease(_)
            | Self::Read {
                kind: Kind::Lease, ..
            } => Urgency::First,
            Self::WriteStatus { urgency, .. } => *urgency,
            Self::CreateClaim(_)
            | Self::UpdateClaim(_)
            | Self::DeleteClaim { .. }
            | Self::SetFinalizers { .. }
            | Self::DeleteSlice { .. }
            | Self::DeleteHeader { .. }
            | Self::DeleteLease { .. }
            | Self::EnsureChild { .. }
            | Self::DeleteChild { .. }
            | Self::DeleteInstance { .. }
            | Self::Read { .. } => Urgency::Groundwork,
            Self::Emit(_) => Urgency::Other,
        }
    }
}
