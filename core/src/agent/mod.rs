//! The gateway agent's side of the protocol as a state machine.
//!
//! [`Event`]s tell it what the API server, the kernel and the kubelet show;
//! [`Action`]s say what to read, to write and to do to the kernel. An event
//! only updates what is known; then, for every slot that is idle (header read,
//! slice fetch, Lease, report, Pod read, kernel), the machine asks what is
//! missing and starts at most one action. So events may come late, doubled or
//! in any order, and a failed action is tried again because it is still missing.
//!
//! ```text
//!            SIGTERM                Pod terminating, gone, or token refused
//! Serving ───────────▶ Asking ───────────────────────────────▶ HandingOver ──▶ Exited
//!    │                   │ Pod lives, or no answer: the kernel stays    ▲
//!    │                   └──────────────────────────────────────────────┼──▶ Exited
//!    └── token refused, and again when the Pod is read: stand down ─────┘
//! ```
//!
//! What it promises: the kernel never goes back to an older revision; the
//! report never claims what the kernel has not confirmed; `active` names a term
//! only while the Lease is held at that term and the addresses were announced
//! in it; once another holder is seen, the addresses are withdrawn before
//! anything else is done.

use std::net::IpAddr;
use std::sync::Arc;

use sluice_crds::internal::GatewayInstanceStatus;

use crate::config::Snapshot;
use crate::identity::{InstanceId, Revision};

mod action;
mod backoff;
mod event;
mod leave;
mod plane;
mod pursuit;
mod report;
mod tenure;

#[cfg(test)]
pub(crate) mod tests;

pub use crate::operator::event::Millis;
pub use action::{Action, KernelOp, LeaseWrite};
pub use event::{
    Event, Found, Header, Inspection, KernelAnswer, Lease, LeaseAnswer, Notice, PodSeen,
    ReportAnswer,
};
pub use leave::GRACE_SECS;

use backoff::Wake;
use event::Addresses;
use leave::Phase;
use plane::Plane;
use pursuit::Pursuit;
use report::Reporter;
use tenure::Tenure;

/// A config that passed all checks, with the revision that it came as.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Good {
    revision: Revision,
    snapshot: Arc<Snapshot>,
    /// All addresses that a holder of it answers for.
    addresses: Arc<Addresses>,
}

impl Good {
    fn new(revision: Revision, snapshot: Snapshot) -> Self {
        let eips = snapshot.entries().filter_map(|entry| entry.body.held());
        let addresses = Arc::new(eips.chain(next_hops(&snapshot)).collect());
        Self {
            revision,
            snapshot: Arc::new(snapshot),
            addresses,
        }
    }
}

/// The agent's decisions for one instance.
#[derive(Clone, Debug)]
pub struct Agent {
    me: String,
    phase: Phase,
    /// Whether a read of the own Pod is under way.
    asking_pod: bool,
    pursuit: Pursuit,
    tenure: Tenure,
    plane: Plane,
    reporter: Reporter,
    wake: Wake,
}

impl Agent {
    /// Begins the life of a process. `found` is what the kernel of this
    /// instance says that an earlier process left there.
    #[must_use]
    pub fn new(me: &InstanceId, found: Option<Found>) -> Self {
        Self {
            me: me.to_string(),
            phase: Phase::Serving,
            asking_pod: false,
            pursuit: Pursuit::new(found.as_ref()),
            tenure: Tenure::default(),
            plane: Plane::new(found),
            reporter: Reporter::default(),
            wake: Wake::default(),
        }
    }

    /// Takes in what happened at `now` and says what to do.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Action> {
        self.absorb(now, event);
        self.plan(now)
    }

    /// When [`Event::Tick`] is wanted at the latest, if nothing else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.wake.at()
    }

    /// What the report should say now.
    #[must_use]
    pub fn status(&self) -> GatewayInstanceStatus {
        self.desired()
    }

    /// Whether the instance serves: it holds the Lease and has announced its
    /// addresses in that term.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active().is_some()
    }

    /// Whether a config is applied, verified and acknowledged: a standby is
    /// warm, a holder is up to date.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.plane.acked().is_some()
    }

    fn absorb(&mut self, now: Millis, event: Event) {
        match event {
            Event::Tick => {}
            Event::Header(header) => self.pursuit.seen(header, false),
            Event::HeaderRead(answer) => self.pursuit.read(now, answer),
            Event::Slices {
                found,
                missing,
                error,
            } => self.pursuit.fetched(now, found, &missing, error),
            Event::Lease(lease) => self.tenure.observed(lease),
            Event::LeaseAnswer(answer) => self.tenure.answered(now, answer),
            Event::Report(answer) => self.report_answered(now, answer),
            Event::Kernel(answer) => self.kernel_answered(now, answer),
            Event::Notice(notice) => self.plane.noticed(now, notice),
            Event::Shortages(shortages) => self.plane.shortages = shortages,
            Event::Pod(pod) => self.pod_seen(now, pod),
            Event::Unauthorized => self.unauthorized(),
            Event::Terminate => self.terminate(),
        }
    }

    fn plan(&mut self, now: Millis) -> Vec<Action> {
        self.wake = Wake::default();
        let mut actions = Vec::new();
        match self.phase {
            Phase::Serving => {
                actions.extend(self.pursuit.next(now, &mut self.wake));
                actions.extend(self.next_kernel_op(now).map(Action::Kernel));
                actions.extend(self.next_lease_action(now));
                actions.extend(self.next_report(now));
                actions.extend(self.next_report_read(now));
                actions.extend(self.next_pod_read());
            }
            // Whether to leave is not known yet: nothing is begun that would
            // have to be undone.
            Phase::Asking => actions.extend(self.next_pod_read()),
            Phase::HandingOver { .. } => actions.extend(self.next_of_handover(now)),
            Phase::Leaving => actions.extend(self.exit()),
            Phase::Exited => {}
        }
        actions
    }
}

/// The LAN addresses that a holder of this config answers for.
fn next_hops(snapshot: &Snapshot) -> impl Iterator<Item = IpAddr> + '_ {
    let lan = snapshot.settings.lan.addresses.iter();
    lan.filter_map(|text| text.split('/').next()?.parse().ok())
}
