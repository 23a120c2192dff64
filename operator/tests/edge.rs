//! Every action against a real API server, decided on by a script.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod control_plane;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use control_plane::{ControlPlane, OPERATOR};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sluice_core::identity::Uid;
use sluice_core::operator::action::{Action, Announcement, Outcome, StatusWrite, Target};
use sluice_core::operator::event::{ChildKind, Event, Key, Kind, LeaseFacts, Millis, Object};
use sluice_core::operator::urgency::Urgency;
use sluice_operator::brain::{Brain, Decide};
use sluice_operator::children::Settings;
use sluice_operator::execute::Executor;
use sluice_operator::leader::{Elector, Leadership};
use sluice_operator::metrics::Metrics;
use sluice_operator::queue::Queue;
use sluice_operator::rest::Rest;
use sluice_operator::watch::{Sink, Watcher};

/// What the script saw and what it wants.
#[derive(Default)]
struct Seen {
    events: Vec<Event>,
    ended: Vec<(Target, Outcome)>,
    wanted: VecDeque<Action>,
    status: Option<StatusWrite>,
}

#[derive(Clone, Default)]
struct Script(Arc<Mutex<Seen>>);

impl Decide for Script {
    fn apply(&mut self, event: Event) {
        self.0.lock().unwrap().events.push(event);
    }
    fn poll(&mut self, _: Millis) -> Vec<Action> {
        self.0.lock().unwrap().wanted.drain(..).collect()
    }
    fn done(&mut self, target: &Target, outcome: &Outcome, _: Millis) {
        self.0
            .lock()
            .unwrap()
            .ended
            .push((target.clone(), outcome.clone()));
    }
    fn judge(&mut self, _: Kind, _: &Key, _: Millis, _: Timestamp) -> Option<StatusWrite> {
        self.0.lock().unwrap().status.take()
    }
    fn next_deadline(&self, _: Millis) -> Option<Millis> {
        None
    }
}

struct Edge {
    script: Script,
    brain: Arc<Brain<Script>>,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
}

impl Edge {
    async fn start(plane: &ControlPlane, identity: &str, writers: usize) -> Self {
        let script = Script::default();
        let metrics = Arc::new(Metrics::default());
        let brain = Arc::new(Brain::new(script.clone(), metrics.clone()));
        let leadership = Arc::new(Leadership::default());
        let queue = Arc::new(Queue::new(24));
        let settings = Arc::new(Settings {
            gateway_image: "sluice/gateway-agent:dev".into(),
            otlp_endpoint: None,
        });
        let limit = Duration::from_secs(10);
        let rest = Rest::new(plane.client("operator").await, limit);
        let reads = Rest::new(plane.client("operator").await, limit);
        let key = Key {
            namespace: "sluice-system".into(),
            name: "sluice-operator".into(),
        };
        let mut elector = Elector::new(
            Rest::new(plane.client("operator").await, limit),
            key,
            identity,
            15,
            leadership.clone(),
        );
        tokio::spawn(async move { elector.run().await });
        let taker = brain.clone();
        let sink: Sink = Arc::new(move |events| taker.take(events));
        for kind in Kind::ALL {
            let watcher = Watcher::new(
                kind,
                reads.clone(),
                sink.clone(),
                settings.clone(),
                metrics.clone(),
            );
            tokio::spawn(watcher.run());
        }
        let (announcer, speaker) =
            sluice_operator::announce::announcer(reads, identity.into(), metrics.clone());
        tokio::spawn(speaker.run());
        let executor = Arc::new(Executor {
            rest,
            leadership: leadership.clone(),
            queue: queue.clone(),
            brain: brain.clone(),
            settings,
            metrics: metrics.clone(),
        });
        for _ in 0..writers {
            let executor = executor.clone();
            tokio::spawn(async move {
                let (_stop, mut stopped) = tokio::sync::watch::channel(false);
                executor.work(&mut stopped).await;
            });
        }
        let (b, q) = (brain.clone(), queue.clone());
        tokio::spawn(async move { b.think(&leadership, &q, &announcer).await });
        Self {
            script,
            brain,
            metrics,
            queue,
        }
    }

    fn want(&self, actions: impl IntoIterator<Item = Action>) {
        self.script.0.lock().unwrap().wanted.extend(actions);
        self.brain.take(Vec::new());
    }

