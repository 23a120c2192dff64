//! What the operator sees: objects of the API server, each kind by itself.

use std::collections::BTreeMap;

use sluice_crds::address::DualAddress;
use sluice_crds::{
    AddressClaim, DNAT, EIP, EIPPool, FIP, GatewayConfig, GatewayInstance, NATGateway, RuleSlice,
    SNAT,
};

use crate::identity::Uid;

/// A moment of the process' monotonic clock, milliseconds since it started.
/// Never compared with the clock of another process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

/// Namespace (empty for cluster-scoped kinds) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// The kinds that the operator watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the kinds' names")]
pub enum Kind {
    NATGateway,
    EIPPool,
    EIP,
    FIP,
    DNAT,
    SNAT,
    GatewayConfig,
    RuleSlice,
    GatewayInstance,
    AddressClaim,
    Lease,
    Pod,
    Node,
    Namespace,
    Attachment,
    Child,
    /// Pods as targets and sources of rules.
    InsidePod,
}

impl Kind {
    /// All kinds; nothing is decided before each was listed, [`Kind::InsidePod`]
    /// only where a rule needs it.
    pub const ALL: [Self; 17] = [
        Self::NATGateway,
        Self::EIPPool,
        Self::EIP,
        Self::FIP,
        Self::DNAT,
        Self::SNAT,
        Self::GatewayConfig,
        Self::RuleSlice,
        Self::GatewayInstance,
        Self::AddressClaim,
        Self::Lease,
        Self::Pod,
        Self::Node,
        Self::Namespace,
        Self::Attachment,
        Self::Child,
        Self::InsidePod,
    ];
}

/// An object of a watched kind. Large or secret parts are left out by the edge.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the kinds' names")]
#[allow(
    clippy::large_enum_variant,
    reason = "an Apply is boxed, a Reset is rare"
)]
pub enum Object {
    NATGateway(NATGateway),
    EIPPool(EIPPool),
    EIP(EIP),
    FIP(FIP),
    DNAT(DNAT),
    SNAT(SNAT),
    GatewayConfig(GatewayConfig),
    /// With entries: a leader that has just begun compares contents by name only.
    RuleSlice(RuleSlice),
    GatewayInstance(GatewayInstance),
    AddressClaim(AddressClaim),
    Lease(LeaseFacts),
    Pod(PodFacts),
    Node(NodeFacts),
    Namespace(NamespaceFacts),
    Attachment(AttachmentFacts),
    Child(ChildFacts),
    InsidePod(InsidePodFacts),
}

/// A gateway's Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFacts {
    /// Namespace and name.
    pub key: Key,
    /// UID of this life of the name.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// UID of the gateway, from the label.
    pub gateway_uid: Uid,
    /// `spec.holderIdentity`; empty: nobody.
    pub holder: String,
    /// `spec.leaseTransitions`.
    pub transitions: i64,
    /// `spec.leaseDurationSeconds`.
    pub duration_secs: i64,
    /// `spec.renewTime` as it stands: its change counts; its value only makes a new leader
    /// wait for the next change.
    pub renew_time: String,
    /// `spec.acquireTime` as it stands, RFC 3339.
    pub acquire_time: String,
    /// Whether the object is being deleted.
    pub deleting: bool,
}

/// A Pod of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFacts {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// UID of the gateway, from the label.
    pub gateway_uid: Uid,
    /// `spec.nodeName`; empty: not placed.
    pub node: String,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `status.phase`.
    pub phase: String,
    /// Whether the kubelet has reported every container terminated (and there
    /// is at least one status), or the Pod was never placed on a node.
    pub containers_terminated: bool,
    /// Whether the Pod's Ready condition is True.
    pub ready: bool,
}

