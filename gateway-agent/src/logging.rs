//! Structured logs on standard output, and the end after a panic.

use sluice_journal::Json;
use tracing_subscriber::EnvFilter;

use crate::options::{LogFormat, Options};

#[cfg(test)]
mod tests;

/// Sets logging up; once a process. From then on a panic ends the process.
pub fn begin(options: &Options) {
    let filter = EnvFilter::try_new(&options.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match options.log_format {
        LogFormat::Json => builder.event_format(Json).init(),
        LogFormat::Text => builder.with_ansi(false).init(),
    }
    abort_on_panic();
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
