//! The data plane of a gateway that OVN serves: rows of the northbound database, and the word of
//! the chassis that hosts the gateway port.
//!
//! The rows are of the whole network, not of an instance: who holds the gateway's Lease writes
//! them, others write nothing. What is written is applied when the hosting chassis has said so
//! (`core::ovn::Acknowledgement`); when another one begins to host, no address is usable
//! until it has.
//!
//! Not done here, as OVN does it: guards, announcements (`nat-addresses=router` on the switch's
//! port), next hops. Not done at all: connections that a translation made go on in the chassis'
//! conntrack when its row goes, until they time out; OVN flushes those of load balancers only.

mod counters;
mod live;
mod note;
mod options;
mod tables;
mod write;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovsdb_client::{Client, Operation, Outcome, Status};
use sluice_core::agent::{Found, Inspection, Millis, Notice};
use sluice_core::config::Snapshot;
use sluice_core::identity::Revision;
use sluice_core::ovn::{
    Acknowledgement, Change, Compiled, Hosting, Verdict, Waiting, batches, difference, rows,
};
use sluice_crds::internal::{Problem, RejectedEntry};
use sluice_crds::user;
use tokio::runtime::Runtime;

use crate::dataplane::{DataPlane, Done, Watch};
use live::Surroundings;
use note::Note;

pub use options::OvnOptions;

/// How long the databases may take to be there at the start.
const START: Duration = Duration::from_secs(60);
/// How long the hosting chassis is waited for by one operation; it is asked again by the next.
const PATIENCE: Duration = Duration::from_secs(3);
/// After so long without a database it is not known any more who hosts what.
const BLIND: Duration = Duration::from_secs(30);

/// Both databases, and what was written.
pub struct OvnPlane {
    runtime: Runtime,
    north: Arc<Client>,
    south: Arc<Client>,
    options: OvnOptions,
    gateway: String,
    /// This instance, in text.
    me: String,
    began: Instant,
    /// Whether this instance writes since it began to hold.
    writes: bool,
    /// What the rows shall be, while this instance holds.
    want: Option<Wanted>,
    ack: Acknowledgement,
    hosting: Option<Hosting>,
    /// Since when a database is away.
    away: Option<Instant>,
}

struct Wanted {
    snapshot: Snapshot,
    revision: Revision,
}

