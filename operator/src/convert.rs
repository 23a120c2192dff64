//! From what the API server sends to what core decides on. What nobody decides
//! on, such as managedFields, is dropped here.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_core::identity::Uid;
use sluice_core::operator::event::{
    ChildFacts, ChildKind, Key, Kind, LeaseFacts, NamespaceFacts, NodeFacts, Object, PodFacts,
};
use sluice_crds::names;

use crate::attachment;
use crate::inside_pod;
use crate::resource::Resource;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// Annotation with the digest of what a child was rendered as.
pub const DIGEST: &str = "sluice.dev/digest";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// An object that cannot be taken up. Others go on.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It has no UID or no name: not an object that a server stored.
    #[error("it has no {0}")]
    Lacks(&'static str),
    /// Its fields are not of the types that the schema demands.
    #[error("it does not fit its schema")]
    Schema(#[source] serde_json::Error),
}

/// Namespace, name and UID of any object.
///
/// # Errors
/// When it lacks a name or a UID.
pub fn identity(object: &Value) -> Result<(Key, Uid), Unreadable> {
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let key = Key {
        namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
        name: text("/metadata/name")
            .ok_or(Unreadable::Lacks("metadata.name"))?
            .to_owned(),
    };
    Ok((
        key,
        Uid::new(text("/metadata/uid").ok_or(Unreadable::Lacks("metadata.uid"))?),
    ))
}

/// Takes an object of a resource as core knows it.
///
/// # Errors
/// [`Unreadable`] when it is not one.
pub fn object(resource: &Resource, mut value: Value) -> Result<Object, Unreadable> {
    let (key, uid) = identity(&value)?;
    strip(&mut value);
    Ok(match resource.kind {
        Kind::NATGateway => Object::NATGateway(typed(value)?),
        Kind::EIPPool => Object::EIPPool(typed(value)?),
        Kind::EIP => Object::EIP(typed(value)?),
        Kind::FIP => Object::FIP(typed(value)?),
        Kind::DNAT => Object::DNAT(typed(value)?),
        Kind::SNAT => Object::SNAT(typed(value)?),
        Kind::GatewayConfig => Object::GatewayConfig(typed(value)?),
        Kind::RuleSlice => Object::RuleSlice(typed(value)?),
        Kind::GatewayInstance => Object::GatewayInstance(typed(value)?),
        Kind::AddressClaim => Object::AddressClaim(typed(value)?),
        Kind::Lease => Object::Lease(lease(key, uid, typed(value)?)),
        Kind::Pod => Object::Pod(pod(key, uid, typed(value)?)),
        Kind::InsidePod => {
            let pod: Pod = typed(value)?;
            let terminated = terminated(&pod);
            Object::InsidePod(inside_pod::facts(key, uid, pod, terminated))
        }
        Kind::Node => Object::Node(node(uid, typed(value)?)),
        Kind::Namespace => Object::Namespace(namespace(uid, typed(value)?)),
        Kind::Attachment => Object::Attachment(attachment::facts(key, uid, &value)),
        Kind::Child => Object::Child(child(
            resource.child.unwrap_or(ChildKind::Deployment),
            key,
            uid,
            &typed::<Bare>(value)?.metadata,
        )),
    })
}

#[derive(serde::Deserialize)]
struct Bare {
    metadata: ObjectMeta,
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Unreadable> {
    serde_json::from_value(value).map_err(Unreadable::Schema)
}

fn strip(value: &mut Value) {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    metadata.remove("managedFields");
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
}

fn label(metadata: &ObjectMeta, name: &str) -> String {
    metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(name))
        .cloned()
        .unwrap_or_default()
}

fn gateway_uid(metadata: &ObjectMeta) -> Uid {
    Uid::new(label(metadata, names::LABEL_GATEWAY_UID))
}

fn lease(key: Key, uid: Uid, lease: Lease) -> LeaseFacts {
    let spec = lease.spec.unwrap_or_default();
    LeaseFacts {
        key,
        uid,
        gateway_uid: gateway_uid(&lease.metadata),
        deleting: lease.metadata.deletion_timestamp.is_some(),
        resource_version: lease.metadata.resource_version.unwrap_or_default(),
        holder: spec.holder_identity.unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default().into(),
        duration_secs: spec.lease_duration_seconds.unwrap_or_default().into(),
        renew_time: spec.renew_time.map(|time| micro(&time)).unwrap_or_default(),
        acquire_time: spec
            .acquire_time
            .map(|time| micro(&time))
            .unwrap_or_default(),
    }
}

/// A time as it stands in JSON.
fn micro<T: serde::Serialize>(time: &T) -> String {
    match serde_json::to_value(time) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// Whether the kubelet has reported every container of a Pod terminated (and
/// there is at least one status), or the Pod was never placed on a node.
fn terminated(pod: &Pod) -> bool {
    let placed = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
    if placed.is_none_or(String::is_empty) {
        return true;
    }
    let Some(status) = &pod.status else {
        return false;
    };
    let containers: Vec<_> = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ]
    .into_iter()
    .flatten()
    .flatten()
    .collect();
    let ended = |state: &k8s_openapi::api::core::v1::ContainerStatus| {
        state
            .state
            .as_ref()
            .is_some_and(|state| state.terminated.is_some())
    };
    // Refused by the kubelet before it began: it then reports a reason and no container.
    // Others that call a Pod failed give no reason.
    let refused = status.phase.as_deref() == Some("Failed")
        && status.reason.as_ref().is_some_and(|why| !why.is_empty())
        && containers.is_empty();
    let mains = status.container_statuses.as_ref();
    refused || mains.is_some_and(|all| !all.is_empty()) && containers.iter().all(|c| ended(c))
}

fn pod(key: Key, uid: Uid, pod: Pod) -> PodFacts {
    let gateway_uid = gateway_uid(&pod.metadata);
    let containers_terminated = terminated(&pod);
    let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
    let status = pod.status.unwrap_or_default();
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True");
    PodFacts {
        key,
        uid,
        resource_version: pod.metadata.resource_version.unwrap_or_default(),
        gateway_uid,
        node,
        finalizers: pod.metadata.finalizers.unwrap_or_default(),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        phase: status.phase.unwrap_or_default(),
        containers_terminated,
        ready,
    }
}

fn node(uid: Uid, node: Node) -> NodeFacts {
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    let info = node.status.and_then(|status| status.node_info);
    let annotations = node.metadata.annotations.unwrap_or_default();
    NodeFacts {
        name: node.metadata.name.unwrap_or_default(),
        uid,
        resource_version: node.metadata.resource_version.unwrap_or_default(),
        boot_id: info.map(|info| info.boot_id).unwrap_or_default(),
        out_of_service: taints.iter().any(|taint| taint.key == OUT_OF_SERVICE),
        uplink_address: annotations.get(names::ANNOTATION_UPLINK_ADDRESS).cloned(),
    }
}

fn namespace(uid: Uid, namespace: Namespace) -> NamespaceFacts {
    let phase = namespace
        .status
        .and_then(|status| status.phase)
        .unwrap_or_default();
    NamespaceFacts {
        name: namespace.metadata.name.unwrap_or_default(),
        uid,
        resource_version: namespace.metadata.resource_version.unwrap_or_default(),
        labels: namespace.metadata.labels.unwrap_or_default(),
        terminating: namespace.metadata.deletion_timestamp.is_some() || phase == "Terminating",
    }
}

fn child(kind: ChildKind, key: Key, uid: Uid, metadata: &ObjectMeta) -> ChildFacts {
    ChildFacts {
        kind,
        key,
        uid,
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        gateway_uid: gateway_uid(metadata),
        digest: metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(DIGEST))
            .cloned()
            .unwrap_or_default(),
        deleting: metadata.deletion_timestamp.is_some(),
    }
}
