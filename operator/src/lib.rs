//! The operator's edge: watches feed `sluice-core`, which decides; its actions
//! are written here, one attempt each, by the one leader.
//!
//! ```text
//! watch ──events──▶ brain (core) ──actions──▶ queue ──▶ execute ──▶ API server
//!                     ▲                                   │
//!                     └────────── answers, outcomes ──────┘
//! ```

pub mod announce;
pub mod attachment;
pub mod brain;
pub mod children;
pub mod clock;
pub mod convert;
mod decide;
pub mod execute;
mod inside_pod;
pub mod leader;
pub mod metrics;
pub mod operations;
pub mod options;
pub mod queue;
pub mod resource;
pub mod rest;
pub mod run;
pub mod server;
pub mod watch;