impl OvnPlane {
    /// Connects to both databases, on a runtime of its own: the calls of a data plane block.
    ///
    /// # Errors
    /// Options that cannot be, or no threads.
    pub fn open(options: OvnOptions, gateway_uid: &str, me: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ovsdb")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let north = options.config(&options.northbound, "OVN_Northbound", tables::northbound())?;
        let south = tables::southbound(&options.gateway_port);
        let south = options.config(&options.southbound, "OVN_Southbound", south)?;
        let clients = runtime.block_on(async { (Client::start(north), Client::start(south)) });
        Ok(Self {
            runtime,
            north: Arc::new(clients.0),
            south: Arc::new(clients.1),
            options,
            gateway: gateway_uid.to_owned(),
            me: me.to_owned(),
            began: Instant::now(),
            writes: false,
            want: None,
            ack: Acknowledgement::default(),
            hosting: None,
            away: None,
        })
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn surroundings(&self) -> Result<Surroundings, String> {
        let options = &self.options;
        self.north
            .read(|copy| live::read(copy, &self.gateway, &options.router, &options.gateway_port))
            .map_err(|error| error.to_string())
    }

    fn note_id(&self) -> sluice_core::ovn::RowId {
        note::id(&self.gateway, &self.options.router)
    }

    fn note(&self) -> Option<Note> {
        self.north.read(|copy| Note::read(copy, self.note_id()))
    }

    /// What the rows shall be, and what of them is not so.
    fn compare(
        &self,
        snapshot: &Snapshot,
    ) -> Result<(Surroundings, Compiled, Vec<Change>), String> {
        let around = self.surroundings()?;
        let compiled = rows(snapshot.entries(), &around.place).beside(&around.live.foreign);
        let changes = difference(&compiled.rows, &around.live);
        Ok((around, compiled, changes))
    }

    fn transact(&self, operations: &[Operation]) -> Result<Vec<Outcome>, String> {
        let outcome = self.runtime.block_on(self.north.transact(operations));
        outcome.map_err(|error| error.to_string())
    }

    /// Writes a transaction that counts up, and tells the protocol.
    fn write(&mut self, mut operations: Vec<Operation>) -> Result<(), String> {
        operations.extend(write::count());
        // Until the number is known nothing that comes back means anything.
        self.ack.lost();
        let outcomes = self.transact(&operations)?;
        let number =
            write::counted(&outcomes).ok_or("NB_Global has no row: is the database set up?")?;
        self.ack.wrote(number);
        Ok(())
    }

    fn guard_pair(&self) -> (&'static str, &str) {
        (note::WRITER, &self.me)
    }

    /// Makes the rows these, in batches; each fails if another instance writes meanwhile.
    fn write_changes(
        &mut self,
        around: &Surroundings,
        changes: &[Change],
        note: &Note,
    ) -> Result<(), String> {
        let guard = write::guard(note.id, self.guard_pair());
        for batch in batches(changes, write::BATCH) {
            let mut operations = vec![guard.clone()];
            operations.extend(
                batch
                    .iter()
                    .flat_map(|change| write::operations(change, around.router)),
            );
            self.write(operations)?;
        }
        Ok(())
    }

    /// Has this instance be the one that writes. One that was, and finds another one in its
    /// place, was overtaken: it does not know yet that it holds no more, and takes nothing back.
    fn take(&mut self) -> Result<Note, String> {
        let old = self.note();
        match &old {
            Some(note) if note.writer == self.me => {
                self.writes = true;
                self.ack.resume(note.epoch);
                return Ok(note.clone());
            }
            Some(note) if self.writes => {
                return Err(format!("{} writes this gateway's rows now", note.writer));
            }
            Some(_) | None => {}
        }
        let new = Note {
            id: self.note_id(),
            gateway: self.gateway.clone(),
            writer: self.me.clone(),
            written: old.as_ref().and_then(|note| note.written.clone()),
            epoch: old.as_ref().map_or(0, |note| note.epoch),
        };
        self.ack.resume(new.epoch);
        tracing::info!(
            from = old.as_ref().map(|note| note.writer.as_str()),
            "rows are written by this instance now"
        );
        let operation = if old.is_some() {
            new.update()
        } else {
            new.insert()
        };
        self.transact(&[operation])?;
        self.writes = true;
        Ok(new)
    }

    /// Looks at the counters, counting up where the protocol asks for it.
    fn verdict(&mut self) -> Result<Verdict, String> {
        for _ in 0..2 {
            let counters = self.counters()?;
            let now = self.now();
            let verdict = self.ack.look(now, &counters);
            if let Verdict::Acknowledged(hosting) = &verdict
                && self.hosting.as_ref() != Some(hosting)
            {
                tracing::info!(
                    chassis = hosting.chassis,
                    epoch = hosting.epoch,
                    before = self.hosting.as_ref().map(|old| old.chassis.as_str()),
                    "hosting chassis acknowledged"
                );
                self.hosting = Some(hosting.clone());
            }
            if verdict != Verdict::Count {
                return Ok(verdict);
            }
            // With the question goes which beginning it is, so that no other gets its number.
            let mut operations = Vec::new();
            if self.writes {
                let id = self.note_id();
                operations.push(write::guard(id, self.guard_pair()));
                operations.push(note::count(id, self.ack.epoch()));
            }
            self.write(operations)?;
        }
        let (now, counters) = (self.now(), self.counters()?);
        Ok(self.ack.look(now, &counters))
    }

    fn counters(&self) -> Result<sluice_core::ovn::Counters, String> {
        let port = &self.options.gateway_port;
        let counters = self
            .north
            .read(|north| self.south.read(|south| counters::read(north, south, port)));
        counters
            .map_err(|error| error.to_string())?
            .ok_or_else(|| "NB_Global or SB_Global has no row: is OVN set up?".to_owned())
    }

    /// Waits for the hosting chassis' word on what was written.
    fn acknowledged(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let (mut north, mut south) = (self.north.watch(), self.south.watch());
        loop {
            let waiting = match self.verdict()? {
                Verdict::Acknowledged(_) => return Ok(()),
                Verdict::Count => "NB_Global.nb_cfg goes back and forth".to_owned(),
                Verdict::Waiting(waiting) => waiting.to_string(),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(waiting);
            }
            let changed = async {
                tokio::select! {
                    _ = north.next() => {}
                    _ = south.next() => {}
                }
            };
            // The deadline is looked at above.
            let _ = self
                .runtime
                .block_on(async { tokio::time::timeout(left, changed).await });
        }
    }

    /// The database that is away, and why.
    fn absent(&mut self) -> Option<String> {
        let reason = [("northbound", &self.north), ("southbound", &self.south)]
            .into_iter()
            .find_map(|(name, client)| match client.status() {
                Status::Away { reason } => Some(format!("{name} database: {reason}")),
                Status::Synced { .. } => None,
            });
        match &reason {
            Some(_) => {
                self.away.get_or_insert_with(Instant::now);
            }
            None => self.away = None,
        }
        reason
    }

    /// The chassis that hosts the gateway port, if it has acknowledged anything since it does.
    fn hosting(&self) -> Option<user::Hosting> {
        let hosting = self.hosting.as_ref().filter(|_| self.ack.is_heard())?;
        Some(user::Hosting {
            chassis: hosting.chassis.clone(),
            epoch: i64::try_from(hosting.epoch).unwrap_or(i64::MAX),
        })
    }

    /// Asks the hosting chassis for a sign of life when it is time.
    fn beat(&mut self) -> Result<(), String> {
        let now = self.now();
        if self.ack.is_beat_due(now) {
            let outcomes = self.transact(&write::count())?;
            if let Some(number) = write::counted(&outcomes) {
                self.ack.asked(now, number);
            }
        }
        Ok(())
    }
}

impl DataPlane for OvnPlane {
    /// OVN translates or does not: there is nothing that this instance could let pass.
    fn guard(&mut self) -> Result<(), String> {
        let both = async {
            self.north.synced().await;
            self.south.synced().await;
        };
        let there = self
            .runtime
            .block_on(async { tokio::time::timeout(START, both).await });
        if there.is_err() {
            return Err(self
                .absent()
                .unwrap_or_else(|| "databases are away".to_owned()));
        }
        let schemas = (self.north.schema(), self.south.schema());
        let (Some(north), Some(south)) = schemas else {
            return Err("databases are away".to_owned());
        };
        tables::check(&north, &south)
            .map_err(|error| format!("this version of OVN is not supported: {error}"))
    }

