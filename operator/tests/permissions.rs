//! Who may and who may not: every row of a table is asked of a real API server with
//! its own authorizer and all admission policies of `deploy/`, in dry run.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

#[path = "permissions/cast.rs"]
mod cast;
mod control_plane;
#[path = "permissions/scene.rs"]
mod scene;
#[path = "permissions/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cast::{Cast, Who};
use control_plane::ControlPlane;
use table::{Answer, Row, rows};

/// How long policies may take to be in force after they were applied.
const IN_FORCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_may_what_the_table_says_and_nothing_else() {
    let mut plane = ControlPlane::start("permissions").await;
    plane.start_controllers(&["clusterrole-aggregation-controller"]);
    let policies = control_plane::repo().join("deploy/policies");
    plane.kubectl(&["apply", "-f", policies.to_str().unwrap()]);
    let cast = scene::set(&plane).await;
    let rows = rows();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    every_actor_is_asked_both_ways(&rows);

    // What is refused comes first: once every refusal stands, every policy is in force,
    // and what is let through is let through by it.
    let deadline = Instant::now() + IN_FORCE;
    let (may, may_not): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.expected == Answer::May);
    let mut wrong = judge(&cast, &may_not).await;
    while !wrong.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(500)).await;
        wrong = judge(&cast, &may_not).await;
    }
    wrong.extend(judge(&cast, &may).await);
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!(
        "{} rows: {} may, {} may not",
        rows.len(),
        may.len(),
        may_not.len()
    );
}

/// What each row says that differs from what the API server says.
async fn judge(cast: &Cast<'_>, rows: &[&Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows {
        let said = cast.ask(row).await;
        if !row.expected.is(&said) {
            wrong.push(format!("{row}: expected {:?}, got {said:?}", row.expected));
        }
    }
    wrong
}

/// A table that only refuses somebody, or only lets him, proves little.
fn every_actor_is_asked_both_ways(rows: &[Row]) {
    let mut asked: BTreeMap<Who, [usize; 2]> = BTreeMap::new();
    for row in rows {
        asked.entry(row.who).or_default()[usize::from(row.expected == Answer::May)] += 1;
    }
    for who in Who::ALL {
        let [refused, let_through] = asked.get(&who).copied().unwrap_or_default();
        let expects_nothing = matches!(who, Who::UnboundAgent);
        assert!(
            refused > 0 || matches!(who, Who::NamespaceController),
            "{who:?} is refused nothing"
        );
        assert!(let_through > 0 || expects_nothing, "{who:?} may do nothing");
    }
}
