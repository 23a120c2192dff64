//! What the agent needs of a data plane, and the thread that it works on.

use std::net::IpAddr;
use std::sync::mpsc as sync;
use std::time::{Duration, Instant};

use sluice_core::agent::{Found, Inspection, KernelAnswer, KernelOp, Notice};
use sluice_core::config::Snapshot;
use sluice_core::identity::Revision;
use sluice_crds::internal::{RejectedEntry, Shortage};
use tokio::sync::mpsc;

use crate::kernel::flow_log::FlowLog;
use crate::metrics::Metrics;

mod ports;

pub use ports::Usage;

#[cfg(test)]
mod tests;

/// How long others have to answer a probe.
const PROBE: Duration = Duration::from_millis(250);
/// How long one wait for the kernel's own events lasts at most.
const WATCH: Duration = Duration::from_secs(60);
/// How long after a failure they are waited for again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the agent does to the kernel. All calls block, on one thread.
pub trait DataPlane {
    /// Puts up guards so that nothing passes untranslated, unless the rules of
    /// an earlier process stand.
    ///
    /// # Errors
    /// In the kernel's words.
    fn guard(&mut self) -> Result<(), String>;
    /// What an earlier process left.
    ///
    /// # Errors
    /// In the kernel's words.
    fn found(&mut self) -> Result<Option<Found>, String>;
    /// Makes the kernel hold exactly this and verifies it.
    ///
    /// # Errors
    /// In the kernel's words; what was verified before may or may not stand.
    fn apply(
        &mut self,
        snapshot: &Snapshot,
        revision: &Revision,
        holding: bool,
    ) -> Result<Done, String>;
    /// Flushes once more the connections that the last applies made void; and where nobody
    /// knows them (after a start, a failed apply, a clear) all that contradict the rules.
    ///
    /// # Errors
    /// In the kernel's words; what was to be flushed is kept.
    fn flush(&mut self) -> Result<(), String>;
    /// Sends one round of announcements.
    ///
    /// # Errors
    /// In the kernel's words.
    fn announce(&mut self, addresses: &[IpAddr]) -> Result<(), String>;
    /// Asks for all addresses at once whether others answer for them.
    ///
    /// # Errors
    /// In the kernel's words.
    fn probe(
        &mut self,
        addresses: &[IpAddr],
        wait: Duration,
    ) -> Result<Vec<(IpAddr, String)>, String>;
    /// Compares the kernel with what was applied.
    ///
    /// # Errors
    /// In the kernel's words.
    fn inspect(&mut self) -> Result<Inspection, String>;
    /// Undoes foreign changes and says how many.
    ///
    /// # Errors
    /// In the kernel's words.
    fn repair(&mut self) -> Result<i64, String>;
    /// Stops answering, then takes away all but guards.
    ///
    /// # Errors
    /// In the kernel's words.
    fn clear(&mut self) -> Result<(), String>;
    /// A way to wait for the kernel's own events, for a thread of its own.
    ///
    /// # Errors
    /// In the kernel's words.
    fn watch(&mut self) -> Result<Box<dyn Watch>, String>;
    /// What looks at the use of ports, for a thread of its own; `None` where there is
    /// nothing to look at.
    ///
    /// # Errors
    /// In the kernel's words.
    fn usage(&mut self) -> Result<Option<Box<dyn Usage>>, String> {
        Ok(None)
    }
}

/// Waits for the kernel's own events.
pub trait Watch: Send {
    /// Blocks until something happened, or for `timeout`.
    ///
    /// # Errors
    /// In the kernel's words.
    fn wait(&mut self, timeout: Duration) -> Result<Vec<Notice>, String>;
}

/// What an apply did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Entries that the kernel does not hold.
    pub rejected: Vec<RejectedEntry>,
    /// Whether connections must be flushed once more.
    pub flush_again: bool,
    /// How many objects were changed.
    pub changed: usize,
}

