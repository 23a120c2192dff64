//! The log of translations: who had which port of an EIP, from when to when.
//!
//! A thread of its own listens to the kernel's conntrack events while the log is on; off, there
//! is neither thread nor socket. It never makes others wait: what the kernel cannot hand over
//! in time the kernel drops, what cannot be written in time is dropped here, and both are
//! counted and told in the log itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use nfnetlink::Error;
use nfnetlink::conntrack::FlowEventSocket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sluice_core::entry::Entry;
use sluice_core::identity::Uid;

use crate::metrics::Metrics;

mod buffer;
mod output;
mod record;
mod starts;

use buffer::Buffer;
pub use output::{Output, Stdout};
use record::{Owners, line};
use starts::Starts;

/// Events that are taken in before what is written is looked after again.
const BATCH: usize = 1_024;
/// How long the thread waits for events, with lines to write and without.
const BUSY: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_millis(250);
/// How long after a failure the events are asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// Makes the place that lines go to, each time the log is switched on.
pub type Outputs = Box<dyn Fn() -> Box<dyn Output> + Send>;

/// The log of translations of one gateway, on or off.
pub struct FlowLog {
    /// `namespace/name`.
    gateway: String,
    outputs: Outputs,
    metrics: Metrics,
    owners: Arc<Mutex<Arc<Owners>>>,
    running: Option<Running>,
}

struct Running {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl FlowLog {
    /// A log that is off.
    #[must_use]
    pub fn new(gateway: String, outputs: Outputs, metrics: Metrics) -> Self {
        Self {
            gateway,
            outputs,
            metrics,
            owners: Arc::default(),
            running: None,
        }
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| !running.thread.is_finished())
    }

    /// Switches it on or off, for the network namespace of the calling thread, and takes over
    /// whose the addresses are. Idempotent.
    ///
    /// # Errors
    /// In the system's words, where events cannot be had; it is off then.
    pub fn follow<'a>(
        &mut self,
        on: bool,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Result<(), String> {
        if !on {
            self.stop();
            return Ok(());
        }
        let owner = |entry: &Entry| Some((entry.body.held()?, entry.uid.clone()));
        let owners: BTreeMap<IpAddr, Uid> = entries.filter_map(owner).collect();
        *self.owners.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(owners);
        if self.is_on() {
            return Ok(());
        }
        let events = FlowEventSocket::open(false).map_err(|error| error.to_string())?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut work = Work {
            gateway: self.gateway.clone(),
            owners: Arc::clone(&self.owners),
            metrics: self.metrics.clone(),
            stop: Arc::clone(&stop),
            buffer: Buffer::default(),
            starts: Starts::default(),
            dropped: 0,
            events,
        };
        let mut output = (self.outputs)();
        let thread = std::thread::Builder::new()
            .name("flow-log".to_owned())
            .spawn(move || work.run(&mut *output))
            .map_err(|error| error.to_string())?;
        self.metrics.flow_log(true);
        tracing::info!("the log of flows is on");
        self.running = Some(Running { stop, thread });
        Ok(())
    }

    /// Switches it off. What is in the buffer is still written, as far as it can be at once.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.store(true, Ordering::Relaxed);
            self.metrics.flow_log(false);
            tracing::info!("the log of flows is off");
        }
    }
}

impl Drop for FlowLog {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's own.
struct Work {
    gateway: String,
    owners: Arc<Mutex<Arc<Owners>>>,
    metrics: Metrics,
    stop: Arc<AtomicBool>,
    buffer: Buffer,
    starts: Starts,
    /// What the kernel had dropped when it was asked last.
    dropped: u64,
    events: FlowEventSocket,
}

impl Work {
    fn run(&mut self, output: &mut dyn Output) {
        loop {
            let stops = self.stop.load(Ordering::Relaxed);
            if !stops {
                self.wait();
            }
            self.take();
            if let Err(error) = self.buffer.write(output) {
                // Nobody reads any more: what waits is worth nothing.
                tracing::warn!(%error, "the log of flows cannot be written");
                std::thread::sleep(AGAIN);
            }
            let counts = self.buffer.take_counts();
            self.metrics.flow_lines(counts.written, counts.lost);
            if stops {
                return;
            }
        }
    }

    fn wait(&self) {
        let time = if self.buffer.is_empty() { IDLE } else { BUSY };
        let fd = self.events.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let time = Timespec::try_from(time).ok();
        if let Err(error) = poll(&mut fds, time.as_ref())
            && error != rustix::io::Errno::INTR
        {
            std::thread::sleep(IDLE);
        }
    }

    fn take(&mut self) {
        let owners = {
            let owners = self.owners.lock();
            Arc::clone(&owners.unwrap_or_else(PoisonError::into_inner))
        };
        for _ in 0..BATCH {
            match self.events.try_next() {
                Ok(Some(event)) => {
                    let now = Timestamp::now();
                    let started = self.starts.look(&event, now);
                    if let Some(line) = line(&self.gateway, &owners, &event, now, started) {
                        self.buffer.push(&self.gateway, line);
                    }
                }
                Ok(None) => return,
                Err(Error::Overrun) => {
                    let lost = self.overrun();
                    self.metrics.flow_overrun(lost);
                    self.buffer.lost_by_kernel(&self.gateway, lost);
                }
                Err(Error::Wire(_)) => self.buffer.lost_by_kernel(&self.gateway, 1),
                Err(error) => {
                    tracing::warn!(%error, "the log of flows gets no events");
                    std::thread::sleep(AGAIN);
                    return;
                }
            }
        }
    }

    /// How many events the kernel dropped since it was asked last; one at least.
    fn overrun(&mut self) -> u64 {
        let dropped = self.events.port().ok().and_then(output::dropped);
        let new = dropped.map_or(1, |all| all.saturating_sub(self.dropped).max(1));
        self.dropped = dropped.unwrap_or(self.dropped);
        new
    }
}
