//! How many of the mutants of `core` its tests notice.
//!
//! cargo-mutants builds a program for each mutant. Here [`list`] takes its list of
//! mutants, [`switch`] puts them all behind switches in a copy of the tree, [`copy`]
//! leaves out those that do not compile, by rustc's errors ([`blame`]), and builds the
//! rest into one program of [`tests`]. [`run`] asks those tests about a mutant that reach
//! it. [`survivors`] are known, each with its reason; [`session`] goes through all.

pub mod blame;
pub mod copy;
pub mod error;
pub mod list;
pub mod run;
pub mod session;
pub mod survivors;
pub mod switch;
pub mod tests;
