//! One place where events meet decisions: applies what the world shows, asks
//! what is to be done, and puts that into the queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use sluice_core::operator::Gauges;
use sluice_core::operator::action::{Action, Outcome, StatusWrite, Target};
use sluice_core::operator::event::{Event, Key, Kind, Millis};
use tokio::sync::{Notify, watch};

use crate::announce::Announcer;
use crate::clock;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::operations::{self, Operations};
use crate::queue::Queue;

/// What decides: [`sluice_core`]'s operator, or a script in tests.
pub trait Decide: Send + 'static {
    /// Takes what the world shows.
    fn apply(&mut self, event: Event);
    /// What is to be done now.
    fn poll(&mut self, now: Millis) -> Vec<Action>;
    /// How an action ended.
    fn done(&mut self, target: &Target, outcome: &Outcome, now: Millis);
    /// What status an object should have at this very moment; `None`: the one it has.
    /// `wall` is the wall clock, for people to read.
    fn judge(&mut self, kind: Kind, key: &Key, now: Millis, wall: Timestamp)
    -> Option<StatusWrite>;
    /// When to poll again although nothing happens.
    fn next_deadline(&self, now: Millis) -> Option<Millis>;
    /// Whether any rule names or selects Pods, so that they must be watched.
    fn wants_pods(&self) -> bool {
        false
    }
    /// Figures for the metrics.
    fn gauges(&self) -> Gauges {
        Gauges::default()
    }
}

/// How long nobody asks when nothing happens and no deadline is near.
const IDLE: Duration = Duration::from_secs(30);

/// The shared brain.
pub struct Brain<D> {
    decide: Mutex<D>,
    operations: Mutex<Operations>,
    /// Whether this process decides.
    leads: AtomicBool,
    wake: Notify,
    /// Set once, for this leader's life: a watch that is begun goes on.
    pods_wanted: watch::Sender<bool>,
    metrics: Arc<Metrics>,
}

impl<D: Decide> Brain<D> {
    /// Wraps what decides.
    pub fn new(decide: D, metrics: Arc<Metrics>) -> Self {
        Self {
            decide: Mutex::new(decide),
            operations: Mutex::default(),
            leads: AtomicBool::new(false),
            wake: Notify::new(),
            pods_wanted: watch::Sender::new(false),
            metrics,
        }
    }

    /// Takes events, all before the next decision.
    pub fn take(&self, events: Vec<Event>) {
        self.finish(events, None);
    }

    /// Takes what came of an action: first all objects, then the outcome.
    pub fn finish(&self, events: Vec<Event>, done: Option<(Target, Outcome)>) {
        for event in &events {
            self.metrics.census(event);
        }
        self.log(&events);
        let mut decide = self.lock();
        let now = clock::now();
        for event in events {
            decide.apply(event);
        }
        if let Some((target, outcome)) = done {
            decide.done(&target, &outcome, now);
        }
        let wants_pods = decide.wants_pods();
        drop(decide);
        if wants_pods {
            self.pods_wanted
                .send_if_modified(|wanted| !std::mem::replace(wanted, true));
        }
        self.wake.notify_one();
    }

    /// Only who leads tells: others see the same.
    fn log(&self, events: &[Event]) {
        let operations = self.operations.lock();
        let mut operations = operations.unwrap_or_else(PoisonError::into_inner);
        let leads = self.leads.load(Ordering::Relaxed);
        for event in events {
            let ended = operations.take(event);
            ended.iter().filter(|_| leads).for_each(operations::tell);
        }
    }

    /// Returns when any rule needs Pods to be watched.
    pub async fn pods_wanted(&self) {
        let mut wanted = self.pods_wanted.subscribe();
        // The sender lives as long as this does.
        let _ = wanted.wait_for(|wanted| *wanted).await;
    }

    /// See [`Decide::judge`].
    pub fn judge(&self, kind: Kind, key: &Key) -> Option<StatusWrite> {
        self.lock().judge(kind, key, clock::now(), Timestamp::now())
    }

    /// See [`Decide::gauges`].
    pub fn gauges(&self) -> Gauges {
        self.lock().gauges()
    }

    /// Decides as long as this process leads; returns when it does not any more.
    pub async fn think(&self, leadership: &Leadership, queue: &Queue, announcer: &Announcer) {
        leadership.gained().await;
        self.leads.store(true, Ordering::Relaxed);
        while leadership.held() {
            let began = Instant::now();
            let (actions, deadline) = {
                let span = tracing::info_span!(
                    target: sluice_spans::TARGET, "decide", actions = tracing::field::Empty
                );
                let _within = span.enter();
                let mut decide = self.lock();
                let now = clock::now();
                let actions = decide.poll(now);
                span.record("actions", actions.len());
                (actions, decide.next_deadline(now))
            };
            let took = began.elapsed();
            self.metrics.polled(took, actions.len());
            for action in actions {
                match queue.push(action) {
                    Some(Action::Emit(announcement)) => announcer.push(announcement),
                    Some(action) => {
                        tracing::error!(?action, "an action without a target is dropped")
                    }
                    None => {}
                }
            }
            let pause = deadline.map_or(IDLE, clock::until).min(IDLE);
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            // What arrives together is decided together, the more so the longer deciding takes.
            if took > Duration::from_millis(1) {
                tokio::time::sleep(took.min(Duration::from_millis(50))).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
        self.leads.store(false, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, D> {
        self.decide.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
