//! The agent in a NAT gateway pod: config in, kernel, report out.
//!
//! ```text
//! API server ── watches ──▶ server ── events ──▶ run ── operations ──▶ dataplane ──▶ kernel
//!     ▲                       ▲                   │ sluice_core::agent      (a thread)
//!     └── compare-and-swap ───┴───── actions ─────┘ decides
//! ```

mod address;
pub mod dataplane;
pub mod http;
pub mod identity;
pub mod kernel;
pub mod kernel_plane;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod options;
pub mod ovn;
pub mod run;
pub mod server;
