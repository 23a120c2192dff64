//! What happened, in words, for whoever reads of a failure.

use super::wire::{Body, Request};
use super::world::World;
use crate::operator::event::{Event, Kind, Object};
use crate::operator::tests::server::{conditions, meta};

impl World {
    /// An object has changed at the API server.
    pub fn note_event(&mut self, kind: Kind, at: usize) {
        if self.notes.is_none() {
            return;
        }
        let event = self.server.log.get(&kind).and_then(|log| log.get(at));
        let words = match event {
            Some(Event::Apply(object)) => format!("  = {}", words(object)),
            Some(other) => format!("  = {other:?}"),
            None => return,
        };
        self.note(|| words);
    }

    /// A request is about to land.
    pub fn note_landing(&mut self, request: &Request) {
        if self.notes.is_none() {
            return;
        }
        let what = match &request.body {
            Body::Elect(write) => format!("elect {}", write.is_some()),
            Body::Act(action) => {
                let mut words = format!("{action:?}");
                words.truncate(120);
                words
            }
            Body::Status(kind, key, _) => format!("status {kind:?} {}", key.name),
            Body::Agent(action) => format!("{action:?}"),
            Body::Report(..) => "report".to_owned(),
            Body::MakeReport => "make report".to_owned(),
        };
        let words = format!(
            "{:?} of {} {}lands: {what}",
            request.from,
            request.since,
            if request.orphan { "(orphan) " } else { "" }
        );
        self.note(|| words);
    }
}

fn words(object: &Object) -> String {
    match object {
        Object::Lease(o) => format!(
            "Lease {} {} v{} held by {:?} at {}",
            o.key.name, o.uid, o.resource_version, o.holder, o.transitions
        ),
        Object::Pod(o) => format!(
            "Pod {} {} on {:?} deleting {} terminated {} {:?}",
            o.key.name, o.uid, o.node, o.deleting, o.containers_terminated, o.finalizers
        ),
        Object::Node(o) => format!("Node {} {} out {}", o.name, o.boot_id, o.out_of_service),
        Object::GatewayInstance(o) => {
            let status = o.status.clone().unwrap_or_default();
            let applied = status.applied.map(|a| (a.uid, a.generation));
            format!(
                "Report {:?} of {} by {} deleting {}: applied {applied:?} active {:?} final {}",
                o.metadata.name,
                o.spec.pod_uid,
                status.instance,
                o.metadata.deletion_timestamp.is_some(),
                status.active.map(|a| (a.lease_uid, a.term)),
                status.is_final
            )
        }
        Object::GatewayConfig(o) => format!(
            "Header {:?} {:?}@{:?} v{:?} names {:?}",
            o.metadata.name,
            o.metadata.generation,
            o.metadata.uid,
            o.metadata.resource_version,
            o.spec.slices
        ),
        Object::RuleSlice(o) => format!("Slice {:?}: {:?}", o.metadata.name, o.spec.entries),
        Object::AddressClaim(o) => format!(
            "Claim {} of {} {} for {} {:?}",
            o.spec.address, o.spec.owner.name, o.spec.owner.uid, o.spec.gateway_uid, o.spec.phase
        ),
        other => {
            let (kind, key, uid) = other.identity();
            let said: Vec<String> = conditions(other)
                .iter()
                .map(|c| format!("{}={} {}", c.type_, c.status, c.reason))
                .collect();
            let meta = meta(other);
            let finalizers = meta.and_then(|m| m.finalizers.clone());
            let deleting = meta.is_some_and(|m| m.deletion_timestamp.is_some());
            format!(
                "{kind:?} {} {uid} deleting {deleting} {finalizers:?} {said:?}",
                key.name
            )
        }
    }
}
