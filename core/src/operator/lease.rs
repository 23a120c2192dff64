//! Who holds a gateway's addresses, by its Lease and this leader's own clock.

use k8s_openapi::jiff::Timestamp;

use super::event::{LeaseFacts, Millis};
use crate::identity::Term;

#[cfg(test)]
mod tests;

/// Who answers for a gateway's addresses, as far as the Lease tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Holder {
    /// No Lease, or nobody in it.
    #[default]
    Nobody,
    /// The Lease has not been renewed for its whole duration.
    Lost { instance: String, term: Term },
    /// The Lease is alive.
    Held { instance: String, term: Term },
}

impl Holder {
    /// Instance and term, alive or lost.
    pub(crate) fn named(&self) -> Option<(&str, &Term)> {
        match self {
            Holder::Nobody => None,
            Holder::Lost { instance, term } | Holder::Held { instance, term } => {
                Some((instance, term))
            }
        }
    }
}

/// Measures how long a Lease has stood unchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaseClock {
    seen: Option<Seen>,
    /// Whether it was looked at before: what is seen then for the first time is new.
    looked: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    mark: (String, String, i64, String),
    since: Millis,
    /// Unchanged time counts only while the watch is in sync.
    running: bool,
    expired: bool,
    /// Whether this came about while the Lease was looked at.
    witnessed: bool,
}

impl LeaseClock {
    /// Looks at the Lease; returns the holder and when it will expire.
    pub(crate) fn look(
        &mut self,
        lease: Option<&LeaseFacts>,
        in_sync: bool,
        now: Millis,
    ) -> (Holder, Option<Millis>) {
        let witnessed = std::mem::replace(&mut self.looked, true);
        let Some(lease) = lease.filter(|l| !l.holder.is_empty()) else {
            self.seen = None;
            return (Holder::Nobody, None);
        };
        let mark = (
            lease.uid.to_string(),
            lease.holder.clone(),
            lease.transitions,
            lease.renew_time.clone(),
        );
        let seen = match &mut self.seen {
            Some(seen) if seen.mark == mark => seen,
            slot => slot.insert(Seen {
                mark,
                since: now,
                running: in_sync,
                expired: false,
                witnessed,
            }),
        };
        if in_sync && !seen.running && !seen.expired {
            seen.since = now;
        }
        seen.running = in_sync;
        let duration = u64::try_from(lease.duration_secs)
            .unwrap_or_default()
            .saturating_mul(1_000);
        let deadline = Millis(seen.since.0.saturating_add(duration));
        if in_sync && now >= deadline {
            seen.expired = true;
        }
        let (instance, term) = (
            lease.holder.clone(),
            Term {
                lease_uid: lease.uid.clone(),
                transitions: lease.transitions,
            },
        );
        if seen.expired {
            (Holder::Lost { instance, term }, None)
        } else {
            (Holder::Held { instance, term }, in_sync.then_some(deadline))
        }
    }

    /// Whether the Lease was renewed of late: that was seen, or by the clocks of its holder
    /// and of this process it is so. One that a new leader finds may have stood for long.
    pub(crate) fn is_fresh(&self, lease: &LeaseFacts, wall: Timestamp) -> bool {
        let duration = i128::from(lease.duration_secs) * 1_000_000_000;
        let renewed = lease.renew_time.parse::<Timestamp>();
        self.is_witnessed()
            || renewed.is_ok_and(|at| {
                let age = wall.as_nanosecond() - at.as_nanosecond();
                age.abs() < duration
            })
    }

    /// Whether the Lease was seen to be taken or renewed as it stands.
    pub(crate) fn is_witnessed(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.witnessed)
    }
}
