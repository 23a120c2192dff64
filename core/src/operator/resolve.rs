//! What the users' objects mean together: which are accepted, and what each asks
//! of which gateway.

pub(crate) mod allowed;
pub(crate) mod eip;
pub(crate) mod forward;
pub(crate) mod gateway;
mod named;
pub(crate) mod pods;
pub(crate) mod pool;
pub(crate) mod rivals;
pub(crate) mod rules;

use std::collections::BTreeMap;

use super::event::{Key, Kind};

/// What was decided last about each object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views {
    pub pools: BTreeMap<String, pool::PoolView>,
    pub gateways: BTreeMap<Key, gateway::GatewayView>,
    pub eips: BTreeMap<Key, eip::EipView>,
    pub rules: BTreeMap<(Kind, Key), rules::RuleView>,
}
