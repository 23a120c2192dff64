//! What a monitor tells: `update` (RFC 7047, 4.1.6), `update2`, `update3` (`ovsdb-server(7)`).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::UpdateError;
use crate::value::{Columns, Uuid, columns_from_json};

/// Changes by table and row.
pub type TableUpdates = BTreeMap<String, BTreeMap<Uuid, RowChange>>;

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// It was there when the monitor began. Columns with their default are left out.
    Initial(Columns),
    /// It came, or meets the condition now. Columns with their default are left out.
    Inserted(Columns),
    /// It went, or does not meet the condition any more.
    Deleted,
    /// It differs: a scalar's or optional column's new content; of a set the elements that came
    /// or went; of a map the pairs that came or changed, and those that went as they were.
    Modified(Columns),
    /// Of `monitor` alone: the columns, after the change. What is not in it stayed.
    Replaced(Columns),
}

/// One message of a monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The transaction after which it is so (`update3`).
    pub last: Option<Uuid>,
    /// What changed.
    pub tables: TableUpdates,
}

/// The forms of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateForm {
    /// `update`: old and new.
    Whole,
    /// `update2` and `update3`: differences.
    Difference,
}

/// Reads the changes of an update, or those that a monitor begins with.
///
/// # Errors
/// Says what is not of the form.
pub fn read_tables(json: &Json, form: UpdateForm) -> Result<TableUpdates, UpdateError> {
    let mut tables = TableUpdates::new();
    for (table, rows) in object(json)? {
        let mut changes = BTreeMap::new();
        for (uuid, change) in object(rows)? {
            let uuid: Uuid = uuid.parse().map_err(|_| malformed(rows))?;
            let change = match form {
                UpdateForm::Whole => whole(change)?,
                UpdateForm::Difference => difference(change)?,
            };
            changes.insert(uuid, change);
        }
        tables.insert(table.clone(), changes);
    }
    Ok(tables)
}

fn whole(json: &Json) -> Result<RowChange, UpdateError> {
    match (json.get("old"), json.get("new")) {
        (None, Some(new)) => Ok(RowChange::Inserted(columns(new)?)),
        (Some(_), Some(new)) => Ok(RowChange::Replaced(columns(new)?)),
        (Some(_), None) => Ok(RowChange::Deleted),
        (None, None) => Err(malformed(json)),
    }
}

fn difference(json: &Json) -> Result<RowChange, UpdateError> {
    let mut members = object(json)?.iter();
    match (members.next(), members.next()) {
        (Some((word, row)), None) => match word.as_str() {
            "initial" => Ok(RowChange::Initial(columns(row)?)),
            "insert" => Ok(RowChange::Inserted(columns(row)?)),
            "modify" => Ok(RowChange::Modified(columns(row)?)),
            "delete" => Ok(RowChange::Deleted),
            _ => Err(malformed(json)),
        },
        (_, _) => Err(malformed(json)),
    }
}

fn object(json: &Json) -> Result<&serde_json::Map<String, Json>, UpdateError> {
    json.as_object().ok_or_else(|| malformed(json))
}

fn columns(json: &Json) -> Result<Columns, UpdateError> {
    columns_from_json(json).map_err(|bad| UpdateError::Malformed(bad.to_string()))
}

fn malformed(json: &Json) -> UpdateError {
    UpdateError::Malformed(format!("{json:.200}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ROW: &str = "550e8400-e29b-41d4-a716-446655440000";

    fn change(json: Json, form: UpdateForm) -> Result<RowChange, UpdateError> {
        let mut tables = read_tables(&json!({"T": {ROW: json}}), form)?;
        let rows = tables.pop_first().map(|(_, rows)| rows);
        rows.and_then(|mut rows| rows.pop_first())
            .map(|(_, change)| change)
            .ok_or_else(|| UpdateError::Malformed("empty".into()))
    }

    #[test]
    fn each_form_has_its_changes() {
        let row = Columns::from([("c".to_owned(), 1_i64.into())]);
        for (json, form, expected) in [
            (
                json!({"new": {"c": 1}}),
                UpdateForm::Whole,
                RowChange::Inserted(row.clone()),
            ),
            (
                json!({"old": {"c": 2}, "new": {"c": 1}}),
                UpdateForm::Whole,
                RowChange::Replaced(row.clone()),
            ),
            (
                json!({"old": {"c": 2}}),
                UpdateForm::Whole,
                RowChange::Deleted,
            ),
            (
                json!({"initial": {"c": 1}}),
                UpdateForm::Difference,
                RowChange::Initial(row.clone()),
            ),
            (
                json!({"insert": {"c": 1}}),
                UpdateForm::Difference,
                RowChange::Inserted(row.clone()),
            ),
            (
                json!({"modify": {"c": 1}}),
                UpdateForm::Difference,
                RowChange::Modified(row.clone()),
            ),
            (
                json!({"delete": null}),
                UpdateForm::Difference,
                RowChange::Deleted,
            ),
        ] {
            assert_eq!(change(json.clone(), form), Ok(expected), "{json}");
        }
    }

    #[test]
    fn other_forms_are_errors() {
        for (json, form) in [
            (json!({}), UpdateForm::Whole),
            (json!({"new": 1}), UpdateForm::Whole),
            (json!({"new": {"c": 1}}), UpdateForm::Difference),
            (
                json!({"insert": {}, "delete": null}),
                UpdateForm::Difference,
            ),
            (json!({"insert": {"c": null}}), UpdateForm::Difference),
        ] {
            assert!(change(json.clone(), form).is_err(), "{json}");
        }
        assert!(
            read_tables(
                &json!({"T": {"x": {"delete": null}}}),
                UpdateForm::Difference
            )
            .is_err()
        );
    }
}
