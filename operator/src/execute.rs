//! Carries actions out: one request each, its answer fed back, its outcome told.
//!
//! An action that met another version reads the object live before it ends, so
//! that the next decision rests on what is really there.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_core::identity::Uid;
use sluice_core::operator::action::{Action, Outcome, Target};
use sluice_core::operator::event::{ChildKind, Event, Key, Kind};

use tokio::sync::watch;
use tracing::Instrument as _;

use crate::brain::{Brain, Decide};
use crate::children;
use crate::convert;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::resource::Resource;
use crate::rest::{Failure, Rest};

mod body;
mod child;
#[cfg(test)]
mod tests;

/// Events to feed back, and how the action ended.
type Ended = (Vec<Event>, Outcome);

/// The writers' shared parts.
pub struct Executor<D> {
    /// The API server.
    pub rest: Rest,
    /// Whether writing is allowed.
    pub leadership: Arc<Leadership>,
    /// Where actions come from.
    pub queue: Arc<Queue>,
    /// Where answers go.
    pub brain: Arc<Brain<D>>,
    /// What children are rendered with.
    pub settings: Arc<children::Settings>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl<D: Decide> Executor<D> {
    /// One writer: takes and carries out actions until leadership ends, or
    /// until `stop` says so between two actions.
    pub async fn work(&self, stop: &mut watch::Receiver<bool>) {
        loop {
            let (target, action) = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                taken = self.queue.take() => taken,
            };
            // Asked as late as possible: a process that was stopped here for
            // minutes writes nothing when it goes on.
            if !self.leadership.held() {
                return;
            }
            let began = std::time::Instant::now();
            let name = body::name(&action);
            let span = tracing::info_span!(
                target: sluice_spans::TARGET, "write", action = name,
                on = %on(&target), outcome = tracing::field::Empty
            );
            let (events, outcome) = self.carry_out(action).instrument(span.clone()).await;
            span.record("outcome", word(&outcome));
            drop(span);
            self.metrics.acted(name, &outcome, began.elapsed());
            match &outcome {
                Outcome::Done => tracing::debug!(action = name, ?target, "done"),
                Outcome::Conflict => tracing::debug!(action = name, ?target, "conflict"),
                Outcome::Refused(why) => tracing::warn!(action = name, ?target, %why, "refused"),
                Outcome::Unknown(why) => {
                    tracing::warn!(action = name, ?target, %why, "no certain answer")
                }
            }
            self.brain.finish(events, Some((target.clone(), outcome)));
            self.queue.finish(&target);
        }
    }

    async fn carry_out(&self, action: Action) -> Ended {
        match action {
            Action::CreateClaim(claim) => {
                let owner = claim.spec.owner.uid.clone();
                let same = move |found: &Value| {
                    found.pointer("/spec/owner/uid").and_then(Value::as_str) == Some(&owner)
                };
                self.create(Kind::AddressClaim, body::typed(&claim), same)
                    .await
            }
            Action::CreateSlice(slice) => {
                let wanted = body::typed(&slice);
                let spec = wanted
                    .as_ref()
                    .ok()
                    .and_then(|slice| slice.get("spec").cloned());
                self.create(Kind::RuleSlice, wanted, move |found| {
                    found.get("spec") == spec.as_ref()
                })
                .await
            }
            Action::UpdateClaim(claim) => {
                self.replace(Kind::AddressClaim, body::typed(&claim)).await
            }
            Action::WriteHeader(header) => {
                let fresh = header.metadata.resource_version.is_none();
                self.create_or_replace(Kind::GatewayConfig, fresh, body::typed(&header))
                    .await
            }
            Action::WriteLease(lease) => {
                let fresh = lease.uid.as_str().is_empty();
                self.create_or_replace(Kind::Lease, fresh, Ok(body::lease(&lease)))
                    .await
            }
            Action::SetFinalizers {
                kind,
                key,
                uid,
                resource_version,
                finalizers,
            } => {
                let patch = json!({"metadata": {
                    "uid": uid.as_str(), "resourceVersion": resource_version, "finalizers": finalizers,
                }});
                let Some(resource) = Resource::of(kind).into_iter().next() else {
                    return nothing();
                };
                let answer = self.rest.merge(&resource.object(&key), &patch).await;
                self.written(&resource, &key, Some(&uid), answer).await
            }
            Action::WriteStatus { kind, key, .. } => self.write_status(kind, &key).await,
            Action::DeleteClaim {
                name,
                uid,
                resource_version,
            } => {
                let key = Key {
                    namespace: String::new(),
                    name,
                };
                self.delete(Kind::AddressClaim, &key, &uid, Some(&resource_version))
                    .await
            }
            Action::DeleteSlice { key, uid } => {
                self.delete(Kind::RuleSlice, &key, &uid, None).await
            }
            Action::DeleteHeader { key, uid } => {
                self.delete(Kind::GatewayConfig, &key, &uid, None).await
            }
            Action::DeleteLease { key, uid } => self.delete(Kind::Lease, &key, &uid, None).await,
            Action::DeleteInstance { key, uid } => {
                self.delete(Kind::GatewayInstance, &key, &uid, None).await
            }
            Action::EnsureChild {
                child,
                gateway,
                gateway_uid,
                serves_on,
            } => {
                self.ensure_child(child, &gateway, &gateway_uid, serves_on)
                    .await
            }
            Action::DeleteChild { child, key, uid } => self.delete_child(child, &key, &uid).await,
            Action::Read { kind, key, known } => self.read_all(kind, &key, known.as_ref()).await,
            Action::Emit(_) => nothing(),
        }
    }

