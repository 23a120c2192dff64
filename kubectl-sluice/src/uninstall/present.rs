//! What of Sluice is in the cluster.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::UninstallError;
use crate::fetch::Access;

/// Resources of which something may be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is named for what it lists")]
pub enum Resource {
    Fips,
    Dnats,
    Snats,
    Eips,
    Gateways,
    Pools,
    Configs,
    Slices,
    Instances,
    Claims,
    /// Of gateways.
    Deployments,
    /// Of gateways.
    Pods,
    /// Of gateways.
    Leases,
    /// Of gateways.
    Accounts,
    /// Of gateways.
    Roles,
    /// Of gateways.
    Bindings,
    /// The binding of the policy that guards objects in use.
    Deletions,
    /// Bindings of all policies.
    Policies,
    PolicyTexts,
    OwnDeployments,
    OwnServices,
    OwnAccounts,
    OwnRoles,
    OwnRoleBindings,
    ClusterRoles,
    ClusterRoleBindings,
    Namespaces,
    Definitions,
}

/// By which label the gateways' children are known.
const GATEWAY: &str = "sluice.dev%2Fgateway-uid";
/// By which label what was installed is known.
const PART: &str = "app.kubernetes.io%2Fpart-of%3Dsluice";
/// Name of the policy that guards objects in use, and of its binding.
const IN_USE: &str = "in-use.sluice.dev";

impl Resource {
    /// What an installation consists of, but for the definitions.
    pub const INSTALLED: [Self; 10] = [
        Self::Policies,
        Self::PolicyTexts,
        Self::OwnDeployments,
        Self::OwnServices,
        Self::OwnRoleBindings,
        Self::OwnRoles,
        Self::OwnAccounts,
        Self::ClusterRoleBindings,
        Self::ClusterRoles,
        Self::Namespaces,
    ];

    /// Every kind that is looked at.
    pub const ALL: [Self; 28] = [
        Self::Fips,
        Self::Dnats,
        Self::Snats,
        Self::Eips,
        Self::Gateways,
        Self::Pools,
        Self::Configs,
        Self::Slices,
        Self::Instances,
        Self::Claims,
        Self::Deployments,
        Self::Pods,
        Self::Leases,
        Self::Accounts,
        Self::Roles,
        Self::Bindings,
        Self::Deletions,
        Self::Policies,
        Self::PolicyTexts,
        Self::OwnDeployments,
        Self::OwnServices,
        Self::OwnAccounts,
        Self::OwnRoles,
        Self::OwnRoleBindings,
        Self::ClusterRoles,
        Self::ClusterRoleBindings,
        Self::Namespaces,
        Self::Definitions,
    ];

    /// Group and version, plural, and the label that selects what is ours.
    fn list(self) -> (&'static str, &'static str, &'static str) {
        let user = "apis/sluice.dev/v1alpha1";
        let internal = "apis/internal.sluice.dev/v1alpha1";
        let rbac = "apis/rbac.authorization.k8s.io/v1";
        let admission = "apis/admissionregistration.k8s.io/v1";
        match self {
            Self::Fips => (user, "fips", ""),
            Self::Dnats => (user, "dnats", ""),
            Self::Snats => (user, "snats", ""),
            Self::Eips => (user, "eips", ""),
            Self::Gateways => (user, "natgateways", ""),
            Self::Pools => (user, "eippools", ""),
            Self::Configs => (internal, "gatewayconfigs", ""),
            Self::Slices => (internal, "ruleslices", ""),
            Self::Instances => (internal, "gatewayinstances", ""),
            Self::Claims => (internal, "addressclaims", ""),
            Self::Deployments => ("apis/apps/v1", "deployments", GATEWAY),
            Self::Pods => ("api/v1", "pods", GATEWAY),
            Self::Leases => ("apis/coordination.k8s.io/v1", "leases", GATEWAY),
            Self::Accounts => ("api/v1", "serviceaccounts", GATEWAY),
            Self::Roles => (rbac, "roles", GATEWAY),
            Self::Bindings => (rbac, "rolebindings", GATEWAY),
            Self::Deletions | Self::Policies => {
                (admission, "validatingadmissionpolicybindings", PART)
            }
            Self::PolicyTexts => (admission, "validatingadmissionpolicies", PART),
            Self::OwnDeployments => ("apis/apps/v1", "deployments", PART),
            Self::OwnServices => ("api/v1", "services", PART),
            Self::OwnAccounts => ("api/v1", "serviceaccounts", PART),
            Self::OwnRoles => (rbac, "roles", PART),
            Self::OwnRoleBindings => (rbac, "rolebindings", PART),
            Self::ClusterRoles => (rbac, "clusterroles", PART),
            Self::ClusterRoleBindings => (rbac, "clusterrolebindings", PART),
            Self::Namespaces => ("api/v1", "namespaces", PART),
            Self::Definitions => (
                "apis/apiextensions.k8s.io/v1",
                "customresourcedefinitions",
                "",
            ),
        }
    }

