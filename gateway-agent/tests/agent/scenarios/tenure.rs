//! Who holds the gateway.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::DeleteParams;

use crate::api_server::ApiServer;
use crate::world::{World, eips};

pub(super) async fn a_successor_waits_for_the_predecessor(server: &ApiServer) {
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

pub(super) async fn a_lease_lost_to_another_withdraws_the_addresses(server: &ApiServer) {
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

pub(super) async fn a_lease_made_anew_is_taken_at_a_higher_term(server: &ApiServer) {
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
