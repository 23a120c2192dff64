//! Operations of a transaction (RFC 7047, 5.2) and what they say to the server.

use serde_json::{Map, Value as Json, json};

use crate::value::{Columns, Datum, Uuid};

/// One operation. All of a transaction take effect together, in order, or none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Adds a row.
    Insert {
        /// To this table.
        table: String,
        /// What is not the column's default.
        row: Columns,
        /// The row's identity, so that doing it twice is refused (`ovsdb-server` 2.16 and newer);
        /// the server chooses if absent.
        uuid: Option<Uuid>,
        /// A name for [`crate::Atom::NamedUuid`] in the same transaction.
        name: Option<String>,
    },
    /// Reads rows.
    Select {
        /// Of this table.
        table: String,
        /// Those that meet all of these.
        conditions: Vec<Condition>,
        /// These columns; all, with `_uuid` and `_version`, if `None`.
        columns: Option<Vec<String>>,
    },
    /// Replaces columns.
    Update {
        /// In this table.
        table: String,
        /// In the rows that meet all of these.
        conditions: Vec<Condition>,
        /// By these.
        row: Columns,
    },
    /// Changes columns by what is in them.
    Mutate {
        /// In this table.
        table: String,
        /// In the rows that meet all of these.
        conditions: Vec<Condition>,
        /// How.
        mutations: Vec<Mutation>,
    },
    /// Takes rows away.
    Delete {
        /// From this table.
        table: String,
        /// Those that meet all of these.
        conditions: Vec<Condition>,
    },
    /// Waits until a select answers rows, or until it does not.
    Wait {
        /// In this table.
        table: String,
        /// The rows that meet all of these.
        conditions: Vec<Condition>,
        /// Of them, these columns.
        columns: Vec<String>,
        /// Shall be so,
        until: Until,
        /// compared with these.
        rows: Vec<Columns>,
        /// For so long; `Some(0)` does not wait, `None` waits for ever.
        timeout_ms: Option<u64>,
    },
    /// Is on disk when answered, if durable.
    Commit {
        /// Whether to wait for the disk.
        durable: bool,
    },
    /// Makes the transaction fail: to see what it would answer.
    Abort,
    /// Writes a line to the database's log.
    Comment(String),
    /// Fails unless this client holds the lock.
    Assert {
        /// The lock's name.
        lock: String,
    },
}

/// When a [`Operation::Wait`] is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The rows are these.
    Equal,
    /// The rows are not these.
    NotEqual,
}

/// What a row must meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every row does (monitors only).
    Always,
    /// No row does (monitors only).
    Never,
    /// A column compared with a value.
    Column {
        /// The column.
        column: String,
        /// How it is compared.
        function: Function,
        /// With what.
        value: Datum,
    },
}

impl Condition {
    /// A column compared with a value.
    pub fn new(column: &str, function: Function, value: impl Into<Datum>) -> Self {
        Self::Column {
            column: column.to_owned(),
            function,
            value: value.into(),
        }
    }

    /// The row of this identity.
    pub fn is_row(uuid: Uuid) -> Self {
        Self::new("_uuid", Function::Eq, uuid)
    }

    /// The wire's form.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Always => json!(true),
            Self::Never => json!(false),
            Self::Column {
                column,
                function,
                value,
            } => {
                json!([column, function.word(), value.to_json()])
            }
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$inner])* $variant,)+
        }

        impl $name {
            /// The wire's word.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words! {
    /// How a column is compared.
    Function {
        /// Less.
        Lt = "<",
        /// Less or equal.
        Le = "<=",
        /// Equal.
        Eq = "==",
        /// Not equal.
        Ne = "!=",
        /// Greater or equal.
        Ge = ">=",
        /// Greater.
        Gt = ">",
        /// Holds all of these elements.
        Includes = "includes",
        /// Holds none of these elements.
        Excludes = "excludes",
    }
}

