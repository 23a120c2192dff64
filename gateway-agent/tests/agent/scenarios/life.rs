//! The process begins, ends and is killed.

use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use rustix::process::Signal;
use serde_json::json;

use super::report::watch_reports;
use crate::api_server::ApiServer;
use crate::world::{POD, World, eips};

pub(super) async fn a_fresh_instance_takes_the_lease_applies_announces_and_reports(
    server: &ApiServer,
) {
    let mut world = World::new(server, "fresh").await;
    world.publish(&eips(0..3)).await;
    world.start("k");
    let status = world.active_at(1).await;
    let lease = world.lease().await;
    let spec = lease.spec.unwrap();
    assert_eq!(spec.holder_identity, Some(status.instance.clone()));
    assert_eq!(spec.lease_transitions, Some(1));
    let active = status.active.unwrap();
    assert_eq!(
        (active.term, Some(active.lease_uid)),
        (1, lease.metadata.uid)
    );
    let kernel = world.kernel("k");
    // What an earlier process may have owed is flushed beside these.
    let order = kernel.log.iter().map(|(_, what)| what.as_str());
    let order: Vec<&str> = order.filter(|what| *what != "flush").collect();
    assert_eq!(
        order[..5],
        [
            "guard",
            "apply 1 false",
            "probe 7",
            "apply 1 true",
            "announce 7"
        ],
    );
    let instance = world.instance().await;
    assert_eq!(
        instance.metadata.owner_references.unwrap()[0].uid,
        world.pod_uid
    );
    assert_eq!(instance.metadata.finalizers.unwrap(), ["sluice.dev/fenced"]);
}

pub(super) async fn a_killed_container_goes_on_without_a_gap(server: &ApiServer) {
    let mut world = World::new(server, "killed").await;
    world.publish(&eips(0..3)).await;
    let first = world.start("k");
    let before = world.active_at(1).await;
    let seen = watch_reports(&world).await;
    world.signal(first, Signal::KILL);
    world.ended(first).await;
    world.publish(&eips(0..4)).await;
    world.start("k");
    let after = world.active_at(2).await;
    assert_eq!(
        (after.instance, after.active),
        (before.instance, before.active)
    );
    assert_eq!(world.lease().await.spec.unwrap().lease_transitions, Some(1));
    let log = world.kernel("k").log;
    assert!(
        !log.iter()
            .any(|(_, w)| w == "clear" || w.ends_with("2 false")),
        "{log:?}"
    );
    for status in seen.collect_until_now().await {
        assert!(status.active.is_some(), "active was taken back: {status:?}");
    }
}

pub(super) async fn sigterm_of_the_container_leaves_the_kernel_alone(server: &ApiServer) {
    let mut world = World::new(server, "container").await;
    world.publish(&eips(0..3)).await;
    let agent = world.start("k");
    let before = world.active_at(1).await;
    world.signal(agent, Signal::TERM);
    assert_eq!(world.ended(agent).await, Some(0));
    assert!(world.kernel("k").answering);
    assert_eq!(world.instance().await.status.unwrap(), before);
    assert!(world.lease().await.spec.unwrap().holder_identity.is_some());
}

pub(super) async fn sigterm_of_the_pod_hands_over(server: &ApiServer) {
    let mut world = World::new(server, "handover").await;
    world.publish(&eips(0..3)).await;
    let agent = world.start("k");
    world.active_at(1).await;
    world.delete_pod().await;
    world.signal(agent, Signal::TERM);
    assert_eq!(world.ended(agent).await, Some(0));
    let kernel = world.kernel("k");
    assert!(!kernel.answering && kernel.entries.is_empty());
    let status = world.instance().await.status.unwrap();
    assert!(status.is_final && status.applied.is_none() && status.active.is_none());
    let spec = world.lease().await.spec.unwrap();
    assert_eq!(
        (spec.holder_identity, spec.lease_transitions),
        (None, Some(1))
    );
}

pub(super) async fn an_api_server_that_is_away_changes_nothing(server: &ApiServer) {
    let mut world = World::new(server, "away").await;
    world.publish(&eips(0..3)).await;
    let agent = world.start("k");
    let before = world.active_at(1).await;
    server.down();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(world.kernel("k").answering);
    // The container restarts meanwhile, twice.
    world.signal(agent, Signal::TERM);
    assert_eq!(world.ended(agent).await, Some(0));
    let agent = world.start("k");
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.signal(agent, Signal::KILL);
    world.ended(agent).await;
    world.start("k");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(world.kernel("k").answering);
    server.up();
    world.publish(&eips(0..4)).await;
    let after = world.active_at(2).await;
    assert_eq!(before.active, after.active);
    assert!(
        !world
            .kernel("k")
            .log
            .iter()
            .any(|(_, w)| w == "clear" || w.ends_with("2 false"))
    );
}

pub(super) async fn a_refused_token_stands_the_agent_down(server: &ApiServer) {
    let mut world = World::new(server, "token").await;
    let token = pod_bound_token(&world).await;
    world.kubeconfig = server.kubeconfig_with("token.kubeconfig", &token);
    world.publish(&eips(0..3)).await;
    let agent = world.start("k");
    world.active_at(1).await;
    // The Pod goes for good, as when somebody takes its finalizer away.
    let pods = world.api::<Pod>();
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    pods.patch(POD, &PatchParams::default(), &none)
        .await
        .unwrap();
    let now = DeleteParams::default().grace_period(0);
    pods.delete(POD, &now).await.unwrap();
    // Nothing but requests shows it; a new config makes some.
    world.publish(&eips(0..4)).await;
    assert_eq!(world.ended(agent).await, Some(0));
    let kernel = world.kernel("k");
    assert!(!kernel.answering && kernel.entries.is_empty());
}

pub(super) async fn a_thousand_addresses_are_active_within_two_seconds(server: &ApiServer) {
    let mut world = World::new(server, "thousand").await;
    world.publish(&eips(0..1_000)).await;
    let begun = Instant::now();
    let agent = world.start("k");
    world.active_at(1).await;
    let took = begun.elapsed();
    let rss = world.rss_kib(agent);
    println!(
        "  1,000 EIPs and FIPs, dual stack: active {} ms after start, RSS {rss} KiB",
        took.as_millis()
    );
    assert_eq!(world.kernel("k").entries.len(), 4_000);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A token that the API server refuses once the Pod is gone.
async fn pod_bound_token(world: &World<'_>) -> String {
    let accounts = world.api::<ServiceAccount>();
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some("agent".to_owned()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    accounts
        .create(&PostParams::default(), &account)
        .await
        .unwrap();
    let pods = world.api::<Pod>();
    let pod = pods.get(POD).await.unwrap();
    let bindings: Api<ClusterRoleBinding> = Api::all(world.client.clone());
    let binding = ClusterRoleBinding {
        metadata: ObjectMeta {
            name: Some("agent".to_owned()),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: "cluster-admin".to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: "agent".to_owned(),
            namespace: Some(world.namespace.clone()),
            ..Subject::default()
        }]),
    };
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: Vec::new(),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(POD.to_owned()),
                uid: pod.metadata.uid,
            }),
            expiration_seconds: Some(3_600),
        },
        ..TokenRequest::default()
    };
    let made = accounts
        .create_token_request("agent", &PostParams::default(), &request)
        .await
        .unwrap();
    made.status.unwrap().token
}
