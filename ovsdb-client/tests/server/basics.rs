//! Methods that are no transactions and no monitors, and connections themselves.

use std::time::Duration;

use ovsdb_client::{CallError, Connection, ErrorKind, Limits, Row as _, Uuid};
use serde_json::json;

use super::process::{DATABASE, Thing, alone};

#[tokio::test]
async fn a_server_tells_of_itself_over_unix_and_tcp() {
    let (server, _dir) = alone();
    let mut ids = Vec::new();
    for remote in [server.unix(), server.tcp()] {
        let connection = Connection::open(&remote, None, Limits::default())
            .await
            .expect("a connection");
        let databases = connection.databases().await.expect("list_dbs");
        assert_eq!(databases, ["Test", "_Server"]);
        let schema = connection.schema(DATABASE).await.expect("get_schema");
        assert_eq!(schema.tables["Thing"].indexes, [["name"]]);
        assert!(schema.tables["Thing"].is_root && !schema.tables["Part"].is_root);
        Thing::check(&schema).expect("the type fits");
        connection
            .set_db_change_aware(true)
            .await
            .expect("set_db_change_aware");
        let echoed = connection
            .echo(vec![json!("x"), json!({"y": [1]})])
            .await
            .expect("echo");
        assert_eq!(echoed, [json!("x"), json!({"y": [1]})]);
        ids.push(connection.server_id().await.expect("get_server_id"));
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], Uuid::ZERO);
}

#[tokio::test]
async fn what_the_server_does_not_have_is_told_by_its_words() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    let Err(CallError::Refused {
        method: "get_schema",
        cause,
    }) = connection.schema("Other").await
    else {
        panic!("there is no such database");
    };
    assert_eq!(cause.kind, ErrorKind::UnknownDatabase);
    assert!(
        cause
            .details
            .is_some_and(|details| details.contains("Other"))
    );
    let table = ovsdb_client::TableMonitor::whole("Other");
    let refused = connection.monitor_cond(DATABASE, &[table]).await;
    assert!(
        matches!(refused, Err(CallError::Refused { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_idle_connection_lives_by_answering_the_servers_echo() {
    let (server, _dir) = alone();
    // A probe of its own later than the server's, so that only the server asks.
    let limits = Limits {
        probe: Duration::from_secs(60),
        ..Limits::default()
    };
    let connection = Connection::open(&server.tcp(), None, limits)
        .await
        .expect("a connection");
    connection.databases().await.expect("list_dbs");
    let closed = tokio::time::timeout(Duration::from_secs(13), connection.closed()).await;
    assert!(closed.is_err(), "{closed:?}");
    connection.databases().await.expect("list_dbs");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let remote = format!("tcp:127.0.0.1:{port}").parse().expect("a remote");
    let limits = Limits {
        probe: Duration::from_millis(200),
        ..Limits::default()
    };
    let connection = Connection::open(&remote, None, limits)
        .await
        .expect("a connection");
    let reason = tokio::time::timeout(Duration::from_secs(5), connection.closed())
        .await
        .expect("closed");
    assert!(reason.contains("silent"), "{reason}");
    let error = connection.databases().await.expect_err("closed");
    assert!(
        matches!(&error, CallError::Closed { reason, .. } if reason.contains("silent")),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_no_json_ends_the_connection_with_a_reason() {
    use tokio::io::AsyncWriteExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let remote = format!("tcp:127.0.0.1:{port}").parse().expect("a remote");
    let connection = Connection::open(&remote, None, Limits::default())
        .await
        .expect("a connection");
    let (mut socket, _) = listener.accept().await.expect("a client");
    socket
        .write_all(b"HTTP/1.1 400 Bad Request\r\n")
        .await
        .expect("written");
    let reason = tokio::time::timeout(Duration::from_secs(5), connection.closed())
        .await
        .expect("closed");
    assert!(reason.contains("0x48"), "{reason}");
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_remote() {
    let remote = format!("tcp:127.0.0.1:{}", super::process::free_port())
        .parse()
        .expect("a remote");
    let error = Connection::open(&remote, None, Limits::default())
        .await
        .expect_err("nobody");
    assert!(error.to_string().contains(&remote.to_string()), "{error}");
}