words! {
    /// How a column is changed.
    Mutator {
        /// Adds to numbers.
        Add = "+=",
        /// Subtracts from numbers.
        Sub = "-=",
        /// Multiplies numbers.
        Mul = "*=",
        /// Divides numbers.
        Div = "/=",
        /// Takes the remainder of integers.
        Rem = "%=",
        /// Adds elements; a key of a map that is there keeps its value.
        Insert = "insert",
        /// Takes elements away; of a map by pairs, or by a set of keys.
        Delete = "delete",
    }
}

/// One change of a [`Operation::Mutate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// The column.
    pub column: String,
    /// How it is changed.
    pub mutator: Mutator,
    /// By what.
    pub value: Datum,
}

impl Mutation {
    /// A change of a column.
    pub fn new(column: &str, mutator: Mutator, value: impl Into<Datum>) -> Self {
        Self {
            column: column.to_owned(),
            mutator,
            value: value.into(),
        }
    }
}

impl Operation {
    /// The `op` of the wire.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Insert { .. } => "insert",
            Self::Select { .. } => "select",
            Self::Update { .. } => "update",
            Self::Mutate { .. } => "mutate",
            Self::Delete { .. } => "delete",
            Self::Wait { .. } => "wait",
            Self::Commit { .. } => "commit",
            Self::Abort => "abort",
            Self::Comment(_) => "comment",
            Self::Assert { .. } => "assert",
        }
    }

    /// The table that it is about.
    pub fn table(&self) -> Option<&str> {
        match self {
            Self::Insert { table, .. }
            | Self::Select { table, .. }
            | Self::Update { table, .. }
            | Self::Mutate { table, .. }
            | Self::Delete { table, .. }
            | Self::Wait { table, .. } => Some(table),
            Self::Commit { .. } | Self::Abort | Self::Comment(_) | Self::Assert { .. } => None,
        }
    }

    /// The wire's form.
    pub fn to_json(&self) -> Json {
        let mut object = Map::new();
        let mut put = |name: &str, value: Json| object.insert(name.to_owned(), value);
        put("op", json!(self.word()));
        if let Some(table) = self.table() {
            put("table", json!(table));
        }
        match self {
            Self::Insert {
                row, uuid, name, ..
            } => {
                put("row", json!(row));
                if let Some(uuid) = uuid {
                    put("uuid", json!(uuid.to_string()));
                }
                if let Some(name) = name {
                    put("uuid-name", json!(name));
                }
            }
            Self::Select {
                conditions,
                columns,
                ..
            } => {
                put("where", where_json(conditions));
                if let Some(columns) = columns {
                    put("columns", json!(columns));
                }
            }
            Self::Update {
                conditions, row, ..
            } => {
                put("where", where_json(conditions));
                put("row", json!(row));
            }
            Self::Mutate {
                conditions,
                mutations,
                ..
            } => {
                put("where", where_json(conditions));
                let mutations: Vec<_> = mutations
                    .iter()
                    .map(|m| json!([m.column, m.mutator.word(), m.value.to_json()]))
                    .collect();
                put("mutations", json!(mutations));
            }
            Self::Delete { conditions, .. } => {
                put("where", where_json(conditions));
            }
            Self::Wait {
                conditions,
                columns,
                until,
                rows,
                timeout_ms,
                ..
            } => {
                put("where", where_json(conditions));
                put("columns", json!(columns));
                put(
                    "until",
                    json!(if *until == Until::Equal { "==" } else { "!=" }),
                );
                put("rows", json!(rows));
                if let Some(timeout) = timeout_ms {
                    put("timeout", json!(timeout));
                }
            }
            Self::Commit { durable } => {
                put("durable", json!(durable));
            }
            Self::Abort => {}
            Self::Comment(text) => {
                put("comment", json!(text));
            }
            Self::Assert { lock } => {
                put("lock", json!(lock));
            }
        }
        Json::Object(object)
    }
}

pub(crate) fn where_json(conditions: &[Condition]) -> Json {
    conditions.iter().map(Condition::to_json).collect()
}
