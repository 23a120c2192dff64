//! Transactions that take effect once, also when their answer is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::Client;
use crate::error::TransactError;
use crate::operation::{Condition, Function, Mutation, Mutator, Operation, Until};
use crate::outcome::{ErrorKind, Outcome, Refusal};
use crate::value::{Atom, Columns, Datum, Uuid};

/// A pair in a map of strings of some row, such as its `external_ids`, that names the last
/// transaction.
///
/// A fenced transaction waits for the pair's old value and writes its own. Of two with the same
/// old value at most one takes effect. So a transaction whose outcome is unknown is done again as
/// it is: if it was done before, or comes to be done late, the fence refuses one of the two, and
/// the pair tells whether it is this transaction's. The row must stay, and nobody else may use
/// the pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The row's table.
    pub table: String,
    /// The row.
    pub row: Uuid,
    /// The column: a map of strings to strings.
    pub column: String,
    /// The pair's key.
    pub key: String,
}

/// How a fenced transaction came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It took effect, and answered this.
    Answered(Vec<Outcome>),
    /// It took effect; the answer was lost.
    Done,
    /// It did not and will not: another one was first, and the pair has this value.
    Overtaken(Option<String>),
}

impl Fence {
    /// The operations that stand before those of the transaction.
    fn guard(&self, old: Option<&str>, new: &str) -> Vec<Operation> {
        let row = || Condition::is_row(self.row);
        let (function, value) = match old {
            Some(old) => (Function::Includes, pair(&self.key, old)),
            None => (Function::Excludes, pair(&self.key, new)),
        };
        let mut wait = vec![row()];
        wait.push(Condition::Column {
            column: self.column.clone(),
            function,
            value,
        });
        let expected = Columns::from([("_uuid".to_owned(), self.row.into())]);
        let mut operations = vec![Operation::Wait {
            table: self.table.clone(),
            conditions: wait,
            columns: vec!["_uuid".to_owned()],
            until: Until::Equal,
            rows: vec![expected],
            timeout_ms: Some(0),
        }];
        let keys = Datum::Set([Atom::from(self.key.as_str())].into());
        operations.push(Operation::Mutate {
            table: self.table.clone(),
            conditions: vec![row()],
            mutations: vec![
                Mutation::new(&self.column, Mutator::Delete, keys),
                Mutation::new(&self.column, Mutator::Insert, pair(&self.key, new)),
            ],
        });
        operations
    }

    fn question(&self) -> Operation {
        Operation::Select {
            table: self.table.clone(),
            conditions: vec![Condition::is_row(self.row)],
            columns: Some(vec![self.column.clone()]),
        }
    }

    fn value(&self, outcomes: &[Outcome]) -> Option<String> {
        let columns = outcomes.first()?.rows()?.first()?;
        let pairs: BTreeMap<String, String> =
            crate::value::Value::from_datum(columns.get(&self.column)?)?;
        pairs.get(&self.key).cloned()
    }
}

fn pair(key: &str, value: &str) -> Datum {
    Datum::Map([(Atom::from(key), Atom::from(value))].into())
}

impl Client {
    /// The value of a fence's pair as of now.
    ///
    /// # Errors
    /// No server answers.
    pub async fn fence(&self, fence: &Fence) -> Result<Option<String>, TransactError> {
        let outcomes = self.transact(&[fence.question()]).await?;
        Ok(fence.value(&outcomes))
    }

    /// Does a transaction once: `new` must never have been the pair's value, `old` is what it is
    /// now. An outcome that is unknown is found out by reading and, where nothing is there to be
    /// read, by doing it again, for at most `within`.
    ///
    /// The first one has no `old`. Two of those at once are not fenced from each other.
    ///
    /// # Errors
    /// [`TransactError::Refused`]: something else than the fence refused it.
    /// [`TransactError::Unknown`]: no server answers in time.
    pub async fn transact_once(
        &self,
        fence: &Fence,
        old: Option<&str>,
        new: &str,
        operations: &[Operation],
        within: Duration,
    ) -> Result<Settled, TransactError> {
        let mut all = fence.guard(old, new);
        let guards = all.len();
        all.extend_from_slice(operations);
        let deadline = Instant::now() + within;
        loop {
            let unknown = match self.transact(&all).await {
                Ok(outcomes) => {
                    return Ok(Settled::Answered(
                        outcomes.into_iter().skip(guards).collect(),
                    ));
                }
                Err(TransactError::Refused(refusal)) if !is_fence(&refusal) => {
                    return Err(TransactError::Refused(refusal));
                }
                Err(error) => error,
            };
            let now = match self.fence(fence).await {
                Ok(now) => now,
                Err(_) if Instant::now() < deadline => continue,
                Err(_) => return Err(unknown),
            };
            match now.as_deref() {
                Some(value) if value == new => return Ok(Settled::Done),
                value if value != old => return Ok(Settled::Overtaken(now)),
                _ if Instant::now() < deadline => {}
                _ => return Err(unknown),
            }
        }
    }
}

/// Whether the fence refused, which stands first.
fn is_fence(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Operation { index: 0, cause, .. } if cause.kind == ErrorKind::TimedOut)
}
