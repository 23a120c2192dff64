//! The operator against an API server, agents and a kubelet in memory.

mod agent;
mod behaviour;
mod bulk;
mod families;
mod fence;
mod forget;
mod late;
mod lessons;
mod limits;
mod load;
mod lost;
mod moves;
pub mod objects;
mod ovn;
mod plain;
mod pods;
mod pools;
mod reboot;
mod room;
mod scenarios;
pub mod server;
mod shared;
mod shortages;
mod simulation;
mod stage;
mod upgrade;
mod uplinks;