    /// Does one action and tells how it ended and what was fed back with it.
    async fn act(&self, plane: &ControlPlane, action: Action) -> (Outcome, Vec<Event>) {
        let (ended, before) = {
            let seen = self.script.0.lock().unwrap();
            (seen.ended.len(), seen.events.len())
        };
        self.want([action]);
        plane
            .wait("an action to end", || {
                let seen = self.script.0.lock().unwrap();
                let outcome = seen.ended.get(ended)?.1.clone();
                Some((outcome, seen.events[before..].to_vec()))
            })
            .await
    }
}

fn key(namespace: &str, name: &str) -> Key {
    Key {
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn uid(object: &Value) -> Uid {
    Uid::new(object["metadata"]["uid"].as_str().unwrap())
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .into()
}

fn claim(name: &str, owner: &str) -> sluice_crds::AddressClaim {
    serde_json::from_value(json!({
        "apiVersion": "internal.sluice.dev/v1alpha1", "kind": "AddressClaim", "metadata": {"name": name},
        "spec": {"network": "default", "address": "10.155.30.200", "pool": "external", "gatewayUID": "g", "phase": "Bound",
                 "owner": {"kind": "EIP", "uid": owner, "namespace": "net", "name": "e"}},
    }))
    .unwrap()
}

fn applied(events: &[Event], name: &str) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::Apply(object) if format!("{object:?}").contains(name)))
}

const USER: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: net}
---
apiVersion: sluice.dev/v1alpha1
kind: NATGateway
metadata: {name: egress, namespace: net}
spec:
  uplinks: [{name: external, pools: [external], networkAttachment: net/external}]
