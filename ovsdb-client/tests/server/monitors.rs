//! Monitors of all forms, and the copy that they keep.

use std::collections::BTreeMap;

use ovsdb_client::client::Event;
use ovsdb_client::{
    Atom, CallError, Client, Columns, Condition, Config, Connection, Datum, Function, Monitor,
    Mutation, Mutator, Operation, Replica, Row as _, RowChange, Status, TableMonitor, UpdateError,
    Uuid, Value as _,
};

use super::process::{DATABASE, Numbers, Thing, alone};

/// The rows that the server has, with all columns.
async fn truth(connection: &Connection) -> BTreeMap<Uuid, Thing> {
    let columns = Thing::COLUMNS
        .iter()
        .map(|&c| c.to_owned())
        .chain(["_uuid".to_owned()]);
    let select = Operation::Select {
        table: "Thing".into(),
        conditions: Vec::new(),
        columns: Some(columns.collect()),
    };
    let outcomes = connection
        .transact(DATABASE, &[select])
        .await
        .expect("done");
    let rows = outcomes[0].rows().expect("rows").iter();
    rows.map(|row| {
        (
            Uuid::from_datum(&row["_uuid"]).expect("a UUID"),
            Thing::read(row).expect("a row"),
        )
    })
    .collect()
}

/// Something or other.
fn change(numbers: &mut Numbers) -> Operation {
    let name = format!("n{}", numbers.below(12));
    let conditions = vec![Condition::new("name", Function::Eq, name.as_str())];
    let text = Atom::String(format!("t{}", numbers.below(4)));
    let table = "Thing".to_owned();
    match numbers.below(6) {
        0 => Thing::named(&name).insert(),
        1 => Operation::Delete { table, conditions },
        2 => {
            let note = if numbers.below(2) == 0 {
                Datum::none()
            } else {
                text.into()
            };
            Operation::Update {
                table,
                conditions,
                row: Columns::from([("note".to_owned(), note)]),
            }
        }
        3 => {
            let tags = Datum::Set([text, "t1".into()].into());
            let mutator = if numbers.below(2) == 0 {
                Mutator::Insert
            } else {
                Mutator::Delete
            };
            Operation::Mutate {
                table,
                conditions,
                mutations: vec![Mutation::new("tags", mutator, tags)],
            }
        }
        4 => {
            let ids = Datum::Map([(text, Atom::String(format!("v{}", numbers.below(3))))].into());
            Operation::Update {
                table,
                conditions,
                row: Columns::from([("ids".to_owned(), ids)]),
            }
        }
        _ => Operation::Mutate {
            table,
            conditions,
            mutations: vec![Mutation::new("count", Mutator::Add, 1_i64)],
        },
    }
}

#[tokio::test]
async fn copies_by_every_form_of_monitor_are_what_the_server_has() {
    let (server, _dir) = alone();
    let writer = server.connect().await;
    let mut numbers = Numbers(3);
    for _ in 0..200 {
        // Names are unique: some are refused.
        let _ = writer.transact(DATABASE, &[change(&mut numbers)]).await;
    }
    let reader = server.connect().await;
    let schema = reader.schema(DATABASE).await.expect("get_schema");
    let tables = [TableMonitor::of::<Thing>()];
    let mut copies = Vec::new();
    let plain = reader.monitor(DATABASE, &tables).await.expect("monitor");
    let cond = reader
        .monitor_cond(DATABASE, &tables)
        .await
        .expect("monitor_cond");
    let since = reader
        .monitor_cond_since(DATABASE, &tables, None)
        .await
        .expect("monitor_cond_since");
    assert!(since.last.is_some() && !since.resumed);
    for monitor in [plain, cond, since] {
        let Monitor {
            initial, updates, ..
        } = monitor;
        let mut replica = Replica::new(&schema);
        replica.apply(initial).expect("fits");
        copies.push((replica, updates));
    }
    let before = truth(&writer).await;
    assert!(before.len() > 3);
    for (replica, updates) in &copies {
        assert_eq!(
            replica.all::<Thing>().expect("rows"),
            before,
            "{}",
            updates.name()
        );
    }
    for _ in 0..400 {
        let _ = writer.transact(DATABASE, &[change(&mut numbers)]).await;
    }
    let end = Thing::named("the end").insert();
    writer.transact(DATABASE, &[end]).await.expect("done");
    let expected = truth(&writer).await;
    assert_ne!(expected, before);
    for (replica, updates) in &mut copies {
        while !replica
            .all::<Thing>()
            .expect("rows")
            .values()
            .any(|thing| thing.name == "the end")
        {
            replica
                .apply(updates.next().await.expect("an update").tables)
                .expect("fits");
        }
        assert_eq!(
            replica.all::<Thing>().expect("rows"),
            expected,
            "{}",
            updates.name()
        );
    }
}

