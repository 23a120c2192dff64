//! What the operator makes for a NATGateway in its namespace: ServiceAccount,
//! Role, RoleBinding, Deployment, all named `sluice-<gateway>`.
//!
//! They carry the gateway's UID as a label and no owner reference: foreground
//! deletion of the gateway would tear its traffic down before its addresses
//! have been given back in order.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice_core::identity::Digest;
use sluice_core::operator::event::{ChildKind, Event, Key};
use sluice_core::{identity::Uid, operator::event::Object};
use sluice_crds::NATGateway;
use sluice_crds::names::{self, LABEL_GATEWAY, LABEL_GATEWAY_UID};

use crate::convert::DIGEST;

mod ovn;
mod pod;
#[cfg(test)]
mod tests;

/// What rendering needs besides the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Image of gateways whose template names none.
    pub gateway_image: String,
    /// Where agents send spans to, if anywhere.
    pub otlp_endpoint: Option<String>,
}

/// Renders one child, its digest included.
#[must_use]
pub fn render(kind: ChildKind, gateway: &NATGateway, settings: &Settings) -> Value {
    let name = gateway.metadata.name.as_deref().unwrap_or_default();
    let mut object = match kind {
        ChildKind::ServiceAccount => json!({"apiVersion": "v1", "kind": "ServiceAccount"}),
        ChildKind::Role => json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "rules": rules(name),
        }),
        ChildKind::RoleBinding => json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": names::child_name(name)},
            "subjects": [{
                "kind": "ServiceAccount",
                "name": names::child_name(name),
                "namespace": gateway.metadata.namespace,
            }],
        }),
        ChildKind::Deployment => pod::deployment(gateway, settings),
    };
    let metadata = json!({
        "name": names::child_name(name),
        "namespace": gateway.metadata.namespace,
        "labels": labels(gateway),
    });
    object = with(object, "metadata", metadata.clone());
    let digest = Digest::of(object.to_string().as_bytes()).short();
    let metadata = with(metadata, "annotations", json!({DIGEST: digest}));
    with(object, "metadata", metadata)
}

/// The object with one more field, or another value of it.
pub(crate) fn with(mut object: Value, field: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    object
}

/// The digest that a rendered child carries.
#[must_use]
pub fn digest_of(rendered: &Value) -> &str {
    rendered
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(DIGEST))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What core must know of the children that a gateway would have now; nothing
/// for other kinds.
#[must_use]
pub fn rendered(object: &Object, settings: &Settings) -> Option<Event> {
    let Object::NATGateway(gateway) = object else {
        return None;
    };
    let digests: BTreeMap<ChildKind, String> = ChildKind::ALL
        .into_iter()
        .map(|kind| (kind, digest_of(&render(kind, gateway, settings)).to_owned()))
        .collect();
    Some(Event::Rendered {
        gateway: Key {
            namespace: gateway.metadata.namespace.clone().unwrap_or_default(),
            name: gateway.metadata.name.clone().unwrap_or_default(),
        },
        gateway_uid: Uid::new(gateway.metadata.uid.clone().unwrap_or_default()),
        digests,
    })
}

/// Labels of everything that belongs to a gateway.
fn labels(gateway: &NATGateway) -> Value {
    json!({
        "app.kubernetes.io/name": "sluice-gateway",
        "app.kubernetes.io/managed-by": "sluice-operator",
        LABEL_GATEWAY: gateway.metadata.name,
        LABEL_GATEWAY_UID: gateway.metadata.uid,
    })
}

/// What a gateway's agents may do. A ValidatingAdmissionPolicy narrows the
/// reports down to the agent's own Pod, whose name nobody knows beforehand.
fn rules(gateway: &str) -> Value {
    let internal = "internal.sluice.dev";
    json!([
        {"apiGroups": [internal], "resources": ["gatewayconfigs"], "resourceNames": [gateway],
         "verbs": ["get", "list", "watch"]},
        {"apiGroups": [internal], "resources": ["ruleslices"], "verbs": ["get"]},
        // Never `update`: a report's finalizer is the operator's to take away.
        {"apiGroups": [internal], "resources": ["gatewayinstances"], "verbs": ["create", "get"]},
        {"apiGroups": [internal], "resources": ["gatewayinstances/status"], "verbs": ["update"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [names::child_name(gateway)],
         "verbs": ["get", "list", "update", "watch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ])
}
