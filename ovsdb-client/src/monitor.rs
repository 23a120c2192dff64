//! Monitors: their requests (RFC 7047, 4.1.5; `ovsdb-server(7)`, 4.1.12 to 4.1.15) and updates.

use serde_json::{Map, Value as Json, json};

use crate::error::UpdateError;
use crate::operation::{Condition, where_json};
use crate::transport::{Notice, Queue};
use crate::update::{TableUpdates, Update, UpdateForm, read_tables};
use crate::value::Uuid;

/// What to tell of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMonitor {
    /// The table.
    pub table: String,
    /// These columns; all if `None`.
    pub columns: Option<Vec<String>>,
    /// The rows that meet any of these; all if there are none.
    pub conditions: Vec<Condition>,
}

impl TableMonitor {
    /// All rows and columns of a table.
    pub fn whole(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            columns: None,
            conditions: Vec::new(),
        }
    }

    /// The columns of a typed row.
    pub fn of<R: crate::Row>() -> Self {
        let columns = R::COLUMNS.iter().map(|&column| column.to_owned()).collect();
        Self {
            table: R::TABLE.to_owned(),
            columns: Some(columns),
            conditions: Vec::new(),
        }
    }

    /// Only the rows that meet any of these.
    #[must_use]
    pub fn where_any(mut self, conditions: Vec<Condition>) -> Self {
        self.conditions = conditions;
        self
    }
}

/// The requests by table, with conditions or without.
pub(crate) fn requests_json(tables: &[TableMonitor], conditional: bool) -> Json {
    let mut requests = Map::new();
    for table in tables {
        let mut request = Map::new();
        if let Some(columns) = &table.columns {
            request.insert("columns".to_owned(), json!(columns));
        }
        if conditional && !table.conditions.is_empty() {
            request.insert("where".to_owned(), where_json(&table.conditions));
        }
        requests.insert(table.table.clone(), json!([request]));
    }
    Json::Object(requests)
}

/// What a monitor begins with, and its updates from then on.
#[derive(Debug)]
pub struct Monitor {
    /// The rows at the beginning, or, if [`Self::resumed`], what changed since.
    pub initial: TableUpdates,
    /// Whether the server knew the transaction to go on from.
    pub resumed: bool,
    /// The transaction after which `initial` is so (`monitor_cond_since`).
    pub last: Option<Uuid>,
    /// What changes afterwards.
    pub updates: Updates,
}

/// The updates of a monitor, none lost.
///
/// They wait in a queue that is bounded by bytes. While it is full nothing of the connection is
/// read, replies neither: whoever waits for a reply must not be who reads the updates.
#[derive(Debug)]
pub struct Updates {
    pub(crate) queue: Queue,
    pub(crate) name: String,
    pub(crate) reason: std::sync::Arc<crate::connection::Ending>,
}

impl Updates {
    /// The monitor's name on the wire.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next update. Waiting for it may be broken off without losing any.
    ///
    /// # Errors
    /// The monitor or the connection has ended, or the server sent what is no update.
    pub async fn next(&mut self) -> Result<Update, UpdateError> {
        match self.queue.next().await {
            None => Err(UpdateError::Closed(self.reason.text())),
            Some(Notice::Canceled) => Err(UpdateError::Canceled),
            Some(Notice::Update { params, .. }) => read_update(&params),
        }
    }
}

/// Reads an update's parameters: `[name, tables]` or, of `update3`, `[name, last, tables]`.
pub(crate) fn read_update(params: &str) -> Result<Update, UpdateError> {
    let malformed =
        |what: &dyn std::fmt::Display| UpdateError::Malformed(format!("{what}: {params:.200}"));
    let json: Json = serde_json::from_str(params).map_err(|e| malformed(&e))?;
    match json.as_array().map(Vec::as_slice) {
        Some([_, tables]) => {
            // `update` and `update2` differ in their rows only.
            let form = match is_whole(tables) {
                true => UpdateForm::Whole,
                false => UpdateForm::Difference,
            };
            Ok(Update {
                last: None,
                tables: read_tables(tables, form)?,
            })
        }
        Some([_, last, tables]) => {
            let last = last.as_str().and_then(|last| last.parse().ok());
            let last = last.ok_or_else(|| malformed(&"no transaction"))?;
            Ok(Update {
                last: Some(last),
                tables: read_tables(tables, UpdateForm::Difference)?,
            })
        }
        Some(_) | None => Err(malformed(&"not the parameters of an update")),
    }
}

fn is_whole(tables: &Json) -> bool {
    let rows = tables.as_object().into_iter().flat_map(Map::values);
    let rows = rows.filter_map(Json::as_object).flat_map(Map::values);
    let mut members = rows.filter_map(Json::as_object).flat_map(Map::keys);
    members.any(|member| member == "old" || member == "new")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_another_form_are_no_update() {
        for params in [
            "{}",
            "[]",
            "[1]",
            "[1, 2, 3, 4]",
            "[1, 2, {}]",
            "[1, \"x\", {}]",
            "[",
        ] {
            let told = read_update(params);
            assert!(
                matches!(told, Err(UpdateError::Malformed(_))),
                "{params}: {told:?}"
            );
        }
    }
}
