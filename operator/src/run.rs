//! Puts the parts together and decides how the process ends.

use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use sluice_core::operator::event::Key;
use tokio::signal::unix::{SignalKind, signal};
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
use crate::resource::KINDS;
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
    /// Another process may lead now. Start anew.
    #[error("leadership lost")]
    LeadershipLost,
    /// A part that runs for ever has ended.
    #[error("{0} ended")]
    PartEnded(&'static str),
}

/// Runs until SIGTERM or SIGINT, which end it well, or until leadership is lost.
///
/// # Errors
/// [`RunError`] in every other case.
pub async fn run<D: Decide>(options: Options, decide: D) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|e| RunError::System("cannot listen to SIGTERM", e))?;
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|e| RunError::System("cannot listen to SIGINT", e))?;
    let identity = options
        .identity()
        .map_err(|e| RunError::System("cannot make an identity", e))?;
    let request_timeout = Duration::from_secs(options.request_timeout_secs);
    let lease_timeout = Duration::from_secs(u64::from(options.lease_duration_secs)) / 4;
    let config = config().await?;
    let client = |config: &Config| {
        Client::try_from(config.clone()).map_err(|e| RunError::Client(Box::new(e)))
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
    });
    let metrics = Arc::new(Metrics::default());
    let leadership = Arc::new(Leadership::default());
    let queue = Arc::new(Queue::default());
    let brain = Arc::new(Brain::new(decide, metrics.clone()));
    let (announcer, speaker) = announcer(reads.clone(), identity.clone(), metrics.clone());

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
    for kind in KINDS {
        let watcher = Watcher::new(
            kind,
            reads.clone(),
            sink.clone(),
            settings.clone(),
            metrics.clone(),
        );
        parts.spawn(async move {
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
        "deciding"
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
        &identity,
        options.lease_duration_secs,
        leadership,
    );
    tracing::info!(%identity, version = env!("CARGO_PKG_VERSION"), "started");
    let ended = tokio::select! {
        () = elector.run() => Err(RunError::LeadershipLost),
        part = parts.join_next() => Err(RunError::PartEnded(part.and_then(Result::ok).unwrap_or("a part"))),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if ended.is_ok() {
        tracing::info!("asked to end");
        parts.abort_all();
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
