//! OVSDB, the protocol of Open vSwitch's and OVN's databases: RFC 7047, and what
//! `ovsdb-server(7)` adds to it.
//!
//! * [`Client`] stays: it finds a server (the leader of a cluster), keeps a copy of the rows that
//!   it monitors, comes back after faults where it was, and sends transactions.
//! * [`Connection`] is one connection to one server, with every method of the protocol.
//! * [`rows!`] makes types of rows; [`Row::check`] compares them with the server's schema.
//! * [`Fence`] makes transactions that take effect once, also when the answer is lost.
//!
//! A transaction whose answer does not come is [`TransactError::Unknown`]: it may have taken
//! effect, or may yet. Nothing in this crate does such a one again by itself.

pub mod client;
mod connection;
mod error;
mod fence;
mod monitor;
mod operation;
mod outcome;
mod replica;
mod row;
pub mod schema;
mod transport;
mod update;
mod value;

pub use client::{Client, Config, Status};
pub use connection::{Connection, Limits};
pub use error::{CallError, ConnectError, TransactError, UpdateError};
pub use fence::{Fence, Settled};
pub use monitor::{Monitor, TableMonitor, Updates};
pub use operation::{Condition, Function, Mutation, Mutator, Operation, Until};
pub use outcome::{Cause, ErrorKind, Outcome, Refusal};
pub use replica::{Changes, Replica};
pub use row::{BadRow, Row};
pub use transport::{BadRemote, Remote, Tls, TlsError, TransportError};
pub use update::{RowChange, TableUpdates, Update};
pub use value::{Atom, BadUuid, BadValue, Columns, Datum, Key, Real, Uuid, Value};

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
