//! The kinds that the operator and the agents tell each other, group
//! `internal.sluice.dev`. Users read them, nobody else writes them.

mod claim;
mod config;
mod instance;
mod slice;

pub use claim::{AddressClaim, AddressClaimSpec, ClaimOwner, ClaimOwnerKind, ClaimPhase};
pub use config::{
    ConfigLan, ConfigRoute, ConfigSettings, ConfigSubnet, ConfigUplink, GatewayConfig,
    GatewayConfigSpec, OwnerGateway,
};
pub use instance::{
    Active, Applied, GatewayInstance, GatewayInstanceSpec, GatewayInstanceStatus, Problem,
    RejectedEntry, UnusableAddress, UplinkOwnAddress,
};
pub use slice::{RuleSlice, RuleSliceSpec};
