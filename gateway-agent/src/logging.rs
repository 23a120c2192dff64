//! Structured logs on standard output.

use tracing_subscriber::EnvFilter;

use crate::options::{LogFormat, Options};

/// Sets logging up; once a process.
pub fn begin(options: &Options) {
    let filter = EnvFilter::try_new(&options.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match options.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(false).init(),
    }
}
