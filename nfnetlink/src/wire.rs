//! The netlink wire format: messages, attributes, and nothing about their meaning.
//!
//! Everything that comes from the kernel is read through [`Messages`] and
//! [`AttrMap`]; both check every length and never panic. Everything that goes to
//! the kernel is built with [`Writer`].

mod attr;
mod consts;
mod error;
mod message;
mod writer;

pub use attr::{Attr, AttrMap, Attrs};
pub use consts::*;
pub use error::WireError;
pub use message::{Ack, Message, Messages};
pub use writer::{MessageHeader, Writer};

#[cfg(test)]
mod tests;
