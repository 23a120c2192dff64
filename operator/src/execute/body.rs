//! What is sent, and what answers tell.

use serde::Serialize;
use serde_json::{Map, Value, json};
use sluice_core::identity::Uid;
use sluice_core::operator::action::Action;
use sluice_core::operator::event::{Key, Kind, LeaseFacts};
use sluice_crds::names::{CHILD_PREFIX, LABEL_GATEWAY, LABEL_GATEWAY_UID};

use crate::children::with;
use crate::resource::Resource;
use crate::rest::Failure;

/// A typed object as JSON.
pub fn typed<T: Serialize>(object: &T) -> Result<Value, Failure> {
    serde_json::to_value(object).map_err(|error| Failure::Refused {
        code: 0,
        message: format!("does not serialize: {error}"),
    })
}

/// The path with strict field validation: a field that the server does not
/// know is an error instead of silently dropped.
pub fn strict(path: &str) -> String {
    format!("{path}?fieldValidation=Strict")
}

/// A gateway's Lease. An empty holder or time is left out.
pub fn lease(facts: &LeaseFacts) -> Value {
    let mut spec = Map::new();
    spec.insert("leaseTransitions".into(), json!(facts.transitions));
    if facts.duration_secs > 0 {
        spec.insert("leaseDurationSeconds".into(), json!(facts.duration_secs));
    }
    for (field, text) in [
        ("holderIdentity", &facts.holder),
        ("renewTime", &facts.renew_time),
        ("acquireTime", &facts.acquire_time),
    ] {
        if !text.is_empty() {
            spec.insert(field.into(), json!(text));
        }
    }
    let gateway = facts
        .key
        .name
        .strip_prefix(CHILD_PREFIX)
        .unwrap_or(&facts.key.name);
    let mut metadata = json!({
        "namespace": facts.key.namespace,
        "name": facts.key.name,
        "labels": {LABEL_GATEWAY: gateway, LABEL_GATEWAY_UID: facts.gateway_uid.as_str()},
    });
    if !facts.uid.as_str().is_empty() {
        metadata = with(metadata, "uid", json!(facts.uid.as_str()));
        metadata = with(metadata, "resourceVersion", json!(facts.resource_version));
    }
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
}

/// `DeleteOptions` with preconditions.
pub fn delete_options(uid: &Uid, version: Option<&str>, propagation: Option<&str>) -> Value {
    let mut preconditions = json!({"uid": uid.as_str()});
    if let Some(version) = version {
        preconditions = with(preconditions, "resourceVersion", json!(version));
    }
    let mut options =
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions});
    if let Some(propagation) = propagation {
        options = with(options, "propagationPolicy", json!(propagation));
    }
    options
}

/// UID of an object that is to be sent, where it names one.
pub fn uid(object: &Value) -> Option<Uid> {
    let uid = object.pointer("/metadata/uid")?.as_str()?;
    Some(Uid::new(uid))
}

/// Namespace and name of an object that is to be sent.
pub fn key(object: &Value) -> Key {
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Key {
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
    }
}

/// Whether finalizers, or a Pod's grace period, hold an object.
pub fn is_held(object: &Value) -> bool {
    let finalizers = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .is_some_and(|all| !all.is_empty());
    let grace = object
        .pointer("/metadata/deletionGracePeriodSeconds")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    finalizers || grace > 0
}

/// Whether an answer shows an object for the last time: it is being deleted
/// and nothing holds it any more.
pub fn is_finished(resource: &Resource, object: &Value) -> bool {
    // A Pod goes when the kubelet says so.
    resource.kind != Kind::Pod
        && object.pointer("/metadata/deletionTimestamp").is_some()
        && !is_held(object)
}

/// What an action is called in logs and metrics.
pub fn name(action: &Action) -> &'static str {
    match action {
        Action::CreateClaim(_) => "CreateClaim",
        Action::UpdateClaim(_) => "UpdateClaim",
        Action::DeleteClaim { .. } => "DeleteClaim",
        Action::SetFinalizers { .. } => "SetFinalizers",
        Action::WriteStatus { .. } => "WriteStatus",
        Action::CreateSlice(_) => "CreateSlice",
        Action::DeleteSlice { .. } => "DeleteSlice",
        Action::WriteHeader(_) => "WriteHeader",
        Action::DeleteHeader { .. } => "DeleteHeader",
        Action::WriteLease(_) => "WriteLease",
        Action::DeleteLease { .. } => "DeleteLease",
        Action::EnsureChild { .. } => "EnsureChild",
        Action::DeleteChild { .. } => "DeleteChild",
        Action::DeleteInstance { .. } => "DeleteInstance",
        Action::Read { .. } => "Read",
        Action::Emit(_) => "Emit",
    }
}
