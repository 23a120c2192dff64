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
    GatewayTerminating,
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
    UnsupportedByDataplane,
    AttachmentNotFound,
    DeletionBlocked,
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
