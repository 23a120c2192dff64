//! What users do in a round of chaos. What the API server refuses is no failure: an object
//! may be there already, or still going.

use serde_json::json;

use super::world::{PAIRS, ROAMERS, SECOND, World, pair, roamer};
use crate::failure::Outcome;
use crate::gateway::{GATEWAY, NS, dnat, eip, fip, snat, tenant};
use crate::stage::{Stage, text};

/// An EIP and its FIP, or what is missing of them, are made.
pub fn make(stage: &mut Stage, world: &mut World) -> Outcome {
    let (name, to) = (pair(stage.below(PAIRS)), stage.below(4));
    for object in [eip(NS, &name), fip(NS, &name, &name, tenant(to).1)] {
        let kind = text(&object, "/kind");
        if stage.live(&kind, NS, &name).is_none() {
            stage.note(format!("{kind} {name} is made"));
            let _ = stage.create(&object);
            if kind == "FIP" {
                world.aim(&name, to);
            }
        }
    }
    Ok(())
}

/// A FIP is deleted.
pub fn end_rule(stage: &mut Stage, world: &mut World) -> Outcome {
    let name = pair(stage.below(PAIRS));
    world.retire(stage, &["FIP"], &name);
    stage.note(format!("FIP {name} is deleted"));
    stage.delete("FIP", NS, &name)
}

/// An EIP is deleted with its FIP, and often made again at once.
pub fn end_both(stage: &mut Stage, world: &mut World) -> Outcome {
    let name = pair(stage.below(PAIRS));
    world.retire(stage, &["FIP", "EIP"], &name);
    stage.note(format!("EIP and FIP {name} are deleted"));
    let mut both = [("EIP", &name), ("FIP", &name)].map(|(k, n)| (k.into(), NS.into(), n.clone()));
    stage.shuffle(&mut both);
    stage.delete_all(&both)?;
    if stage.below(2) == 0 {
        stage.note(format!("EIP {name} is made again"));
        let _ = stage.create(&eip(NS, &name));
    }
    Ok(())
}

/// A FIP leads to another tenant.
pub fn retarget(stage: &mut Stage, world: &mut World) -> Outcome {
    let (name, to) = (pair(stage.below(PAIRS)), stage.below(4));
    if stage.live("FIP", NS, &name).is_none() {
        return Ok(());
    }
    world.retire(stage, &["FIP"], &name);
    // Pings of the EIP go to the old or the new tenant; one that is on its way may be lost.
    stage.note(format!("FIP {name} leads to {}", tenant(to).0));
    let (v4, v6) = tenant(to).1;
    let patch = json!({"spec": {"target": {"ips": [v4, v6]}}});
    if stage.patch("FIP", NS, &name, &patch).is_ok() {
        world.aim(&name, to);
    }
    Ok(())
}

/// A forwarded port is made, changed or deleted.
pub fn forward(stage: &mut Stage, _: &mut World) -> Outcome {
    let (which, to) = (stage.below(3), stage.below(4));
    let name = format!("port-{which}");
    if stage.live("DNAT", NS, &name).is_none() {
        // Never that of another, who would be refused.
        let port = 8000 + 3 * stage.below(7) + which;
        stage.note(format!("DNAT {name} of port {port} is made"));
        let _ = stage.create(&dnat(
            NS,
            &name,
            "service",
            json!(port),
            tenant(to).1,
            json!(80),
        ));
        return Ok(());
    }
    if stage.below(2) == 0 {
        stage.note(format!("DNAT {name} is deleted"));
        return stage.delete("DNAT", NS, &name);
    }
    stage.note(format!("DNAT {name} leads to {}", tenant(to).0));
    let (v4, v6) = tenant(to).1;
    let patch = json!({"spec": {"targets": [{"ips": [v4, v6]}]}});
    let _ = stage.patch("DNAT", NS, &name, &patch);
    Ok(())
}

/// A translation of tenants' sources is made or deleted.
pub fn translate(stage: &mut Stage, _: &mut World) -> Outcome {
    if stage.live("SNAT", NS, "all").is_some() {
        stage.note("SNAT all is deleted");
        return stage.delete("SNAT", NS, "all");
    }
    stage.note("SNAT all is made");
    let _ = stage.create(&snat(
        NS,
        "all",
        "exit",
        &["10.244.0.0/16", "fd00:10:244::/64"],
    ));
    Ok(())
}

/// An EIP moves to the other gateway.
pub fn roam(stage: &mut Stage, _: &mut World) -> Outcome {
    let name = roamer(stage.below(ROAMERS));
    let now = stage.live("EIP", NS, &name).unwrap_or_default();
    let there = text(&now, "/spec/gateway/name") == SECOND;
    let to = if there { GATEWAY.1 } else { SECOND };
    stage.retire(&[format!("EIP/{NS}/{name}")]);
    stage.note(format!("EIP {name} moves to {to}"));
    let patch = json!({"spec": {"gateway": {"name": to}}});
    let _ = stage.patch("EIP", NS, &name, &patch);
    Ok(())
}
