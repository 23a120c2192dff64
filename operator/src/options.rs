//! Flags and environment.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use sluice_spans::{Endpoint, Spans, SpansError, logs};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

#[cfg(test)]
mod fuzz;

/// The Sluice operator: makes NAT gateways do what EIPs, FIPs, DNATs and SNATs ask for.
#[derive(Clone, Debug, Parser)]
#[command(name = "sluice-operator", version)]
pub struct Options {
    /// Namespace of the operator's own Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "sluice-system")]
    pub namespace: String,
    /// Name of the operator's own Lease.
    #[arg(long, default_value = "sluice-operator")]
    pub lease_name: String,
    /// How long a leader that went silent keeps others waiting, in seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(2..=300))]
    pub lease_duration_secs: u32,
    /// Image of gateways whose template names none.
    #[arg(
        long,
        env = "SLUICE_GATEWAY_IMAGE",
        default_value = "sluice/gateway-agent:dev"
    )]
    pub gateway_image: String,
    /// Form of the log.
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// What is logged, such as `info` or `sluice_operator=debug`.
    #[arg(
        long,
        env = "SLUICE_LOG",
        default_value = "info,kube_client::client=off"
    )]
    pub log: String,
    /// Receiver of OTLP over HTTP that spans go to, such as `http://collector:4318`.
    /// Default: none, and no spans.
    #[arg(long, env = "SLUICE_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<Endpoint>,
    /// The same for the agents of gateways. A change replaces their Pods.
    #[arg(long, env = "SLUICE_GATEWAY_OTLP_ENDPOINT", value_name = "URL")]
    pub gateway_otlp_endpoint: Option<Endpoint>,
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    #[arg(long, env = "SLUICE_METRICS_BIND", default_value = "[::]:8080")]
    pub metrics_bind: SocketAddr,
    /// How many writes are under way at once.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(16..=256))]
    pub writers: u16,
    /// Longest wait for an answer of the API server, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub request_timeout_secs: u64,
    /// Name of this process' Pod, if it runs in one.
    #[arg(long, env = "POD_NAME", hide = true)]
    pub pod_name: Option<String>,
    /// UID of this process' Pod, if it runs in one.
    #[arg(long, env = "POD_UID", hide = true)]
    pub pod_uid: Option<String>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Options {
    /// Who this process is in the election. The containers of one Pod follow
    /// one another, so a restarted one goes on at once; any other process is
    /// somebody else at every start.
    ///
    /// # Errors
    /// When the kernel gives no random identity.
    pub fn identity(&self) -> std::io::Result<String> {
        match (&self.pod_name, &self.pod_uid) {
            (Some(name), Some(uid)) if !name.is_empty() && !uid.is_empty() => {
                Ok(format!("{name}/{uid}"))
            }
            _ => {
                let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
                Ok(format!("process-{}/{}", std::process::id(), random.trim()))
            }
        }
    }
}

/// Starts logging to standard error, and exporting spans where that is asked for.
///
/// # Errors
/// When spans cannot be exported.
pub fn start_logging(options: &Options) -> Result<Option<Spans>, SpansError> {
    let filter =
        tracing_subscriber::EnvFilter::try_new(&options.log).unwrap_or_else(|_| "info".into());
    let process = options.pod_name.as_deref().unwrap_or("process");
    let endpoint = options.otlp_endpoint.as_ref();
    let spans = endpoint.map(|to| Spans::start(to, "sluice-operator", process));
    let spans = spans.transpose()?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match options.log_format {
        LogFormat::Json => lines.event_format(sluice_journal::Json).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(logs(filter)))
        .with(spans.as_ref().map(Spans::layer))
        .init();
    abort_on_panic();
    Ok(spans)
}

/// A panic in one task must not leave the others running: the process ends and
/// the kubelet starts it anew from what the API server holds.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
