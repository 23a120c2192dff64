//! The CEL rules that several kinds share, each written once.
//!
//! They refuse at admission what [`crate::address`] refuses: the same strings,
//! which `tests/differential.rs` holds against each other. Every message names
//! the field, the value and the remedy. Costs: an API server refuses a
//! definition whose rules could take too long, so every list and string that a
//! rule walks is bounded.

mod address;
mod dataplane;
mod immutable;
mod name;
mod pods;
mod pool;
mod port;
mod rate;

pub(crate) use address::*;
pub(crate) use dataplane::*;
pub(crate) use immutable::*;
pub(crate) use name::*;
pub(crate) use pods::*;
pub(crate) use pool::*;
pub(crate) use port::*;
pub(crate) use rate::*;

use kube::core::{Message, Rule};

/// A rule with a message that is an expression: it can name the value.
fn rule(expression: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule::new(expression).message(Message::Expression(message.into()))
}

/// A rule with a fixed message.
pub(crate) fn fixed(expression: impl Into<String>, message: &str) -> Rule {
    Rule::new(expression).message(message)
}

/// A rule that every element `x` of a list must meet; the message, which may
/// use `x`, speaks of the first that does not.
fn each(condition: &str, message: &str) -> Rule {
    rule(
        format!("self.all(x, {condition})"),
        format!("self.filter(x, !({condition})).map(x, {message})[0]"),
    )
}

/// A CEL string literal.
fn text(words: &str) -> String {
    format!("'{}'", words.replace('\\', "\\\\").replace('\'', "\\'"))
}