ovsdb_client::rows! {
    /// A row, and what tells its states from each other.
    #[derive(Debug, Clone)]
    struct Versioned in "Thing" {
        /// A number.
        count: i64,
        /// Another with each change.
        version as "_version": Uuid,
    }
}

#[tokio::test]
async fn the_version_of_a_row_tells_that_it_changed_there_and_back() {
    let (server, _dir) = alone();
    let writer = server.connect().await;
    let insert = Thing::named("one").insert();
    writer.transact(DATABASE, &[insert]).await.expect("done");
    let schema = writer.schema(DATABASE).await.expect("get_schema");
    assert_eq!(Versioned::check(&schema), Ok(()));
    let tables = [TableMonitor::of::<Versioned>()];
    let set = async |count: i64| {
        let update = Operation::Update {
            table: "Thing".into(),
            conditions: Vec::new(),
            row: Columns::from([("count".to_owned(), count.into())]),
        };
        writer.transact(DATABASE, &[update]).await.expect("done");
    };
    // By one that reads on, and by one that was away meanwhile.
    let (reader, late) = (server.connect().await, server.connect().await);
    let mut seen = Vec::new();
    let mut note = |replica: &Replica| {
        let rows = replica.all::<Versioned>().expect("rows");
        let row = rows.into_values().next().expect("a row");
        assert!(!row.columns().contains_key("_version"), "not to be written");
        seen.push((row.count, row.version));
    };
    let monitor = reader.monitor_cond_since(DATABASE, &tables, None).await;
    let mut monitor = monitor.expect("a monitor");
    let mut replica = Replica::new(&schema);
    replica.apply(monitor.initial).expect("fits");
    note(&replica);
    for count in [1, 0] {
        set(count).await;
        let update = monitor.updates.next().await.expect("an update");
        replica.apply(update.tables).expect("fits");
        note(&replica);
    }
    set(1).await;
    set(0).await;
    let monitor = late.monitor_cond(DATABASE, &tables).await;
    let mut replica = Replica::new(&schema);
    replica
        .apply(monitor.expect("a monitor").initial)
        .expect("fits");
    note(&replica);
    let counts: Vec<i64> = seen.iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [0, 1, 0, 0]);
    let versions: std::collections::BTreeSet<Uuid> = seen.into_iter().map(|(_, v)| v).collect();
    assert_eq!(versions.len(), 4);
}

