//! Where each watched kind lives in the API, and which objects of it we watch.

use sluice_core::operator::event::{ChildKind, Key, Kind};

/// A kind of objects and its place in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The kind that core knows it by.
    pub kind: Kind,
    /// For [`Kind::Child`]: which.
    pub child: Option<ChildKind>,
    /// `/api/v1` or `/apis/<group>/<version>`.
    base: &'static str,
    /// Plural, as in paths.
    pub plural: &'static str,
    namespaced: bool,
    /// Whether only objects with the label `sluice.dev/gateway-uid` count.
    pub labelled: bool,
    /// Whether the API server may not know the kind at all.
    pub optional: bool,
}

const USER: &str = "/apis/sluice.dev/v1alpha1";
const INTERNAL: &str = "/apis/internal.sluice.dev/v1alpha1";
const CORE: &str = "/api/v1";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

const fn plain(kind: Kind, base: &'static str, plural: &'static str) -> Resource {
    Resource {
        kind,
        child: None,
        base,
        plural,
        namespaced: true,
        labelled: false,
        optional: false,
    }
}

const fn child(child: ChildKind, base: &'static str, plural: &'static str) -> Resource {
    Resource {
        child: Some(child),
        labelled: true,
        ..plain(Kind::Child, base, plural)
    }
}

impl Resource {
    /// The resources that make a kind: one, but for [`Kind::Child`].
    #[must_use]
    pub fn of(kind: Kind) -> Vec<Self> {
        let cluster = |r: Resource| Resource {
            namespaced: false,
            ..r
        };
        let labelled = |r: Resource| Resource {
            labelled: true,
            ..r
        };
        vec![match kind {
            Kind::NATGateway => plain(kind, USER, "natgateways"),
            Kind::EIPPool => cluster(plain(kind, USER, "eippools")),
            Kind::EIP => plain(kind, USER, "eips"),
            Kind::FIP => plain(kind, USER, "fips"),
            Kind::DNAT => plain(kind, USER, "dnats"),
            Kind::SNAT => plain(kind, USER, "snats"),
            Kind::GatewayConfig => plain(kind, INTERNAL, "gatewayconfigs"),
            Kind::RuleSlice => plain(kind, INTERNAL, "ruleslices"),
            Kind::GatewayInstance => plain(kind, INTERNAL, "gatewayinstances"),
            Kind::AddressClaim => cluster(plain(kind, INTERNAL, "addressclaims")),
            Kind::Lease => labelled(plain(kind, "/apis/coordination.k8s.io/v1", "leases")),
            Kind::Pod => labelled(plain(kind, CORE, "pods")),
            Kind::InsidePod => plain(kind, CORE, "pods"),
            Kind::Node => cluster(plain(kind, CORE, "nodes")),
            Kind::Namespace => cluster(plain(kind, CORE, "namespaces")),
            Kind::Attachment => Resource {
                optional: true,
                ..plain(
                    kind,
                    "/apis/k8s.cni.cncf.io/v1",
                    "network-attachment-definitions",
                )
            },
            Kind::Child => return ChildKind::ALL.into_iter().map(Self::of_child).collect(),
        }]
    }

    /// The resource of a child's kind.
    #[must_use]
    pub fn of_child(kind: ChildKind) -> Self {
        match kind {
            ChildKind::ServiceAccount => child(kind, CORE, "serviceaccounts"),
            ChildKind::Role => child(kind, RBAC, "roles"),
            ChildKind::RoleBinding => child(kind, RBAC, "rolebindings"),
            ChildKind::Deployment => child(kind, "/apis/apps/v1", "deployments"),
        }
    }

    /// Path of all objects, of every namespace.
    #[must_use]
    pub fn everywhere(&self) -> String {
        format!("{}/{}", self.base, self.plural)
    }

    /// Path that an object of this namespace is created at.
    #[must_use]
    pub fn collection(&self, namespace: &str) -> String {
        if self.namespaced {
            format!("{}/namespaces/{namespace}/{}", self.base, self.plural)
        } else {
            self.everywhere()
        }
    }

    /// Path of one object.
    #[must_use]
    pub fn object(&self, key: &Key) -> String {
        format!("{}/{}", self.collection(&key.namespace), key.name)
    }
}
