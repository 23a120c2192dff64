//! When a report is written.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;
use sluice_crds::GatewayInstance;
use sluice_crds::internal::GatewayInstanceStatus;

use crate::api_server::ApiServer;
use crate::world::{POD, World, eips};

pub(super) async fn nothing_is_written_when_nothing_changes(server: &ApiServer) {
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

pub(super) async fn a_report_that_was_deleted_or_overwritten_is_restored(server: &ApiServer) {
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
pub(super) struct Seen {
    api: Api<GatewayInstance>,
    from: String,
}

pub(super) async fn watch_reports(world: &World<'_>) -> Seen {
    Seen {
        api: world.api(),
        from: world.instance().await.metadata.resource_version.unwrap(),
    }
}

impl Seen {
    pub(super) async fn collect_until_now(self) -> Vec<GatewayInstanceStatus> {
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
