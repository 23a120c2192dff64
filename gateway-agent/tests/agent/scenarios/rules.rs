//! What is in the kernel, and what the kernel refuses.

use super::report::watch_reports;
use crate::api_server::ApiServer;
use crate::fake::Wishes;
use crate::world::{World, eips};

pub(super) async fn a_removal_is_acknowledged_after_the_second_flush(server: &ApiServer) {
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

pub(super) async fn a_refused_entry_is_named_and_the_rest_is_applied(server: &ApiServer) {
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

pub(super) async fn an_address_of_another_host_is_left_to_it(server: &ApiServer) {
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

pub(super) async fn drift_is_told_then_repaired(server: &ApiServer) {
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
