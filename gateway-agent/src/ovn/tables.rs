//! What this agent knows of OVN's tables (ovn-nb(5), ovn-sb(5)).

use std::collections::{BTreeMap, BTreeSet};

use ovsdb_client::schema::DatabaseSchema;
use ovsdb_client::{BadRow, Condition, Function, Row, TableMonitor, Uuid, rows};

type Texts = BTreeMap<String, String>;

rows! {
    /// Northbound: the counters.
    #[derive(Debug, Clone)]
    pub(super) struct NbGlobal in "NB_Global" {
        /// Counted up by who writes.
        nb_cfg: i64,
        /// What `ovn-northd` has taken in.
        sb_cfg: i64,
        /// Settings of the whole.
        options: Texts,
    }

    /// Northbound: a router.
    #[derive(Debug, Clone)]
    pub(super) struct LogicalRouter in "Logical_Router" {
        /// Not unique by itself.
        name: String,
        /// Its ports.
        ports: BTreeSet<Uuid>,
        /// Its translations.
        nat: BTreeSet<Uuid>,
        /// Its load balancers.
        load_balancer: BTreeSet<Uuid>,
    }

    /// Northbound: a port of a router.
    #[derive(Debug, Clone)]
    pub(super) struct LogicalRouterPort in "Logical_Router_Port" {
        /// Unique.
        name: String,
    }

    /// Northbound: a switch.
    #[derive(Debug, Clone)]
    pub(super) struct LogicalSwitch in "Logical_Switch" {
        /// Its ports.
        ports: BTreeSet<Uuid>,
        /// Its load balancers.
        load_balancer: BTreeSet<Uuid>,
    }

    /// Northbound: a port of a switch, here only those to routers.
    #[derive(Debug, Clone)]
    pub(super) struct LogicalSwitchPort in "Logical_Switch_Port" {
        /// `router`
        kind as "type": String,
        /// `router-port` among them.
        options: Texts,
    }

    /// Northbound: a translation.
    #[derive(Debug, Clone)]
    pub(super) struct NatRow in "NAT" {
        /// `snat`, `dnat`, `dnat_and_snat`.
        kind as "type": String,
        /// Outside.
        external_ip: String,
        /// Inside.
        logical_ip: String,
        /// Where it is served.
        gateway_port: Option<Uuid>,
        /// Of rows that are served at the target's chassis.
        external_mac: Option<String>,
        /// Of rows that are served at the target's chassis.
        logical_port: Option<String>,
        /// Ports to translate to.
        external_port_range: String,
        /// Peers that it is for.
        allowed_ext_ips: Option<Uuid>,
        /// Peers that it is not for.
        exempted_ext_ips: Option<Uuid>,
        /// `stateless` and others.
        options: Texts,
        /// Whose it is.
        external_ids: Texts,
    }

    /// Northbound: a load balancer.
    #[derive(Debug, Clone)]
    pub(super) struct BalancerRow in "Load_Balancer" {
        /// For people.
        name: String,
        /// `tcp` if absent.
        protocol: Option<String>,
        /// VIPs to targets.
        vips: Texts,
        /// How.
        options: Texts,
        /// Whose it is.
        external_ids: Texts,
    }

    /// Northbound: a set of addresses. Empty ones keep notes.
    #[derive(Debug, Clone)]
    pub(super) struct AddressSet in "Address_Set" {
        /// Unique.
        name: String,
        /// None, in those of ours.
        addresses: BTreeSet<String>,
        /// The notes.
        external_ids: Texts,
    }

    /// Southbound: the counter.
    #[derive(Debug, Clone)]
    pub(super) struct SbGlobal in "SB_Global" {
        /// What `ovn-northd` has written.
        nb_cfg: i64,
    }

    /// Southbound: a chassis.
    #[derive(Debug, Clone)]
    pub(super) struct Chassis in "Chassis" {
        /// Unique.
        name: String,
    }

    /// Southbound: what a chassis says of itself.
    #[derive(Debug, Clone)]
    pub(super) struct ChassisPrivate in "Chassis_Private" {
        /// The chassis.
        name: String,
        /// What its flows have taken in.
        nb_cfg: i64,
    }

    /// Southbound: where a port is.
    #[derive(Debug, Clone)]
    pub(super) struct PortBinding in "Port_Binding" {
        /// Unique.
        logical_port: String,
        /// `chassisredirect`, `l3gateway`, …
        kind as "type": String,
        /// The chassis that has it.
        chassis: Option<Uuid>,
        /// Another with each change.
        version as "_version": Uuid,
    }
}

/// What is read of the northbound database.
pub(super) fn northbound() -> Vec<TableMonitor> {
    let router_ports = vec![Condition::new("type", Function::Eq, "router")];
    vec![
        TableMonitor::of::<NbGlobal>(),
        TableMonitor::of::<LogicalRouter>(),
        TableMonitor::of::<LogicalRouterPort>(),
        TableMonitor::of::<LogicalSwitch>(),
        TableMonitor::of::<LogicalSwitchPort>().where_any(router_ports),
        TableMonitor::of::<NatRow>(),
        TableMonitor::of::<BalancerRow>(),
        TableMonitor::of::<AddressSet>(),
    ]
}

/// What is read of the southbound database: of ports, only the gateway's.
pub(super) fn southbound(gateway_port: &str) -> Vec<TableMonitor> {
    let ports = [redirect(gateway_port), gateway_port.to_owned()];
    let ports = ports.map(|name| Condition::new("logical_port", Function::Eq, name));
    vec![
        TableMonitor::of::<SbGlobal>(),
        TableMonitor::of::<Chassis>(),
        TableMonitor::of::<ChassisPrivate>(),
        TableMonitor::of::<PortBinding>().where_any(ports.into()),
    ]
}

/// The port by which a distributed router's gateway port is bound to a chassis.
pub(super) fn redirect(gateway_port: &str) -> String {
    format!("cr-{gateway_port}")
}

/// Whether the types are those of these schemas.
///
/// # Errors
/// Names a column that differs.
pub(super) fn check(north: &DatabaseSchema, south: &DatabaseSchema) -> Result<(), BadRow> {
    NbGlobal::check(north)?;
    LogicalRouter::check(north)?;
    LogicalRouterPort::check(north)?;
    LogicalSwitch::check(north)?;
    LogicalSwitchPort::check(north)?;
    NatRow::check(north)?;
    BalancerRow::check(north)?;
    AddressSet::check(north)?;
    SbGlobal::check(south)?;
    Chassis::check(south)?;
    ChassisPrivate::check(south)?;
    PortBinding::check(south)
}
