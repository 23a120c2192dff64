//! A receiver that is real but for what it does with spans.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// A receiver; what it is sent.
async fn receiver() -> (Endpoint, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let (told, requests) = mpsc::unbounded_channel();
    let take = move |headers: HeaderMap, body: Bytes| async move {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        told.send(ExportTraceServiceRequest::decode(body).unwrap())
            .unwrap();
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (endpoint.parse().unwrap(), requests)
}

/// Both kinds of runtime that the programs have.
fn runtimes() -> [tokio::runtime::Runtime; 2] {
    let mut all = [
        tokio::runtime::Builder::new_current_thread(),
        tokio::runtime::Builder::new_multi_thread(),
    ];
    all.each_mut().map(|one| one.enable_all().build().unwrap())
}

#[test]
fn spans_arrive_with_their_fields_and_their_parents() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (endpoint, mut requests) = receiver().await;
            let spans = Spans::start(&endpoint, "sluice-test", "pod/1").unwrap();
            let subscriber = tracing_subscriber::registry().with(spans.layer());
            tracing::subscriber::with_default(subscriber, || {
                let outer = tracing::info_span!(target: TARGET, "decide", actions = 2);
                outer.in_scope(|| {
                    tracing::info_span!(target: TARGET, "write", kind = "EIP").in_scope(|| {});
                    tracing::info_span!("of another").in_scope(|| {});
                });
            });
            spans.finish().await;
            let request = requests.recv().await.unwrap();
            let resource = &request.resource_spans[0];
            let service = &resource.resource.as_ref().unwrap().attributes;
            let named = |wanted: &str| {
                let found = service.iter().find(|a| a.key == wanted);
                let found = found.and_then(|a| a.value.clone()).and_then(|v| v.value);
                match found {
                    Some(Value::StringValue(text)) => text,
                    other => panic!("{wanted}: {other:?}"),
                }
            };
            assert_eq!(named("service.name"), "sluice-test");
            assert_eq!(named("service.instance.id"), "pod/1");
            let all = &resource.scope_spans[0].spans;
            let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
            assert_eq!(names, ["write", "decide"], "and none of another target");
            assert_eq!(all[0].parent_span_id, all[1].span_id);
            assert_eq!(all[0].trace_id, all[1].trace_id);
            let kind = all[0].attributes.iter().find(|a| a.key == "kind").unwrap();
            let kind = kind.value.clone().unwrap().value.unwrap();
            assert!(matches!(kind, Value::StringValue(text) if text == "EIP"));
        });
    }
}

#[test]
fn nothing_waits_for_a_receiver_that_is_not_there() {
    // The agent's kind of runtime, where waiting would stop everything.
    for runtime in runtimes().into_iter().take(1) {
        runtime.block_on(async {
            // A port that nobody listens on, and one where nobody answers.
            let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let closed = TcpListener::bind("127.0.0.1:0")
                .await
                .unwrap()
                .local_addr()
                .unwrap();
            for address in [closed, silent.local_addr().unwrap()] {
                let endpoint = format!("http://{address}").parse().unwrap();
                let spans = Spans::start(&endpoint, "sluice-test", "pod/1").unwrap();
                let subscriber = tracing_subscriber::registry().with(spans.layer());
                let began = Instant::now();
                tracing::subscriber::with_default(subscriber, || {
                    for _ in 0..5_000 {
                        tracing::info_span!(target: TARGET, "write").in_scope(|| {});
                    }
                });
                assert!(
                    began.elapsed() < Duration::from_secs(1),
                    "spans were waited for"
                );
                spans.finish().await;
                assert!(began.elapsed() < PATIENCE * 3, "the end was waited for");
            }
        });
    }
}

#[test]
fn an_endpoint_is_an_http_url() {
    let path = |text: &str| text.parse::<Endpoint>().map(|e| e.traces());
    assert_eq!(path("http://c:4318").unwrap(), "http://c:4318/v1/traces");
    assert_eq!(
        path("http://[fd00::1]:4318/otlp/").unwrap(),
        "http://[fd00::1]:4318/otlp/v1/traces"
    );
    for bad in ["", "collector:4318", "http://", "/v1/traces", "http://a b"] {
        assert!(
            matches!(
                path(bad),
                Err(BadEndpoint::NoUrl(_) | BadEndpoint::NotHttp(_))
            ),
            "{bad}"
        );
    }
    assert_eq!(
        path("https://c:4318"),
        Err(BadEndpoint::NotHttp("https://c:4318".into()))
    );
}
