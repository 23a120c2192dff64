//! The kinds that users apply, group `sluice.dev`.

mod dnat;
mod eip;
mod fip;
mod gateway;
mod ovn;
mod pool;
mod rate;
mod selector;
mod shared;
mod snat;

pub use dnat::{DNAT, DNATSpec, DNATTarget, Ports, Protocol};
pub use eip::{Bandwidth, EIP, EIPSpec, EIPStatus, GatewayRef, IpFamily, IpFamilyPolicy};
pub use fip::{FIP, FIPSpec, FIPTarget, PodRef};
pub use gateway::{
    AllowedTarget, Dataplane, FlowLog, GatewayHolder, GatewayTemplate, Lan, LanRoute, MacPolicy,
    MssClamp, NATGateway, NATGatewaySpec, NATGatewayStatus, Neighbours, SysctlsMode, Uplink,
    UplinkAddress,
};
pub use ovn::{Hosting, Ovn};
pub use pool::{EIPPool, EIPPoolSpec, EIPPoolStatus, FamilyUsage, PoolSubnet};
pub use rate::{NotARate, Rate};
pub use selector::{LabelOperator, LabelRequirement, LabelSelector};
pub use shared::{
    EIPRef, HolderRef, LabelSelectorTerm, NamespacesFrom, NamespacesFromKind, RuleStatus,
    unknown_conditions, unknown_pool_conditions,
};
pub use snat::{SNAT, SNATSpec};
