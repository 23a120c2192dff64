//! The API of Sluice as Rust types: what users apply (`sluice.dev`) and what
//! the operator and the gateway agents tell each other (`internal.sluice.dev`).
//!
//! One kind a file. Everything that one object alone can get wrong is refused
//! by its schema or its CEL rules; what needs a second object is decided by
//! `sluice-core`.

pub mod address;
mod cel;
pub mod condition;
pub mod internal;
pub mod manifest;
pub mod names;
pub mod reference;
pub mod user;

pub use internal::{AddressClaim, GatewayConfig, GatewayInstance, RuleSlice};
pub use user::{DNAT, EIP, EIPPool, FIP, NATGateway, SNAT};
