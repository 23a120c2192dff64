//! The operator's program with `--otlp-endpoint`: a receiver is told of what it decides and
//! writes, its last spans at its end included.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod control_plane;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use control_plane::ControlPlane;
use control_plane::program::Program;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_and_writes_are_told_to_a_receiver() {
    let plane = ControlPlane::start("spans").await;
    let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let taker = seen.clone();
    let take = move |body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        for span in scopes.flat_map(|scope| &scope.spans) {
            let words = span
                .attributes
                .iter()
                .filter_map(|a| match a.value.clone()?.value? {
                    Value::StringValue(text) => Some(text),
                    _ => None,
                });
            let words: Vec<String> = words.collect();
            taker
                .lock()
                .unwrap()
                .insert(format!("{} {}", span.name, words.join(", ")));
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("--otlp-endpoint=http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let program = Program::with(&plane, &[&endpoint]);
    plane.apply("apiVersion: sluice.dev/v1alpha1\nkind: EIP\nmetadata: {name: lost, namespace: default}\nspec: {gateway: {name: none}}\n");
    plane
        .wait("the operator to refuse it", || {
            let eip = plane.get("eips.sluice.dev", "default", "lost")?;
            eip.to_string().contains("GatewayNotFound").then_some(())
        })
        .await;
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let seen = seen.lock().unwrap();
    let has = |text: &str| seen.iter().any(|span| span.starts_with(text));
    assert!(has("decide"), "{seen:#?}");
    assert!(
        has("write WriteStatus, EIP default/lost, done"),
        "{seen:#?}"
    );
}
