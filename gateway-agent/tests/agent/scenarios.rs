//! What an agent must do, seen from outside.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use kube::Api;
use kube::api::{
    DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use rustix::process::Signal;
use serde_json::json;
use sluice_crds::{GatewayConfig, GatewayInstance};

use crate::api_server::ApiServer;
use crate::fake::Wishes;
use crate::world::{POD, World, config, eips};

type Scenario = for<'a> fn(&'a ApiServer) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        /// All of them, by name.
        pub const ALL: &[(&str, Scenario)] = &[$((stringify!($name), |server| Box::pin($name(server)))),+];
    };
}

scenarios!(
    a_fresh_instance_takes_the_lease_applies_announces_and_reports,
    a_removal_is_acknowledged_after_the_second_flush,
    a_killed_container_goes_on_without_a_gap,
    sigterm_of_the_container_leaves_the_kernel_alone,
    sigterm_of_the_pod_hands_over,
    a_successor_waits_for_the_predecessor,
    a_lease_lost_to_another_withdraws_the_addresses,
    a_lease_made_anew_is_taken_at_a_higher_term,
    an_api_server_that_is_away_changes_nothing,
    a_header_of_an_unknown_format_is_not_followed,
    the_same_generation_with_another_digest_is_not_followed,
    a_new_header_is_followed_after_a_quorum_read,
    a_refused_entry_is_named_and_the_rest_is_applied,
    an_address_of_another_host_is_left_to_it,
    drift_is_told_then_repaired,
    a_refused_token_stands_the_agent_down,
    a_thousand_addresses_are_active_within_two_seconds,
    nothing_is_written_when_nothing_changes,
    a_report_that_was_deleted_or_overwritten_is_restored,
);

