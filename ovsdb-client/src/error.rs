//! What may go wrong, by what was asked.

use crate::outcome::{Cause, Refusal};

/// No connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The remote did not take it, or the way there failed.
    #[error("connect to {remote}: {source}")]
    Io {
        /// The remote as it was given.
        remote: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It took too long.
    #[error("connect to {remote}: no connection within {after_ms} ms")]
    TimedOut {
        /// The remote as it was given.
        remote: String,
        /// How long was waited.
        after_ms: u128,
    },
    /// `ssl:` without keys.
    #[error("connect to {remote}: it wants TLS, and no certificates are given")]
    NoTls {
        /// The remote as it was given.
        remote: String,
    },
}

/// A call that brought no answer, or one that says no.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The server says no.
    #[error("{method}: {cause}")]
    Refused {
        /// The method.
        method: &'static str,
        /// The server's words.
        cause: Cause,
    },
    /// No answer in time. It may still be done, or come to be done.
    #[error("{method}: no answer within {after_ms} ms")]
    TimedOut {
        /// The method.
        method: &'static str,
        /// How long was waited.
        after_ms: u128,
    },
    /// The connection ended before the answer.
    #[error("{method}: connection closed: {reason}")]
    Closed {
        /// The method.
        method: &'static str,
        /// Why.
        reason: String,
    },
    /// An answer of a form that the method does not have.
    #[error("{method}: answer not understood: {reason}")]
    Malformed {
        /// The method.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl CallError {
    /// Whether the server is older than the method.
    pub fn is_unknown_method(&self) -> bool {
        matches!(self, Self::Refused { cause, .. } if cause.kind == crate::ErrorKind::UnknownMethod)
    }
}

/// A transaction that is not known to have taken effect.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransactError {
    /// It was not sent: nothing happened.
    #[error("transact: not sent: {reason}")]
    NotSent {
        /// Why.
        reason: String,
    },
    /// The server refused it: nothing happened.
    #[error("transact: {0}")]
    Refused(#[from] Refusal),
    /// It was sent, and no answer came. It may have taken effect, or may yet do so: read before
    /// doing it again, or make it one that cannot take effect twice ([`crate::Fence`]).
    #[error("transact: outcome unknown: {reason}")]
    Unknown {
        /// Why no answer came.
        reason: String,
    },
}

/// Updates that cannot be told any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The server ended the monitor: the database changed its form or went.
    #[error("the server canceled the monitor")]
    Canceled,
    /// The connection is closed.
    #[error("connection closed: {0}")]
    Closed(String),
    /// An update of a form that the protocol does not have.
    #[error("update not understood: {0}")]
    Malformed(String),
    /// An update of a row that is not as the server believes.
    #[error("update does not fit: {0}")]
    Misfit(String),
}