    fn found(&mut self) -> Result<Option<Found>, String> {
        Ok(self.note().and_then(|note| note.found(&self.me)))
    }

    fn apply(
        &mut self,
        snapshot: &Snapshot,
        revision: &Revision,
        holding: bool,
    ) -> Result<Done, String> {
        if let Some(reason) = self.absent() {
            return Err(reason);
        }
        if !holding {
            // The rows are the holder's.
            self.want = None;
            self.writes = false;
            let (_, compiled, _) = self.compare(snapshot)?;
            return Ok(Done {
                rejected: rejected(snapshot, &compiled),
                ..Done::default()
            });
        }
        let mut note = self.take()?;
        let (around, compiled, changes) = self.compare(snapshot)?;
        // From here on it is looked at, also while it is not acknowledged yet.
        self.want = Some(Wanted {
            snapshot: snapshot.clone(),
            revision: revision.clone(),
        });
        self.write_changes(&around, &changes, &note)?;
        let written = Some((revision.clone(), snapshot.digest.to_string()));
        if note.written != written {
            note.written = written;
            note.epoch = self.ack.epoch();
            let guard = write::guard(note.id, self.guard_pair());
            self.transact(&[guard, note.update()])?;
        }
        self.acknowledged()?;
        Ok(Done {
            rejected: rejected(snapshot, &compiled),
            flush_again: false,
            changed: changes.len(),
        })
    }

