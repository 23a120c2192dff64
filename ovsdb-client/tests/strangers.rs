//! Servers whose answers are not of the protocol: each is told as such, and nothing is believed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::time::Duration;

use ovsdb_client::{
    CallError, ConnectError, Connection, ErrorKind, Limits, Operation, Refusal, TableMonitor,
    TransactError, UpdateError,
};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What a server says to a request: parts of a reply, or nothing for ever.
type Answer = fn(&str) -> Option<Vec<Json>>;

/// A connection to a server of one.
async fn server(answer: Answer) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
        loop {
            let got = socket.read(&mut buffer).await.unwrap_or(0);
            if got == 0 {
                return;
            }
            bytes.extend_from_slice(&buffer[..got]);
            let mut requests = serde_json::Deserializer::from_slice(&bytes).into_iter::<Json>();
            let mut seen = Vec::new();
            let mut end = 0;
            while let Some(Ok(request)) = requests.next() {
                end = requests.byte_offset();
                seen.push(request);
            }
            bytes.drain(..end);
            for request in seen {
                let method = request["method"].as_str().unwrap_or_default();
                for mut message in answer(method).unwrap_or_default() {
                    if message["id"] == "ours" {
                        message["id"] = request["id"].clone();
                    }
                    let text = message.to_string();
                    let _ = socket.write_all(text.as_bytes()).await;
                }
            }
        }
    });
    let limits = Limits {
        answer: Duration::from_secs(5),
        ..Limits::default()
    };
    let remote = format!("tcp:127.0.0.1:{port}").parse().expect("a remote");
    Connection::open(&remote, None, limits)
        .await
        .expect("a connection")
}

fn result(result: Json) -> Option<Vec<Json>> {
    Some(vec![json!({"id": "ours", "error": null, "result": result})])
}

fn error(error: Json) -> Option<Vec<Json>> {
    Some(vec![json!({"id": "ours", "error": error, "result": null})])
}

fn select() -> [Operation; 1] {
    [Operation::Select {
        table: "T".into(),
        conditions: Vec::new(),
        columns: None,
    }]
}

#[tokio::test]
async fn results_of_another_form_are_malformed() {
    let server = server(|_| result(json!({"not": "that"}))).await;
    for told in [
        server.databases().await.map(drop),
        server.schema("D").await.map(drop),
        server.server_id().await.map(drop),
        server.echo(Vec::new()).await.map(drop),
        server
            .monitor("D", &[TableMonitor::whole("T")])
            .await
            .map(drop),
        server
            .monitor_cond_since("D", &[TableMonitor::whole("T")], None)
            .await
            .map(drop),
    ] {
        let error = told.expect_err("not of the form");
        assert!(matches!(error, CallError::Malformed { .. }), "{error:?}");
        assert!(!error.is_unknown_method());
    }
    let error = server.transact("D", &select()).await.expect_err("no list");
    let TransactError::Refused(refusal) = error else {
        panic!("{error:?}");
    };
    assert!(matches!(refusal, Refusal::Malformed(_)) && refusal.kind().is_none());
}

#[tokio::test]
async fn identities_and_tables_of_another_form_are_malformed() {
    let text = server(|_| result(json!("no identity"))).await;
    let error = text.server_id().await.expect_err("no UUID");
    assert!(matches!(error, CallError::Malformed { .. }), "{error:?}");
    let since = server(|_| result(json!([true, "no identity", {}]))).await;
    let tables = [TableMonitor::whole("T")];
    let error = since.monitor_cond_since("D", &tables, None).await;
    assert!(matches!(error, Err(CallError::Malformed { .. })));
    let tables_wrong = server(|_| result(json!({"T": {"no identity": {}}}))).await;
    let error = tables_wrong.monitor("D", &tables).await;
    assert!(matches!(error, Err(CallError::Malformed { .. })));
}

#[tokio::test]
async fn errors_are_told_by_their_words_whatever_their_form() {
    let cases: [(Answer, &str); 4] = [
        (|_| error(json!("out of tune")), "out of tune"),
        (|_| error(json!("unknown method")), "unknown method"),
        (
            |_| error(json!({"error": "resources exhausted", "details": "x"})),
            "resources exhausted",
        ),
        (|_| error(json!([1, 2])), "[1,2]"),
    ];
    for (answer, word) in cases {
        let server = server(answer).await;
        let error = server.databases().await.expect_err("refused");
        let CallError::Refused { cause, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(cause.kind.word(), word);
        assert_eq!(
            error.is_unknown_method(),
            cause.kind == ErrorKind::UnknownMethod
        );
        let refused = server.transact("D", &select()).await.expect_err("refused");
        let TransactError::Refused(refusal) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(refusal.kind().map(ErrorKind::word), Some(word));
    }
}

#[tokio::test]
async fn updates_of_another_form_end_their_monitor_and_strange_notices_nothing() {
    let server = server(|method| match method {
        "monitor" => Some(vec![
            json!({"id": null, "method": "stolen", "params": []}),
            json!({"id": "ours", "error": null, "result": {}}),
        ]),
        "echo" => None,
        _ => result(json!([])),
    })
    .await;
    let tables = [TableMonitor::whole("T")];
    let mut monitor = server.monitor("D", &tables).await.expect("a monitor");
    assert!(!monitor.updates.name().is_empty());
    assert!(server.databases().await.expect("goes on").is_empty());
    let late = server.echo(vec![json!("x")]).await.expect_err("no answer");
    assert!(matches!(late, CallError::TimedOut { .. }), "{late:?}");
    drop(server);
    let ended = tokio::time::timeout(Duration::from_secs(5), monitor.updates.next()).await;
    assert!(
        matches!(ended, Ok(Err(UpdateError::Closed(_)))),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_message_of_a_megabyte_is_read_and_the_next_one_too() {
    let server = server(|method| match method {
        "echo" => result(json!(["x".repeat(1_100_000)])),
        _ => result(json!(["D"])),
    })
    .await;
    let long = server.echo(Vec::new()).await.expect("an answer");
    assert_eq!(long[0].as_str().map(str::len), Some(1_100_000));
    assert_eq!(server.databases().await.expect("an answer"), ["D"]);
}

#[tokio::test]
async fn a_server_that_takes_no_more_connections_is_told_in_time() {
    let socket = TcpSocket::new_v4().expect("a socket");
    let any = "127.0.0.1:0".parse().expect("an address");
    socket.bind(any).expect("a port");
    let listener = socket.listen(1).expect("a queue of one");
    let address = listener.local_addr().expect("an address");
    let short = Duration::from_millis(200);
    let mut waiting = Vec::new();
    while let Ok(Ok(next)) = tokio::time::timeout(short, TcpStream::connect(address)).await {
        waiting.push(next);
        assert!(waiting.len() < 100, "the queue has no end");
    }
    let limits = Limits {
        connect: short,
        ..Limits::default()
    };
    let remote = format!("tcp:{address}").parse().expect("a remote");
    let error = Connection::open(&remote, None, limits).await;
    let Err(error) = error else {
        panic!("somebody took it");
    };
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
}
