//! `kubectl sluice`: what the gateways do, why something is not Ready, and how to take
//! Sluice down again.
//!
//! What is said is decided by pure functions over a [`world::World`], which holds the
//! objects as they were read; [`fetch`] reads them, [`run`] prints.

pub mod bundle;
pub mod explain;
pub mod fetch;
pub mod options;
pub mod output;
pub mod overview;
pub mod ports;
pub mod run;
pub mod target;
pub mod trace;
pub mod uninstall;
pub mod who;
pub mod world;
