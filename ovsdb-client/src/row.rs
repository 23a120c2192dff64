//! Typed rows: a struct for the columns of a table that a program knows.

use crate::schema::DatabaseSchema;
use crate::value::Columns;

/// Columns of a table as a Rust type; [`crate::rows!`] makes such types.
pub trait Row: Sized {
    /// The table.
    const TABLE: &'static str;
    /// The columns.
    const COLUMNS: &'static [&'static str];
    /// Reads the columns; one that is absent has its default.
    ///
    /// # Errors
    /// Names a column that holds something else.
    fn read(columns: &Columns) -> Result<Self, BadRow>;
    /// All columns but `_version`, which is the server's: for an insert or an update.
    fn columns(&self) -> Columns;
    /// Whether the type holds whatever rows of this schema hold.
    ///
    /// # Errors
    /// Names a column that is not there or is of another type.
    fn check(schema: &DatabaseSchema) -> Result<(), BadRow>;
}

/// A row, or a schema, that a type is not made for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {table}, column {column}: not {expected}")]
pub struct BadRow {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The Rust type that was expected.
    pub expected: &'static str,
}

/// Makes structs that stand for rows.
///
/// ```
/// use std::collections::BTreeMap;
/// use ovsdb_client::{Row, Uuid, rows};
///
/// rows! {
///     /// What this program knows of address translation.
///     #[derive(Debug, Clone, PartialEq)]
///     pub struct Nat in "NAT" {
///         /// The address outside.
///         external_ip: String,
///         /// `snat`, `dnat` or `dnat_and_snat`; the column is called `type`.
///         kind as "type": String,
///         /// Anything.
///         external_ids: BTreeMap<String, String>,
///         /// Where it is served, if at one place only.
///         gateway_port: Option<Uuid>,
///     }
/// }
/// assert_eq!(Nat::TABLE, "NAT");
/// assert_eq!(Nat::COLUMNS, ["external_ip", "type", "external_ids", "gateway_port"]);
/// ```
#[macro_export]
macro_rules! rows {
    ($($(#[$outer:meta])* $vis:vis struct $name:ident in $table:literal {
        $($(#[$inner:meta])* $field:ident $(as $column:literal)?: $type:ty,)+
    })+) => {$(
        $(#[$outer])*
        $vis struct $name {
            $($(#[$inner])* pub $field: $type,)+
        }

        impl $crate::Row for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] =
                &[$($crate::rows!(@column $field $($column)?),)+];

            fn read(columns: &$crate::Columns) -> Result<Self, $crate::BadRow> {
                Ok(Self {
                    $($field: {
                        let column = $crate::rows!(@column $field $($column)?);
                        columns
                            .get(column)
                            .map_or_else(
                                || Some(<$type as $crate::Value>::absent()),
                                <$type as $crate::Value>::from_datum,
                            )
                            .ok_or($crate::BadRow { table: $table, column, expected: stringify!($type) })?
                    },)+
                })
            }

            fn columns(&self) -> $crate::Columns {
                let mut columns = $crate::Columns::from([
                    $((
                        $crate::rows!(@column $field $($column)?).to_owned(),
                        <$type as $crate::Value>::to_datum(&self.$field),
                    ),)+
                ]);
                columns.remove($crate::schema::VERSION);
                columns
            }

            fn check(schema: &$crate::schema::DatabaseSchema) -> Result<(), $crate::BadRow> {
                let table = schema.tables.get($table);
                $(
                    let column = $crate::rows!(@column $field $($column)?);
                    let kind = table.and_then(|table| table.kind(column));
                    if !kind.is_some_and(<$type as $crate::Value>::admits) {
                        return Err($crate::BadRow { table: $table, column, expected: stringify!($type) });
                    }
                )+
                Ok(())
            }
        }
    )+};
    (@column $field:ident $column:literal) => { $column };
    (@column $field:ident) => { stringify!($field) };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::value::{Datum, Uuid};

    crate::rows! {
        /// A row of tests.
        #[derive(Debug, PartialEq)]
        struct Thing in "T" {
            /// Renamed.
            kind as "type": String,
            /// Optional.
            port: Option<Uuid>,
            /// A map.
            ids: BTreeMap<String, String>,
        }
    }

    #[test]
    fn a_row_is_read_and_written_by_its_columns_names() {
        let thing = Thing {
            kind: "x".into(),
            port: None,
            ids: BTreeMap::new(),
        };
        let columns = thing.columns();
        assert_eq!(columns.keys().collect::<Vec<_>>(), ["ids", "port", "type"]);
        assert_eq!(Thing::read(&columns), Ok(thing));
        assert_eq!(
            Thing::read(&Columns::new()).map(|thing| thing.kind),
            Ok(String::new())
        );
        let bad = Columns::from([("type".to_owned(), Datum::none())]);
        assert_eq!(Thing::read(&bad).map_err(|bad| bad.column), Err("type"));
    }

    #[test]
    fn a_schema_of_other_types_is_refused() {
        let schema = |port| {
            let schema = json!({"name": "D", "version": "1.0.0", "tables": {"T": {"columns": {
                "type": {"type": "string"},
                "port": {"type": port},
                "ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
            }}}});
            serde_json::from_value(schema).expect("a schema")
        };
        let optional = json!({"key": "uuid", "min": 0, "max": 1});
        let set = json!({"key": "uuid", "min": 0, "max": "unlimited"});
        assert_eq!(Thing::check(&schema(optional)), Ok(()));
        assert_eq!(
            Thing::check(&schema(set)).map_err(|bad| bad.column),
            Err("port")
        );
    }
}
