//! The nft tables: read, changed in one transaction, verified.
//!
//! A base dump at one generation, then each batch of ours on exactly the last verified
//! generation: what the kernel accepted took it from one known state to the next. What it
//! added it sends back, and that is compared. After a foreign change, and now and then
//! anyway, the tables are read again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nfnetlink::nftables::{
    BatchError, Element, Family, Generation, Object, Refusal, TableContent, TableDump, TableFlags,
    TableId, Value,
};
use nfnetlink::{Errno, Socket};

use super::report::KernelError;
use super::ruleset::{self, Change, OWNED, Ruleset, Step, TABLE, arp_id, difference, inet_id};

/// The tables are read again after this long and after this many batches.
const AUDIT_AFTER: Duration = Duration::from_secs(60);
const AUDIT_STEPS: u32 = 1_000;
/// How often a batch is made anew because others changed rules meanwhile.
const STALE_TRIES: usize = 16;

/// The nft tables of this network namespace.
#[derive(Debug)]
pub struct Tables {
    socket: Socket,
    port: u32,
    ownership: bool,
    verified: Option<Verified>,
    foreign: BTreeSet<String>,
    foreign_at: Option<Generation>,
}

#[derive(Debug)]
struct Verified {
    generation: Generation,
    inet: Option<Arc<TableContent>>,
    arp: Option<Arc<TableContent>>,
    /// The tables are known to be what was wanted last.
    wanted: bool,
    at: Instant,
    steps: u32,
}

/// Why the tables were not changed.
#[derive(Debug)]
pub enum Refused {
    /// The kernel did not take an element.
    Element {
        /// Family of the table.
        family: Family,
        /// The set.
        set: String,
        /// Keys of the elements that may be to blame; one where the kernel named it.
        keys: Vec<Value>,
        /// The kernel's words.
        error: String,
    },
    /// Anything else.
    Other(KernelError),
}

impl From<KernelError> for Refused {
    fn from(error: KernelError) -> Self {
        Self::Other(error)
    }
}

/// For those who have no entry to blame.
impl From<Refused> for KernelError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Other(error) => error,
            Refused::Element { set, error, .. } => Self::Rules(format!("set {set}: {error}")),
        }
    }
}

impl Tables {
    /// Opens a socket for the tables of the calling thread's network namespace.
    ///
    /// # Errors
    /// [`KernelError::Rules`].
    pub fn open(ownership: bool) -> Result<Self, KernelError> {
        let socket = Socket::open().map_err(rules)?;
        let port = socket.port().map_err(rules)?;
        Ok(Self {
            socket,
            port,
            ownership,
            verified: None,
            foreign: BTreeSet::new(),
            foreign_at: None,
        })
    }

    /// The port of the socket that makes changes.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// The tables as they are: read where something may have changed since the last look.
    fn look(&mut self, audit: bool) -> Result<&Verified, KernelError> {
        let generation = self.socket.generation().map_err(rules)?;
        let current = self.verified.as_ref().is_some_and(|v| {
            let fresh = !audit || (v.at.elapsed() < AUDIT_AFTER && v.steps < AUDIT_STEPS);
            v.generation == generation && fresh
        });
        if !current {
            self.verified = None;
        }
        match self.verified.take() {
            Some(verified) => Ok(self.verified.insert(verified)),
            None => {
                let verified = self.read()?;
                Ok(self.verified.insert(verified))
            }
        }
    }

