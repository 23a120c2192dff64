//! Changes as operations of OVSDB.

use ovsdb_client::{
    Atom, Columns, Condition, Datum, Function, Mutation, Mutator, Operation, Outcome, Row as _,
    Until, Value as _,
};
use sluice_core::ovn::{Change, LoadBalancer, Nat, Row, RowId, Table};

use super::live::uuid;
use super::tables::{AddressSet, BalancerRow, LogicalRouter, LogicalSwitch, NatRow, NbGlobal};

/// Changes that one transaction has at most.
pub(super) const BATCH: usize = 200;

/// What to send for a change.
pub(super) fn operations(change: &Change, router: ovsdb_client::Uuid) -> Vec<Operation> {
    match change {
        Change::Delete(id, table) => {
            let delete = Operation::Delete {
                table: name(*table).to_owned(),
                conditions: vec![Condition::is_row(uuid(*id))],
            };
            vec![
                withdraw(LogicalRouter::TABLE, *id, *table, naming(*id, *table)),
                delete,
            ]
        }
        Change::Recall(id, table) => {
            let mut conditions = naming(*id, *table);
            conditions.push(Condition::new("_uuid", Function::Ne, router));
            vec![withdraw(LogicalRouter::TABLE, *id, *table, conditions)]
        }
        Change::Leave(id, switch) => {
            let conditions = vec![Condition::is_row(uuid(*switch))];
            vec![withdraw(
                LogicalSwitch::TABLE,
                *id,
                Table::LoadBalancer,
                conditions,
            )]
        }
        Change::Update(id, row) => vec![Operation::Update {
            table: name(row.table()).to_owned(),
            conditions: vec![Condition::is_row(uuid(*id))],
            row: columns(row),
        }],
        Change::Insert(id, row) => vec![Operation::Insert {
            table: name(row.table()).to_owned(),
            row: columns(row),
            uuid: Some(uuid(*id)),
            name: None,
        }],
        Change::Attach(id, table) => {
            vec![mention(LogicalRouter::TABLE, router, *id, *table)]
        }
        Change::Join(id, switch) => {
            vec![mention(
                LogicalSwitch::TABLE,
                uuid(*switch),
                *id,
                Table::LoadBalancer,
            )]
        }
    }
}

const fn name(table: Table) -> &'static str {
    match table {
        Table::Nat => NatRow::TABLE,
        Table::LoadBalancer => BalancerRow::TABLE,
    }
}

/// The column by which routers and switches name rows of a table.
const fn column(table: Table) -> &'static str {
    match table {
        Table::Nat => "nat",
        Table::LoadBalancer => "load_balancer",
    }
}

fn naming(id: RowId, table: Table) -> Vec<Condition> {
    vec![Condition::new(column(table), Function::Includes, uuid(id))]
}

fn withdraw(from: &str, id: RowId, table: Table, conditions: Vec<Condition>) -> Operation {
    Operation::Mutate {
        table: from.to_owned(),
        conditions,
        mutations: vec![Mutation::new(column(table), Mutator::Delete, uuid(id))],
    }
}

fn mention(by: &str, which: ovsdb_client::Uuid, id: RowId, table: Table) -> Operation {
    Operation::Mutate {
        table: by.to_owned(),
        conditions: vec![Condition::is_row(which)],
        mutations: vec![Mutation::new(column(table), Mutator::Insert, uuid(id))],
    }
}

/// All columns, also those that a gateway leaves at their defaults.
fn columns(row: &Row) -> Columns {
    match row {
        Row::Nat(Nat {
            kind,
            external_ip,
            logical_ip,
            gateway_port,
            external_ids,
        }) => NatRow {
            kind: kind.word().to_owned(),
            external_ip: external_ip.to_string(),
            logical_ip: logical_ip.clone(),
            gateway_port: gateway_port.map(uuid),
            external_mac: None,
            logical_port: None,
            external_port_range: String::new(),
            allowed_ext_ips: None,
            exempted_ext_ips: None,
            options: Default::default(),
            external_ids: external_ids.clone(),
        }
        .columns(),
        Row::LoadBalancer(LoadBalancer {
            name,
            protocol,
            vips,
            options,
            external_ids,
        }) => BalancerRow {
            name: name.clone(),
            protocol: Some((*protocol).to_owned()),
            vips: vips.clone(),
            options: options.clone(),
            external_ids: external_ids.clone(),
        }
        .columns(),
    }
}

/// Counts `NB_Global.nb_cfg` up and reads it.
pub(super) fn count() -> Vec<Operation> {
    vec![
        Operation::Mutate {
            table: NbGlobal::TABLE.to_owned(),
            conditions: Vec::new(),
            mutations: vec![Mutation::new("nb_cfg", Mutator::Add, 1_i64)],
        },
        Operation::Select {
            table: NbGlobal::TABLE.to_owned(),
            conditions: Vec::new(),
            columns: Some(vec!["nb_cfg".to_owned()]),
        },
    ]
}

/// The number that [`count`] read, which stands last.
pub(super) fn counted(outcomes: &[Outcome]) -> Option<i64> {
    let row = outcomes.last()?.rows()?.first()?;
    i64::from_datum(row.get("nb_cfg")?)
}

/// Fails unless the note says that this instance writes.
pub(super) fn guard(note: RowId, pair: (&str, &str)) -> Operation {
    let pair = Datum::Map([(Atom::from(pair.0), Atom::from(pair.1))].into());
    Operation::Wait {
        table: AddressSet::TABLE.to_owned(),
        conditions: vec![
            Condition::is_row(uuid(note)),
            Condition::new("external_ids", Function::Includes, pair),
        ],
        columns: vec!["_uuid".to_owned()],
        until: Until::Equal,
        rows: vec![Columns::from([("_uuid".to_owned(), uuid(note).into())])],
        timeout_ms: Some(0),
    }
}
