//! What a gateway must do with single packets: one table of checks, and the means to run it.
//!
//! A check sends packets from hosts that exist only as a MAC and an address, and says which
//! packets arrive where; whatever else arrives makes it fail. No kernel stands behind these
//! hosts, so nothing but the gateway answers. Each check names the damage to the gateway that
//! it must notice, so that a run on a damaged gateway proves the check.
//!
//! The table does not know where it runs: [`hosts::Link`] carries its frames, [`plan::entries`]
//! says what the gateway must be told, and [`damage::Damage`] is done by commands in the
//! gateway's network namespace.

pub mod act;
pub mod check;
pub mod damage;
pub mod hosts;
pub mod packet;
pub mod plan;
pub mod run;
pub mod table;
pub mod trace;
