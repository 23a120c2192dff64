//! What a transaction answers (RFC 7047, 4.1.3).

use serde_json::Value as Json;

use crate::operation::Operation;
use crate::value::{BadValue, Columns, Datum, Uuid, columns_from_json};

/// What one operation answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The row that was inserted.
    Inserted(Uuid),
    /// The rows that were selected.
    Rows(Vec<Columns>),
    /// How many rows were updated, mutated or deleted.
    Count(u64),
    /// That it was done.
    Done,
}

impl Outcome {
    /// The rows of a select.
    pub fn rows(&self) -> Option<&[Columns]> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Inserted(_) | Self::Count(_) | Self::Done => None,
        }
    }

    /// The identity of an inserted row.
    pub fn uuid(&self) -> Option<Uuid> {
        match self {
            Self::Inserted(uuid) => Some(*uuid),
            Self::Rows(_) | Self::Count(_) | Self::Done => None,
        }
    }
}

/// The transaction that did not take effect, and why. Nothing of it did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One operation failed.
    #[error("{operation} (operation {index}{}): {cause}", table.as_ref().map(|t| format!(", table {t}")).unwrap_or_default())]
    Operation {
        /// Which, counted from 0.
        index: usize,
        /// Its `op`.
        operation: &'static str,
        /// Its table.
        table: Option<String>,
        /// Why.
        cause: Cause,
    },
    /// All operations went well, and the whole was refused.
    #[error("commit: {0}")]
    Commit(Cause),
    /// The server did not take the request.
    #[error("request: {0}")]
    Request(Cause),
    /// The answer is not one to this transaction.
    #[error("answer not understood: {0}")]
    Malformed(String),
}

impl Refusal {
    /// Why, as the server says it.
    pub fn kind(&self) -> Option<&ErrorKind> {
        match self {
            Self::Operation { cause, .. } | Self::Commit(cause) | Self::Request(cause) => {
                Some(&cause.kind)
            }
            Self::Malformed(_) => None,
        }
    }
}

/// An error of the server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", kind.word(), details.as_ref().map(|d| format!(": {d}")).unwrap_or_default())]
pub struct Cause {
    /// What kind of error.
    pub kind: ErrorKind,
    /// The server's explanation.
    pub details: Option<String>,
}

