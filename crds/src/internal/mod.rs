//! The kinds that the operator and the agents tell each other, group
//! `internal.sluice.dev`. Users read them, nobody else writes them.

mod claim;
mod config;
mod instance;
mod slice;

pub use claim::{AddressClaim, AddressClaimSpec, ClaimOwner, ClaimOwnerKind, ClaimPhase};
pub use config::{
    ConfigLan, ConfigNeighbours, ConfigNode, ConfigRoute, ConfigSettings, ConfigSubnet,
    ConfigUplink, GatewayConfig, GatewayConfigSpec, OwnerGateway,
};
pub use instance::{
    Active, Applied, GatewayInstance, GatewayInstanceSpec, GatewayInstanceStatus, NeighbourChange,
    Problem, RejectedEntry, Shortage, UnusableAddress, UplinkOwnAddress,
};
pub use slice::{RuleSlice, RuleSliceSpec};