/// What the thread tells the agent.
#[derive(Debug)]
pub enum FromKernel {
    /// Guards are up; this is what an earlier process left.
    Started(Result<Option<Found>, String>),
    /// Answer to the operation under way.
    Answer(KernelAnswer),
    /// The kernel told something by itself.
    Notice(Notice),
    /// What runs short, where that is not what was told last.
    Shortages(Vec<Shortage>),
}

/// The thread's mailbox. Dropped, it ends the thread after what is under way.
pub type Mailbox = sync::Sender<KernelOp>;

/// Starts the thread, which opens the data plane and puts up guards at once.
///
/// # Errors
/// Where no thread can be started.
pub fn start<P: DataPlane>(
    open: impl FnOnce() -> Result<P, String> + Send + 'static,
    metrics: Metrics,
    flow_log: FlowLog,
) -> std::io::Result<(Mailbox, mpsc::UnboundedReceiver<FromKernel>)> {
    let (mailbox, ops) = sync::channel();
    // At most one operation is under way, and notices carry no data.
    let (answers, from_kernel) = mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("kernel".to_owned())
        .spawn(move || {
            let plane = open().and_then(|mut plane| {
                plane.guard()?;
                let found = plane.found()?;
                Ok((plane, found))
            });
            match plane {
                Ok((mut plane, found)) => {
                    let started = FromKernel::Started(Ok(found));
                    if answers.send(started).is_ok() {
                        watch(&mut plane, &answers);
                        ports::look(&mut plane, &answers, &metrics);
                        work(&mut plane, &ops, &answers, (&metrics, flow_log));
                    }
                }
                Err(error) => {
                    let _ = answers.send(FromKernel::Started(Err(error)));
                }
            }
        })?;
    Ok((mailbox, from_kernel))
}

/// Passes the kernel's own events on. Without them the look of each second
/// still finds what changed.
fn watch<P: DataPlane>(plane: &mut P, notices: &mpsc::UnboundedSender<FromKernel>) {
    let notices = notices.clone();
    let mut watch = match plane.watch() {
        Ok(watch) => watch,
        Err(error) => return tracing::warn!(%error, "the kernel's events cannot be had"),
    };
    let spawned = std::thread::Builder::new()
        .name("kernel-events".to_owned())
        .spawn(move || pass_on(&mut *watch, &notices));
    if let Err(error) = spawned {
        tracing::warn!(%error, "the kernel's events cannot be had");
    }
}

fn pass_on(watch: &mut dyn Watch, notices: &mpsc::UnboundedSender<FromKernel>) {
    while !notices.is_closed() {
        let seen = watch.wait(WATCH).unwrap_or_else(|error| {
            tracing::warn!(%error, "the kernel's events failed, waiting for them again");
            std::thread::sleep(AGAIN);
            // Whatever was told meanwhile.
            vec![Notice::Changed, Notice::Link]
        });
        for notice in seen {
            // The loop's condition sees that nobody listens any more.
            let _ = notices.send(FromKernel::Notice(notice));
        }
    }
}

fn work<P: DataPlane>(
    plane: &mut P,
    ops: &sync::Receiver<KernelOp>,
    answers: &mpsc::UnboundedSender<FromKernel>,
    (metrics, mut flow_log): (&Metrics, FlowLog),
) {
    while let Ok(op) = ops.recv() {
        let begun = Instant::now();
        let span = span(&op);
        let answer = span.in_scope(|| carry_out(plane, &op).unwrap_or_else(KernelAnswer::Failed));
        span.record("failed", matches!(answer, KernelAnswer::Failed(_)));
        drop(span);
        log(&op, &answer, begun.elapsed());
        metrics.kernel_op(
            name(&op),
            begun.elapsed(),
            !matches!(answer, KernelAnswer::Failed(_)),
        );
        let applied = matches!(answer, KernelAnswer::Applied { .. });
        follow(&op, &answer, &mut flow_log);
        if answers.send(FromKernel::Answer(answer)).is_err() {
            return;
        }
        if applied {
            crate::memory::give_back();
        }
    }
}

