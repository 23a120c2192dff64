//! Structured logs on standard output, and the end after a panic.

use sluice_journal::Json;
use sluice_spans::{Spans, SpansError, logs};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::options::{LogFormat, Options};

#[cfg(test)]
mod tests;

/// Sets logging up, and the export of spans where that is asked for; once a process. From
/// then on a panic ends the process.
///
/// # Errors
/// When spans cannot be exported.
pub fn begin(options: &Options) -> Result<Option<Spans>, SpansError> {
    let filter = EnvFilter::try_new(&options.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let endpoint = options.otlp_endpoint.as_ref();
    let spans = endpoint.map(|to| Spans::start(to, "sluice-gateway-agent", &options.pod_name));
    let spans = spans.transpose()?;
    let lines = tracing_subscriber::fmt::layer();
    let lines = match options.log_format {
        LogFormat::Json => lines.event_format(Json).boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(logs(filter)))
        .with(spans.as_ref().map(Spans::layer))
        .init();
    abort_on_panic();
    Ok(spans)
}

/// A panic in one task or thread must not leave the others waiting for its answer: the
/// process ends, the kernel serves on, and the kubelet starts the agent anew.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
