//! What must hold of all that the agent does.

use sluice_crds::internal::GatewayInstanceStatus;

use super::{Sim, me};
use crate::agent::*;
use crate::identity::{Revision, Term, Uid};

impl Sim {
    /// What must hold for each action at the moment it is begun.
    pub(super) fn check(&self, action: &Action) {
        let slot = slot(action);
        let taken = self.open.iter().any(|open| self::slot(open) == slot);
        assert!(!taken, "two of a kind: {action:?} beside {:?}", self.open);
        match action {
            Action::Report(status) => self.check_report(status),
            Action::Kernel(KernelOp::Apply { revision, .. }) => {
                if let Some((held, _)) = &self.kernel.stamp {
                    assert!(
                        held.uid != revision.uid || held.generation <= revision.generation,
                        "back from {held} to {revision}"
                    );
                }
            }
            Action::Kernel(KernelOp::Repair) => {
                assert_eq!(
                    self.kernel.repairs_to, self.kernel.stamp,
                    "repairs to what was"
                );
            }
            Action::Kernel(KernelOp::Announce(_)) => assert!(self.kernel.answering),
            Action::WriteLease(write) => {
                let lease = self
                    .lease
                    .as_ref()
                    .filter(|l| l.uid == write.uid && l.resource_version == write.resource_version);
                if let Some(lease) = lease {
                    assert!(
                        lease.holder.is_empty() || lease.holder == me().to_string(),
                        "takes from {}",
                        lease.holder
                    );
                    let taken = lease.holder != write.holder && !write.holder.is_empty();
                    assert_eq!(write.transitions, lease.transitions + i64::from(taken));
                    assert!(
                        !write.holder.is_empty() || !self.kernel.answering,
                        "released first"
                    );
                }
            }
            _ => {}
        }
    }

    /// A report claims only what the kernel confirmed.
    fn check_report(&self, status: &GatewayInstanceStatus) {
        assert_eq!(status.instance, me().to_string());
        if let Some(applied) = &status.applied {
            let confirmed = self.kernel.confirmed.iter().any(|(revision, digest)| {
                revision.uid.as_str() == applied.uid
                    && revision.generation == applied.generation
                    && *digest == applied.digest
            });
            assert!(confirmed, "{applied:?} was never confirmed");
            self.check_removals(&Revision {
                uid: Uid::new(&*applied.uid),
                generation: applied.generation,
            });
        }
        if let Some(active) = &status.active {
            let held = self.agent.tenure.held(&me().to_string()).unwrap();
            let term = Term {
                lease_uid: Uid::new(&*active.lease_uid),
                transitions: active.term,
            };
            assert_eq!(held, term);
            assert!(
                status.applied.is_some() && self.kernel.answering,
                "{status:?}"
            );
        }
        if status.is_final {
            assert!(status.applied.is_none() && status.active.is_none());
            assert!(self.kernel.stamp.is_none() && !self.kernel.answering);
        }
    }

    /// A removal is acknowledged only after its connections were flushed.
    fn check_removals(&self, acked: &Revision) {
        let place = |wanted: &Revision| self.published.iter().position(|(r, _)| r == wanted);
        let (_, keys) = &self.published[place(acked).unwrap()];
        for (key, removed_in) in &self.kernel.unflushed {
            assert!(
                keys.contains(key) || place(acked) < place(removed_in),
                "removal of {key} acknowledged by {acked} before its flush"
            );
        }
    }
}

/// Of each slot at most one action is under way.
fn slot(action: &Action) -> u8 {
    match action {
        Action::ReadHeader => 0,
        Action::FetchSlices(_) => 1,
        Action::ReadLease | Action::WriteLease(_) => 2,
        Action::Report(_) | Action::ReadReport => 3,
        Action::ReadPod => 4,
        Action::Kernel(_) => 5,
        Action::Exit => 6,
    }
}
