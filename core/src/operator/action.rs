//! What the operator does: writes and live reads, as data.
//!
//! The edge carries out each action, feeds every object that the API server
//! answers with back as [`super::event::Event::Apply`], and then reports the
//! action's [`Outcome`] under its [`Target`]. At most one action per target is
//! under way. An action is idempotent: done twice, or after it has become
//! pointless, it does no harm (resourceVersion and UID preconditions).

use sluice_crds::{AddressClaim, GatewayConfig, RuleSlice};

use super::event::{ChildKind, Key, Kind, LeaseFacts};
use super::urgency::Urgency;
use crate::identity::Uid;

/// What an action is about: the unit of retry and of "one at a time".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Metadata or spec of an object.
    Object(Kind, Key),
    /// Status of an object.
    Status(Kind, Key),
    /// A child of a gateway.
    Child(ChildKind, Key),
    /// A live read.
    Read(Kind, Key),
}

/// A write or a live read.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the claim; "already exists" is an answer, not an error: read it
    /// and feed it back.
    CreateClaim(AddressClaim),
    /// Replace the claim (its resourceVersion is set).
    UpdateClaim(AddressClaim),
    /// Delete the claim, with both preconditions.
    DeleteClaim {
        /// Name.
        name: String,
        /// Precondition.
        uid: Uid,
        /// Precondition.
        resource_version: String,
    },
    /// Set `metadata.finalizers` by merge-patch with UID and resourceVersion.
    SetFinalizers {
        /// Kind of the object: a user kind, Pod or GatewayInstance.
        kind: Kind,
        /// Its name.
        key: Key,
        /// Precondition.
        uid: Uid,
        /// Precondition.
        resource_version: String,
        /// All finalizers that it shall have.
        finalizers: Vec<String>,
    },
    /// Write the status of an object. What to write is asked for when the write
    /// is taken from the queue: `Operator::judge`.
    WriteStatus {
        /// Kind.
        kind: Kind,
        /// Name.
        key: Key,
        /// How urgent it is. One that has become more urgent is handed out a
        /// second time before the first has ended: it takes the first one's
        /// place, or, where that is being carried out, does no harm.
        urgency: Urgency,
    },
    /// Create a slice; "already exists" with the same content is success.
    CreateSlice(RuleSlice),
    /// Delete a slice that nobody names any more.
    DeleteSlice {
        /// Name.
        key: Key,
        /// Precondition.
        uid: Uid,
    },
    /// Create the header (no resourceVersion) or replace it (resourceVersion
    /// set), strict field validation.
    WriteHeader(GatewayConfig),
    /// Delete a header.
    DeleteHeader {
        /// Name.
        key: Key,
        /// Precondition.
        uid: Uid,
    },
    /// Create the gateway's Lease (uid empty) or replace it by compare-and-swap.
    WriteLease(LeaseFacts),
    /// Delete a Lease.
    DeleteLease {
        /// Name.
        key: Key,
        /// Precondition.
        uid: Uid,
    },
    /// Render the child from the gateway's current spec and create or replace it.
    EnsureChild {
        /// Which.
        child: ChildKind,
        /// The gateway, whose spec the edge renders from.
        gateway: Key,
        /// UID that the gateway must have.
        gateway_uid: Uid,
        /// Whether the gateway is known to be being deleted, and serves on for those who
        /// use it. If not, and it is being deleted by now, nothing is made.
        serves_on: bool,
    },
    /// Delete a child in the foreground of nothing: no propagation but for the
    /// Deployment, whose ReplicaSets and Pods go in the background.
    DeleteChild {
        /// Which.
        child: ChildKind,
        /// Name.
        key: Key,
        /// Precondition.
        uid: Uid,
    },
    /// Delete a report whose instance is dead.
    DeleteInstance {
        /// Name.
        key: Key,
        /// Precondition.
        uid: Uid,
    },
    /// Read an object live (most recent), feed back `Apply`, or `Delete` with `known`.
    Read {
        /// Kind.
        kind: Kind,
        /// Name.
        key: Key,
        /// UID that was known under that name when the action was taken from the queue,
        /// which fills it in: where nothing is found, that one is gone for good.
        known: Option<Uid>,
    },
    /// Publish a Kubernetes Event; no outcome is awaited.
    Emit(Announcement),
}

impl Action {
    /// What an action is about; nothing for [`Action::Emit`].
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        Some(match self {
            Self::CreateClaim(claim) | Self::UpdateClaim(claim) => {
                Target::Object(Kind::AddressClaim, key(&claim.metadata))
            }
            Self::DeleteClaim { name, .. } => Target::Object(
                Kind::AddressClaim,
                Key {
                    namespace: String::new(),
                    name: name.clone(),
                },
            ),
            Self::SetFinalizers { kind, key, .. } => Target::Object(*kind, key.clone()),
            Self::WriteStatus { kind, key, .. } => Target::Status(*kind, key.clone()),
            Self::CreateSlice(slice) => Target::Object(Kind::RuleSlice, key(&slice.metadata)),
            Self::DeleteSlice { key, .. } => Target::Object(Kind::RuleSlice, key.clone()),
            Self::WriteHeader(header) => Target::Object(Kind::GatewayConfig, key(&header.metadata)),
            Self::DeleteHeader { key, .. } => Target::Object(Kind::GatewayConfig, key.clone()),
            Self::WriteLease(lease) => Target::Object(Kind::Lease, lease.key.clone()),
            Self::DeleteLease { key, .. } => Target::Object(Kind::Lease, key.clone()),
            Self::EnsureChild { child, gateway, .. } => Target::Child(
                *child,
                Key {
                    namespace: gateway.namespace.clone(),
                    name: sluice_crds::names::child_name(&gateway.name),
                },
            ),
            Self::DeleteChild { child, key, .. } => Target::Child(*child, key.clone()),
            Self::DeleteInstance { key, .. } => Target::Object(Kind::GatewayInstance, key.clone()),
            Self::Read { kind, key, .. } => Target::Read(*kind, key.clone()),
            Self::Emit(_) => return None,
        })
    }
}

/// Namespace and name in an object's metadata.
fn key(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Key {
    Key {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// A status to write: the answer to `Operator::judge`.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    /// UID of the object that was judged; for the edge's check and its log.
    pub uid: Uid,
    /// Precondition: stands in `metadata.resourceVersion` of the patch.
    pub resource_version: String,
    /// The value of `status` in a merge-patch (null removes a field).
    pub status: serde_json::Value,
}

/// A Kubernetes Event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Kind of the object that it is about.
    pub kind: Kind,
    /// The object.
    pub key: Key,
    /// UID of the object.
    pub uid: Uid,
    /// `Warning` rather than `Normal`.
    pub warning: bool,
    /// Reason, CamelCase.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
}

/// How an action ended. The edge has fed all objects that it got before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or nothing was left to do.
    Done,
    /// A precondition failed; the edge has read the object live and fed it back.
    Conflict,
    /// Refused for good until something changes (403, 422, terminating namespace).
    Refused(String),
    /// No answer or a server error: whether it was done is unknown.
    Unknown(String),
}