    /// Whether an object of the list is meant.
    fn means(self, name: &str) -> bool {
        match self {
            Self::Deletions => name.ends_with(IN_USE),
            Self::Definitions => name.ends_with(".sluice.dev"),
            _ => true,
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it is.
    pub path: String,
    /// For people: plural, namespace and name.
    pub name: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether finalizers hold it.
    pub held: bool,
    /// Whether it may be freed: of a Pod, whether none of its containers runs any more.
    pub ended: bool,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// All that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present(BTreeMap<Resource, Vec<Item>>);

impl Present {
    /// Adds an object.
    pub fn add(&mut self, of: Resource, item: Item) {
        self.0.entry(of).or_default().push(item);
    }

    /// What is there of a resource.
    #[must_use]
    pub fn of(&self, of: Resource) -> &[Item] {
        self.0.get(&of).map_or(&[], Vec::as_slice)
    }

    /// Takes objects for gone.
    pub fn forget(&mut self, items: &[Item]) {
        for list in self.0.values_mut() {
            list.retain(|item| !items.iter().any(|gone| gone.path == item.path));
        }
    }

    /// Reads it all.
    ///
    /// # Errors
    /// When something may not be listed, or the API server does not answer.
    pub async fn read(access: &Access) -> Result<Self, UninstallError> {
        let nodes = access.list("/api/v1/nodes", "").await?.unwrap_or_default();
        let mut present = Self::default();
        for of in Resource::ALL {
            let (group, plural, labels) = of.list();
            let path = format!("/{group}/{plural}");
            let Some(objects) = access.list(&path, labels).await? else {
                return Err(UninstallError::Hidden(plural));
            };
            for object in &objects {
                let item = item(group, plural, object, &nodes);
                if of.means(item.path.rsplit('/').next().unwrap_or_default()) {
                    present.add(of, item);
                }
            }
        }
        Ok(present)
    }
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn item(group: &str, plural: &str, object: &Value, nodes: &[Value]) -> Item {
    let (namespace, name) = (
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    );
    let (path, shown) = if namespace.is_empty() {
        (
            format!("/{group}/{plural}/{name}"),
            format!("{plural} {name}"),
        )
    } else {
        (
            format!("/{group}/namespaces/{namespace}/{plural}/{name}"),
            format!("{plural} {namespace}/{name}"),
        )
    };
    let finalizers = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    Item {
        path,
        name: shown,
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        held: finalizers.is_some_and(|all| !all.is_empty()),
        ended: plural != "pods" || has_ended(object, nodes),
    }
}

/// Whether a Pod surely runs nothing any more: the kubelet has said so of each
/// container, it was never placed, or its Node is gone or declared to be off.
pub fn has_ended(pod: &Value, nodes: &[Value]) -> bool {
    let node = text(pod, "/spec/nodeName");
    if node.is_empty() {
        return true;
    }
    let Some(node) = nodes.iter().find(|n| text(n, "/metadata/name") == node) else {
        return true;
    };
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    if taints
        .into_iter()
        .flatten()
        .any(|t| text(t, "/key") == "node.kubernetes.io/out-of-service")
    {
        return true;
    }
    let containers = pod
        .pointer("/status/containerStatuses")
        .and_then(Value::as_array);
    containers.is_some_and(|all| {
        !all.is_empty() && all.iter().all(|c| c.pointer("/state/terminated").is_some())
    })
}
