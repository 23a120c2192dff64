//! What a gateway keeps in the northbound database of itself: who writes, and what was written.
//!
//! It stands in the `external_ids` of an empty set of addresses of its own, which means nothing to
//! OVN. Who takes over writes itself into it, and all that is written by others after that fails.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb_client::{Atom, Condition, Datum, Mutation, Mutator, Operation, Replica, Row as _};
use sluice_core::agent::Found;
use sluice_core::identity::{Revision, Uid};
use sluice_core::ovn::{RowId, ids};

use super::live::uuid;
use super::tables::AddressSet;

/// Key: the instance that writes.
pub(super) const WRITER: &str = "sluice.dev/writer";
const REVISION_UID: &str = "sluice.dev/revision-uid";
const REVISION_GENERATION: &str = "sluice.dev/revision-generation";
const CONTENT: &str = "sluice.dev/content";
/// Key: how many beginnings to host were seen.
const EPOCH: &str = "sluice.dev/hosting-epoch";

/// The note of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) id: RowId,
    pub(super) gateway: String,
    /// The instance that writes, in text.
    pub(super) writer: String,
    /// What it wrote last, whole.
    pub(super) written: Option<(Revision, String)>,
    /// How many beginnings to host the gateway port were seen.
    pub(super) epoch: u64,
}

/// The row of a gateway's note.
pub(super) fn id(gateway: &str, router: &str) -> RowId {
    RowId::of(gateway, router, "note")
}

/// Writes how many beginnings were seen, and nothing else of the note.
pub(super) fn count(id: RowId, epoch: u64) -> Operation {
    let old = Datum::Set([Atom::from(EPOCH)].into());
    let new = Datum::Map([(Atom::from(EPOCH), Atom::from(epoch.to_string().as_str()))].into());
    Operation::Mutate {
        table: AddressSet::TABLE.to_owned(),
        conditions: vec![Condition::is_row(uuid(id))],
        mutations: vec![
            Mutation::new("external_ids", Mutator::Delete, old),
            Mutation::new("external_ids", Mutator::Insert, new),
        ],
    }
}

impl Note {
    /// The note as the database has it.
    pub(super) fn read(replica: &Replica, id: RowId) -> Option<Self> {
        let row: AddressSet = replica.get(uuid(id)).ok().flatten()?;
        let text = |key: &str| row.external_ids.get(key).cloned();
        let revision = text(REVISION_UID).zip(text(REVISION_GENERATION));
        let revision = revision.and_then(|(uid, generation)| {
            Some(Revision {
                uid: Uid::new(uid),
                generation: generation.parse().ok()?,
            })
        });
        Some(Self {
            id,
            gateway: text(ids::GATEWAY)?,
            writer: text(WRITER)?,
            written: revision.zip(text(CONTENT)),
            epoch: text(EPOCH).and_then(|n| n.parse().ok()).unwrap_or(0),
        })
    }

    /// What an earlier process of this instance left.
    pub(super) fn found(&self, me: &str) -> Option<Found> {
        let (revision, digest) = self.written.clone()?;
        Some(Found {
            revision,
            digest,
            answering: self.writer == me,
        })
    }

    fn row(&self) -> AddressSet {
        let mut external_ids = BTreeMap::from([
            (ids::GATEWAY.to_owned(), self.gateway.clone()),
            (WRITER.to_owned(), self.writer.clone()),
            (EPOCH.to_owned(), self.epoch.to_string()),
        ]);
        if let Some((revision, digest)) = &self.written {
            external_ids.insert(REVISION_UID.to_owned(), revision.uid.to_string());
            external_ids.insert(
                REVISION_GENERATION.to_owned(),
                revision.generation.to_string(),
            );
            external_ids.insert(CONTENT.to_owned(), digest.clone());
        }
        AddressSet {
            name: format!("sluice_{}", self.id.to_string().replace('-', "_")),
            addresses: BTreeSet::new(),
            external_ids,
        }
    }

    pub(super) fn insert(&self) -> Operation {
        Operation::Insert {
            table: AddressSet::TABLE.to_owned(),
            row: self.row().columns(),
            uuid: Some(uuid(self.id)),
            name: None,
        }
    }

    pub(super) fn update(&self) -> Operation {
        Operation::Update {
            table: AddressSet::TABLE.to_owned(),
            conditions: vec![Condition::is_row(uuid(self.id))],
            row: self.row().columns(),
        }
    }

    pub(super) fn delete(&self) -> Operation {
        Operation::Delete {
            table: AddressSet::TABLE.to_owned(),
            conditions: vec![Condition::is_row(uuid(self.id))],
        }
    }
}
