//! `/healthz`, `/readyz` and `/metrics`, on the pod's own addresses only.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Serves on each address; one that is not there yet is tried again.
pub fn serve(binds: Vec<SocketAddr>, metrics: &Metrics) {
    let app = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
        .with_state(metrics.clone());
    for bind in binds {
        let app = app.clone();
        tokio::spawn(async move {
            loop {
                match TcpListener::bind(bind).await {
                    Ok(listener) => {
                        tracing::info!(%bind, "serving HTTP");
                        if let Err(error) = axum::serve(listener, app.clone()).await {
                            tracing::warn!(%bind, %error, "HTTP server ended");
                        }
                    }
                    Err(error) => tracing::warn!(%bind, %error, "cannot serve HTTP: trying again"),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
}

/// Ready: a config is applied, verified and acknowledged.
async fn readyz(State(metrics): State<Metrics>) -> impl IntoResponse {
    if metrics.is_warm() {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "no config is applied yet\n",
        )
    }
}

async fn text(State(metrics): State<Metrics>) -> impl IntoResponse {
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, openmetrics)], metrics.text())
}
