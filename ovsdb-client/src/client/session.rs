//! Servers one after another: connect, see that it serves, copy, follow.

use std::sync::{Arc, PoisonError};

use super::{Live, Shared, Status};
use crate::connection::Connection;
use crate::error::{CallError, UpdateError};
use crate::monitor::{Monitor, TableMonitor, Updates};
use crate::operation::{Condition, Function};
use crate::replica::Replica;
use crate::schema::DatabaseSchema;
use crate::value::Uuid;

/// The transaction after which the copy is so, by the schema that it was read with.
type Since = Option<(Uuid, Arc<DatabaseSchema>)>;

pub(super) async fn serve(shared: Arc<Shared>) {
    let mut since: Since = None;
    let mut epoch = 0;
    let mut wait = shared.config.backoff;
    loop {
        for remote in &shared.config.remotes {
            let before = epoch;
            let reason = session(&shared, remote, &mut since, &mut epoch).await;
            tracing::info!(%remote, database = shared.config.database, reason, "not served");
            away(&shared, format!("{remote}: {reason}"), epoch);
            if epoch != before {
                wait = shared.config.backoff;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(shared.config.longest_backoff);
    }
}

fn away(shared: &Shared, reason: String, epoch: u64) {
    shared.live.send_modify(|live| {
        *live = Live {
            status: Status::Away { reason },
            connection: None,
            schema: live.schema.take(),
            epoch,
        };
    });
}

/// Why a session did not come about or ended.
type Reason = String;

async fn session(
    shared: &Shared,
    remote: &crate::Remote,
    since: &mut Since,
    epoch: &mut u64,
) -> Reason {
    let config = &shared.config;
    let opened = Connection::open(remote, config.tls.as_ref(), config.limits.clone()).await;
    let connection = match opened {
        Ok(connection) => Arc::new(connection),
        Err(error) => return error.to_string(),
    };
    match follow(shared, &connection, remote, since, epoch).await {
        Ok(reason) => reason,
        Err(error) => error.to_string(),
    }
}

/// Follows the database until it cannot.
async fn follow(
    shared: &Shared,
    connection: &Arc<Connection>,
    remote: &crate::Remote,
    since: &mut Since,
    epoch: &mut u64,
) -> Result<Reason, CallError> {
    let config = &shared.config;
    match connection.set_db_change_aware(true).await {
        Err(error) if !error.is_unknown_method() => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut server = Server::look(connection, config).await?;
    if let Some(reason) = server.unfit(config) {
        return Ok(reason);
    }
    let schema = Arc::new(connection.schema(&config.database).await?);
    let last = since
        .take()
        .filter(|(_, of)| *of == schema)
        .map(|(last, _)| last);
    let mut monitor = begin(connection, config, last).await?;
    let taken = take_in(shared, &schema, &mut monitor);
    if let Err(error) = taken {
        return Ok(error.to_string());
    }
    *epoch += 1;
    *since = monitor.last.map(|last| (last, schema.clone()));
    shared.applied.send_replace((*epoch, 0));
    shared.live.send_replace(Live {
        status: Status::Synced {
            remote: remote.to_string(),
            epoch: *epoch,
        },
        connection: Some(connection.clone()),
        schema: Some(schema),
        epoch: *epoch,
    });
    let mut updates = monitor.updates;
    loop {
        tokio::select! {
            update = updates.next() => {
                let applied = update.and_then(|update| {
                    let changes = shared
                        .replica
                        .write()
                        .unwrap_or_else(PoisonError::into_inner)
                        .apply(update.tables)?;
                    Ok((changes, update.last))
                });
                match applied {
                    Ok((changes, last)) => {
                        if let (Some(last), Some((since, _))) = (last, since.as_mut()) {
                            *since = last;
                        }
                        shared.tell(&changes);
                        shared.applied.send_modify(|(_, count)| *count += 1);
                    }
                    Err(error) => {
                        // What does not fit must be read anew.
                        if !matches!(error, UpdateError::Closed(_)) {
                            *since = None;
                        }
                        return Ok(error.to_string());
                    }
                }
            }
            changed = server.changed() => {
                shared.applied.send_modify(|(_, count)| *count += 1);
                match changed {
                    Ok(()) => if let Some(reason) = server.unfit(config) {
                        return Ok(reason);
                    },
                    Err(error) => return Ok(error.to_string()),
                }
            }
        }
    }
}

/// The best monitor that the server knows.
async fn begin(
    connection: &Connection,
    config: &super::Config,
    last: Option<Uuid>,
) -> Result<Monitor, CallError> {
    let (database, tables) = (&config.database, &config.monitors);
    match connection.monitor_cond_since(database, tables, last).await {
        Err(error) if error.is_unknown_method() => {}
        other => return other,
    }
    connection.monitor_cond(database, tables).await
}

/// Takes the monitor's beginning into the copy.
fn take_in(
    shared: &Shared,
    schema: &DatabaseSchema,
    monitor: &mut Monitor,
) -> Result<(), UpdateError> {
    let initial = std::mem::take(&mut monitor.initial);
    let mut replica = shared
        .replica
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    let changes = match monitor.resumed {
        true => replica.apply(initial)?,
        false => replica.replace(schema, initial)?,
    };
    drop(replica);
    shared.tell(&changes);
    Ok(())
}

/// What the server says of itself in its database `_Server`.
struct Server {
    told: Option<(Replica, Updates)>,
}

crate::rows! {
    /// A row of `_Server`'s `Database`.
    struct Database in "Database" {
        /// `standalone`, `clustered` or `relay`.
        model: String,
        /// Whether the server is in touch with its cluster.
        connected: bool,
        /// Whether it leads the cluster.
        leader: bool,
        /// The schema; absent while it has none.
        schema: Option<String>,
    }
}

impl Server {
    async fn look(connection: &Connection, config: &super::Config) -> Result<Self, CallError> {
        const NAME: &str = "_Server";
        let table = TableMonitor::of::<Database>().where_any(vec![Condition::new(
            "name",
            Function::Eq,
            config.database.as_str(),
        )]);
        let schema = match connection.schema(NAME).await {
            Ok(schema) => schema,
            // Older than clusters: it stands alone.
            Err(CallError::Refused { .. }) => return Ok(Self { told: None }),
            Err(error) => return Err(error),
        };
        let monitor = connection.monitor_cond(NAME, &[table]).await?;
        let mut replica = Replica::new(&schema);
        replica
            .apply(monitor.initial)
            .map_err(|error| CallError::Malformed {
                method: "monitor_cond",
                reason: error.to_string(),
            })?;
        Ok(Self {
            told: Some((replica, monitor.updates)),
        })
    }

    /// Why this server will not do.
    fn unfit(&self, config: &super::Config) -> Option<Reason> {
        let (replica, _) = self.told.as_ref()?;
        let databases = match replica.all::<Database>() {
            Ok(databases) => databases,
            Err(error) => return Some(error.to_string()),
        };
        let Some((_, database)) = databases.into_iter().next() else {
            return Some("it does not have the database".to_owned());
        };
        if database.schema.is_none() {
            return Some("it has not joined its cluster yet".to_owned());
        }
        if database.model == "standalone" {
            return None;
        }
        if !database.connected {
            return Some("it is cut off from its cluster".to_owned());
        }
        (config.leader_only && !database.leader).then(|| "it does not lead its cluster".to_owned())
    }

    async fn changed(&mut self) -> Result<(), UpdateError> {
        let Some((replica, updates)) = self.told.as_mut() else {
            return std::future::pending().await;
        };
        let update = updates.next().await?;
        replica.apply(update.tables).map(|_| ())
    }
}
