//! When to try again, and when to wake.

use super::Millis;

#[cfg(test)]
mod tests;

/// The next moment at which something falls due by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wake(Option<Millis>);

impl Wake {
    /// Whether `due` has come; if not, it is remembered.
    pub(super) fn reached(&mut self, now: Millis, due: Millis) -> bool {
        if due <= now {
            return true;
        }
        self.0 = Some(self.0.map_or(due, |at| at.min(due)));
        false
    }

    /// The earliest moment that was remembered.
    pub(super) fn at(self) -> Option<Millis> {
        self.0
    }
}

/// `now` and some milliseconds.
pub(super) fn after(now: Millis, millis: u64) -> Millis {
    Millis(now.0.saturating_add(millis))
}

/// Waits that double from a first to a longest one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: u64,
    longest: u64,
    last: u64,
    due: Millis,
}

impl Backoff {
    /// From `first` to `longest` milliseconds; the first try is due at once.
    pub(super) const fn new(first: u64, longest: u64) -> Self {
        Self {
            first,
            longest,
            last: 0,
            due: Millis(0),
        }
    }

    /// A try failed: the next one is due later.
    pub(super) fn failed(&mut self, now: Millis) {
        self.last = (self.last * 2).clamp(self.first, self.longest);
        self.due = after(now, self.last);
    }

    /// A try succeeded: the next one is due at once.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.first, self.longest);
    }

    /// When the next try is due.
    pub(super) fn due(&self) -> Millis {
        self.due
    }
}
