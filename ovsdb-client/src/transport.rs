//! JSON-RPC 1.0 (RFC 7047, 4) beneath jsonrpsee's client, which speaks 2.0.
//!
//! ```text
//!  jsonrpsee client ── requests ──> sender ──> writer task ──> socket
//!                                                  ^
//!                     echo replies, own echoes ────┘
//!  jsonrpsee client <── replies ─── receiver <──────────────── socket
//!  monitors' queues <── updates ───────┘
//! ```
//!
//! Echo and updates never reach jsonrpsee: its queues of notifications drop what does not fit.
//! A monitor's queue is bounded by bytes; when it is full the receiver reads no more from the
//! socket until there is room, and tells the server by echoes of its own that it lives.

mod frame;
mod queue;
mod receiver;
mod remote;
mod sender;
mod tls;
mod wire;

pub use remote::{BadRemote, Remote};
pub use tls::{Tls, TlsError};

pub(crate) use frame::{FrameError, Frames};
pub(crate) use queue::{Notice, Queue, Queues};
pub(crate) use receiver::Receiver;
pub(crate) use remote::Stream;
pub(crate) use sender::Writer;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server closed it.
    #[error("the server closed the connection")]
    End,
    /// The server closed it in the middle of a message.
    #[error("the server closed the connection {got} bytes into a message")]
    Cut {
        /// How much of the message had come.
        got: usize,
    },
    /// Nothing came, not even an answer to echo.
    #[error("the server has been silent for {for_ms} ms")]
    Silent {
        /// For how long.
        for_ms: u128,
    },
    /// What came is not JSON, or is too long.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// What came is not a message of JSON-RPC.
    #[error("not a message: {0}")]
    Message(String),
    /// The writing half is gone; the reading half knows why.
    #[error("writing has ended")]
    WriterGone,
}