    fn flush(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn announce(&mut self, _addresses: &[IpAddr]) -> Result<(), String> {
        Ok(())
    }

    fn probe(
        &mut self,
        _addresses: &[IpAddr],
        _wait: Duration,
    ) -> Result<Vec<(IpAddr, String)>, String> {
        Ok(Vec::new())
    }

    fn inspect(&mut self) -> Result<Inspection, String> {
        let mut seen = Inspection::default();
        if let Some(reason) = self.absent() {
            let blind = self.away.is_some_and(|since| since.elapsed() >= BLIND);
            if self.want.is_some() && !blind {
                seen.hosting = self.hosting();
            }
            seen.problems.push(Problem {
                reason: "DatabaseAway".to_owned(),
                message: reason,
                blocking: self.want.is_some() && blind,
            });
            return Ok(seen);
        }
        let Some(want) = &self.want else {
            return Ok(seen);
        };
        if self.note().is_none_or(|note| note.writer != self.me) {
            // Nobody is asked about rows that may be another's.
            seen.drift
                .push("the note of who writes is gone or another instance's".to_owned());
            return Ok(seen);
        }
        let (_, _, changes) = self.compare(&want.snapshot)?;
        seen.drift
            .extend(changes.iter().map(|change| format!("{change:?}")));
        self.beat()?;
        match self.verdict()? {
            Verdict::Acknowledged(_) => seen.hosting = self.hosting(),
            // What the host has acknowledged before stays good.
            Verdict::Count
            | Verdict::Waiting(
                Waiting::Northd { .. } | Waiting::Chassis { .. } | Waiting::Disagree { .. },
            ) if self.ack.is_heard() => seen.hosting = self.hosting(),
            Verdict::Count => {
                let message = "NB_Global.nb_cfg goes back and forth";
                seen.problems.push(blocking("ChassisBehind", message));
            }
            Verdict::Waiting(waiting) => {
                let text = waiting.to_string();
                let (reason, message) = text.split_once(": ").unwrap_or(("ChassisBehind", &text));
                seen.problems.push(blocking(reason, message));
            }
        }
        Ok(seen)
    }

    fn repair(&mut self) -> Result<i64, String> {
        let Some(want) = &self.want else {
            return Ok(0);
        };
        let revision = want.revision.clone();
        let (around, _, changes) = self.compare(&want.snapshot)?;
        let note = self.take()?;
        // Flows may be gone, and come back when the host says so.
        self.ack.doubt();
        self.write_changes(&around, &changes, &note)?;
        self.acknowledged()?;
        tracing::warn!(%revision, changes = changes.len(), "rows put right");
        Ok(i64::try_from(changes.len()).unwrap_or(i64::MAX))
    }

    fn clear(&mut self) -> Result<(), String> {
        self.want = None;
        self.writes = false;
        let Some(note) = self.note().filter(|note| note.writer == self.me) else {
            // Nothing was written, or another instance writes now: the rows are its.
            return Ok(());
        };
        let around = self.surroundings()?;
        let changes = difference(&Default::default(), &around.live);
        self.write_changes(&around, &changes, &note)?;
        match self.acknowledged() {
            Ok(()) => {}
            // What nobody hosts nobody answers for.
            Err(_) if self.counters()?.host.is_none() => {}
            Err(error) => return Err(error),
        }
        let guard = write::guard(note.id, self.guard_pair());
        self.transact(&[guard, note.delete()]).map(|_| ())
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, String> {
        Ok(Box::new(OvnWatch {
            handle: self.runtime.handle().clone(),
            north: self.north.watch(),
            south: self.south.watch(),
        }))
    }
}

/// Changes of either database.
struct OvnWatch {
    handle: tokio::runtime::Handle,
    north: ovsdb_client::client::Watch,
    south: ovsdb_client::client::Watch,
}

impl Watch for OvnWatch {
    fn wait(&mut self, timeout: Duration) -> Result<Vec<Notice>, String> {
        let changed = async {
            tokio::select! {
                event = self.north.next() => event,
                event = self.south.next() => event,
            }
        };
        match self
            .handle
            .block_on(async { tokio::time::timeout(timeout, changed).await })
        {
            Ok(Some(_)) => Ok(vec![Notice::Changed]),
            Ok(None) => Err("the databases' clients have ended".to_owned()),
            Err(_) => Ok(Vec::new()),
        }
    }
}

/// The entries that OVN cannot do, or cannot do beside rows of others.
fn rejected(snapshot: &Snapshot, compiled: &Compiled) -> Vec<RejectedEntry> {
    let refused = |entry: &sluice_core::entry::Entry| {
        let why = compiled.refused.get(&entry.key())?;
        Some(RejectedEntry {
            key: entry.key(),
            digest: entry.digest().short(),
            error: why.to_string(),
        })
    };
    snapshot.entries().filter_map(refused).collect()
}

/// What stands against every address of the gateway.
fn blocking(reason: &str, message: &str) -> Problem {
    Problem {
        reason: reason.to_owned(),
        message: message.to_owned(),
        blocking: true,
    }
}