    fn read(&mut self) -> Result<Verified, KernelError> {
        for _ in 0..STALE_TRIES {
            let inet = self.dump(Family::Inet)?;
            let arp = self.dump(Family::Arp)?;
            let generation = self.socket.generation().map_err(rules)?;
            let stable = [&inet, &arp]
                .into_iter()
                .flatten()
                .all(|dump| dump.generation == generation);
            if !stable {
                continue;
            }
            let strange = [&inet, &arp]
                .into_iter()
                .flatten()
                .any(|dump| !dump.others.is_empty());
            if strange {
                // Objects that are not ours would keep the table from being compared: forget
                // it, so that it is replaced.
                return Ok(Verified {
                    generation,
                    inet: inet.map(|dump| TableContent::new(dump.content.table).into()),
                    arp: arp.map(|dump| TableContent::new(dump.content.table).into()),
                    wanted: false,
                    at: Instant::now(),
                    steps: AUDIT_STEPS,
                });
            }
            return Ok(Verified {
                generation,
                inet: inet.map(|dump| dump.content.into()),
                arp: arp.map(|dump| dump.content.into()),
                wanted: false,
                at: Instant::now(),
                steps: 0,
            });
        }
        Err(KernelError::Rules(
            "others change rules without pause: the tables could not be read".to_owned(),
        ))
    }

    fn dump(&mut self, family: Family) -> Result<Option<TableDump>, KernelError> {
        self.socket.dump_table(family, TABLE).map_err(rules)
    }

    /// The table `inet sluice` as it is.
    ///
    /// # Errors
    /// [`KernelError::Rules`].
    pub fn inet(&mut self) -> Result<Option<&Arc<TableContent>>, KernelError> {
        Ok(self.look(false)?.inet.as_ref())
    }

    /// Makes the tables what is wanted, in one transaction, and returns how many objects
    /// changed: none, where they were right.
    ///
    /// # Errors
    /// [`Refused`]; the tables are then as they were.
    pub fn make(&mut self, wanted: &Ruleset) -> Result<usize, Refused> {
        let mut changed = 0;
        for _ in 0..STALE_TRIES {
            let ownership = self.ownership;
            let port = self.port;
            let seen = self.look(false)?;
            let generation = seen.generation;
            let first = claim(seen, ownership);
            if !first.batch.is_empty() {
                self.verified = None;
                match self.socket.commit(&first.batch, Some(generation)) {
                    Ok(_) => changed += first.objects,
                    Err(BatchError::Stale { .. } | BatchError::Unknown(_)) => {}
                    Err(error) => return Err(KernelError::Rules(error.to_string()).into()),
                }
                continue;
            }
            let change = step(seen, wanted, ownership);
            if change.batch.is_empty() {
                self.settle(wanted);
                return Ok(changed);
            }
            match self.socket.commit(&change.batch, Some(generation)) {
                Ok(committed) => {
                    let next = committed.generation;
                    let steps = self.verified.as_ref().map_or(0, |v| v.steps);
                    self.verified = None;
                    if next == Some(generation.next())
                        && is_echoed(&change, &committed.echoed, port)
                    {
                        self.verified = Some(Verified {
                            generation: generation.next(),
                            inet: Some(flagged(&wanted.inet, self.ownership)),
                            arp: Some(flagged(&wanted.arp, self.ownership)),
                            wanted: true,
                            at: Instant::now(),
                            steps: steps + 1,
                        });
                        return Ok(changed + change.objects);
                    }
                    // The evidence is not whole: read.
                    let ownership = self.ownership;
                    let seen = self.look(false)?;
                    if step(seen, wanted, ownership).batch.is_empty() {
                        self.settle(wanted);
                        return Ok(changed + change.objects);
                    }
                }
                Err(BatchError::Stale { .. } | BatchError::Unknown(_)) => self.verified = None,
                Err(BatchError::Unsupported { .. }) if self.ownership => {
                    tracing::warn!("the kernel does not know owned tables that persist");
                    self.ownership = false;
                }
                Err(BatchError::Refused { first, .. }) => {
                    self.verified = None;
                    return Err(refusal(&change, &first));
                }
                Err(error) => {
                    self.verified = None;
                    return Err(KernelError::Rules(error.to_string()).into());
                }
            }
        }
        Err(KernelError::Rules("others change rules without pause".to_owned()).into())
    }

