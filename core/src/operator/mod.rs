//! The operator's side of the protocol as a state machine.
//!
//! [`event::Event`]s tell it what the API server shows; [`action::Action`]s
//! say what to write or to read. Every decision depends on the current state
//! of the world only, so events may be lost, doubled or late, and the process
//! may stop between any two writes.

pub mod action;
pub mod event;
