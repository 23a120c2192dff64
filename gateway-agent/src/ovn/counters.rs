//! The counters of the acknowledgement, out of both databases.

use ovsdb_client::{BadRow, Replica, Uuid};
use sluice_core::ovn::{Counters, Host};

use super::tables::{Chassis, ChassisPrivate, NbGlobal, PortBinding, SbGlobal, redirect};

/// `NB_Global.options`: chassis do not count if false (ovn-nb(5), OVN 25.09 and newer).
const SWITCH: &str = "enable_chassis_nb_cfg_update";

/// Reads them; `None` where a database has not been set up.
pub(super) fn read(
    north: &Replica,
    south: &Replica,
    gateway_port: &str,
) -> Result<Option<Counters>, BadRow> {
    let global = north.all::<NbGlobal>()?.into_values().next();
    let southbound = south.all::<SbGlobal>()?.into_values().next();
    let (Some(global), Some(southbound)) = (global, southbound) else {
        return Ok(None);
    };
    let private = south.all::<ChassisPrivate>()?;
    let host = host(south, gateway_port)?.map(|(chassis, binding)| {
        let own = private.values().find(|private| private.name == chassis);
        Host {
            at: own.map(|own| own.nb_cfg),
            binding: binding.to_string(),
            chassis,
        }
    });
    Ok(Some(Counters {
        nb_cfg: global.nb_cfg,
        sb_cfg: global.sb_cfg,
        southbound: southbound.nb_cfg,
        host,
        switched_off: global.options.get(SWITCH).is_some_and(|on| on == "false"),
    }))
}

/// The chassis that hosts the gateway port: of a distributed router the one that its redirect
/// port is bound to, of a router that is on one chassis as a whole that of the port itself;
/// and the binding's version.
fn host(south: &Replica, gateway_port: &str) -> Result<Option<(String, Uuid)>, BadRow> {
    let bindings = south.all::<PortBinding>()?;
    let named = |name: &str| {
        bindings
            .values()
            .find(|binding| binding.logical_port == name)
    };
    let redirect = named(&redirect(gateway_port));
    let whole = || named(gateway_port).filter(|binding| binding.kind == "l3gateway");
    let binding = redirect.or_else(whole);
    let Some((id, version)) = binding.and_then(|b| Some((b.chassis?, b.version))) else {
        return Ok(None);
    };
    let chassis = south.get::<Chassis>(id)?;
    Ok(chassis.map(|chassis| (chassis.name, version)))
}