    /// Takes a step from what stands, which must be `held`, in one transaction. Returns how
    /// many objects changed; `None` where the step cannot be taken from here, and nothing of
    /// it was: then make all of it.
    ///
    /// # Errors
    /// [`KernelError::Rules`], also where nobody knows whether it was taken.
    pub fn alter(&mut self, held: &mut Ruleset, step: &Step) -> Result<Option<usize>, KernelError> {
        let ownership = self.ownership;
        let seen = self.look(false)?;
        let is = |seen: &Option<Arc<TableContent>>, held: &Arc<TableContent>| {
            seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, held))
        };
        let stands = is(&seen.inet, &held.inet) && is(&seen.arp, &held.arp);
        if !stands || !seen.wanted || !claim(seen, ownership).batch.is_empty() {
            return Ok(None);
        }
        if !step.fits(&held.inet, &held.arp) {
            return Ok(None);
        }
        let (generation, steps, at) = (seen.generation, seen.steps, seen.at);
        let change = step.change();
        if change.batch.is_empty() {
            return Ok(Some(0));
        }
        // What is known of the tables and what was wanted are one: nothing is copied.
        self.verified = None;
        let committed = match self.socket.commit(&change.batch, Some(generation)) {
            Ok(committed) => committed,
            Err(BatchError::Stale { .. } | BatchError::Refused { .. }) => return Ok(None),
            Err(error) => return Err(KernelError::Rules(error.to_string())),
        };
        let is_next = committed.generation == Some(generation.next());
        if !is_next || !is_echoed(&change, &committed.echoed, self.port) {
            // Rules may have gone: who makes all of them anew must know that nobody knows.
            let lost = "the kernel's answer to a change of few elements is not whole";
            return Err(KernelError::Rules(lost.to_owned()));
        }
        step.take(Arc::make_mut(&mut held.inet), Arc::make_mut(&mut held.arp));
        self.verified = Some(Verified {
            generation: generation.next(),
            inet: Some(Arc::clone(&held.inet)),
            arp: Some(Arc::clone(&held.arp)),
            wanted: true,
            at,
            steps: steps + 1,
        });
        Ok(Some(change.objects))
    }

    /// What was read is what is wanted: one copy is enough.
    fn settle(&mut self, wanted: &Ruleset) {
        if let Some(verified) = &mut self.verified {
            verified.wanted = true;
            verified.inet = Some(flagged(&wanted.inet, self.ownership));
            verified.arp = Some(flagged(&wanted.arp, self.ownership));
        }
    }

    /// What differs from what was given to [`Tables::make`] last, in words.
    ///
    /// # Errors
    /// [`KernelError::Rules`].
    pub fn drift(&mut self, wanted: &Ruleset) -> Result<Vec<String>, KernelError> {
        let ownership = self.ownership;
        let seen = self.look(true)?;
        if seen.wanted {
            return Ok(Vec::new());
        }
        let orphaned = claim(seen, ownership);
        let change = step(seen, wanted, ownership);
        if change.batch.is_empty() && orphaned.batch.is_empty() {
            self.settle(wanted);
        }
        let operations = orphaned.batch.operations().iter();
        Ok(operations
            .chain(change.batch.operations())
            .map(|operation| format!("nft: {operation} is needed"))
            .collect())
    }

    /// Base chains of other tables in this network namespace: they may drop or translate
    /// what ours let pass. Read again when the generation moved.
    ///
    /// # Errors
    /// [`KernelError::Rules`].
    pub fn foreign_chains(&mut self) -> Result<&BTreeSet<String>, KernelError> {
        let generation = self.socket.generation().map_err(rules)?;
        if self.foreign_at != Some(generation) {
            let ours = [inet_id(), arp_id()];
            let is_foreign = |table: &TableId| !ours.contains(table);
            self.foreign = self
                .socket
                .chains(None)
                .map_err(rules)?
                .into_iter()
                .filter(|(table, chain)| is_foreign(table) && chain.base.is_some())
                .map(|(table, chain)| format!("{table} {}", chain.name))
                .collect();
            self.foreign_at = Some(generation);
        }
        Ok(&self.foreign)
    }
}

