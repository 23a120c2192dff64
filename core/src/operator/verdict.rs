//! Whether an object is accepted, and why not.

use sluice_crds::condition::Reason;

/// What `Accepted` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// True: the object is acted upon.
    pub ok: bool,
    /// Reason of the condition.
    pub reason: Reason,
    /// Object, field, value and remedy.
    pub message: String,
}

impl Verdict {
    /// Accepted.
    pub(crate) fn accepted() -> Self {
        Self {
            ok: true,
            reason: Reason::Accepted,
            message: "valid, and its references resolve".to_owned(),
        }
    }

    /// Not accepted.
    pub(crate) fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            ok: false,
            reason,
            message: message.into(),
        }
    }
}

/// What a step of resolving answers; the error is a refusal.
pub(crate) type Resolved<T> = Result<T, Verdict>;

/// Refuses.
pub(crate) fn refuse<T>(reason: Reason, message: impl Into<String>) -> Resolved<T> {
    Err(Verdict::refused(reason, message))
}
