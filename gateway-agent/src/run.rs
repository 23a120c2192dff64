//! From start to exit: guards first, then the instance, then the API server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_core::agent::{Action, Agent, Event, Found, KernelAnswer, KernelOp, Millis};
use sluice_core::config::Snapshot;
use sluice_journal::or_null;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::address::Operations;
use crate::dataplane::{self, DataPlane, FromKernel, Mailbox};
use crate::identity::{self, IdentityError};
use crate::kernel::flow_log::{FlowLog, Stdout};
use crate::metrics::Metrics;
use crate::options::{HTTP_PORT, Options};
use crate::server::{self, CallError, Server};
use crate::{address, http};

/// Why the agent cannot run. The kernel is left as it is, with its guards.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Signals, threads or sockets cannot be had.
    #[error("the system refuses what the agent needs")]
    System(#[from] std::io::Error),
    /// The data plane does not start.
    #[error("the data plane does not start: {0}")]
    Kernel(String),
    /// The instance cannot be told.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There is no way to the API server.
    #[error("no way to the API server: {0}")]
    Server(#[from] CallError),
    /// The thread of the data plane ended.
    #[error("the data plane's thread ended")]
    ThreadEnded,
}

/// What the loop works with.
struct Running {
    agent: Agent,
    began: Instant,
    server: Server,
    mailbox: Mailbox,
    metrics: Metrics,
    /// The config on its way into the kernel, and whether it is that of a holder.
    applying: Option<(Arc<Snapshot>, bool)>,
    operations: Operations,
}

/// Runs the agent until it has nothing left to do.
///
/// # Errors
/// [`RunError`] where it cannot start, or cannot go on.
pub async fn run<P: DataPlane>(
    options: Options,
    open: impl FnOnce() -> Result<P, String> + Send + 'static,
) -> Result<(), RunError> {
    let began = Instant::now();
    // As process 1 a signal without a handler is ignored: this comes first.
    let terminate = signal(SignalKind::terminate())?;
    let metrics = Metrics::default();
    let flow_log = FlowLog::new(
        format!("{}/{}", options.pod_namespace, options.gateway),
        Box::new(|| Box::new(Stdout::new())),
        metrics.clone(),
    );
    let (mailbox, mut kernel) = dataplane::start(open, metrics.clone(), flow_log)?;
    let found = started(&mut kernel).await?;
    let me = identity::instance(options.uid())?;
    let own = address::record(&options.pod_ips);
    let (ipv4, ipv6) = (or_null(own.ipv4), or_null(own.ipv6));
    tracing::info!(
        instance = %me, gateway = options.gateway, node = options.node_name, ipv4, ipv6,
        found = found.as_ref().map(|f| f.revision.to_string()),
        answering = found.as_ref().is_some_and(|f| f.answering), "agent starts"
    );
    let options = Arc::new(options);
    let client = server::connect(options.kubeconfig.clone()).await?;
    let (tell, events) = mpsc::channel(64);
    let server = Server::new(&client, &options, tell, metrics.clone());
    server.begin();
    let binds = binds(&options);
    if binds.is_empty() {
        tracing::warn!("HTTP is not served: give POD_IPS or --http-bind");
    }
    http::serve(binds, &metrics);
    let running = Running {
        agent: Agent::new(&me, found),
        began,
        server,
        mailbox,
        metrics,
        applying: None,
        operations: Operations::default(),
    };
    running.follow(terminate, events, kernel).await
}

/// An error with all its causes.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

async fn started(
    kernel: &mut mpsc::UnboundedReceiver<FromKernel>,
) -> Result<Option<Found>, RunError> {
    loop {
        match kernel.recv().await {
            Some(FromKernel::Started(found)) => return found.map_err(RunError::Kernel),
            Some(FromKernel::Answer(_) | FromKernel::Notice(_) | FromKernel::Shortages(_)) => {}
            None => return Err(RunError::ThreadEnded),
        }
    }
}

/// Where HTTP is served.
fn binds(options: &Options) -> Vec<SocketAddr> {
    if options.http_bind.is_empty() {
        let own = options.pod_ips.iter();
        own.map(|ip| SocketAddr::new(*ip, HTTP_PORT)).collect()
    } else {
        options.http_bind.clone()
    }
}

impl Running {
    async fn follow(
        mut self,
        mut terminate: Signal,
        mut events: mpsc::Receiver<Event>,
        mut kernel: mpsc::UnboundedReceiver<FromKernel>,
    ) -> Result<(), RunError> {
        let mut event = Event::Tick;
        loop {
            if self.step(event)? {
                return Ok(());
            }
            let deadline = self.agent.next_deadline();
            event = tokio::select! {
                // What stops the instance goes before what feeds it.
                biased;
                Some(()) = terminate.recv() => {
                    tracing::info!("SIGTERM");
                    Event::Terminate
                }
                told = kernel.recv() => match told {
                    Some(FromKernel::Answer(answer)) => Event::Kernel(answer),
                    Some(FromKernel::Notice(notice)) => Event::Notice(notice),
                    Some(FromKernel::Shortages(short)) => Event::Shortages(short),
                    Some(FromKernel::Started(_)) => Event::Tick,
                    None => return Err(RunError::ThreadEnded),
                },
                Some(event) = events.recv() => event,
                () = self.sleep_until(deadline) => Event::Tick,
            };
        }
    }

    /// Takes in one event; true: the agent has ended.
    fn step(&mut self, event: Event) -> Result<bool, RunError> {
        if let Event::Kernel(answer) = &event {
            self.follow_addresses(answer);
        }
        let actions = self.agent.handle(self.now(), event);
        let mut ended = false;
        for action in actions {
            match action {
                Action::Kernel(op) => {
                    if let KernelOp::Apply {
                        snapshot, holding, ..
                    } = &op
                    {
                        self.operations.begin(snapshot, *holding);
                        self.applying = Some((Arc::clone(snapshot), *holding));
                    }
                    self.mailbox.send(op).map_err(|_| RunError::ThreadEnded)?;
                }
                Action::Exit => ended = true,
                other => self.server.carry_out(other),
            }
        }
        self.metrics
            .status(&self.agent.status(), self.agent.is_warm());
        Ok(ended)
    }

    /// One line for each operation on addresses that has ended.
    fn follow_addresses(&mut self, answer: &KernelAnswer) {
        let lines = match answer {
            KernelAnswer::Applied { rejected, .. } => {
                let Some((snapshot, holding)) = self.applying.take() else {
                    return;
                };
                self.metrics.entries(snapshot.len());
                self.operations.applied(&snapshot, holding, rejected)
            }
            KernelAnswer::Cleared => self.operations.gone(),
            KernelAnswer::Flushed
            | KernelAnswer::Announced
            | KernelAnswer::Probed(_)
            | KernelAnswer::Inspected(_)
            | KernelAnswer::Repaired(_)
            | KernelAnswer::Failed(_) => return,
        };
        lines.iter().for_each(address::tell);
        self.metrics.addresses(self.operations.counts());
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep_until(&self, deadline: Option<Millis>) {
        match deadline {
            Some(due) => {
                let left = due.0.saturating_sub(self.now().0);
                tokio::time::sleep(Duration::from_millis(left)).await;
            }
            None => std::future::pending().await,
        }
    }
}
