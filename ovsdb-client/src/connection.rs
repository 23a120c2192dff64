//! One connection to one server: every method of the protocol, nothing remembered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonrpsee_core::client::{Client as RpcClient, ClientBuilder, ClientT as _, Error as RpcError};
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};
use tokio::sync::Notify;

use crate::error::{CallError, ConnectError, TransactError};
use crate::monitor::{Monitor, TableMonitor, Updates, requests_json};
use crate::operation::{Condition, Operation, where_json};
use crate::outcome::{Cause, ErrorKind, Outcome, Refusal, read};
use crate::schema::DatabaseSchema;
use crate::transport::{Queues, Receiver, Remote, Stream, Tls, Writer};
use crate::update::{UpdateForm, read_tables};
use crate::value::Uuid;

/// Bounds of a connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long connecting may take. 5 s unless told otherwise.
    pub connect: Duration,
    /// How long an answer may take. 30 s unless told otherwise.
    pub answer: Duration,
    /// After so long without a byte the server is asked for a sign of life; after twice that the
    /// connection is given up. The server is given one of this client in less than that. 5 s
    /// unless told otherwise, as the server does it.
    pub probe: Duration,
    /// The bytes of updates that wait in the queue of one monitor; one update alone may have
    /// more. 16 MiB unless told otherwise.
    pub queue_bytes: u32,
    /// The longest message, such as the content that a monitor begins with. 1 GiB unless told
    /// otherwise.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            probe: Duration::from_secs(5),
            queue_bytes: 16 << 20,
            message_bytes: 1 << 30,
        }
    }
}

/// A connection. It is closed when this and all its [`Updates`] are dropped, by the server, or
/// by a fault; it does not come back: [`crate::Client`] makes new ones.
#[derive(Debug)]
pub struct Connection {
    rpc: RpcClient,
    queues: Arc<Queues>,
    ending: Arc<Ending>,
    limits: Limits,
    monitors: AtomicU64,
}

/// Whether and why a connection has ended.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    reason: Mutex<Option<String>>,
    notify: Notify,
}

