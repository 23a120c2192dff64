//! Many updates: none lost, and no more memory than was allowed.

use std::collections::BTreeSet;
use std::time::Duration;

use ovsdb_client::{
    Client, Config, Connection, Limits, Operation, Row as _, RowChange, TableMonitor,
};

use super::process::{DATABASE, Thing, alone};
use super::proxy::Proxy;

/// How many updates; more by the environment.
fn count() -> usize {
    let more = std::env::var("OVSDB_UPDATES")
        .ok()
        .and_then(|count| count.parse().ok());
    more.unwrap_or(100_000)
}

const BATCH: usize = 500;
/// Rows that are changed again and again.
const ROWS: usize = 100;

fn batch(n: usize) -> Vec<Operation> {
    let row = |n: usize| Thing {
        note: Some("x".repeat(100)),
        ..Thing::named(&format!("n{n}"))
    };
    (n * BATCH..(n + 1) * BATCH)
        .map(|n| row(n).insert())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_loses_nothing_and_holds_the_stream_back() {
    let (server, _dir) = alone();
    let proxy = Proxy::start(server.port).await;
    let limits = Limits {
        queue_bytes: 256 * 1024,
        probe: Duration::from_secs(2),
        ..Limits::default()
    };
    let reader = Connection::open(&proxy.remote(), None, limits)
        .await
        .expect("a connection");
    let tables = [TableMonitor::of::<Thing>()];
    let mut monitor = reader
        .monitor_cond_since(DATABASE, &tables, None)
        .await
        .expect("a monitor");
    assert!(monitor.initial.is_empty());
    let writer = server.connect().await;
    let before = memory_kib();
    for n in 0..count() / BATCH {
        writer.transact(DATABASE, &batch(n)).await.expect("done");
    }
    // Longer than the server waits for a sign of life, with nobody reading; then as long again
    // with somebody who is slow, behind whose updates the server's echo waits.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let passed = proxy.passed();
    let all = count() * 150;
    assert!(
        (passed as usize) < all / 2 + 10_000_000,
        "{passed} bytes were read with nobody to take them"
    );
    let grown = memory_kib().saturating_sub(before);
    assert!(grown < 100_000, "{grown} KiB more for what nobody took");
    let mut seen = BTreeSet::new();
    let slow = Duration::from_secs(15) / u32::try_from(count() / BATCH).expect("a number");
    while seen.len() < count() {
        let update = tokio::time::timeout(Duration::from_secs(30), monitor.updates.next()).await;
        let update = update.expect("more updates").expect("an update");
        tokio::time::sleep(slow).await;
        for (uuid, change) in update.tables.into_values().flatten() {
            assert!(matches!(change, RowChange::Inserted(_)), "{change:?}");
            assert!(seen.insert(uuid), "told twice: {uuid}");
        }
    }
    assert_eq!((proxy.connections(), reader.unclaimed_updates()), (1, 0));
    reader.databases().await.expect("the connection goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_follows_many_changes_of_few_rows_in_little_memory() {
    let (server, _dir) = alone();
    let config = Config::new(vec![server.tcp()], DATABASE).monitor(TableMonitor::of::<Thing>());
    let client = Client::start(config);
    client.synced().await;
    let mut watch = client.watch();
    let rows: Vec<_> = (0..ROWS)
        .map(|n| Thing::named(&format!("n{n}")).insert())
        .collect();
    client.transact(&rows).await.expect("done");
    let before = memory_kib();
    let update = |count: i64| Operation::Update {
        table: "Thing".into(),
        conditions: Vec::new(),
        row: Thing {
            count,
            ..Thing::named("")
        }
        .columns()
        .into_iter()
        .filter(|(name, _)| name == "count")
        .collect(),
    };
    let rounds = i64::try_from(count() / ROWS).expect("a number");
    for round in 1..=rounds {
        client.transact(&[update(round)]).await.expect("done");
    }
    let counts = client.read(|replica| replica.all::<Thing>()).expect("rows");
    assert!(counts.len() == ROWS && counts.values().all(|thing| thing.count == rounds));
    // Nobody looked: each row is told once.
    let told = async {
        loop {
            if let Some(ovsdb_client::client::Event::Rows(changes)) = watch.next().await {
                return changes["Thing"].len();
            }
        }
    };
    assert_eq!(told.await, ROWS);
    let grown = memory_kib().saturating_sub(before);
    assert!(grown < 100_000, "{grown} KiB more");
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("VmRSS");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}
