//! Condition types and reasons, the same on every user kind.

/// The object is valid and its references resolve.
pub const ACCEPTED: &str = "Accepted";
/// All that is asked of the object at this generation is in the holder's kernel.
pub const PROGRAMMED: &str = "Programmed";
/// Traffic can use it: derived from the holder's report, never from an event.
pub const READY: &str = "Ready";
/// EIPPool only: no address is left in a family.
pub const EXHAUSTED: &str = "Exhausted";

/// The enum and its names from one list.
macro_rules! reasons {
    ($($name:ident),+ $(,)?) => {
        /// Reasons of `Accepted`, `Programmed`, `Ready` and `Exhausted`.
        #[allow(
            missing_docs,
            reason = "each name is its meaning"
        )]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($name),+
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The reason as it stands in a condition.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name)),+
                }
            }
        }
    };
}

reasons! {
    // Accepted
    Accepted,
    Invalid,
    EIPNotFound,
    EIPTerminating,
    EIPNotAccepted,
    GatewayMismatch,
    GatewayNotFound,
    PoolNotFound,
    PoolTerminating,
    PoolNotOnGateway,
    NotAllowed,
    PoolExhausted,
    AddressInUse,
    AddressNotInPool,
    Conflict,
    Overlap,
    FamilyMismatch,
    TargetNotAllowed,
    AttachmentNotFound,
    DeletionBlocked,
    UnsupportedByDataplane,
    // Programmed
    Programmed,
    Pending,
    NoHolder,
    Rejected,
    Drifted,
    Releasing,
    TooLarge,
    LeaseTaken,
    PodNotFound,
    TargetNotReady,
    HostNetwork,
    NoSources,
    // Ready
    Ready,
    NotAccepted,
    NotProgrammed,
    AddressNotUsable,
    HolderChanged,
    HolderLost,
    // gateway problems
    RPFilterBlocks,
    ForeignRules,
    ForwardingDisabled,
    AddressConflict,
    InterfaceNotFound,
    InterfaceDown,
    AddressNotOnInterface,
    AnnotationInvalid,
    NextHopUnreachable,
    NextHopMACMismatch,
    NextHopConflict,
    // Ready with something that runs short
    PortsLow,
    PortsPerSourceReached,
    // Exhausted
    AddressesLeft,
    Exhausted,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Reason;

    /// What only agents say: their reports' words stand in Ready as they are.
    const OF_AGENTS: &str = "RouteMissing ProxyMissing AddressMissing SettingInvalid ApplyFailed \
        RepairFailed InspectFailed FlushFailed AnnounceFailed ProbeFailed ClearFailed FlowLogSilent \
        NoChassis ChassisBehind ChassisSilent NorthdBehind CountersDisagree AcksSwitchedOff DatabaseAway";

    #[test]
    fn every_reason_is_explained_and_none_that_is_not_there() {
        let text = include_str!("../../docs/conditions.md");
        let cells = text
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
        let mut told: BTreeSet<&str> = cells.flat_map(|cell| cell.split(['`', ',', ' '])).collect();
        // Those of pools stand in a sentence.
        let of_pools = ["AddressesLeft", "Exhausted"];
        told.extend(
            of_pools
                .iter()
                .filter(|name| text.contains(&format!("`{name}`"))),
        );
        told.remove("");
        let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
        let known: BTreeSet<&str> = reasons
            .chain(OF_AGENTS.split(' ').filter(|n| !n.is_empty()))
            .collect();
        assert_eq!(told, known);
    }
}
