//! Which config is followed.

use std::time::Duration;

use kube::api::DeleteParams;
use rustix::process::Signal;
use sluice_crds::GatewayConfig;

use crate::api_server::ApiServer;
use crate::world::{World, config, eips};

pub(super) async fn a_header_of_an_unknown_format_is_not_followed(server: &ApiServer) {
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

pub(super) async fn the_same_generation_with_another_digest_is_not_followed(server: &ApiServer) {
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

pub(super) async fn a_new_header_is_followed_after_a_quorum_read(server: &ApiServer) {
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
