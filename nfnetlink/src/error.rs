//! What may go wrong when asking the kernel.

use crate::Errno;
use crate::wire::WireError;

/// A question to the kernel that brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{call}: {errno}")]
    Io {
        /// The call.
        call: &'static str,
        /// Its error.
        errno: Errno,
    },
    /// The kernel refused the request.
    #[error("kernel refused {request}: {errno}{}", text.as_deref().map(|t| format!(" ({t})")).unwrap_or_default())]
    Refused {
        /// The request, by the kernel's name of the message.
        request: &'static str,
        /// The error number.
        errno: Errno,
        /// The kernel's explanation.
        text: Option<String>,
    },
    /// An answer does not follow the wire format.
    #[error("answer of the kernel: {0}")]
    Wire(#[from] WireError),
    /// Objects changed during each of several dumps; ask again later.
    #[error("{request}: changed during each of {tries} dumps")]
    Unsettled {
        /// The request.
        request: &'static str,
        /// How often it was tried.
        tries: u32,
    },
    /// The socket's receive buffer was full and messages are lost (`ENOBUFS`): dump again.
    #[error("receive buffer overrun, messages are lost")]
    Overrun,
}

impl Error {
    pub(crate) fn io(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| match errno {
            Errno::NOBUFS => Self::Overrun,
            errno => Self::Io { call, errno },
        }
    }
}
