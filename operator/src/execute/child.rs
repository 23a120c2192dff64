//! Children of a gateway: made from its spec as it is at that moment.

use serde_json::Value;
use sluice_crds::names::LABEL_GATEWAY_UID;

use super::{
    ChildKind, Decide, Ended, Executor, Failure, Key, Kind, Outcome, Resource, Uid, body, children,
    outcome_of,
};

impl<D: Decide> Executor<D> {
    /// Makes a child be what the gateway's current spec renders to. Writes
    /// nothing when it is already, and nothing for a gateway that is being deleted
    /// unless it `serves_on`.
    pub(super) async fn ensure_child(
        &self,
        kind: ChildKind,
        gateway: &Key,
        gateway_uid: &Uid,
        serves_on: bool,
    ) -> Ended {
        let Some(parent) = Resource::of(Kind::NATGateway).into_iter().next() else {
            return (Vec::new(), Outcome::Done);
        };
        let found = match self.rest.get(&parent.object(gateway)).await {
            Ok(found) => found,
            Err(Failure::NotFound) => {
                return (
                    vec![super::gone(&parent, gateway, gateway_uid)],
                    Outcome::Conflict,
                );
            }
            Err(failure) => return (Vec::new(), outcome_of(&failure)),
        };
        let object: sluice_crds::NATGateway = match serde_json::from_value(found.clone()) {
            Ok(object) => object,
            Err(error) => {
                return (
                    Vec::new(),
                    Outcome::Unknown(format!("gateway {}: {error}", gateway.name)),
                );
            }
        };
        let mut events = self.fed(&parent, found);
        if object.metadata.uid.as_deref() != Some(gateway_uid.as_str())
            || object.metadata.deletion_timestamp.is_some() && !serves_on
        {
            return (events, Outcome::Conflict);
        }
        let (more, outcome) = self
            .put_child(
                kind,
                children::render(kind, &object, &self.settings),
                gateway_uid,
            )
            .await;
        events.extend(more);
        (events, outcome)
    }

    async fn put_child(&self, kind: ChildKind, wanted: Value, gateway_uid: &Uid) -> Ended {
        let resource = Resource::of_child(kind);
        let key = body::key(&wanted);
        let found = match self.rest.get(&resource.object(&key)).await {
            Ok(found) => found,
            Err(Failure::NotFound) => {
                let answer = self
                    .rest
                    .create(&body::strict(&resource.collection(&key.namespace)), &wanted)
                    .await;
                return self.written(&resource, &key, None, answer).await;
            }
            Err(failure) => return (Vec::new(), outcome_of(&failure)),
        };
        let owner = found
            .pointer("/metadata/labels")
            .and_then(|all| all.get(LABEL_GATEWAY_UID))
            .and_then(Value::as_str);
        match owner {
            Some(owner) if owner == gateway_uid.as_str() => {}
            // A predecessor's child: it has to go first.
            Some(_) => return (self.fed(&resource, found), Outcome::Conflict),
            None => {
                let why = format!(
                    "{} {}/{} exists and is not ours: delete it, or choose another name for the gateway",
                    resource.plural, key.namespace, key.name
                );
                return (Vec::new(), Outcome::Refused(why));
            }
        }
        if children::digest_of(&found) == children::digest_of(&wanted) {
            return (self.fed(&resource, found), Outcome::Done);
        }
        let mut metadata = wanted.get("metadata").cloned().unwrap_or_default();
        for field in ["uid", "resourceVersion"] {
            let value = found.pointer(&format!("/metadata/{field}")).cloned();
            metadata = children::with(metadata, field, value.unwrap_or_default());
        }
        let wanted = children::with(wanted, "metadata", metadata);
        let answer = self
            .rest
            .replace(&body::strict(&resource.object(&key)), &wanted)
            .await;
        let known = body::uid(&found);
        self.written(&resource, &key, known.as_ref(), answer).await
    }

    /// Deletes a child. A Deployment's ReplicaSets and Pods go in the background.
    pub(super) async fn delete_child(&self, kind: ChildKind, key: &Key, uid: &Uid) -> Ended {
        let propagation = (kind == ChildKind::Deployment).then_some("Background");
        self.delete_at(&Resource::of_child(kind), key, uid, None, propagation)
            .await
    }
}
