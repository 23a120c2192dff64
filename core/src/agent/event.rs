//! What the agent learns.

use std::collections::BTreeSet;
use std::net::IpAddr;

use sluice_crds::internal::{
    GatewayConfigSpec, GatewayInstanceStatus, NeighbourChange, Problem, RejectedEntry,
    RuleSliceSpec, Shortage, UnusableAddress, UplinkOwnAddress,
};

use sluice_crds::user::Hosting;

use crate::identity::{Revision, Term, Uid};

/// What an earlier process of this instance left in the kernel, as the stamp in
/// the kernel's own table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The revision.
    pub revision: Revision,
    /// Digest of its content, 64 hex digits.
    pub digest: String,
    /// Whether the addresses were answered for.
    pub answering: bool,
}

/// The own gateway's GatewayConfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// UID and generation.
    pub revision: Revision,
    /// Its content.
    pub spec: GatewayConfigSpec,
}

/// The own gateway's Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// UID of this life of the name.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `spec.holderIdentity`; empty: nobody.
    pub holder: String,
    /// `spec.leaseTransitions`.
    pub transitions: i64,
    /// `spec.leaseDurationSeconds`.
    pub duration_secs: i64,
}

impl Lease {
    /// The term that the Lease stands at.
    #[must_use]
    pub fn term(&self) -> Term {
        Term {
            lease_uid: self.uid.clone(),
            transitions: self.transitions,
        }
    }
}

/// How a live read or a compare-and-swap of the Lease ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// Read, or written: the Lease as it now is. `None`: there is none.
    Stands(Option<Lease>),
    /// Somebody else wrote first; this is the Lease as read live afterwards.
    Conflict(Option<Lease>),
    /// No answer or a server error: whether it was written is not known.
    Unknown(String),
}

/// How a write or a read of the report ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportAnswer {
    /// What was asked for is written.
    Written,
    /// The object as read live: at start, now and then, and after a conflict.
    Stands(Box<GatewayInstanceStatus>),
    /// No answer or a server error.
    Failed(String),
}

/// What the kernel shows when it is compared with what was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Foreign changes that can be mended, in words.
    pub drift: Vec<String>,
    /// Addresses that do not answer or do not work.
    pub unusable: Vec<UnusableAddress>,
    /// What is wrong as a whole.
    pub problems: Vec<Problem>,
    /// The uplinks' own addresses.
    pub uplinks: Vec<UplinkOwnAddress>,
    /// The chassis that serves the gateway now and has acknowledged all that is applied,
    /// where chassis do.
    pub hosting: Option<Hosting>,
    /// MAC addresses that changed, of next hops and own interfaces.
    pub neighbours: Vec<NeighbourChange>,
    /// Wrong neighbour entries that were replaced during the look.
    pub mended: i64,
}

/// How the [`super::KernelOp`] under way ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelAnswer {
    /// Applied and verified.
    Applied {
        /// Entries that the kernel does not hold.
        rejected: Vec<RejectedEntry>,
        /// Whether connections were flushed and must be flushed once more.
        flush_again: bool,
    },
    /// Connections were flushed a second time.
    Flushed,
    /// Announcements are out.
    Announced,
    /// Others that answered: address and who, in words.
    Probed(Vec<(IpAddr, String)>),
    /// The kernel was looked at.
    Inspected(Inspection),
    /// So many things were mended.
    Repaired(i64),
    /// The kernel answers for nothing and holds nothing of ours but guards.
    Cleared,
    /// The operation failed; what was verified before may or may not stand.
    Failed(String),
}

/// What the kernel tells by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something was changed, perhaps by others: look at it.
    Changed,
    /// A link came up or its MAC changed: announce all addresses again.
    Link,
}

/// The own Pod as read live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodSeen {
    /// It exists, with this UID and without deletionTimestamp.
    Lives,
    /// It has a deletionTimestamp.
    Terminating,
    /// There is none, or another of that name.
    Gone,
    /// The token was refused although it was read anew: the Pod is gone.
    Refused,
    /// No answer.
    Unreachable,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The watch shows the header; `None`: there is none.
    Header(Option<Header>),
    /// Answer to [`super::Action::ReadHeader`].
    HeaderRead(Result<Option<Header>, String>),
    /// Answer to [`super::Action::FetchSlices`].
    Slices {
        /// Slices by name.
        found: Vec<(String, RuleSliceSpec)>,
        /// Names that do not exist.
        missing: Vec<String>,
        /// Why others could not be read.
        error: Option<String>,
    },
    /// The watch shows the Lease; `None`: there is none.
    Lease(Option<Lease>),
    /// Answer to [`super::Action::ReadLease`] and [`super::Action::WriteLease`].
    LeaseAnswer(LeaseAnswer),
    /// Answer to [`super::Action::Report`] and [`super::Action::ReadReport`], and at
    /// start what is found.
    Report(ReportAnswer),
    /// Answer to [`super::Action::Kernel`].
    Kernel(KernelAnswer),
    /// The kernel told something by itself.
    Notice(Notice),
    /// What runs short by the last sample; told when it changes.
    Shortages(Vec<Shortage>),
    /// Answer to [`super::Action::ReadPod`].
    Pod(PodSeen),
    /// The API server refused the token (401).
    Unauthorized,
    /// SIGTERM.
    Terminate,
}

/// Addresses, sorted.
pub(super) type Addresses = BTreeSet<IpAddr>;
