//! nf_tables and conntrack over netlink, without a C library and without the `nft` program.
//!
//! * [`Socket`] changes and reads tables: [`Socket::commit`] sends a [`nftables::Batch`] that
//!   takes effect as a whole or not at all, on a stated [`nftables::Generation`] if asked to;
//!   [`Socket::dump_table`] reads a whole table, consistent at one generation.
//! * [`EventSocket`] tells of changes, own and foreign.
//! * [`conntrack`] lists, deletes and flushes flows.
//! * [`render`] prints a table as `nft` would.
//! * [`wire`] is the format itself, bounds-checked.
//!
//! All calls block; an event socket may be polled ([`std::os::fd::AsFd`]) and read without
//! blocking. A socket belongs to the network namespace of the thread that opened it.

pub mod conntrack;
mod error;
mod events;
pub mod nftables;
pub mod render;
mod socket;
mod sockopt;
pub mod wire;

pub use error::Error;
pub use events::EventSocket;
pub use rustix::io::Errno;
pub use socket::Socket;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
