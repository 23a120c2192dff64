//! Who leads: a Lease that changes hands by compare-and-swap only.
//!
//! ```text
//!            read: nobody / me / expired            answer to the write
//! Follow ───────────────────────────────▶ write ───────────────────────▶ Lead
//!   ▲  read: another, not surely expired  │  conflict or no answer         │
//!   └─────────────────────────────────────┘           sure_until passed    ▼
//!                                                                         Lost
//! ```
//!
//! No wall clock is compared. A follower takes a Lease over when it has not
//! changed for its whole duration by the follower's own clock, counted from
//! when the follower received it. A leader is sure of itself for four fifths of
//! the duration by its own clock, counted from when it *sent* the write that
//! succeeded. Clocks may run up to a tenth too fast or too slow.
//!
//! An identity stands for one life of one process, or for a succession of
//! processes of which each has surely ended before the next begins, such as the
//! containers of one Pod: a Lease that names one's own identity is one's own.

use crate::operator::event::Millis;

#[cfg(test)]
mod tests;

/// A Lease as the API server showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `spec.holderIdentity`; empty: nobody.
    pub holder: String,
    /// `spec.leaseTransitions`.
    pub transitions: i64,
    /// `spec.leaseDurationSeconds`; what is not positive counts as one's own duration.
    pub duration_secs: i64,
}

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The Lease to replace, by its UID and resourceVersion; `None`: create it.
    pub base: Option<Record>,
    /// `spec.holderIdentity`.
    pub holder: String,
    /// `spec.leaseTransitions`.
    pub transitions: i64,
    /// `spec.leaseDurationSeconds`.
    pub duration_secs: i64,
    /// Whether the holder changes, so that `spec.acquireTime` is set anew.
    pub acquires: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the Lease, then call [`Election::read`] or [`Election::failed`].
    Read,
    /// Write it, then call [`Election::wrote`] or [`Election::failed`].
    Write(Write),
    /// Nothing before this moment.
    Wait(Millis),
    /// Leadership is over and may not be resumed: end the process.
    Lost,
}

#[derive(Clone, Debug)]
struct Seen {
    record: Option<Record>,
    since: Millis,
    fresh: bool,
}

/// One contender's view of the election.
#[derive(Clone, Debug)]
pub struct Election {
    me: String,
    duration_ms: u64,
    seen: Option<Seen>,
    pause_until: Millis,
    renew_at: Millis,
    sure_until: Option<Millis>,
}

impl Election {
    /// A contender that knows nothing yet. `duration_secs` is at least 1.
    #[must_use]
    pub fn new(me: impl Into<String>, duration_secs: u32) -> Self {
        Self {
            me: me.into(),
            duration_ms: u64::from(duration_secs.max(1)) * 1_000,
            seen: None,
            pause_until: Millis(0),
            renew_at: Millis(0),
            sure_until: None,
        }
    }

    /// Until when this contender surely leads; `None` before it has ever led.
    #[must_use]
    pub fn sure_until(&self) -> Option<Millis> {
        self.sure_until
    }

    /// Whether this contender surely leads at `now`.
    #[must_use]
    pub fn leads(&self, now: Millis) -> bool {
        self.sure_until.is_some_and(|until| now < until)
    }

    /// What to do at `now`.
    #[must_use]
    pub fn next(&self, now: Millis) -> Step {
        if self.sure_until.is_some_and(|until| now >= until) {
            return Step::Lost;
        }
        if now < self.pause_until {
            return Step::Wait(self.pause_until);
        }
        let Some(seen) = &self.seen else {
            return Step::Read;
        };
        let Some(record) = &seen.record else {
            return Step::Write(self.write(None, 0, true));
        };
        if self.sure_until.is_some() {
            // Somebody else's name here means that ours was taken, whatever our clock says.
            return match record.holder == self.me {
                true if now < self.renew_at => Step::Wait(self.renew_at),
                true => Step::Write(self.write(Some(record), record.transitions, false)),
                false => Step::Lost,
            };
        }
        let expires = Millis(seen.since.0.saturating_add(self.duration_of(record)));
        if record.holder.is_empty() || record.holder == self.me || now >= expires {
            let transitions = record.transitions.saturating_add(1);
            return Step::Write(self.write(Some(record), transitions, true));
        }
        let retry = Millis(now.0.saturating_add(self.retry_ms()));
        match seen.fresh {
            true => Step::Wait(retry.min(expires)),
            false => Step::Read,
        }
    }

    /// Takes what a read showed; `None`: there is no such Lease.
    pub fn read(&mut self, record: Option<Record>, received: Millis) {
        let since = match &self.seen {
            Some(seen) if seen.record == record => seen.since,
            _ => received,
        };
        self.seen = Some(Seen {
            record,
            since,
            fresh: true,
        });
    }

    /// Takes the answer to a successful write that was sent at `sent`.
    pub fn wrote(&mut self, record: Record, sent: Millis) {
        self.sure_until = Some(Millis(sent.0.saturating_add(self.duration_ms * 4 / 5)));
        self.renew_at = Millis(sent.0.saturating_add(self.duration_ms / 3));
        self.seen = Some(Seen {
            record: Some(record),
            since: sent,
            fresh: true,
        });
    }

    /// A read or write failed, or its answer is unknown: look again after a pause.
    pub fn failed(&mut self, now: Millis) {
        self.pause_until = Millis(now.0.saturating_add(self.retry_ms()));
        if let Some(seen) = &mut self.seen {
            seen.fresh = false;
        }
        if self.sure_until.is_some() || self.seen.as_ref().is_some_and(|s| s.record.is_none()) {
            self.seen = None;
        }
    }

    /// A write met another version than it was based on: read at once.
    pub fn conflicted(&mut self) {
        self.seen = None;
    }

    /// The wait that [`Election::next`] asked for is over: look again if another holds.
    pub fn waited(&mut self) {
        if let Some(seen) = &mut self.seen {
            seen.fresh = false;
        }
    }

    /// The write that gives leadership up, if this contender leads at `now`.
    #[must_use]
    pub fn release(&self, now: Millis) -> Option<Write> {
        let record = self.seen.as_ref()?.record.as_ref()?;
        (self.leads(now) && record.holder == self.me).then(|| Write {
            holder: String::new(),
            ..self.write(Some(record), record.transitions, false)
        })
    }

    fn write(&self, base: Option<&Record>, transitions: i64, acquires: bool) -> Write {
        Write {
            base: base.cloned(),
            holder: self.me.clone(),
            transitions,
            duration_secs: i64::try_from(self.duration_ms / 1_000).unwrap_or(i64::MAX),
            acquires,
        }
    }

    fn retry_ms(&self) -> u64 {
        (self.duration_ms / 10).clamp(100, 2_000)
    }

    fn duration_of(&self, record: &Record) -> u64 {
        match u64::try_from(record.duration_secs) {
            Ok(secs) if secs > 0 => secs.saturating_mul(1_000),
            _ => self.duration_ms,
        }
    }
}
