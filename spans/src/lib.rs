//! Spans of Sluice's programs, to a receiver of OTLP (protobuf over HTTP).
//!
//! Off unless an [`Endpoint`] is given. Spans are sent in the background, in batches;
//! those that the receiver does not take in time are dropped, and nothing waits for it.

mod endpoint;
mod sender;
#[cfg(test)]
mod tests;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, FilterFn, Filtered, filter_fn};
use tracing_subscriber::layer::{Filter, Layer as _};
use tracing_subscriber::registry::LookupSpan;

pub use endpoint::{BadEndpoint, Endpoint};
use sender::Sender;

/// How long a batch may take to the receiver, and the last one at the end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Target of the spans that are exported; others' are not.
pub const TARGET: &str = "sluice::span";

/// What a filter of log lines lets through, but for the spans that are exported: they
/// stand in no line, whether or not they are.
pub fn logs<S: Subscriber>(filter: EnvFilter) -> impl Filter<S> {
    filter.and(filter_fn(|of| of.target() != TARGET))
}

/// Spans cannot be exported.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be exported to {endpoint}")]
pub struct SpansError {
    endpoint: Endpoint,
    #[source]
    source: opentelemetry_otlp::ExporterBuildError,
}

/// Spans on their way to a receiver.
#[derive(Debug)]
pub struct Spans(SdkTracerProvider);

/// What takes spans from the program.
pub type Layer<S> = Filtered<OpenTelemetryLayer<S, Tracer>, FilterFn, S>;

impl Spans {
    /// Begins to export the spans of a program, by its name and that of its process, such
    /// as its Pod's. Called within a tokio runtime, which sends them.
    ///
    /// # Errors
    /// [`SpansError`]. A receiver that does not answer is no error.
    pub fn start(
        endpoint: &Endpoint,
        program: &'static str,
        process: &str,
    ) -> Result<Self, SpansError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new(PATIENCE))
            .with_endpoint(endpoint.traces())
            .with_timeout(PATIENCE)
            .build()
            .map_err(|source| SpansError {
                endpoint: endpoint.clone(),
                source,
            })?;
        let resource = Resource::builder_empty()
            .with_service_name(program)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", process.to_owned()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(provider))
    }

    /// What takes spans whose target is [`TARGET`] from a subscriber.
    #[must_use]
    pub fn layer<S>(&self) -> Layer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let ours: FilterFn = filter_fn(|of| of.is_span() && of.target() == TARGET);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("sluice"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(ours)
    }

    /// Sends what has not been sent, for some seconds at most.
    pub async fn finish(self) {
        // It waits by blocking, for what this runtime sends.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(PATIENCE));
        if let Ok(Err(error)) = ended.await {
            tracing::debug!(%error, "the last spans were not taken");
        }
    }
}