    /// Judges at this moment and writes what was judged.
    async fn write_status(&self, kind: Kind, key: &Key) -> Ended {
        let Some(resource) = Resource::of(kind).into_iter().next() else {
            return nothing();
        };
        let Some(write) = self.brain.judge(kind, key) else {
            return nothing();
        };
        let patch = json!({
            "metadata": {"resourceVersion": write.resource_version},
            "status": write.status,
        });
        let path = format!("{}/status", resource.object(key));
        let answer = self.rest.merge(&path, &patch).await;
        self.written(&resource, key, Some(&write.uid), answer).await
    }

    /// Creates; an object of that name that `same` finds equal is as good.
    async fn create(
        &self,
        kind: Kind,
        object: Result<Value, Failure>,
        same: impl FnOnce(&Value) -> bool,
    ) -> Ended {
        let (Some(resource), object) = (Resource::of(kind).into_iter().next(), object) else {
            return nothing();
        };
        let object = match object {
            Ok(object) => object,
            Err(failure) => return (Vec::new(), outcome_of(&failure)),
        };
        let key = body::key(&object);
        match self
            .rest
            .create(&body::strict(&resource.collection(&key.namespace)), &object)
            .await
        {
            Err(Failure::AlreadyExists) => match self.rest.get(&resource.object(&key)).await {
                Ok(found) => {
                    let outcome = if same(&found) {
                        Outcome::Done
                    } else {
                        Outcome::Conflict
                    };
                    (self.fed(&resource, found), outcome)
                }
                Err(Failure::NotFound) => (Vec::new(), Outcome::Conflict),
                Err(failure) => (Vec::new(), outcome_of(&failure)),
            },
            answer => self.written(&resource, &key, None, answer).await,
        }
    }

    async fn replace(&self, kind: Kind, object: Result<Value, Failure>) -> Ended {
        let Some(resource) = Resource::of(kind).into_iter().next() else {
            return nothing();
        };
        match object {
            Ok(object) => {
                let (key, uid) = (body::key(&object), body::uid(&object));
                let answer = self
                    .rest
                    .replace(&body::strict(&resource.object(&key)), &object)
                    .await;
                self.written(&resource, &key, uid.as_ref(), answer).await
            }
            Err(failure) => (Vec::new(), outcome_of(&failure)),
        }
    }

    async fn create_or_replace(
        &self,
        kind: Kind,
        fresh: bool,
        object: Result<Value, Failure>,
    ) -> Ended {
        if fresh {
            // What stands there already was not known to whoever decided: let it be judged.
            self.create(kind, object, |_| false).await
        } else {
            self.replace(kind, object).await
        }
    }

    /// Deletes with preconditions.
    async fn delete(&self, kind: Kind, key: &Key, uid: &Uid, version: Option<&str>) -> Ended {
        let Some(resource) = Resource::of(kind).into_iter().next() else {
            return nothing();
        };
        self.delete_at(&resource, key, uid, version, None).await
    }

    async fn delete_at(
        &self,
        resource: &Resource,
        key: &Key,
        uid: &Uid,
        version: Option<&str>,
        propagation: Option<&str>,
    ) -> Ended {
        let options = body::delete_options(uid, version, propagation);
        match self.rest.delete(&resource.object(key), &options).await {
            // The answer is the object, or a Status when it is gone at once.
            Ok(answer) => match answer.pointer("/metadata/deletionTimestamp") {
                Some(_) if body::is_held(&answer) => (self.fed(resource, answer), Outcome::Done),
                _ => (vec![gone(resource, key, uid)], Outcome::Done),
            },
            Err(Failure::NotFound) => (vec![gone(resource, key, uid)], Outcome::Done),
            answer => self.written(resource, key, Some(uid), answer).await,
        }
    }