async fn a_fresh_instance_takes_the_lease_applies_announces_and_reports(server: &ApiServer) {
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

async fn a_removal_is_acknowledged_after_the_second_flush(server: &ApiServer) {
    let mut world = World::new(server, "removal").await;
    world.publish(&eips(0..3)).await;
    world.start("k");
    world.active_at(1).await;
    world.publish(&eips(0..2)).await;
    world.active_at(2).await;
    let log = world.kernel("k").log;
    let after = |from, what: &str| log.iter().find(|(at, w)| *at >= from && w == what);
    let (applied, _) = *after(0, "apply 2 true").unwrap();
    let (flushed, _) = *after(applied, "flush").unwrap();
    assert!(
        flushed - applied >= 49_000,
        "flushed again after {} us",
        flushed - applied
    );
}

async fn a_killed_container_goes_on_without_a_gap(server: &ApiServer) {
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

async fn sigterm_of_the_container_leaves_the_kernel_alone(server: &ApiServer) {
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

async fn sigterm_of_the_pod_hands_over(server: &ApiServer) {
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

async fn a_successor_waits_for_the_predecessor(server: &ApiServer) {
    let mut world = World::new(server, "successor").await;
    world.publish(&eips(0..3)).await;
    world.give_lease_to("pod/other/boot/1").await;
    world.start("k");
    let warm = world.report("a warm config", |s| s.applied.is_some()).await;
    assert!(warm.active.is_none());
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!world.kernel("k").answering);
    let released = Instant::now();
    world.give_lease_to("").await;
    let status = world.active_at(1).await;
    assert_eq!(status.active.unwrap().term, 10);
    assert!(
        released.elapsed() < Duration::from_secs(2),
        "{:?}",
        released.elapsed()
    );
}

async fn a_lease_lost_to_another_withdraws_the_addresses(server: &ApiServer) {
    let mut world = World::new(server, "lost").await;
    world.publish(&eips(0..3)).await;
    world.start("k");
    world.active_at(1).await;
    world.give_lease_to("pod/other/boot/1").await;
    let status = world.report("no active", |s| s.active.is_none()).await;
    assert!(status.applied.is_some(), "the rules stay warm");
    let begun = Instant::now();
    while world.kernel("k").answering {
        assert!(begun.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        world.lease().await.spec.unwrap().holder_identity.unwrap(),
        "pod/other/boot/1"
    );
}

async fn a_lease_made_anew_is_taken_at_a_higher_term(server: &ApiServer) {
    let mut world = World::new(server, "anew").await;
    world.publish(&eips(0..3)).await;
    world.start("k");
    let before = world.active_at(1).await.active.unwrap();
    let leases = world.api::<Lease>();
    leases
        .delete("sluice-egress", &DeleteParams::default())
        .await
        .unwrap();
    world.report("no active", |s| s.active.is_none()).await;
    world.make_lease(5, None).await;
    let after = world.active_at(1).await.active.unwrap();
    assert_eq!(after.term, 6);
    assert_ne!(before.lease_uid, after.lease_uid);
    let log = world.kernel("k").log;
    let last = log
        .iter()
        .rposition(|(_, w)| w.starts_with("announce 7"))
        .unwrap();
    assert!(last > 4, "announced in the new term: {log:?}");
    assert!(
        !log.iter().skip(4).any(|(_, w)| w.ends_with("false")),
        "traffic went on: {log:?}"
    );
}

async fn an_api_server_that_is_away_changes_nothing(server: &ApiServer) {
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

async fn a_header_of_an_unknown_format_is_not_followed(server: &ApiServer) {
    let mut world = World::new(server, "format").await;
    let mut config = config(&eips(0..2));
    world.publish_config(config.clone()).await;
    world.start("k");
    world.active_at(1).await;
    config.header.format = 2;
    world.publish_config(config.clone()).await;
    let status = world
        .report("the problem", |s| {
            s.problems.iter().any(|p| p.reason == "UnknownFormat")
        })
        .await;
    assert_eq!(status.applied.unwrap().generation, 1);
    assert!(status.active.is_some(), "the last good one stays");
    config.header.format = 1;
    world.publish_config(config).await;
    assert!(world.active_at(3).await.problems.is_empty());
}

async fn the_same_generation_with_another_digest_is_not_followed(server: &ApiServer) {
    let mut world = World::new(server, "diverged").await;
    world.publish(&eips(0..2)).await;
    let agent = world.start("k");
    world.active_at(1).await;
    world.signal(agent, Signal::KILL);
    world.ended(agent).await;
    // A restored backup: the same UID and generation cannot be had again from a
    // live API server, so it is the kernel that is told another digest.
    let mut kernel = world.kernel("k");
    if let Some((_, _, digest)) = &mut kernel.stamp {
        *digest = "0".repeat(64);
    }
    let file = server.dir.join("diverged-k.json");
    std::fs::write(file, serde_json::to_vec(&kernel).unwrap()).unwrap();
    let applies = |w: &World<'_>| {
        let log = w.kernel("k").log;
        log.iter()
            .filter(|(_, what)| what.starts_with("apply"))
            .count()
    };
    let before = applies(&world);
    world.start("k");
    world
        .report("the problem", |s| {
            s.problems.iter().any(|p| p.reason == "ConfigDiverged")
        })
        .await;
    assert_eq!(applies(&world), before);
    world.publish(&eips(0..3)).await;
    assert!(world.active_at(2).await.problems.is_empty());
}

async fn a_new_header_is_followed_after_a_quorum_read(server: &ApiServer) {
    let mut world = World::new(server, "newuid").await;
    for _ in 0..3 {
        world.publish(&eips(0..2)).await;
        world.publish(&eips(0..3)).await;
    }
    world.start("k");
    let old = world.active_at(6).await.applied.unwrap();
    let headers = world.api::<GatewayConfig>();
    headers
        .delete("egress", &DeleteParams::default())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        world.instance().await.status.unwrap().applied,
        Some(old.clone())
    );
    world.publish(&eips(1..5)).await;
    let new = world.active_at(1).await.applied.unwrap();
    assert_ne!(new.uid, old.uid);
    assert_eq!(world.kernel("k").entries.len(), 16);
}

async fn a_refused_entry_is_named_and_the_rest_is_applied(server: &ApiServer) {
    let mut world = World::new(server, "refused").await;
    let refuse = Some("fip fip-1 1 10".to_owned());
    world.wish(
        "k",
        &Wishes {
            refuse,
            ..Wishes::default()
        },
    );
    world.publish(&eips(0..3)).await;
    world.start("k");
    let status = world.active_at(1).await;
    assert_eq!(status.rejected.len(), 1);
    assert!(status.rejected[0].key.starts_with("fip fip-1 10."));
    assert_eq!(world.kernel("k").entries.len(), 11);
    world.wish("k", &Wishes::default());
    world
        .report("no rejected entry", |s| s.rejected.is_empty())
        .await;
    assert_eq!(world.kernel("k").entries.len(), 12);
}

async fn an_address_of_another_host_is_left_to_it(server: &ApiServer) {
    let mut world = World::new(server, "conflict").await;
    let other = "10.155.0.2".parse().unwrap();
    world.wish(
        "k",
        &Wishes {
            conflicts: vec![other],
            ..Wishes::default()
        },
    );
    world.publish(&eips(0..3)).await;
    world.start("k");
    let status = world.active_at(1).await;
    assert_eq!(status.unusable[0].reason, "AddressConflict");
    assert_eq!(status.unusable[0].address, "10.155.0.2");
    assert!(
        !world
            .kernel("k")
            .entries
            .iter()
            .any(|e| e.contains(" 10.155.0.2 "))
    );
    assert_eq!(
        status.rejected.len(),
        2,
        "its address and its FIP are not in the kernel"
    );
    world.wish("k", &Wishes::default());
    world
        .report("nothing unusable", |s| {
            s.unusable.is_empty() && s.rejected.is_empty()
        })
        .await;
    assert_eq!(world.kernel("k").entries.len(), 12);
}

async fn drift_is_told_then_repaired(server: &ApiServer) {
    let mut world = World::new(server, "drift").await;
    world.publish(&eips(0..3)).await;
    world.start("k");
    world.active_at(1).await;
    let seen = watch_reports(&world).await;
    let drift = Some("local route 10.155.0.1 is absent".to_owned());
    world.wish(
        "k",
        &Wishes {
            drift,
            ..Wishes::default()
        },
    );
    let status = world
        .report("a repair", |s| {
            s.drift_repairs == 1 && s.problems.is_empty()
        })
        .await;
    assert!(status.active.is_some());
    let told = seen.collect_until_now().await;
    assert!(told.iter().any(|s| {
        s.problems
            .iter()
            .any(|p| p.reason == "Drifted" && p.blocking)
    }));
}

async fn a_refused_token_stands_the_agent_down(server: &ApiServer) {
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

async fn a_thousand_addresses_are_active_within_two_seconds(server: &ApiServer) {
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

async fn nothing_is_written_when_nothing_changes(server: &ApiServer) {
    let mut world = World::new(server, "quiet").await;
    world.publish(&eips(0..3)).await;
    world.start("k");
    world.active_at(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let version = |i: GatewayInstance| i.metadata.resource_version.unwrap();
    let before = version(world.instance().await);
    let lease = world.lease().await.metadata.resource_version;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(version(world.instance().await), before);
    assert_eq!(
        world.lease().await.metadata.resource_version,
        lease,
        "renewed every 5 s only"
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_ne!(
        world.lease().await.metadata.resource_version,
        lease,
        "but renewed"
    );
}

async fn a_report_that_was_deleted_or_overwritten_is_restored(server: &ApiServer) {
    let mut deleted = World::new(server, "report-deleted").await;
    let mut overwritten = World::new(server, "report-overwritten").await;
    for world in [&mut deleted, &mut overwritten] {
        world.publish(&eips(0..3)).await;
        world.start("k");
    }
    let before = (deleted.active_at(1).await, overwritten.active_at(1).await);
    let merge = PatchParams::default();
    let reports = deleted.api::<GatewayInstance>();
    let released = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    reports.patch(POD, &merge, &released).await.unwrap();
    reports.delete(POD, &DeleteParams::default()).await.unwrap();
    let empty = Patch::Merge(json!({"status": {"applied": null, "active": null}}));
    let reports = overwritten.api::<GatewayInstance>();
    reports.patch_status(POD, &merge, &empty).await.unwrap();
    assert_eq!(overwritten.instance().await.status.unwrap().active, None);
    let mut restored = [false; 2];
    let end = Instant::now() + Duration::from_secs(30);
    while restored != [true; 2] {
        assert!(Instant::now() < end, "not within 30 s: {restored:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        for (at, (world, good)) in [(&deleted, &before.0), (&overwritten, &before.1)]
            .into_iter()
            .enumerate()
        {
            let seen = world.api::<GatewayInstance>().get_opt(POD).await.unwrap();
            restored[at] = seen.and_then(|i| i.status).as_ref() == Some(good);
        }
    }
    for world in [&deleted, &overwritten] {
        let log = world.kernel("k").log;
        assert!(!log.iter().any(|(_, w)| w == "clear"), "{log:?}");
    }
}

/// All reports that are written from now on.
struct Seen {
    api: Api<GatewayInstance>,
    from: String,
}

async fn watch_reports(world: &World<'_>) -> Seen {
    Seen {
        api: world.api(),
        from: world.instance().await.metadata.resource_version.unwrap(),
    }
}

impl Seen {
    async fn collect_until_now(self) -> Vec<sluice_crds::internal::GatewayInstanceStatus> {
        let params = WatchParams::default().timeout(1);
        let events = self.api.watch(&params, &self.from).await.unwrap().boxed();
        let events: Vec<_> = events.try_collect().await.unwrap();
        events
            .into_iter()
            .filter_map(|event| match event {
                WatchEvent::Modified(instance) | WatchEvent::Added(instance) => instance.status,
                WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) | WatchEvent::Error(_) => None,
            })
            .collect()
    }
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