impl Cause {
    /// Reads `{"error": …, "details": …}`, or a text alone.
    pub(crate) fn from_json(json: &Json) -> Self {
        let text = |name| json.get(name).and_then(Json::as_str);
        match (json.as_str(), text("error")) {
            (Some(word), _) | (None, Some(word)) => Self {
                kind: ErrorKind::from_word(word),
                details: text("details").map(str::to_owned),
            },
            (None, None) => Self {
                kind: ErrorKind::Other(json.to_string()),
                details: None,
            },
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// The errors that RFC 7047 and `ovsdb-server` name.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $variant,)+
            /// Another, by its word.
            Other(String),
        }

        impl ErrorKind {
            /// The wire's word.
            pub fn word(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }

            fn from_word(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

kinds! {
    /// A column, an index or the number of rows would not be what the schema asks for.
    ConstraintViolation = "constraint violation",
    /// A row would be referred to that is not there.
    ReferentialIntegrity = "referential integrity violation",
    /// Two inserts have one name.
    DuplicateUuidName = "duplicate uuid-name",
    /// The row that an insert names by its UUID is there, or was in this transaction.
    DuplicateUuid = "duplicate uuid",
    /// A division by zero.
    Domain = "domain error",
    /// A number too large.
    Range = "range error",
    /// A wait was in vain.
    TimedOut = "timed out",
    /// This client does not hold the lock.
    NotOwner = "not owner",
    /// There was an abort in it.
    Aborted = "aborted",
    /// What is asked cannot be done.
    NotSupported = "not supported",
    /// No memory or no room.
    ResourcesExhausted = "resources exhausted",
    /// The disk failed.
    Io = "I/O error",
    /// The server does not have the database (any more).
    UnknownDatabase = "unknown database",
    /// The server was told to cancel it, or the database changed its form meanwhile.
    Canceled = "canceled",
    /// The user may not.
    Permission = "permission error",
    /// The request is not in the form that the server knows, or names what the schema does not have.
    Syntax = "syntax error",
    /// The schema does not have the column.
    UnknownColumn = "unknown column",
    /// The server does not know the method: it is older.
    UnknownMethod = "unknown method",
    /// The server left its cluster.
    LeftCluster = "database has been removed from its cluster",
    /// The server was not the leader any more: whether it took effect is not known.
    NotLeader = "not leader",
}

/// Reads the answers to operations.
pub(crate) fn read(operations: &[Operation], answers: &[Json]) -> Result<Vec<Outcome>, Refusal> {
    let malformed = |json: &Json| Refusal::Malformed(format!("{json:.200}"));
    let mut outcomes = Vec::with_capacity(operations.len());
    for (index, operation) in operations.iter().enumerate() {
        let answer = answers.get(index).unwrap_or(&Json::Null);
        if answer.get("error").is_some() {
            return Err(Refusal::Operation {
                index,
                operation: operation.word(),
                table: operation.table().map(str::to_owned),
                cause: Cause::from_json(answer),
            });
        }
        outcomes.push(one(operation, answer).ok_or_else(|| malformed(answer))?);
    }
    match answers.get(operations.len()) {
        None | Some(Json::Null) => Ok(outcomes),
        Some(answer) => Err(Refusal::Commit(Cause::from_json(answer))),
    }
}

fn one(operation: &Operation, answer: &Json) -> Option<Outcome> {
    Some(match operation {
        Operation::Insert { .. } => {
            let datum = Datum::from_json(answer.get("uuid")?).ok()?;
            Outcome::Inserted(crate::value::Value::from_datum(&datum)?)
        }
        Operation::Select { .. } => {
            let rows = answer.get("rows")?.as_array()?.iter();
            let rows: Result<Vec<_>, BadValue> = rows.map(columns_from_json).collect();
            Outcome::Rows(rows.ok()?)
        }
        Operation::Update { .. } | Operation::Mutate { .. } | Operation::Delete { .. } => {
            Outcome::Count(answer.get("count")?.as_u64()?)
        }
        Operation::Wait { .. }
        | Operation::Commit { .. }
        | Operation::Abort
        | Operation::Comment(_)
        | Operation::Assert { .. } => answer.as_object().map(|_| Outcome::Done)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_operation_that_failed_is_named() {
        let operations = [
            Operation::Comment("x".into()),
            Operation::Delete {
                table: "NAT".into(),
                conditions: Vec::new(),
            },
            Operation::Abort,
        ];
        let answers = [
            json!({}),
            json!({"error": "constraint violation", "details": "why"}),
            json!(null),
        ];
        assert_eq!(
            read(&operations, &answers),
            Err(Refusal::Operation {
                index: 1,
                operation: "delete",
                table: Some("NAT".into()),
                cause: Cause {
                    kind: ErrorKind::ConstraintViolation,
                    details: Some("why".into())
                },
            })
        );
    }

    #[test]
    fn a_refused_commit_is_the_answer_after_the_last_operation() {
        let operations = [Operation::Delete {
            table: "NAT".into(),
            conditions: Vec::new(),
        }];
        let answers = [
            json!({"count": 1}),
            json!({"error": "referential integrity violation"}),
        ];
        let refusal = read(&operations, &answers).expect_err("refused");
        assert_eq!(refusal.kind(), Some(&ErrorKind::ReferentialIntegrity));
        assert_eq!(
            read(&operations, &answers[..1]),
            Ok(vec![Outcome::Count(1)])
        );
    }

    #[test]
    fn an_answer_of_another_form_is_not_taken_for_success() {
        let operations = [Operation::Delete {
            table: "NAT".into(),
            conditions: Vec::new(),
        }];
        for answer in [json!(null), json!({}), json!({"count": -1}), json!("x")] {
            assert!(matches!(
                read(&operations, &[answer]),
                Err(Refusal::Malformed(_))
            ));
        }
        assert!(matches!(read(&operations, &[]), Err(Refusal::Malformed(_))));
    }
}