/// Any Pod, as a rule's target or source. Kept small: a cluster has many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsidePodFacts {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is a gateway's own.
    pub gateway: bool,
    /// `spec.hostNetwork`: its addresses are its node's.
    pub host_network: bool,
    /// Whether it has ended for good, and its addresses may be others': in phase
    /// Succeeded or Failed, or deleted with all its containers terminated.
    pub over: bool,
    /// `status.podIPs`, the first of each family.
    pub ips: DualAddress,
    /// What Multus tells of attachments, each once.
    pub attached: Vec<Attached>,
    /// Why Multus' annotation could not be read, if so.
    pub unreadable: Option<String>,
}

/// A Pod's addresses on an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The attachment: `namespace/name`.
    pub network: String,
    /// The first address of each family.
    pub addresses: DualAddress,
}

/// A Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `status.nodeInfo.bootID`.
    pub boot_id: String,
    /// Whether it has the taint `node.kubernetes.io/out-of-service`.
    pub out_of_service: bool,
    /// Its annotation `sluice.dev/uplink-address`.
    pub uplink_address: Option<String>,
}

/// A Namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is being deleted: nothing can be created in it.
    pub terminating: bool,
}

/// A NetworkAttachmentDefinition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentFacts {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Gateway addresses of its IPAM with the subnet's prefix length, at most
    /// one per family: `10.244.0.254/16`.
    pub gateways: Vec<String>,
    /// Why `spec.config` could not be read, if so.
    pub error: Option<String>,
}

/// An object that the operator made for a gateway (Deployment, ServiceAccount,
/// Role, RoleBinding).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildFacts {
    /// Its kind.
    pub kind: ChildKind,
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// UID of the gateway, from the label.
    pub gateway_uid: Uid,
    /// Annotation `sluice.dev/digest`: digest of what was rendered.
    pub digest: String,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
}

/// Kinds that the operator makes for a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the kinds' names")]
pub enum ChildKind {
    ServiceAccount,
    Role,
    RoleBinding,
    Deployment,
}

impl ChildKind {
    /// All of them, in the order of making: the Deployment needs all others.
    pub const ALL: [Self; 4] = [
        Self::ServiceAccount,
        Self::Role,
        Self::RoleBinding,
        Self::Deployment,
    ];
}

/// What the operator learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An object exists and looks like this: from a watch, a list, a live read
    /// or the answer to a write. Of two with one UID the higher
    /// resourceVersion counts, whatever the order of arrival.
    Apply(Box<Object>),
    /// An object is gone: from a watch, or it was known before a request was sent that
    /// found nothing of that name. (Where nothing was known, an answer that found nothing
    /// tells nothing of what has come since.)
    Delete {
        /// Its kind.
        kind: Kind,
        /// For children: which.
        child: Option<ChildKind>,
        /// Its namespace and name.
        key: Key,
        /// The UID that is gone.
        uid: Uid,
        /// `resourceVersion` of its end: what is not newer is a late word of it. A watch of
        /// objects with a label says that an object ended when it lost the label, and has
        /// it again later. [`u64::MAX`] for what no request finds any more: it is gone for
        /// good.
        version: u64,
    },
    /// A fresh, most-recent list of a kind: what is not in it, and not newer, is gone.
    Reset {
        /// The kind.
        kind: Kind,
        /// All objects of it.
        objects: Vec<Object>,
        /// `resourceVersion` of the list, or of each child kind's. An answer may have
        /// shown what came after it. A kind without one is not served: nothing of it is
        /// there.
        versions: BTreeMap<Option<ChildKind>, u64>,
    },
    /// The watch of a kind broke; until the next `Reset` its absence proves nothing.
    OutOfSync(Kind),
    /// What a gateway's children would be if they were rendered now: the digest
    /// of each, as it stands in `sluice.dev/digest` of a child made from it. The
    /// edge tells it with every NATGateway that it applies. No child is made
    /// before; a child whose digest differs is rendered again.
    Rendered {
        /// The gateway.
        gateway: Key,
        /// UID of the gateway that was rendered from.
        gateway_uid: Uid,
        /// Digest per child, all four.
        digests: BTreeMap<ChildKind, String>,
    },
}
