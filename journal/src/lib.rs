//! How the programs of Sluice write their logs, and what they say of addresses.
//!
//! Whatever a line says of an object's addresses, it has both keys, `ipv4` and `ipv6`, and
//! null where there is none. [`Ledger`] knows which operations on addresses are open, so
//! that each ends in one line, on every path; and counts them, so that what was added less
//! what was removed is what there is.

mod captured;
mod json;
mod ledger;

pub use captured::captured;
pub use json::Json;
pub use ledger::{Count, Ledger, Line, Op, Outcome};

use std::fmt;

/// A value of a log line that may be absent: `null` then, in JSON and in text.
pub struct OrNull<T>(pub Option<T>);

/// [`OrNull`], for a field of a log line: `ipv6 = or_null(addresses.ipv6)`.
pub fn or_null<T: fmt::Display>(value: Option<T>) -> tracing::field::DebugValue<OrNull<T>> {
    tracing::field::debug(OrNull(value))
}

impl<T: fmt::Display> fmt::Debug for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => fmt::Display::fmt(value, f),
            None => f.write_str(NULL),
        }
    }
}

/// How an absent value is written.
const NULL: &str = "null";
