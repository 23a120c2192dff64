//! A copy of the rows that are monitored, kept by updates.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::UpdateError;
use crate::row::{BadRow, Row};
use crate::schema::{ColumnType, DatabaseSchema, Limit, ONE_UUID, VERSION};
use crate::update::{RowChange, TableUpdates};
use crate::value::{Columns, Datum, Uuid};

/// Rows by table, and the schema that they follow.
#[derive(Debug, Clone, Default)]
pub struct Replica {
    types: BTreeMap<String, BTreeMap<String, ColumnType>>,
    tables: BTreeMap<String, BTreeMap<Uuid, Columns>>,
}

/// The rows that differ from before, by table.
pub type Changes = BTreeMap<String, BTreeSet<Uuid>>;

impl Replica {
    /// An empty copy of databases of this schema.
    pub fn new(schema: &DatabaseSchema) -> Self {
        let types = schema.tables.iter().map(|(name, table)| {
            let columns = table.columns.iter();
            let columns = columns.map(|(name, column)| (name.clone(), column.kind.clone()));
            let version = (VERSION.to_owned(), ONE_UUID.clone());
            (name.clone(), columns.chain([version]).collect())
        });
        Self {
            types: types.collect(),
            tables: BTreeMap::new(),
        }
    }

    /// The rows of a table; none if it is not monitored.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = (Uuid, &Columns)> {
        self.tables
            .get(table)
            .into_iter()
            .flatten()
            .map(|(uuid, row)| (*uuid, row))
    }

    /// One row's columns. Columns with their default may be absent.
    pub fn row(&self, table: &str, uuid: Uuid) -> Option<&Columns> {
        self.tables.get(table)?.get(&uuid)
    }

    /// How many rows a table has.
    pub fn len(&self, table: &str) -> usize {
        self.tables.get(table).map_or(0, BTreeMap::len)
    }

    /// One typed row.
    ///
    /// # Errors
    /// A column holds what the type does not.
    pub fn get<R: Row>(&self, uuid: Uuid) -> Result<Option<R>, BadRow> {
        self.row(R::TABLE, uuid).map(R::read).transpose()
    }

    /// All typed rows of a table.
    ///
    /// # Errors
    /// A column of some row holds what the type does not.
    pub fn all<R: Row>(&self) -> Result<BTreeMap<Uuid, R>, BadRow> {
        self.rows(R::TABLE)
            .map(|(uuid, row)| Ok((uuid, R::read(row)?)))
            .collect()
    }

    /// Takes changes in and tells the rows that they are about.
    ///
    /// # Errors
    /// A change of a row that is not there, or of a column that the schema does not have: the
    /// copy is not what the server believes, and must be made anew.
    pub fn apply(&mut self, updates: TableUpdates) -> Result<Changes, UpdateError> {
        let mut changes = Changes::new();
        for (name, rows) in updates {
            let Some(types) = self.types.get(&name) else {
                return Err(UpdateError::Misfit(format!(
                    "table {name} is not in the schema"
                )));
            };
            let table = self.tables.entry(name.clone()).or_default();
            let changed: &mut BTreeSet<Uuid> = changes.entry(name.clone()).or_default();
            for (uuid, change) in rows {
                apply_row(table, types, uuid, change)
                    .map_err(|what| UpdateError::Misfit(format!("{name} {uuid}: {what}")))?;
                changed.insert(uuid);
            }
        }
        Ok(changes)
    }

    /// Takes the content that a monitor began with in place of all that was, and tells the rows
    /// that differ.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn replace(
        &mut self,
        schema: &DatabaseSchema,
        all: TableUpdates,
    ) -> Result<Changes, UpdateError> {
        let mut fresh = Self::new(schema);
        fresh.apply(all)?;
        let mut changes = Changes::new();
        let names: BTreeSet<&String> = self.tables.keys().chain(fresh.tables.keys()).collect();
        for name in names {
            let (old, new) = (self.tables.get(name), fresh.tables.get(name));
            let uuids = old.into_iter().chain(new).flat_map(BTreeMap::keys);
            let differs =
                |uuid: &&Uuid| old.and_then(|t| t.get(uuid)) != new.and_then(|t| t.get(uuid));
            let differing: BTreeSet<Uuid> = uuids.filter(differs).copied().collect();
            if !differing.is_empty() {
                changes.insert(name.clone(), differing);
            }
        }
        *self = fresh;
        Ok(changes)
    }
}

fn apply_row(
    table: &mut BTreeMap<Uuid, Columns>,
    types: &BTreeMap<String, ColumnType>,
    uuid: Uuid,
    change: RowChange,
) -> Result<(), &'static str> {
    match change {
        RowChange::Initial(row) | RowChange::Inserted(row) => {
            table.insert(uuid, row);
        }
        RowChange::Deleted => {
            table.remove(&uuid).ok_or("deleted, and was not there")?;
        }
        RowChange::Replaced(columns) => {
            table
                .get_mut(&uuid)
                .ok_or("replaced, and was not there")?
                .extend(columns);
        }
        RowChange::Modified(columns) => {
            let row = table.get_mut(&uuid).ok_or("modified, and was not there")?;
            for (name, difference) in columns {
                let kind = types
                    .get(&name)
                    .ok_or("modified in a column that is not in the schema")?;
                let old = row.remove(&name);
                row.insert(name, differ(kind, old, difference)?);
            }
        }
    }
    Ok(())
}

/// The content that differs from the old one by this.
fn differ(kind: &ColumnType, old: Option<Datum>, difference: Datum) -> Result<Datum, &'static str> {
    match (kind.value.is_some(), difference) {
        (false, Datum::Set(atoms)) if kind.max == Limit::Of(1) => Ok(Datum::Set(atoms)),
        (false, Datum::Set(atoms)) => {
            let mut set = match old {
                Some(Datum::Set(set)) => set,
                None => BTreeSet::new(),
                Some(Datum::Map(_)) => return Err("a set differs from a map"),
            };
            for atom in atoms {
                if !set.remove(&atom) {
                    set.insert(atom);
                }
            }
            Ok(Datum::Set(set))
        }
        (true, Datum::Map(pairs)) => {
            let mut map = match old {
                Some(Datum::Map(map)) => map,
                None => BTreeMap::new(),
                Some(Datum::Set(_)) => return Err("a map differs from a set"),
            };
            for (key, value) in pairs {
                if map.get(&key) == Some(&value) {
                    map.remove(&key);
                } else {
                    map.insert(key, value);
                }
            }
            Ok(Datum::Map(map))
        }
        (false, Datum::Map(_)) => Err("a map differs where there is none"),
        (true, Datum::Set(_)) => Err("a set differs where there is a map"),
    }
}

#[cfg(test)]
mod tests;
