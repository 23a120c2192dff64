//! Who answers: the gateway's Lease as this instance sees it.
//!
//! The operator makes the Lease and empties it for the dead; an instance only
//! takes it when it is empty, renews it, and empties it when it goes.

use super::backoff::{Backoff, Wake, after};
use super::event::{Lease, LeaseAnswer};
use super::{Action, Agent, LeaseWrite, Millis};
use crate::identity::Term;

#[cfg(test)]
mod tests;

/// What is known of the Lease.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    lease: Option<Lease>,
    /// The Lease, or that there is none, was seen.
    seen: bool,
    /// A live read found none.
    absent: bool,
    /// Another life of the name was seen, or a write may have been done or
    /// not: read it live before anything else.
    unsure: bool,
    /// A read or a write is under way; for a write, what it does.
    busy: Option<Busy>,
    /// When the next renewal is due; `None`: at once.
    renew_at: Option<Millis>,
    retry: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    Read,
    Take,
    Renew,
    Release,
}

impl Default for Tenure {
    fn default() -> Self {
        Self {
            lease: None,
            seen: false,
            absent: false,
            unsure: false,
            busy: None,
            renew_at: None,
            retry: Backoff::new(200, 2_000),
        }
    }
}

/// Who holds the Lease, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// No Lease was seen, or it is gone.
    Unknown,
    /// Nobody.
    Nobody,
    /// This very instance.
    Me,
    /// Another instance.
    Other,
}

impl Tenure {
    pub(super) fn holder(&self, me: &str) -> Holder {
        match &self.lease {
            None => Holder::Unknown,
            Some(lease) if lease.holder.is_empty() => Holder::Nobody,
            Some(lease) if lease.holder == me => Holder::Me,
            Some(_) => Holder::Other,
        }
    }

    /// The term that this instance holds.
    pub(super) fn held(&self, me: &str) -> Option<Term> {
        let lease = self.lease.as_ref()?;
        (lease.holder == me).then(|| lease.term())
    }

    /// The watch shows this.
    pub(super) fn observed(&mut self, lease: Option<Lease>) {
        self.seen = true;
        match (&self.lease, lease) {
            (None, seen) => self.lease = seen,
            (Some(_), None) => self.unsure = true,
            (Some(known), Some(seen)) if known.uid != seen.uid => self.unsure = true,
            (Some(known), Some(seen)) => {
                if is_newer(&seen.resource_version, &known.resource_version) {
                    self.lease = Some(seen);
                }
            }
        }
    }

    /// A read or write ended.
    pub(super) fn answered(&mut self, now: Millis, answer: LeaseAnswer) {
        let busy = self.busy.take();
        match answer {
            LeaseAnswer::Stands(lease) => {
                self.stands(lease);
                self.retry.reset();
                match busy {
                    Some(Busy::Take | Busy::Renew) => {
                        let secs = self.lease.as_ref().map_or(0, |l| l.duration_secs);
                        let millis = u64::try_from(secs).unwrap_or(0).saturating_mul(1000) / 3;
                        self.renew_at = Some(after(now, millis.max(1_000)));
                    }
                    Some(Busy::Read | Busy::Release) | None => {}
                }
            }
            LeaseAnswer::Conflict(lease) => self.stands(lease),
            LeaseAnswer::Unknown(_) => {
                self.unsure |= busy != Some(Busy::Renew);
                self.retry.failed(now);
            }
        }
    }

    /// A live read: what it shows counts, unless the watch was faster.
    fn stands(&mut self, lease: Option<Lease>) {
        self.unsure = false;
        self.seen = true;
        self.absent = lease.is_none();
        match (&self.lease, &lease) {
            (Some(known), Some(seen))
                if known.uid == seen.uid
                    && !is_newer(&seen.resource_version, &known.resource_version) => {}
            _ => self.lease = lease,
        }
    }

    /// Whether the Lease, or its absence, was seen.
    pub(super) fn is_known(&self) -> bool {
        self.seen
    }

    /// Whether the Lease is surely not this instance's any more.
    pub(super) fn is_released(&self, me: &str) -> bool {
        let known = self.lease.is_some() || self.absent;
        known && !self.unsure && self.busy.is_none() && self.held(me).is_none()
    }
}

/// Resource versions are decimal numbers that grow.
fn is_newer(seen: &str, known: &str) -> bool {
    match (seen.parse::<u64>(), known.parse::<u64>()) {
        (Ok(seen), Ok(known)) => seen > known,
        _ => seen != known,
    }
}

impl Agent {
    /// Takes, renews, or reads the Lease.
    pub(super) fn next_lease_action(&mut self, now: Millis) -> Option<Action> {
        let tenure = &mut self.tenure;
        if tenure.busy.is_some() {
            return None;
        }
        if tenure.unsure {
            return tenure.begin(now, &mut self.wake, Busy::Read, &self.me);
        }
        match tenure.holder(&self.me) {
            Holder::Unknown | Holder::Other => None,
            Holder::Me => {
                let due = tenure.renew_at.unwrap_or(now);
                if !self.wake.reached(now, due) {
                    return None;
                }
                tenure.begin(now, &mut self.wake, Busy::Renew, &self.me)
            }
            Holder::Nobody => {
                if !self.plane.may_take(now) {
                    return None;
                }
                tenure.begin(now, &mut self.wake, Busy::Take, &self.me)
            }
        }
    }

    /// On the way out: empties the Lease if it is this instance's.
    pub(super) fn next_release(&mut self, now: Millis) -> Option<Action> {
        let tenure = &mut self.tenure;
        if tenure.busy.is_some() {
            return None;
        }
        let held = tenure.held(&self.me).is_some();
        let busy = if tenure.unsure || !held {
            Busy::Read
        } else {
            Busy::Release
        };
        tenure.begin(now, &mut self.wake, busy, &self.me)
    }
}

impl Tenure {
    fn begin(&mut self, now: Millis, wake: &mut Wake, busy: Busy, me: &str) -> Option<Action> {
        if !wake.reached(now, self.retry.due()) {
            return None;
        }
        let action = match (busy, &self.lease) {
            (Busy::Read, _) | (_, None) => Action::ReadLease,
            (Busy::Take, Some(lease)) => Action::WriteLease(LeaseWrite {
                holder: me.to_owned(),
                transitions: lease.transitions.saturating_add(1),
                acquire: true,
                ..LeaseWrite::unchanged(lease)
            }),
            (Busy::Renew, Some(lease)) => Action::WriteLease(LeaseWrite::unchanged(lease)),
            (Busy::Release, Some(lease)) => Action::WriteLease(LeaseWrite {
                holder: String::new(),
                ..LeaseWrite::unchanged(lease)
            }),
        };
        self.busy = Some(busy);
        Some(action)
    }
}

impl LeaseWrite {
    fn unchanged(lease: &Lease) -> Self {
        Self {
            uid: lease.uid.clone(),
            resource_version: lease.resource_version.clone(),
            holder: lease.holder.clone(),
            transitions: lease.transitions,
            acquire: false,
        }
    }
}
