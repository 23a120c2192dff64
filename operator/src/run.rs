//! Puts the parts together and decides how the process ends.

use std::sync::Arc;
use std::time::Duration;

use kube::Config;
use sluice_core::operator::event::{Key, Kind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::announce::announcer;
use crate::brain::{Brain, Decide};
use crate::children;
use crate::execute::Executor;
use crate::leader::{Elector, Leadership};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::queue::Queue;
use crate::rest::Rest;
use crate::server;
use crate::watch::{Sink, Watcher};

/// How long writes under way may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(5);

/// Why the process ends other than as asked.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No usable access to an API server.
    #[error("no access to an API server: set KUBECONFIG, or run in a Pod with a service account")]
    Access(#[source] Box<kube::config::InferConfigError>),
    /// The client could not be built.
    #[error("cannot build a client for the API server")]
    Client(#[source] Box<kube::Error>),
    /// The operating system refused something.
    #[error("{0}")]
    System(&'static str, #[source] std::io::Error),
    /// A part that runs for ever has ended.
    #[error("{0} ended")]
    PartEnded(&'static str),
}

/// How one life of the operator ended.
enum End {
    /// As asked, by a signal.
    Asked,
    /// Another process may lead now. What this one knows and wants is void.
    LeadershipLost,
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Runs until SIGTERM or SIGINT, which end it well. When leadership is lost,
/// as in an outage of the API server, all parts end and it begins anew with
/// nothing in memory, as a new process would, but without the kubelet's pause
/// between restarts.
///
/// # Errors
/// [`RunError`] in every other case.
pub async fn run<D: Decide>(options: Options, decide: impl Fn() -> D) -> Result<(), RunError> {
    let listen = |kind, name| signal(kind).map_err(|e| RunError::System(name, e));
    let mut signals = Signals {
        terminate: listen(SignalKind::terminate(), "cannot listen to SIGTERM")?,
        interrupt: listen(SignalKind::interrupt(), "cannot listen to SIGINT")?,
    };
    let identity = options
        .identity()
        .map_err(|e| RunError::System("cannot make an identity", e))?;
    loop {
        match life(&options, &identity, decide(), &mut signals).await? {
            End::Asked => return Ok(()),
            End::LeadershipLost => tracing::warn!("leadership lost, beginning anew"),
        }
    }
}

/// From nothing in memory until asked to end, or until leadership is lost. No
/// task of it is left when it returns.
async fn life<D: Decide>(
    options: &Options,
    identity: &str,
    decide: D,
    signals: &mut Signals,
) -> Result<End, RunError> {
    let request_timeout = Duration::from_secs(options.request_timeout_secs);
    let lease_timeout = Duration::from_secs(u64::from(options.lease_duration_secs)) / 4;
    let config = config().await?;
    let client = |config: &Config| {
        sluice_connection::connect(config.clone()).map_err(|e| RunError::Client(Box::new(e)))
    };
    // Connections of their own: neither watches nor the Lease wait behind writes.
    let writes = Rest::new(client(&config)?, request_timeout);
    let reads = Rest::new(
        client(&config)?,
        request_timeout.max(Duration::from_secs(30)),
    );
    let leases = Rest::new(client(&config)?, lease_timeout);

    let settings = Arc::new(children::Settings {
        gateway_image: options.gateway_image.clone(),
        otlp_endpoint: options
            .gateway_otlp_endpoint
            .as_ref()
            .map(ToString::to_string),
    });
    let metrics = Arc::new(Metrics::default());
    let leadership = Arc::new(Leadership::default());
    let queue = Arc::new(Queue::new(usize::from(options.writers)));
    let brain = Arc::new(Brain::new(decide, metrics.clone()));
    let (announcer, speaker) = announcer(reads.clone(), identity.to_owned(), metrics.clone());

    let mut parts = JoinSet::new();
    let (m, l, q, b) = (
        metrics.clone(),
        leadership.clone(),
        queue.clone(),
        brain.clone(),
    );
    let address = options.metrics_bind;
    parts.spawn(async move {
        if let Err(error) = server::serve(address, m, l, q, b).await {
            tracing::error!(%address, %error, "cannot serve metrics");
        }
        "the metrics server"
    });
    let taker = brain.clone();
    let sink: Sink = Arc::new(move |events| taker.take(events));
    for kind in Kind::ALL {
        let watcher = Watcher::new(
            kind,
            reads.clone(),
            sink.clone(),
            settings.clone(),
            metrics.clone(),
        );
        let waiting = brain.clone();
        parts.spawn(async move {
            if kind == Kind::InsidePod {
                waiting.pods_wanted().await;
                tracing::info!("a rule names or selects pods: watching all pods");
            }
            watcher.run().await;
            "a watch"
        });
    }
    parts.spawn(async move {
        speaker.run().await;
        "the announcer"
    });
    let (b, l, q) = (brain.clone(), leadership.clone(), queue.clone());
    parts.spawn(async move {
        b.think(&l, &q, &announcer).await;
        // It ends with leadership, and the elector is who says so.
        std::future::pending().await
    });
    let (stop, stopped) = watch::channel(false);
    let executor = Arc::new(Executor {
        rest: writes,
        leadership: leadership.clone(),
        queue,
        brain,
        settings,
        metrics,
    });
    let mut writers = JoinSet::new();
    for _ in 0..options.writers {
        let (executor, mut stopped) = (executor.clone(), stopped.clone());
        writers.spawn(async move { executor.work(&mut stopped).await });
    }

    let key = Key {
        namespace: options.namespace.clone(),
        name: options.lease_name.clone(),
    };
    let mut elector = Elector::new(
        leases,
        key,
        identity,
        options.lease_duration_secs,
        leadership,
    );
    tracing::info!(%identity, version = env!("CARGO_PKG_VERSION"), "started");
    let ended = tokio::select! {
        () = elector.run() => Ok(End::LeadershipLost),
        part = parts.join_next() => Err(RunError::PartEnded(part.and_then(Result::ok).unwrap_or("a part"))),
        _ = signals.terminate.recv() => Ok(End::Asked),
        _ = signals.interrupt.recv() => Ok(End::Asked),
    };
    parts.shutdown().await;
    if let Ok(End::Asked) = ended {
        tracing::info!("asked to end");
        stop.send_replace(true);
        let drained = tokio::time::timeout(DRAIN, async {
            while writers.join_next().await.is_some() {}
        })
        .await;
        // A write that may still arrive must not meet a new leader's view.
        if drained.is_ok() {
            elector.release().await;
        }
    }
    writers.shutdown().await;
    ended
}

/// Access to the API server, without retries that would hide outages.
async fn config() -> Result<Config, RunError> {
    let mut config = Config::infer()
        .await
        .map_err(|e| RunError::Access(Box::new(e)))?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(config)
}
