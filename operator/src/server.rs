//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::brain::{Brain, Decide};
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::queue::Queue;

/// Serves until the process ends.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve<D: Decide>(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    leadership: Arc<Leadership>,
    queue: Arc<Queue>,
    brain: Arc<Brain<D>>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let listed = metrics.clone();
    let app = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(|| async move {
                // A follower with warm watches is ready to lead.
                if listed.all_listed() {
                    (StatusCode::OK, "ok\n")
                } else {
                    (
                        StatusCode::SERVICE_UNAVAILABLE,
                        "not every kind has been listed yet\n",
                    )
                }
            }),
        )
        .route(
            "/metrics",
            get(|| async move {
                match metrics.text(leadership.held(), queue.depth(), &brain.gauges()) {
                    Ok(text) => {
                        let content = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                        ([(header::CONTENT_TYPE, content)], text).into_response()
                    }
                    Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                }
            }),
        );
    axum::serve(listener, app).await
}
