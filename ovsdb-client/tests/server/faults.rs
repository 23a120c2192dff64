//! Connections that end where it hurts.

use std::time::Duration;

use ovsdb_client::{
    Client, Condition, Config, Connection, Fence, Function, Limits, Mutation, Mutator, Operation,
    Settled, Status, TableMonitor, TransactError,
};

use super::process::{DATABASE, Thing, alone};
use super::proxy::Proxy;

const LONG: Duration = Duration::from_secs(60);

fn config(proxy: &Proxy) -> Config {
    let mut config =
        Config::new(vec![proxy.remote()], DATABASE).monitor(TableMonitor::of::<Thing>());
    config.backoff = Duration::from_millis(10);
    config.limits.answer = Duration::from_secs(5);
    config
}

fn epoch(client: &Client) -> u64 {
    match client.status() {
        Status::Synced { epoch, .. } => epoch,
        Status::Away { .. } => 0,
    }
}

#[tokio::test]
async fn a_reply_cut_at_any_byte_leaves_the_outcome_unknown() {
    let (server, _dir) = alone();
    let proxy = Proxy::start(server.port).await;
    // `{"id":0,"result":[{"uuid":["uuid","…"]}],"error":null}` has some 86 bytes.
    for bytes in [0, 1, 20, 60, 80] {
        let connection = Connection::open(&proxy.remote(), None, Limits::default())
            .await
            .expect("a connection");
        let thing = Thing::named(&format!("cut at {bytes}"));
        proxy.cut_after(bytes);
        let error = connection
            .transact(DATABASE, &[thing.insert()])
            .await
            .expect_err("cut");
        assert!(matches!(error, TransactError::Unknown { .. }), "{error}");
        let reason = connection.closed().await;
        assert_eq!(
            reason.contains("into a message"),
            bytes > 0,
            "cut at {bytes}: {reason}"
        );
    }
    // All of them took effect.
    let connection = server.connect().await;
    let select = Operation::Select {
        table: "Thing".into(),
        conditions: Vec::new(),
        columns: None,
    };
    let outcomes = connection
        .transact(DATABASE, &[select])
        .await
        .expect("done");
    assert_eq!(outcomes[0].rows().map(<[_]>::len), Some(5));
}

#[tokio::test]
async fn a_client_comes_back_and_tells_only_what_differs() {
    let (server, _dir) = alone();
    let proxy = Proxy::start(server.port).await;
    let client = Client::start(config(&proxy));
    client.synced().await;
    let rows: Vec<_> = (0..100)
        .map(|n| Thing::named(&format!("n{n}")).insert())
        .collect();
    client.transact(&rows).await.expect("done");
    let mut watch = client.watch();
    for round in 1..=5 {
        proxy.cut();
        let direct = server.connect().await;
        let new = Thing::named(&format!("while away {round}"));
        direct
            .transact(DATABASE, &[new.insert()])
            .await
            .expect("done");
        let changed = loop {
            match tokio::time::timeout(LONG, watch.next())
                .await
                .expect("in time")
                .expect("alive")
            {
                ovsdb_client::client::Event::Rows(changes) => break changes["Thing"].clone(),
                ovsdb_client::client::Event::Status(_) => {}
            }
        };
        let named = client.read(|replica| replica.all::<Thing>()).expect("rows");
        let told: Vec<_> = changed
            .iter()
            .filter_map(|uuid| named.get(uuid))
            .map(|t| &t.name)
            .collect();
        if round == 1 {
            // The first look may tell of the rows that were there before.
            assert!(told.contains(&&new.name));
        }
        assert!(round == 1 || told == [&new.name], "{told:?}");
        assert_eq!(named.len(), 100 + round);
    }
}

#[tokio::test]
async fn what_is_not_sent_is_told_apart_from_what_is_unknown() {
    let (server, _dir) = alone();
    let proxy = Proxy::start(server.port).await;
    let mut config = config(&proxy);
    config.limits.answer = Duration::from_millis(300);
    let client = Client::start(config.clone());
    client.synced().await;
    // A wait that nothing meets: the answer does not come in time.
    let wait = Operation::Wait {
        table: "Thing".into(),
        conditions: vec![Condition::new("name", Function::Eq, "never")],
        columns: vec!["name".into()],
        until: ovsdb_client::Until::NotEqual,
        rows: Vec::new(),
        timeout_ms: None,
    };
    let unknown = client
        .transact(&[wait, Thing::named("late").insert()])
        .await;
    assert!(
        matches!(unknown, Err(TransactError::Unknown { .. })),
        "{unknown:?}"
    );
    // It takes effect later, when what it waits for comes: nobody hears of it but by reading.
    client
        .transact(&[Thing::named("never").insert()])
        .await
        .expect("done");
    let late = async {
        while !client
            .read(|replica| replica.all::<Thing>())
            .expect("rows")
            .values()
            .any(|t| t.name == "late")
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, late)
        .await
        .expect("it took effect late");
    config.remotes = vec![
        format!("tcp:127.0.0.1:{}", super::process::free_port())
            .parse()
            .expect("a remote"),
    ];
    let nobody = Client::start(config);
    let error = nobody
        .transact(&[Operation::Abort])
        .await
        .expect_err("nobody");
    assert!(
        matches!(&error, TransactError::NotSent { reason } if reason.contains("tcp:127")),
        "{error}"
    );
}

