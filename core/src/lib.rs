//! The decisions of Sluice, without I/O.
//!
//! Nothing here opens a socket, reads a clock or draws a random number: what
//! happened comes in as data together with the time it happened at, and what
//! is to be done goes out as data. So every decision can be tested as a table,
//! replayed from a log and explored by a model checker.

pub mod agent;
pub mod config;
pub mod entry;
pub mod identity;
pub mod lease;
pub mod neighbour;
pub mod operator;
pub mod ovn;
pub mod ports;
pub mod spread;

#[cfg(test)]
mod proof;
