//! The way out: SIGTERM, and a token that is refused.

use super::backoff::after;
use super::event::PodSeen;
use super::{Action, Agent, KernelOp, Millis};

/// How long a gateway pod has from SIGTERM to its end, seconds: the pod's
/// `terminationGracePeriodSeconds`.
pub const GRACE_SECS: u16 = 10;

/// From here on nothing is waited for any more, a little before the kubelet does.
const GIVE_UP_MS: u64 = GRACE_SECS as u64 * 1_000 - 2_000;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Follows config and Lease.
    Serving,
    /// SIGTERM came: whether the Pod goes or only the container is being asked.
    Asking,
    /// The instance ends: addresses, rules, Lease, final report, in that order.
    HandingOver {
        /// When to exit whatever is left.
        give_up: Millis,
        /// Whether the API server still takes the token.
        api: bool,
        /// Whether the kernel is clear.
        cleared: bool,
    },
    /// Nothing is left to do but to end.
    Leaving,
    /// `Exit` was said.
    Exited,
}

impl Agent {
    pub(super) fn terminate(&mut self) {
        match self.phase {
            Phase::Serving => self.phase = Phase::Asking,
            Phase::Asking | Phase::HandingOver { .. } | Phase::Leaving | Phase::Exited => {}
        }
    }

    /// The token was refused: the Pod is read with the token as it now stands
    /// in its file, since a token can also be just too old.
    pub(super) fn unauthorized(&mut self) {
        self.reporter.doubt_pod();
    }

    pub(super) fn pod_seen(&mut self, now: Millis, pod: PodSeen) {
        self.asking_pod = false;
        self.reporter.pod_read();
        match (self.phase, pod) {
            (Phase::Serving | Phase::Asking, PodSeen::Gone) => self.hand_over(now, true),
            (Phase::Serving | Phase::Asking, PodSeen::Refused) => self.hand_over(now, false),
            (Phase::Asking, PodSeen::Terminating) => self.hand_over(now, true),
            // Only the container goes, or nobody can say: the rules serve on.
            (Phase::Asking, PodSeen::Lives | PodSeen::Unreachable) => {
                self.phase = Phase::Leaving;
            }
            (
                Phase::HandingOver {
                    give_up, cleared, ..
                },
                PodSeen::Refused,
            ) => {
                self.phase = Phase::HandingOver {
                    give_up,
                    api: false,
                    cleared,
                };
            }
            (Phase::Serving, PodSeen::Lives | PodSeen::Terminating | PodSeen::Unreachable)
            | (
                Phase::HandingOver { .. },
                PodSeen::Lives | PodSeen::Terminating | PodSeen::Gone | PodSeen::Unreachable,
            )
            | (Phase::Leaving | Phase::Exited, _) => {}
        }
    }

    fn hand_over(&mut self, now: Millis, api: bool) {
        self.phase = Phase::HandingOver {
            give_up: after(now, GIVE_UP_MS),
            api,
            cleared: false,
        };
    }

    /// The report says that the instance has ended: it never serves again.
    pub(super) fn stand_down(&mut self, now: Millis) {
        match self.phase {
            Phase::Serving | Phase::Asking => self.hand_over(now, true),
            Phase::HandingOver { .. } | Phase::Leaving | Phase::Exited => {}
        }
    }

    /// Asks for the Pod where its life is in doubt.
    pub(super) fn next_pod_read(&mut self) -> Option<Action> {
        let wanted = self.phase == Phase::Asking || self.reporter.doubts_pod();
        if !wanted || self.asking_pod {
            return None;
        }
        self.asking_pod = true;
        Some(Action::ReadPod)
    }

    /// The kernel is clear.
    pub(super) fn cleared(&mut self) {
        if let Phase::HandingOver { cleared, .. } = &mut self.phase {
            *cleared = true;
        }
    }

    pub(super) fn next_of_handover(&mut self, now: Millis) -> Vec<Action> {
        let Phase::HandingOver {
            give_up,
            api,
            cleared,
        } = self.phase
        else {
            return Vec::new();
        };
        if self.wake.reached(now, give_up) {
            return self.exit();
        }
        if !cleared {
            return self
                .next_clear(now)
                .map(|()| Action::Kernel(KernelOp::Clear))
                .into_iter()
                .collect();
        }
        if !api {
            return self.exit();
        }
        let mut actions = Vec::new();
        actions.extend(self.next_pod_read());
        if !self.tenure.is_released(&self.me) {
            actions.extend(self.next_release(now));
            return actions;
        }
        match self.next_report(now) {
            Some(report) => actions.push(report),
            None if self.reporter.has_said_final() => return self.exit(),
            None => {}
        }
        actions
    }

    pub(super) fn exit(&mut self) -> Vec<Action> {
        self.phase = Phase::Exited;
        vec![Action::Exit]
    }

    /// Whether the instance has ended and its kernel is clear.
    pub(super) fn has_ended(&self) -> bool {
        match self.phase {
            Phase::HandingOver { cleared, .. } => cleared,
            Phase::Serving | Phase::Asking | Phase::Leaving | Phase::Exited => false,
        }
    }
}