#[tokio::test]
async fn fenced_transactions_take_effect_once_though_answers_are_lost() {
    let (server, _dir) = alone();
    let proxy = Proxy::start(server.port).await;
    let client = Client::start(config(&proxy));
    client.synced().await;
    let outcomes = client
        .transact(&[Thing::named("counter").insert()])
        .await
        .expect("done");
    let row = outcomes[0].uuid().expect("inserted");
    let fence = Fence {
        table: "Thing".into(),
        row,
        column: "ids".into(),
        key: "last".into(),
    };
    let add = Operation::Mutate {
        table: "Thing".into(),
        conditions: vec![Condition::is_row(row)],
        mutations: vec![Mutation::new("count", Mutator::Add, 1_i64)],
    };
    let (mut old, mut lost): (Option<String>, u32) = (None, 0);
    for round in 0..60_u64 {
        // The answer, or the request, or the whole beginning of a session falls out.
        if round % 2 == 0 {
            proxy.cut_after(round * 13);
        }
        let new = format!("t{round}");
        let settled = client
            .transact_once(
                &fence,
                old.as_deref(),
                &new,
                std::slice::from_ref(&add),
                LONG,
            )
            .await;
        match settled.expect("settled") {
            Settled::Answered(outcomes) => assert_eq!(outcomes.len(), 1),
            Settled::Done => lost += 1,
            Settled::Overtaken(by) => panic!("by {by:?}"),
        }
        old = Some(new);
    }
    let counter = client
        .read(|replica| replica.get::<Thing>(row))
        .expect("a row")
        .expect("there");
    assert_eq!(counter.count, 60);
    assert!(
        lost > 0 && epoch(&client) > 10,
        "{lost} answers were lost, {} connections",
        epoch(&client)
    );
    // What the server refuses is refused, and is not tried again.
    let refused = client
        .transact_once(&fence, old.as_deref(), "x", &[Operation::Abort], LONG)
        .await;
    assert!(
        matches!(refused, Err(TransactError::Refused(_))),
        "{refused:?}"
    );
    let stale = client
        .transact_once(&fence, Some("t5"), "x", &[add], LONG)
        .await
        .expect("settled");
    assert_eq!(stale, Settled::Overtaken(Some("t59".into())));
}

#[tokio::test]
async fn compaction_loses_nothing() {
    let (server, _dir) = alone();
    let config = Config::new(vec![server.unix()], DATABASE).monitor(TableMonitor::of::<Thing>());
    let client = Client::start(config);
    client.synced().await;
    for n in 0..600 {
        client
            .transact(&[Thing::named(&format!("n{n}")).insert()])
            .await
            .expect("done");
        if n % 200 == 100 {
            server.control(&["ovsdb-server/compact"]);
        }
    }
    assert_eq!(client.read(|replica| replica.len("Thing")), 600);
    assert_eq!(epoch(&client), 1);
}

#[tokio::test]
async fn the_next_remote_serves_when_the_first_does_not() {
    let (server, _dir) = alone();
    let dead = format!("tcp:127.0.0.1:{}", super::process::free_port())
        .parse()
        .expect("a remote");
    let config = Config::new(vec![dead, server.tcp()], DATABASE);
    let client = Client::start(config);
    tokio::time::timeout(LONG, client.synced())
        .await
        .expect("in time");
    assert_eq!(
        client.status(),
        Status::Synced {
            remote: server.tcp().to_string(),
            epoch: 1
        }
    );
}

#[tokio::test]
async fn the_window_bounds_what_is_on_its_way() {
    let (server, _dir) = alone();
    let mut config = Config::new(vec![server.unix()], DATABASE);
    config.window = 2;
    config.limits.answer = Duration::from_millis(500);
    let client = Client::start(config);
    client.synced().await;
    let wait = [Operation::Wait {
        table: "Thing".into(),
        conditions: Vec::new(),
        columns: vec!["name".into()],
        until: ovsdb_client::Until::NotEqual,
        rows: Vec::new(),
        timeout_ms: Some(10_000),
    }];
    let third = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.transact(&[Operation::Comment("third".into())]).await
    };
    let started = std::time::Instant::now();
    let (first, second, third) =
        tokio::join!(client.transact(&wait), client.transact(&wait), third);
    assert!(
        matches!(first, Err(TransactError::Unknown { .. })),
        "{first:?}"
    );
    assert!(
        matches!(second, Err(TransactError::Unknown { .. })),
        "{second:?}"
    );
    third.expect("it had its turn");
    assert!(started.elapsed() > Duration::from_millis(490));
}
