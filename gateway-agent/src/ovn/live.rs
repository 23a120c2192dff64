//! What the northbound database has, in the words of `core::ovn`.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb_client::{BadRow, Replica, Uuid};
use sluice_core::ovn::{
    Claim, Foreign, Live, LiveRow, LoadBalancer, Nat, NatKind, Place, Row, RowId, Table, ids,
};

use super::tables::{
    BalancerRow, LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, NatRow,
};

/// Why the gateway has no place there.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPlace {
    /// No router of that name.
    #[error("logical router {0} is not in the northbound database")]
    Router(String),
    /// Two.
    #[error("several logical routers are called {0}: give them names of their own")]
    Ambiguous(String),
    /// The router has no such port.
    #[error("logical router {router} has no port {port}")]
    Port {
        /// The router.
        router: String,
        /// The port.
        port: String,
    },
    /// A row of a type that the schema does not have.
    #[error(transparent)]
    Row(#[from] BadRow),
}

pub(super) const fn row_id(uuid: Uuid) -> RowId {
    RowId(uuid.0)
}

pub(super) const fn uuid(id: RowId) -> Uuid {
    Uuid(id.0)
}

/// The gateway's place and all that matters there.
pub(super) struct Surroundings {
    pub(super) router: Uuid,
    pub(super) place: Place,
    pub(super) live: Live,
}

/// Reads the copy of the northbound database.
pub(super) fn read(
    replica: &Replica,
    gateway: &str,
    router_name: &str,
    port_name: &str,
) -> Result<Surroundings, NoPlace> {
    let routers = replica.all::<LogicalRouter>()?;
    let mut named = routers
        .iter()
        .filter(|(_, router)| router.name == router_name);
    let (router_id, router) = match (named.next(), named.next()) {
        (Some(router), None) => router,
        (None, _) => return Err(NoPlace::Router(router_name.to_owned())),
        (Some(_), Some(_)) => return Err(NoPlace::Ambiguous(router_name.to_owned())),
    };
    let ports = replica.all::<LogicalRouterPort>()?;
    let of_router = ports.iter().filter(|(id, _)| router.ports.contains(id));
    let mut of_router: BTreeMap<&str, Uuid> = of_router
        .map(|(id, port)| (port.name.as_str(), *id))
        .collect();
    let gateway_port = of_router.remove(port_name).ok_or_else(|| NoPlace::Port {
        router: router_name.to_owned(),
        port: port_name.to_owned(),
    })?;
    let place = Place {
        gateway: gateway.to_owned(),
        router: router_name.to_owned(),
        gateway_port: row_id(gateway_port),
    };
    let switches = replica.all::<LogicalSwitch>()?;
    let inside = inside_switches(replica, &switches, &of_router)?;
    let mut live = Live {
        switches: inside,
        ..Live::default()
    };
    let others: Vec<&LogicalRouter> = routers
        .iter()
        .filter(|(id, _)| *id != router_id)
        .map(|(_, router)| router)
        .collect();
    let is_ours = |external_ids: &BTreeMap<String, String>| {
        external_ids
            .get(ids::GATEWAY)
            .is_some_and(|of| of == gateway)
    };
    for (id, nat) in replica.all::<NatRow>()? {
        let on_router = router.nat.contains(&id);
        if is_ours(&nat.external_ids) {
            let row = LiveRow {
                table: Table::Nat,
                on_router,
                elsewhere: others.iter().any(|other| other.nat.contains(&id)),
                switches: BTreeSet::new(),
                row: nat_row(nat),
            };
            live.ours.insert(row_id(id), row);
        } else if on_router {
            live.foreign.extend(nat_claim(id, &nat));
        }
    }
    for (id, balancer) in replica.all::<BalancerRow>()? {
        let on_router = router.load_balancer.contains(&id);
        if is_ours(&balancer.external_ids) {
            let names = switches
                .iter()
                .filter(|(_, switch)| switch.load_balancer.contains(&id));
            let row = LiveRow {
                table: Table::LoadBalancer,
                on_router,
                elsewhere: others.iter().any(|other| other.load_balancer.contains(&id)),
                switches: names.map(|(id, _)| row_id(*id)).collect(),
                row: balancer_row(balancer),
            };
            live.ours.insert(row_id(id), row);
        } else if on_router {
            let vips = balancer.vips.into_keys().collect();
            live.foreign.push(Foreign {
                id: row_id(id),
                claim: Claim::Vips(vips),
            });
        }
    }
    Ok(Surroundings {
        router: *router_id,
        place,
        live,
    })
}

/// The switches behind the router's other ports: inside hosts reach EIPs from there.
fn inside_switches(
    replica: &Replica,
    switches: &BTreeMap<Uuid, LogicalSwitch>,
    inside_ports: &BTreeMap<&str, Uuid>,
) -> Result<BTreeSet<RowId>, BadRow> {
    let ports = replica.all::<LogicalSwitchPort>()?;
    let leads_inside = |id: &Uuid| {
        let port = ports.get(id).filter(|port| port.kind == "router");
        let peer = port.and_then(|port| port.options.get("router-port"));
        peer.is_some_and(|peer| inside_ports.contains_key(peer.as_str()))
    };
    let inside = switches
        .iter()
        .filter(|(_, switch)| switch.ports.iter().any(leads_inside));
    Ok(inside.map(|(id, _)| row_id(*id)).collect())
}

fn kind(word: &str) -> Option<NatKind> {
    [NatKind::Dnat, NatKind::Snat, NatKind::DnatAndSnat]
        .into_iter()
        .find(|kind| kind.word() == word)
}

/// The row, if it has nothing in columns that are left alone.
fn nat_row(nat: NatRow) -> Option<Row> {
    let plain = nat.external_mac.is_none()
        && nat.logical_port.is_none()
        && nat.external_port_range.is_empty()
        && nat.allowed_ext_ips.is_none()
        && nat.exempted_ext_ips.is_none()
        && nat.options.is_empty();
    let row = Row::Nat(Nat {
        kind: kind(&nat.kind)?,
        external_ip: nat.external_ip.parse().ok()?,
        logical_ip: nat.logical_ip,
        gateway_port: nat.gateway_port.map(row_id),
        external_ids: nat.external_ids,
    });
    plain.then_some(row)
}

fn nat_claim(id: Uuid, nat: &NatRow) -> Option<Foreign> {
    let claim = Claim::Nat {
        kind: kind(&nat.kind)?,
        external_ip: nat.external_ip.parse().ok()?,
        logical_ip: nat.logical_ip.clone(),
    };
    Some(Foreign {
        id: row_id(id),
        claim,
    })
}

fn balancer_row(balancer: BalancerRow) -> Option<Row> {
    let protocol = balancer.protocol?;
    let protocol = ["tcp", "udp", "sctp"]
        .into_iter()
        .find(|word| *word == protocol)?;
    Some(Row::LoadBalancer(LoadBalancer {
        name: balancer.name,
        protocol,
        vips: balancer.vips,
        options: balancer.options,
        external_ids: balancer.external_ids,
    }))
}
