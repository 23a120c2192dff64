//! The agent in a NAT gateway pod.

pub mod kernel;