    /// What the answer to a write means, after a live read where it failed; `known` as in
    /// [`Action::Read`].
    async fn written(
        &self,
        resource: &Resource,
        key: &Key,
        known: Option<&Uid>,
        answer: Result<Value, Failure>,
    ) -> Ended {
        match answer {
            Ok(object) => (self.fed(resource, object), Outcome::Done),
            Err(Failure::NotFound) => (absent(resource, key, known), Outcome::Conflict),
            Err(Failure::Conflict(_) | Failure::AlreadyExists) => {
                let (events, outcome) = self.read(resource, key, known).await;
                let outcome = if outcome == Outcome::Done {
                    Outcome::Conflict
                } else {
                    outcome
                };
                (events, outcome)
            }
            Err(failure) => (Vec::new(), outcome_of(&failure)),
        }
    }

    /// Reads live.
    async fn read(&self, resource: &Resource, key: &Key, known: Option<&Uid>) -> Ended {
        match self.rest.get(&resource.object(key)).await {
            Ok(object) => match self.fed(resource, object) {
                events if events.is_empty() => (
                    events,
                    Outcome::Unknown(format!("{} {} cannot be read", resource.plural, key.name)),
                ),
                events => (events, Outcome::Done),
            },
            Err(Failure::NotFound) => (absent(resource, key, known), Outcome::Done),
            Err(failure) => (Vec::new(), outcome_of(&failure)),
        }
    }

    /// Reads every resource that a kind is made of.
    async fn read_all(&self, kind: Kind, key: &Key, known: Option<&Uid>) -> Ended {
        let mut all = Vec::new();
        for resource in Resource::of(kind) {
            let (events, outcome) = self.read(&resource, key, known).await;
            all.extend(events);
            if outcome != Outcome::Done {
                return (all, outcome);
            }
        }
        (all, Outcome::Done)
    }

    /// An answered object as events; nothing if it cannot be read.
    fn fed(&self, resource: &Resource, value: Value) -> Vec<Event> {
        let finished = body::is_finished(resource, &value);
        let identity = convert::identity(&value);
        if let (true, Ok((key, uid))) = (finished, &identity) {
            // The last finalizer of a deleted object went: this was its last sight.
            return vec![gone(resource, key, uid)];
        }
        match convert::object(resource, value) {
            Ok(object) => {
                let rendered = children::rendered(&object, &self.settings);
                std::iter::once(Event::Apply(Box::new(object)))
                    .chain(rendered)
                    .collect()
            }
            Err(error) => {
                tracing::warn!(kind = ?resource.kind, %error, "an answer is left out");
                self.metrics.unreadable(resource.kind);
                Vec::new()
            }
        }
    }
}

/// What an action is about, in spans.
fn on(target: &Target) -> impl std::fmt::Display + use<'_> {
    std::fmt::from_fn(move |f| match target {
        Target::Object(kind, key) | Target::Status(kind, key) | Target::Read(kind, key) => {
            write!(f, "{kind:?} {}/{}", key.namespace, key.name)
        }
        Target::Child(child, key) => write!(f, "{child:?} {}/{}", key.namespace, key.name),
    })
}

/// How an action ended, in spans.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Conflict => "conflict",
        Outcome::Refused(_) => "refused",
        Outcome::Unknown(_) => "unknown",
    }
}

fn gone(resource: &Resource, key: &Key, uid: &Uid) -> Event {
    Event::Delete {
        kind: resource.kind,
        child: resource.child,
        key: key.clone(),
        uid: uid.clone(),
        version: u64::MAX,
    }
}

/// What an answer that found nothing tells: what was known before is gone.
fn absent(resource: &Resource, key: &Key, known: Option<&Uid>) -> Vec<Event> {
    Vec::from_iter(known.map(|uid| gone(resource, key, uid)))
}

fn nothing() -> Ended {
    (Vec::new(), Outcome::Done)
}

fn outcome_of(failure: &Failure) -> Outcome {
    match failure {
        Failure::Refused { .. } => Outcome::Refused(failure.to_string()),
        Failure::Conflict(_) | Failure::AlreadyExists | Failure::NotFound => Outcome::Conflict,
        Failure::NoSuchKind | Failure::Expired(_) | Failure::Unknown(_) => {
            Outcome::Unknown(failure.to_string())
        }
    }
}