#[tokio::test]
async fn conditions_choose_rows_and_may_change() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    let many: Vec<_> = (0..5)
        .map(|count| {
            Thing {
                count,
                ..Thing::named(&format!("n{count}"))
            }
            .insert()
        })
        .collect();
    connection.transact(DATABASE, &many).await.expect("done");
    let above = |limit: i64| vec![Condition::new("count", Function::Gt, limit)];
    let table = TableMonitor::of::<Thing>().where_any(above(2));
    let mut monitor = connection
        .monitor_cond_since(DATABASE, &[table], None)
        .await
        .expect("a monitor");
    assert_eq!(monitor.initial["Thing"].len(), 2);
    let other = [("Thing".to_owned(), above(3))];
    connection
        .monitor_cond_change(&monitor.updates, &other)
        .await
        .expect("changed");
    let update = monitor.updates.next().await.expect("an update");
    let gone: Vec<_> = update.tables["Thing"].values().collect();
    assert_eq!(gone, [&RowChange::Deleted]);
    let all = [("Thing".to_owned(), Vec::new())];
    connection
        .monitor_cond_change(&monitor.updates, &all)
        .await
        .expect("changed");
    let update = monitor.updates.next().await.expect("an update");
    assert_eq!(update.tables["Thing"].len(), 4);
    assert!(
        update.tables["Thing"]
            .values()
            .all(|row| matches!(row, RowChange::Inserted(_)))
    );
    connection
        .monitor_cancel(monitor.updates)
        .await
        .expect("canceled");
    connection
        .transact(DATABASE, &[Thing::named("late").insert()])
        .await
        .expect("done");
    assert_eq!(connection.unclaimed_updates(), 0, "the server still tells");
}

#[tokio::test]
async fn an_update_to_nobody_is_dropped_and_counted() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    let monitor = connection
        .monitor_cond(DATABASE, &[TableMonitor::whole("Thing")])
        .await
        .expect("a monitor");
    drop(monitor);
    connection
        .transact(DATABASE, &[Thing::named("x").insert()])
        .await
        .expect("done");
    connection
        .databases()
        .await
        .expect("the connection goes on");
    assert_eq!(connection.unclaimed_updates(), 1);
}

#[tokio::test]
async fn monitors_end_with_the_server() {
    let (mut server, _dir) = alone();
    let connection = server.connect().await;
    let mut monitor = connection
        .monitor_cond(DATABASE, &[TableMonitor::whole("Thing")])
        .await
        .expect("a monitor");
    server.kill();
    let ended = monitor.updates.next().await.expect_err("ended");
    assert!(matches!(ended, UpdateError::Closed(_)), "{ended}");
    assert!(matches!(
        connection.databases().await,
        Err(CallError::Closed { .. })
    ));
}

#[tokio::test]
async fn a_client_has_read_what_it_wrote() {
    let (server, _dir) = alone();
    let config = Config::new(vec![server.unix()], DATABASE).monitor(TableMonitor::of::<Thing>());
    let client = Client::start(config);
    client.synced().await;
    for n in 0..200 {
        let outcomes = client
            .transact(&[Thing::named(&format!("n{n}")).insert()])
            .await
            .expect("done");
        let uuid = outcomes[0].uuid().expect("inserted");
        let read = client
            .read(|replica| replica.get::<Thing>(uuid))
            .expect("a row");
        assert_eq!(read.map(|thing| thing.name), Some(format!("n{n}")));
    }
}

#[tokio::test]
async fn a_watch_tells_a_row_once_however_often_it_changed() {
    let (server, _dir) = alone();
    let config = Config::new(vec![server.unix()], DATABASE).monitor(TableMonitor::of::<Thing>());
    let client = Client::start(config);
    client.synced().await;
    let mut watch = client.watch();
    let first = watch.next().await;
    assert!(
        matches!(first, Some(Event::Status(Status::Synced { epoch: 1, .. }))),
        "{first:?}"
    );
    client
        .transact(&[Thing::named("n").insert()])
        .await
        .expect("done");
    for _ in 0..50 {
        let mutate = Operation::Mutate {
            table: "Thing".into(),
            conditions: Vec::new(),
            mutations: vec![Mutation::new("count", Mutator::Add, 1_i64)],
        };
        client.transact(&[mutate]).await.expect("done");
    }
    let Some(Event::Rows(changes)) = watch.next().await else {
        panic!("rows changed")
    };
    assert_eq!(changes["Thing"].len(), 1);
    let more = tokio::time::timeout(std::time::Duration::from_millis(300), watch.next()).await;
    assert!(more.is_err(), "{more:?}");
    let count = client
        .read(|replica| replica.all::<Thing>())
        .expect("rows")
        .into_values()
        .next();
    assert_eq!(count.map(|thing| thing.count), Some(50));
}
