//! The agent against a simulated API server, kubelet and kernel.

mod properties;
mod scenarios;
pub mod sim;
mod transitions;