---
apiVersion: sluice.dev/v1alpha1
kind: EIP
metadata: {name: web, namespace: net}
spec: {gateway: {name: egress}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_action_does_what_it_says() {
    let plane = ControlPlane::start("edge").await;
    plane.apply(USER);
    let edge = Edge::start(&plane, "a", 16).await;
    let metrics = edge.metrics.clone();
    plane
        .wait("all kinds listed", || metrics.all_listed().then_some(()))
        .await;

    // Claims: created once, whoever comes second is told who was first.
    let (outcome, fed) = edge
        .act(
            &plane,
            Action::CreateClaim(claim("default.10.155.30.200", "u1")),
        )
        .await;
    assert_eq!(outcome, Outcome::Done);
    assert!(applied(&fed, "default.10.155.30.200"));
    let (outcome, fed) = edge
        .act(
            &plane,
            Action::CreateClaim(claim("default.10.155.30.200", "u1")),
        )
        .await;
    assert_eq!(outcome, Outcome::Done);
    assert!(applied(&fed, "u1"));
    let (outcome, fed) = edge
        .act(
            &plane,
            Action::CreateClaim(claim("default.10.155.30.200", "u2")),
        )
        .await;
    assert_eq!(outcome, Outcome::Conflict);
    assert!(applied(&fed, "u1"));
    let stored = plane
        .get(
            "addressclaims.internal.sluice.dev",
            "",
            "default.10.155.30.200",
        )
        .unwrap();
    let mut stale = claim("default.10.155.30.200", "u3");
    stale.metadata.resource_version = Some("1".into());
    let (outcome, fed) = edge.act(&plane, Action::UpdateClaim(stale)).await;
    assert_eq!(outcome, Outcome::Conflict);
    assert!(applied(&fed, "u1"));
    let delete = |version: &str| Action::DeleteClaim {
        name: "default.10.155.30.200".into(),
        uid: uid(&stored),
        resource_version: version.into(),
    };
    assert_eq!(edge.act(&plane, delete("1")).await.0, Outcome::Conflict);
    let claim = uid(&stored);
    let gone = |fed: &[Event]| {
        let is_claim = |e: &Event| matches!(e, Event::Delete { kind: Kind::AddressClaim, uid, .. } if *uid == claim);
        fed.iter().any(is_claim)
    };
    let (outcome, fed) = edge.act(&plane, delete(&version(&stored))).await;
    assert_eq!(outcome, Outcome::Done);
    assert!(gone(&fed));
    let (outcome, fed) = edge.act(&plane, delete(&version(&stored))).await;
    assert_eq!(outcome, Outcome::Done);
    assert!(gone(&fed));

    // Finalizers and status: only on the version that was judged.
    let eip = plane.get("eips.sluice.dev", "net", "web").unwrap();
    let finalizers = |version: String| Action::SetFinalizers {
        kind: Kind::EIP,
        key: key("net", "web"),
        uid: uid(&eip),
        resource_version: version,
        finalizers: vec!["sluice.dev/programmed".into()],
    };
    assert_eq!(
        edge.act(&plane, finalizers(version(&eip))).await.0,
        Outcome::Done
    );
    let (outcome, fed) = edge.act(&plane, finalizers(version(&eip))).await;
    assert_eq!(outcome, Outcome::Conflict);
    assert!(applied(&fed, "sluice.dev/programmed"));
    let eip = plane.get("eips.sluice.dev", "net", "web").unwrap();
    let write = Action::WriteStatus {
        kind: Kind::EIP,
        key: key("net", "web"),
        urgency: Urgency::First,
    };
    let judged = |version: String| StatusWrite {
        uid: uid(&eip),
        resource_version: version,
        status: json!({"observedGeneration": 1, "ipv4": "10.155.30.200"}),
    };
    for (version, expected) in [
        ("1".to_owned(), Outcome::Conflict),
        (version(&eip), Outcome::Done),
    ] {
        edge.script.0.lock().unwrap().status = Some(judged(version));
        assert_eq!(edge.act(&plane, write.clone()).await.0, expected);
    }
    assert_eq!(
        plane.get("eips.sluice.dev", "net", "web").unwrap()["status"]["ipv4"],
        "10.155.30.200"
    );
    assert_eq!(
        edge.act(&plane, write).await.0,
        Outcome::Done,
        "nothing to write is done"
    );

    // Children, made once, not written again, not taken from others.
    let gateway = plane
        .get("natgateways.sluice.dev", "net", "egress")
        .unwrap();
    for child in sluice_core::operator::event::ChildKind::ALL {
        let ensure = Action::EnsureChild {
            child,
            gateway: key("net", "egress"),
            gateway_uid: uid(&gateway),
            serves_on: false,
        };
        let (outcome, fed) = edge.act(&plane, ensure.clone()).await;
        assert_eq!(outcome, Outcome::Done, "{child:?}");
        assert!(fed.iter().any(|e| matches!(e, Event::Apply(o) if matches!(o.as_ref(), Object::Child(c) if c.kind == child))));
        let before = plane
            .writes(OPERATOR)
            .iter()
            .filter(|w| w.contains("sluice-egress"))
            .count();
        assert_eq!(edge.act(&plane, ensure).await.0, Outcome::Done);
        let after = plane
            .writes(OPERATOR)
            .iter()
            .filter(|w| w.contains("sluice-egress"))
            .count();
        assert_eq!(before, after, "{child:?} was written twice");
    }
    let other = Action::EnsureChild {
        child: ChildKind::Role,
        gateway: key("net", "egress"),
        gateway_uid: Uid::new("another"),
        serves_on: false,
    };
    assert_eq!(edge.act(&plane, other).await.0, Outcome::Conflict);
    let deployment = plane.get("deployments", "net", "sluice-egress").unwrap();
    let remove = |uid| Action::DeleteChild {
        child: ChildKind::Deployment,
        key: key("net", "sluice-egress"),
        uid,
    };
    assert_eq!(
        edge.act(&plane, remove(Uid::new("wrong"))).await.0,
        Outcome::Conflict
    );
    assert_eq!(
        edge.act(&plane, remove(uid(&deployment))).await.0,
        Outcome::Done
    );

    // For a gateway that is being deleted only while it is known to serve on.
    plane.apply(
        "
apiVersion: sluice.dev/v1alpha1
kind: NATGateway
metadata: {name: leaving, namespace: net, finalizers: [sluice.dev/in-use]}
spec:
  uplinks: [{name: external, pools: [external], networkAttachment: net/external}]
",
    );
    let leaving = plane
        .get("natgateways.sluice.dev", "net", "leaving")
        .unwrap();
    plane.kubectl(&[
        "delete",
        "natgateway",
        "leaving",
        "-n",
        "net",
        "--wait=false",
    ]);
    for (serves_on, expected) in [(false, Outcome::Conflict), (true, Outcome::Done)] {
        let ensure = Action::EnsureChild {
            child: ChildKind::Deployment,
            gateway: key("net", "leaving"),
            gateway_uid: uid(&leaving),
            serves_on,
        };
        assert_eq!(edge.act(&plane, ensure).await.0, expected);
    }
    assert!(plane.get("deployments", "net", "sluice-leaving").is_some());

    // A gateway's Lease by compare-and-swap.
    let lease = LeaseFacts {
        key: key("net", "sluice-egress"),
        uid: Uid::new(""),
        resource_version: String::new(),
        gateway_uid: uid(&gateway),
        holder: String::new(),
        transitions: 7,
        duration_secs: 15,
        renew_time: String::new(),
        acquire_time: String::new(),
        deleting: false,
    };
    assert_eq!(
        edge.act(&plane, Action::WriteLease(lease.clone())).await.0,
        Outcome::Done
    );
    assert_eq!(
        edge.act(&plane, Action::WriteLease(lease.clone())).await.0,
        Outcome::Conflict
    );
    let stored = plane.get("leases", "net", "sluice-egress").unwrap();
    assert_eq!(stored["metadata"]["labels"]["sluice.dev/gateway"], "egress");
    let next = LeaseFacts {
        uid: uid(&stored),
        resource_version: version(&stored),
        transitions: 8,
        ..lease
    };
    assert_eq!(
        edge.act(&plane, Action::WriteLease(next.clone())).await.0,
        Outcome::Done
    );
    assert_eq!(
        edge.act(&plane, Action::WriteLease(next)).await.0,
        Outcome::Conflict
    );

    // A slice that exists with the same content is as good as created.
    let slice = |line: &str| -> sluice_crds::RuleSlice {
        serde_json::from_value(json!({
            "apiVersion": "internal.sluice.dev/v1alpha1", "kind": "RuleSlice",
            "metadata": {"namespace": "net", "name": "egress-0"}, "spec": {"entries": [line]},
        }))
        .unwrap()
    };
    assert_eq!(
        edge.act(&plane, Action::CreateSlice(slice("a"))).await.0,
        Outcome::Done
    );
    assert_eq!(
        edge.act(&plane, Action::CreateSlice(slice("a"))).await.0,
        Outcome::Done
    );
    assert_eq!(
        edge.act(&plane, Action::CreateSlice(slice("b"))).await.0,
        Outcome::Conflict
    );

    // What was known and is not there is gone; where nothing was known, nothing is.
    for known in [None, Some(Uid::new("u9"))] {
        let read = Action::Read {
            kind: Kind::EIP,
            key: key("net", "none"),
            known: known.clone(),
        };
        let (outcome, fed) = edge.act(&plane, read).await;
        assert_eq!(outcome, Outcome::Done);
        let gone = known.map(|uid| Event::Delete {
            kind: Kind::EIP,
            child: None,
            key: key("net", "none"),
            uid,
            version: u64::MAX,
        });
        assert_eq!(fed, Vec::from_iter(gone));
    }

    edge.want([Action::Emit(Announcement {
        kind: Kind::EIP,
        key: key("net", "web"),
        uid: uid(&eip),
        warning: false,
        reason: "Tested",
        message: "an Event".into(),
    })]);
    plane
        .wait("the Event", || {
            plane
                .kubectl(&["get", "events", "-n", "net"])
                .contains("Tested")
                .then_some(())
        })
        .await;
    let text = metrics
        .text(true, edge.queue.depth(), &edge.brain.gauges())
        .unwrap();
    assert!(
        text.contains("sluice_address_claims_total{family=\"IPv4\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("sluice_address_releases_total{family=\"IPv4\"} 1"),
        "{text}"
    );
}

/// How fast the writers are, for people: nothing is asserted but that all is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_claims_are_written_by_many_writers() {
    let plane = ControlPlane::start("rate").await;
    let edge = Edge::start(&plane, "a", 24).await;
    let metrics = edge.metrics.clone();
    plane
        .wait("all kinds listed", || metrics.all_listed().then_some(()))
        .await;
    let begun = Instant::now();
    edge.want(
        (0..1_000).map(|i| Action::CreateClaim(claim(&format!("default.{i}"), &format!("u{i}")))),
    );
    let script = edge.script.clone();
    plane
        .wait("all to end", || {
            (script.0.lock().unwrap().ended.len() == 1_000).then_some(())
        })
        .await;
    let took = begun.elapsed();
    println!(
        "1000 creates in {took:?}: {:.0}/s",
        1_000.0 / took.as_secs_f64()
    );
    assert!(
        script
            .0
            .lock()
            .unwrap()
            .ended
            .iter()
            .all(|(_, outcome)| *outcome == Outcome::Done)
    );
}
