//! What to write so that the database has what it should, from what it has.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{NatKind, Row, RowId, RowIds, Rows};

/// What the database has, as far as it matters to a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// The rows whose `external_ids` name this gateway.
    pub ours: std::collections::BTreeMap<RowId, LiveRow>,
    /// Rows on the gateway's router that are not its own.
    pub foreign: Vec<Foreign>,
    /// The switches whose `load_balancer` shall name the gateway's: those of inside hosts.
    pub switches: RowIds,
}

/// A row of ours as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRow {
    /// Its table.
    pub table: Table,
    /// What stands in it; `None` where that is nothing of what a gateway writes, also in columns
    /// that it leaves alone.
    pub row: Option<Row>,
    /// Whether the gateway's router names it.
    pub on_router: bool,
    /// Whether another router names it.
    pub elsewhere: bool,
    /// The switches that name it.
    pub switches: RowIds,
}

/// The tables that rows of a gateway are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// `NAT`: a row lives as long as a router names it.
    Nat,
    /// `Load_Balancer`
    LoadBalancer,
}

impl Row {
    /// The table that it is a row of.
    #[must_use]
    pub const fn table(&self) -> Table {
        match self {
            Row::Nat(_) => Table::Nat,
            Row::LoadBalancer(_) => Table::LoadBalancer,
        }
    }
}

/// What a row of others on the same router translates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The row.
    pub id: RowId,
    /// What it does.
    pub claim: Claim,
}

/// What a row translates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A row of `NAT`.
    Nat {
        /// Its type.
        kind: NatKind,
        /// Its address outside.
        external_ip: IpAddr,
        /// Its address or prefix inside.
        logical_ip: String,
    },
    /// The VIPs of a load balancer.
    Vips(BTreeSet<String>),
}

impl Foreign {
    /// Whether OVN could not do both.
    #[must_use]
    pub fn is_against(&self, row: &Row) -> bool {
        match (&self.claim, row) {
            (
                Claim::Nat {
                    kind,
                    external_ip,
                    logical_ip,
                },
                Row::Nat(nat),
            ) => {
                let both = |one: fn(NatKind) -> bool| one(*kind) && one(nat.kind);
                both(comes_in) && *external_ip == nat.external_ip
                    || both(goes_out) && *logical_ip == nat.logical_ip
            }
            (Claim::Vips(vips), Row::LoadBalancer(balancer)) => {
                balancer.vips.keys().any(|vip| vips.contains(vip))
            }
            (Claim::Nat { .. }, Row::LoadBalancer(_)) | (Claim::Vips(_), Row::Nat(_)) => false,
        }
    }
}

const fn comes_in(kind: NatKind) -> bool {
    match kind {
        NatKind::Dnat | NatKind::DnatAndSnat => true,
        NatKind::Snat => false,
    }
}

const fn goes_out(kind: NatKind) -> bool {
    match kind {
        NatKind::Snat | NatKind::DnatAndSnat => true,
        NatKind::Dnat => false,
    }
}

/// One thing to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Take a row away, and out of every router and switch that names it.
    Delete(RowId, Table),
    /// Take a row out of routers that are not the gateway's.
    Recall(RowId, Table),
    /// Take a load balancer out of a switch.
    Leave(RowId, RowId),
    /// Write all columns of a row that is there.
    Update(RowId, Row),
    /// Add a row, with this identity.
    Insert(RowId, Row),
    /// Have the gateway's router name a row.
    Attach(RowId, Table),
    /// Have a switch name a load balancer.
    Join(RowId, RowId),
}

/// What to write so that the rows of ours are exactly these, in this order: what goes, then what
/// changes, then what comes. Nothing where they are.
#[must_use]
pub fn difference(want: &Rows, live: &Live) -> Vec<Change> {
    let mut changes: Vec<Change> = live
        .ours
        .iter()
        .filter(|(id, _)| !want.contains_key(id))
        .map(|(id, old)| Change::Delete(*id, old.table))
        .collect();
    let none = RowIds::new();
    for (id, row) in want {
        let table = row.table();
        let old = live.ours.get(id);
        if old.is_some_and(|old| old.elsewhere) {
            changes.push(Change::Recall(*id, table));
        }
        match old {
            None => changes.push(Change::Insert(*id, row.clone())),
            Some(old) if old.row.as_ref() != Some(row) => {
                changes.push(Change::Update(*id, row.clone()))
            }
            Some(_) => {}
        }
        if !old.is_some_and(|old| old.on_router) {
            changes.push(Change::Attach(*id, table));
        }
        let switches = match table {
            Table::LoadBalancer => &live.switches,
            Table::Nat => &none,
        };
        let names = old.map_or(&none, |old| &old.switches);
        changes.extend(
            names
                .difference(switches)
                .map(|switch| Change::Leave(*id, *switch)),
        );
        changes.extend(
            switches
                .difference(names)
                .map(|switch| Change::Join(*id, *switch)),
        );
    }
    changes.sort_by_key(rank);
    changes
}

/// What goes makes room for what comes. Of one row the order stays: it is there before it is
/// named, and what names it follows at once, for [`batches`].
const fn rank(change: &Change) -> u8 {
    match change {
        Change::Delete(..) | Change::Recall(..) | Change::Leave(..) => 0,
        Change::Update(..) => 1,
        Change::Insert(..) | Change::Attach(..) | Change::Join(..) => 2,
    }
}

/// Cuts changes for transactions of about so many. A row that comes and what names it stay
/// together: of `NAT` the database keeps no row that nothing names at the end of a transaction.
#[must_use]
pub fn batches(changes: &[Change], about: usize) -> Vec<&[Change]> {
    let mut batches = Vec::new();
    let mut rest = changes;
    while !rest.is_empty() {
        let names = |change: &&Change| matches!(change, Change::Attach(..) | Change::Join(..));
        let at = about.clamp(1, rest.len());
        let (_, after) = rest.split_at(at);
        let (batch, after) = rest.split_at(at + after.iter().take_while(names).count());
        batches.push(batch);
        rest = after;
    }
    batches
}

#[cfg(test)]
mod tests;
