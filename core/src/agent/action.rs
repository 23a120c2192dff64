//! What the agent does, as data.
//!
//! The edge carries out each action and feeds its answer back. At most one
//! action of each kind is under way (reads and writes of the Lease count as
//! one kind, and so do those of the report); an action that cannot be carried out is answered all the same.

use std::sync::Arc;

use sluice_crds::internal::GatewayInstanceStatus;

use super::event::Addresses;
use crate::config::Snapshot;
use crate::identity::{Revision, Uid};

/// A compare-and-swap of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseWrite {
    /// Precondition.
    pub uid: Uid,
    /// Precondition.
    pub resource_version: String,
    /// New `holderIdentity`; empty: released.
    pub holder: String,
    /// New `leaseTransitions`.
    pub transitions: i64,
    /// Whether the Lease changes hands, so that `acquireTime` is set too.
    pub acquire: bool,
}

/// Something to do to the kernel; one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelOp {
    /// Make the kernel hold exactly this, and verify it.
    Apply {
        /// All of it.
        snapshot: Arc<Snapshot>,
        /// The revision that it came as.
        revision: Revision,
        /// Whether to answer for its addresses.
        holding: bool,
    },
    /// Flush once more the connections that the last applies made void; and after
    /// a start, a failed apply or a clear all those that contradict the rules.
    Flush,
    /// Send one round of announcements.
    Announce(Addresses),
    /// Ask, for all at once, whether others answer for these addresses.
    Probe(Addresses),
    /// Compare the kernel with what was applied.
    Inspect,
    /// Undo foreign changes.
    Repair,
    /// Stop answering, then take away all rules but the guards.
    Clear,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the header by a quorum read.
    ReadHeader,
    /// Read these slices, concurrently.
    FetchSlices(Vec<String>),
    /// Read the Lease live.
    ReadLease,
    /// Write the Lease by compare-and-swap.
    WriteLease(LeaseWrite),
    /// Write the report, with the resourceVersion that was last seen; make the
    /// object anew if it is gone.
    Report(Box<GatewayInstanceStatus>),
    /// Read the report live; make the object anew if it is gone.
    ReadReport,
    /// Read the own Pod live.
    ReadPod,
    /// Do this to the kernel.
    Kernel(KernelOp),
    /// End the process with success.
    Exit,
}