/// The table with the flags that this kernel knows.
fn flagged(table: &Arc<TableContent>, ownership: bool) -> Arc<TableContent> {
    let flags = if ownership {
        OWNED
    } else {
        TableFlags::empty()
    };
    let mut table = Arc::clone(table);
    if table.table.flags != flags {
        Arc::make_mut(&mut table).table.flags = flags;
    }
    table
}

/// What takes the tables from what was seen to what is wanted.
fn step(seen: &Verified, wanted: &Ruleset, ownership: bool) -> Change {
    let mut change = Change {
        batch: nfnetlink::nftables::Batch::with_echo(),
        ..Change::default()
    };
    let pairs = [(&seen.arp, &wanted.arp), (&seen.inet, &wanted.inet)];
    for (old, new) in pairs {
        let new = flagged(new, ownership);
        // A table that was not made to persist cannot learn it.
        let replace = old
            .as_ref()
            .is_some_and(|old| ownership && !old.table.flags.contains(TableFlags::PERSIST));
        match old {
            Some(old) if replace => {
                change.batch.delete_table(&old.table.id);
                difference(None, &new, &mut change);
            }
            old => difference(old.as_deref(), &new, &mut change),
        }
    }
    change
}

/// Takes over tables that outlived their owner. By itself: the kernel adds no base chain to a
/// table whose flags change in the same transaction.
fn claim(seen: &Verified, ownership: bool) -> Change {
    let mut change = Change::default();
    let orphans = [&seen.arp, &seen.inet].into_iter().flatten();
    for old in orphans.filter(|old| ownership && old.table.flags == TableFlags::PERSIST) {
        let mut table = old.table.clone();
        table.flags = OWNED;
        change.batch.add_table(&table);
        change.objects += 1;
    }
    change
}

/// Whether the kernel sent back every element that the batch added.
fn is_echoed(change: &Change, echoed: &[nfnetlink::nftables::Event], port: u32) -> bool {
    let mut back: BTreeSet<(Family, &str, &Element)> = BTreeSet::new();
    for event in echoed.iter().filter(|event| event.port == port) {
        if let Object::Elements {
            table,
            set,
            elements,
        } = &event.object
        {
            back.extend(elements.iter().map(|e| (table.family, set.as_str(), e)));
        }
    }
    change.sent.iter().all(|(index, elements)| {
        change
            .batch
            .operations()
            .get(*index)
            .is_some_and(|operation| {
                let (family, set) = (operation.table.family, operation.name.as_str());
                elements
                    .iter()
                    .all(|element| back.contains(&(family, set, element)))
            })
    })
}

fn refusal(change: &Change, refusal: &Refusal) -> Refused {
    let sent = change
        .sent
        .iter()
        .find(|(index, _)| *index == refusal.index);
    let Some((_, elements)) = sent else {
        let hint = match refusal.errno {
            Errno::PERM => "; another process owns the table",
            _ => "",
        };
        return Refused::Other(KernelError::Rules(format!("{refusal}{hint}")));
    };
    let named = refusal.element.and_then(|index| elements.get(index));
    let keys = match named {
        Some(element) => vec![element.key.clone()],
        None => elements.iter().map(|element| element.key.clone()).collect(),
    };
    Refused::Element {
        family: refusal.operation.table.family,
        set: refusal.operation.name.clone(),
        keys,
        error: refusal.to_string(),
    }
}

fn rules(error: nfnetlink::Error) -> KernelError {
    KernelError::Rules(error.to_string())
}

impl Tables {
    /// What the tables say was applied.
    ///
    /// # Errors
    /// [`KernelError::Rules`].
    pub fn stamp(&mut self) -> Result<Option<super::report::Stamp>, KernelError> {
        Ok(self.inet()?.and_then(|inet| ruleset::stamp_of(inet)))
    }
}