/// Lets the log of flows follow the config that is in force.
fn follow(op: &KernelOp, answer: &KernelAnswer, flow_log: &mut FlowLog) {
    match (op, answer) {
        (KernelOp::Apply { snapshot, .. }, KernelAnswer::Applied { .. }) => {
            let on = snapshot.settings.flow_log;
            if let Err(error) = flow_log.follow(on, snapshot.entries()) {
                tracing::warn!(error, "the log of flows cannot be switched on");
            }
        }
        (KernelOp::Clear, KernelAnswer::Cleared) => flow_log.stop(),
        _ => {}
    }
}

fn carry_out<P: DataPlane>(plane: &mut P, op: &KernelOp) -> Result<KernelAnswer, String> {
    Ok(match op {
        KernelOp::Apply {
            snapshot,
            revision,
            holding,
        } => {
            let done = plane.apply(snapshot, revision, *holding)?;
            KernelAnswer::Applied {
                rejected: done.rejected,
                flush_again: done.flush_again,
            }
        }
        KernelOp::Flush => {
            plane.flush()?;
            KernelAnswer::Flushed
        }
        KernelOp::Announce(addresses) => {
            plane.announce(&addresses.iter().copied().collect::<Vec<_>>())?;
            KernelAnswer::Announced
        }
        KernelOp::Probe(addresses) => {
            let addresses: Vec<_> = addresses.iter().copied().collect();
            KernelAnswer::Probed(plane.probe(&addresses, PROBE)?)
        }
        KernelOp::Inspect => KernelAnswer::Inspected(plane.inspect()?),
        KernelOp::Repair => KernelAnswer::Repaired(plane.repair()?),
        KernelOp::Clear => {
            plane.clear()?;
            KernelAnswer::Cleared
        }
    })
}

/// The span of an operation.
fn span(op: &KernelOp) -> tracing::Span {
    let span = tracing::info_span!(
        target: sluice_spans::TARGET, "kernel", op = name(op),
        revision = tracing::field::Empty, entries = tracing::field::Empty,
        failed = tracing::field::Empty
    );
    if let KernelOp::Apply {
        snapshot, revision, ..
    } = op
    {
        span.record("revision", tracing::field::display(revision));
        span.record("entries", snapshot.len());
    }
    span
}

/// The operation's name in logs and metrics.
fn name(op: &KernelOp) -> &'static str {
    match op {
        KernelOp::Apply { .. } => "apply",
        KernelOp::Flush => "flush",
        KernelOp::Announce(_) => "announce",
        KernelOp::Probe(_) => "probe",
        KernelOp::Inspect => "inspect",
        KernelOp::Repair => "repair",
        KernelOp::Clear => "clear",
    }
}

/// One line an operation, however it ended.
fn log(op: &KernelOp, answer: &KernelAnswer, took: Duration) {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let op_name = name(op);
    match (op, answer) {
        (_, KernelAnswer::Failed(error)) => {
            tracing::warn!(op = op_name, took_ms, error, "kernel operation failed");
        }
        (
            KernelOp::Apply {
                snapshot,
                revision,
                holding,
            },
            KernelAnswer::Applied { rejected, .. },
        ) => tracing::info!(
            op = op_name, took_ms, %revision, holding, entries = snapshot.len(),
            rejected = rejected.len(), "config applied and verified"
        ),
        (_, KernelAnswer::Repaired(count)) => {
            tracing::warn!(op = op_name, took_ms, count, "foreign changes undone");
        }
        (_, KernelAnswer::Probed(others)) => {
            tracing::info!(
                op = op_name,
                took_ms,
                answered = others.len(),
                "addresses probed"
            );
        }
        (_, KernelAnswer::Cleared) => tracing::info!(op = op_name, took_ms, "kernel cleared"),
        _ => tracing::debug!(op = op_name, took_ms, "kernel operation done"),
    }
}