impl Ending {
    fn end(&self, reason: String) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.notify.notify_waiters();
    }

    fn reason(&self) -> Option<String> {
        self.reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn text(&self) -> String {
        self.reason().unwrap_or_else(|| "unknown".to_owned())
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody answers there, or TLS does not come about.
    pub async fn open(
        remote: &Remote,
        tls: Option<&Tls>,
        limits: Limits,
    ) -> Result<Self, ConnectError> {
        let stream = Stream::connect(remote, tls, limits.connect).await?;
        let (reading, writing) = tokio::io::split(stream);
        let (sender, writer) = Writer::start(writing, limits.probe.mul_f32(0.8));
        let queues = Arc::new(Queues::default());
        let ending = Arc::new(Ending::default());
        let ended = {
            let ending = ending.clone();
            Box::new(move |reason| ending.end(reason))
        };
        let receiver = Receiver::new(
            reading,
            writer,
            queues.clone(),
            limits.probe,
            limits.message_bytes,
            ended,
        );
        // Timeouts are this crate's: jsonrpsee's would not tell what was sent.
        let rpc = ClientBuilder::new()
            .request_timeout(Duration::from_secs(365 * 86_400))
            .build_with_tokio(sender, receiver);
        Ok(Self {
            rpc,
            queues,
            ending,
            limits,
            monitors: AtomicU64::new(0),
        })
    }

    /// Waits until the connection has ended and tells why.
    pub async fn closed(&self) -> String {
        loop {
            let notified = self.ending.notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(reason) = self.ending.reason() {
                return reason;
            }
            notified.await;
        }
    }

    /// How many updates came for monitors that nobody reads any more.
    pub fn unclaimed_updates(&self) -> u64 {
        self.queues.unclaimed()
    }

    /// How many updates have come.
    pub(crate) fn queued_updates(&self) -> u64 {
        self.queues.queued()
    }

    async fn raw(
        &self,
        method: &'static str,
        params: Vec<Json>,
    ) -> Result<Box<RawValue>, CallError> {
        let within = self.limits.answer;
        let request = self.rpc.request::<Box<RawValue>, _>(method, params);
        let Ok(answer) = tokio::time::timeout(within, request).await else {
            return Err(CallError::TimedOut {
                method,
                after_ms: within.as_millis(),
            });
        };
        answer.map_err(|error| match error {
            RpcError::Call(error) => {
                let words = error
                    .data()
                    .and_then(|data| serde_json::from_str(data.get()).ok());
                let cause = words.as_ref().map(Cause::from_json);
                let other = || Cause {
                    kind: ErrorKind::Other(error.message().to_owned()),
                    details: None,
                };
                CallError::Refused {
                    method,
                    cause: cause.unwrap_or_else(other),
                }
            }
            error @ (RpcError::ParseError(_) | RpcError::InvalidRequestId(_)) => {
                CallError::Malformed {
                    method,
                    reason: error.to_string(),
                }
            }
            error => CallError::Closed {
                method,
                reason: self.ending.reason().unwrap_or_else(|| error.to_string()),
            },
        })
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: &'static str,
        params: Vec<Json>,
    ) -> Result<T, CallError> {
        let raw = self.raw(method, params).await?;
        serde_json::from_str(raw.get()).map_err(|error| CallError::Malformed {
            method,
            reason: error.to_string(),
        })
    }

    /// The databases of the server (`list_dbs`).
    ///
    /// # Errors
    /// No answer.
    pub async fn databases(&self) -> Result<Vec<String>, CallError> {
        self.call("list_dbs", Vec::new()).await
    }

    /// A database's schema (`get_schema`).
    ///
    /// # Errors
    /// No answer, or there is no such database.
    pub async fn schema(&self, database: &str) -> Result<DatabaseSchema, CallError> {
        self.call("get_schema", vec![json!(database)]).await
    }

    /// The server's identity, anew at each of its starts (`get_server_id`).
    ///
    /// # Errors
    /// No answer, or the server is older than the method.
    pub async fn server_id(&self) -> Result<Uuid, CallError> {
        let text: String = self.call("get_server_id", Vec::new()).await?;
        let malformed = |_| CallError::Malformed {
            method: "get_server_id",
            reason: text.clone(),
        };
        text.parse().map_err(malformed)
    }

    /// Asks the server to cancel what a change of a database breaks, and to keep the connection
    /// (`set_db_change_aware`).
    ///
    /// # Errors
    /// No answer, or the server is older than the method.
    pub async fn set_db_change_aware(&self, aware: bool) -> Result<(), CallError> {
        self.raw("set_db_change_aware", vec![json!(aware)])
            .await
            .map(|_| ())
    }

    /// Has the server say the same (`echo`).
    ///
    /// # Errors
    /// No answer.
    pub async fn echo(&self, params: Vec<Json>) -> Result<Vec<Json>, CallError> {
        self.call("echo", params).await
    }

    /// Gives the database another schema, keeping what fits (`convert`).
    ///
    /// # Errors
    /// No answer, or what is there does not fit.
    pub async fn convert(&self, database: &str, schema: Json) -> Result<(), CallError> {
        self.raw("convert", vec![json!(database), schema])
            .await
            .map(|_| ())
    }

    /// Does all of these, or nothing (`transact`).
    ///
    /// # Errors
    /// It was refused, or it is not known whether it was done.
    pub async fn transact(
        &self,
        database: &str,
        operations: &[Operation],
    ) -> Result<Vec<Outcome>, TransactError> {
        let mut params = vec![json!(database)];
        params.extend(operations.iter().map(Operation::to_json));
        let answers: Result<Vec<Json>, _> = self.call("transact", params).await;
        match answers {
            Ok(answers) => Ok(read(operations, &answers)?),
            Err(CallError::Refused { cause, .. }) => Err(Refusal::Request(cause).into()),
            Err(CallError::Malformed { reason, .. }) => Err(Refusal::Malformed(reason).into()),
            Err(error @ (CallError::TimedOut { .. } | CallError::Closed { .. })) => {
                Err(TransactError::Unknown {
                    reason: error.to_string(),
                })
            }
        }
        .map_err(unsure)
    }

    /// Begins a monitor of RFC 7047 (`monitor`): no conditions, whole rows.
    ///
    /// # Errors
    /// No answer, or no such database, table or column.
    pub async fn monitor(
        &self,
        database: &str,
        tables: &[TableMonitor],
    ) -> Result<Monitor, CallError> {
        let (name, queue) = self.queue();
        let params = vec![json!(database), json!(name), requests_json(tables, false)];
        let initial: Json = self.call("monitor", params).await?;
        self.begun(
            "monitor",
            name,
            queue,
            UpdateForm::Whole,
            (false, None, &initial),
        )
    }

    /// Begins a monitor with conditions, which tells differences (`monitor_cond`).
    ///
    /// # Errors
    /// No answer, no such database, table or column, or the server is older than the method.
    pub async fn monitor_cond(
        &self,
        database: &str,
        tables: &[TableMonitor],
    ) -> Result<Monitor, CallError> {
        let (name, queue) = self.queue();
        let params = vec![json!(database), json!(name), requests_json(tables, true)];
        let initial: Json = self.call("monitor_cond", params).await?;
        self.begun(
            "monitor_cond",
            name,
            queue,
            UpdateForm::Difference,
            (false, None, &initial),
        )
    }

    /// Begins a monitor that goes on after a transaction, if the server still knows it
    /// (`monitor_cond_since`): [`Monitor::resumed`].
    ///
    /// # Errors
    /// No answer, no such database, table or column, or the server is older than the method.
    pub async fn monitor_cond_since(
        &self,
        database: &str,
        tables: &[TableMonitor],
        last: Option<Uuid>,
    ) -> Result<Monitor, CallError> {
        const METHOD: &str = "monitor_cond_since";
        let (name, queue) = self.queue();
        let last = last.unwrap_or(Uuid::ZERO).to_string();
        let params = vec![
            json!(database),
            json!(name),
            requests_json(tables, true),
            json!(last),
        ];
        let (found, last, initial): (bool, String, Json) = self.call(METHOD, params).await?;
        let malformed = |_| CallError::Malformed {
            method: METHOD,
            reason: last.clone(),
        };
        let last = last.parse().map_err(malformed)?;
        self.begun(
            METHOD,
            name,
            queue,
            UpdateForm::Difference,
            (found, Some(last), &initial),
        )
    }

    /// Gives a monitor other conditions (`monitor_cond_change`). What meets them now comes as
    /// inserts, what does not any more as deletes.
    ///
    /// # Errors
    /// No answer, or a condition that does not fit.
    pub async fn monitor_cond_change(
        &self,
        updates: &Updates,
        conditions: &[(String, Vec<Condition>)],
    ) -> Result<(), CallError> {
        let requests = conditions.iter().map(|(table, conditions)| {
            let conditions = match conditions.is_empty() {
                true => json!([true]),
                false => where_json(conditions),
            };
            (table.clone(), json!([{"where": conditions}]))
        });
        let requests: serde_json::Map<_, _> = requests.collect();
        let params = vec![
            json!(updates.name),
            json!(updates.name),
            Json::Object(requests),
        ];
        self.raw("monitor_cond_change", params).await.map(|_| ())
    }

    /// Ends a monitor (`monitor_cancel`).
    ///
    /// # Errors
    /// No answer, or it has ended before.
    pub async fn monitor_cancel(&self, updates: Updates) -> Result<(), CallError> {
        self.raw("monitor_cancel", vec![json!(updates.name)])
            .await
            .map(|_| ())
    }

    /// A monitor's queue must be there before its request: updates may follow the reply at once.
    fn queue(&self) -> (String, crate::transport::Queue) {
        let name = format!("monitor-{}", self.monitors.fetch_add(1, Ordering::Relaxed));
        let queue = self
            .queues
            .open(&json!(name).to_string(), self.limits.queue_bytes);
        (name, queue)
    }

    fn begun(
        &self,
        method: &'static str,
        name: String,
        queue: crate::transport::Queue,
        form: UpdateForm,
        (resumed, last, initial): (bool, Option<Uuid>, &Json),
    ) -> Result<Monitor, CallError> {
        let malformed = |error: crate::UpdateError| CallError::Malformed {
            method,
            reason: error.to_string(),
        };
        let initial = read_tables(initial, form).map_err(malformed)?;
        let updates = Updates {
            queue,
            name,
            reason: self.ending.clone(),
        };
        Ok(Monitor {
            initial,
            resumed,
            last,
            updates,
        })
    }
}

/// A server that lost its leadership meanwhile cannot tell whether the transaction will be.
fn unsure(error: TransactError) -> TransactError {
    match error {
        TransactError::Refused(refusal) if refusal.kind().is_some_and(is_unsure) => {
            TransactError::Unknown {
                reason: refusal.to_string(),
            }
        }
        other => other,
    }
}

fn is_unsure(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::NotLeader | ErrorKind::LeftCluster | ErrorKind::Canceled => true,
        ErrorKind::Other(word) => {
            word.contains("cluster") || word.contains("leader") || word == "timeout"
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_lost_its_leadership_does_not_know_what_becomes_of_a_transaction() {
        let refused = |kind| {
            let details = None;
            TransactError::from(Refusal::Commit(Cause { kind, details }))
        };
        let other = |word: &str| ErrorKind::Other(word.to_owned());
        for kind in [
            ErrorKind::NotLeader,
            ErrorKind::LeftCluster,
            ErrorKind::Canceled,
            other("timeout"),
            other("cluster error"),
        ] {
            let told = unsure(refused(kind.clone()));
            assert!(matches!(told, TransactError::Unknown { .. }), "{kind:?}");
        }
        for kind in [ErrorKind::ConstraintViolation, other("something")] {
            let told = unsure(refused(kind.clone()));
            assert!(matches!(told, TransactError::Refused(_)), "{kind:?}");
        }
    }
}
