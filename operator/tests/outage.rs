//! Leaders that freeze, and an API server that goes away.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod control_plane;

use std::time::Duration;

use control_plane::program::Program;
use control_plane::{ControlPlane, OPERATOR};

fn holder(plane: &ControlPlane) -> Option<String> {
    let lease = plane.get("leases", "sluice-system", "sluice-operator")?;
    let holder = lease["spec"]["holderIdentity"].as_str()?.to_owned();
    (!holder.is_empty()).then_some(holder)
}

fn pool(name: &str, subnet: u8) -> String {
    format!(
        "apiVersion: sluice.dev/v1alpha1\nkind: EIPPool\nmetadata: {{name: {name}}}\nspec:\n  subnets: [{{cidr: 10.155.{subnet}.0/24}}]\n"
    )
}

fn accepted(plane: &ControlPlane, name: &str) -> Option<()> {
    let pool = plane.get("eippools.sluice.dev", "", name)?;
    let conditions = pool["status"]["conditions"].as_array()?.clone();
    conditions
        .iter()
        .any(|c| c["type"] == "Accepted" && c["status"] == "True")
        .then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_leader_writes_nothing_and_an_outage_is_survived() {
    let mut plane = ControlPlane::start("outage").await;
    let first = Program::start(&plane);
    let of = |program: &Program| format!("process-{}/", program.pid());
    plane.wait("a leader", || holder(&plane)).await;
    let second = Program::start(&plane);
    plane.apply(&pool("one", 1));
    plane.wait("the pool", || accepted(&plane, "one")).await;
    assert!(holder(&plane).unwrap().starts_with(&of(&first)));

    // Frozen for longer than its Lease: the other takes over, and the first
    // follows when it wakes, without a write.
    first.signal("STOP");
    plane
        .wait("the other leader", || {
            holder(&plane).filter(|holder| holder.starts_with(&of(&second)))
        })
        .await;
    let frozen = format!("/{}", "one");
    let before = plane
        .writes(OPERATOR)
        .iter()
        .filter(|write| write.contains(&frozen))
        .count();
    first.signal("CONT");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(holder(&plane).unwrap().starts_with(&of(&second)));
    assert_eq!(
        plane
            .writes(OPERATOR)
            .iter()
            .filter(|write| write.contains(&frozen))
            .count(),
        before
    );

    // Away for longer than the Lease: the leader begins anew, and whoever leads
    // then takes up what is asked for. Neither process ends.
    plane.stop_api_server();
    tokio::time::sleep(Duration::from_secs(6)).await;
    plane.start_api_server();
    plane.wait_ready().await;
    plane.apply(&pool("two", 2));
    plane
        .wait("the second pool", || accepted(&plane, "two"))
        .await;

    // Away for a moment: the leader goes on.
    plane.stop_api_server();
    plane.start_api_server();
    plane.wait_ready().await;
    plane.apply(&pool("three", 3));
    plane
        .wait("the third pool", || accepted(&plane, "three"))
        .await;
    for program in [first, second] {
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0));
    }
}
