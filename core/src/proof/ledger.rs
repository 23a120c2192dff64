//! What was published, committed, held and reported, as seen from outside: what
//! the judge goes by. Texts are compared as texts; nothing here asks the product.

use std::collections::{BTreeMap, BTreeSet};

use sluice_crds::internal::GatewayInstanceStatus;

use super::machine::Machine;
use crate::identity::Revision;

/// An instance at a term: instance, UID of the Lease, transitions.
pub type Tenancy = (String, String, i64);

/// What a report proves.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The header's UID and generation.
    pub header: String,
    pub generation: i64,
    /// Keys of entries that the kernel refused.
    pub rejected: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Lines of each slice that ever was, by name.
    pub slices: BTreeMap<String, Vec<String>>,
    /// Digest and slices of each revision that ever stood.
    pub published: BTreeMap<(String, i64), (String, Vec<String>)>,
    /// Headers' UIDs in the order in which they came.
    pub headers: Vec<String>,
    /// Digest by content.
    pub digests: BTreeMap<String, String>,
    /// Revisions that each instance's kernel took, in order, with their digest.
    pub committed: BTreeMap<String, Vec<(Revision, String)>>,
    /// Who held which term of which Lease.
    pub terms: BTreeMap<(String, i64), String>,
    /// What was reported by whom while it held.
    pub proofs: BTreeMap<Tenancy, Vec<Proof>>,
    /// Namespace and name of each EIP that ever was, by UID.
    pub eips: BTreeMap<String, (String, String)>,
    /// Who had each address last, by UID of the EIP.
    pub had: BTreeMap<String, String>,
    /// Users' objects that are gone.
    pub gone: BTreeSet<String>,
}

impl Ledger {
    /// A new instance.
    pub fn begin(&mut self, machine: &Machine) {
        self.committed
            .insert(machine.instance.to_string(), Vec::new());
    }

    /// All lines of a revision, where it ever stood.
    pub fn lines(&self, header: &str, generation: i64) -> Option<Vec<&str>> {
        let (_, slices) = self.published.get(&(header.to_owned(), generation))?;
        let lines = slices.iter().filter_map(|name| self.slices.get(name));
        Some(lines.flatten().map(String::as_str).collect())
    }

    /// The generation since which a line has been in every revision up to this one.
    pub fn since(&self, header: &str, generation: i64, line: &str) -> i64 {
        let mut since = generation;
        while since > 1 {
            match self.lines(header, since - 1) {
                Some(lines) if lines.contains(&line) => since -= 1,
                _ => break,
            }
        }
        since
    }

    /// Notes a report that was made while its instance held the term it names;
    /// false where it never held that.
    pub fn reported(&mut self, status: &GatewayInstanceStatus) -> bool {
        let Some(active) = &status.active else {
            return true;
        };
        let term = (active.lease_uid.clone(), active.term);
        if self.terms.get(&term) != Some(&status.instance) {
            return false;
        }
        if let Some(applied) = &status.applied {
            let tenancy = (status.instance.clone(), term.0, term.1);
            self.proofs.entry(tenancy).or_default().push(Proof {
                header: applied.uid.clone(),
                generation: applied.generation,
                rejected: status.rejected.iter().map(|r| r.key.clone()).collect(),
            });
        }
        true
    }

    /// Whether a tenancy proved a line, in a revision from `since` on.
    pub fn proved(&self, tenancy: &Tenancy, header: &str, since: i64, line: &str) -> bool {
        let key = key_of(line);
        self.proofs.get(tenancy).is_some_and(|proofs| {
            proofs.iter().any(|proof| {
                proof.header == header
                    && proof.generation >= since
                    && !proof.rejected.contains(&key)
                    && self
                        .lines(&proof.header, proof.generation)
                        .is_some_and(|lines| lines.contains(&line))
            })
        })
    }

    /// The newest revision of a header that a tenancy reported.
    pub fn reach(&self, tenancy: &Tenancy, header: &str) -> Option<i64> {
        let proofs = self.proofs.get(tenancy)?.iter();
        let of_header = proofs.filter(|proof| proof.header == header);
        of_header.map(|proof| proof.generation).max()
    }
}

/// A line without its generation.
pub fn key_of(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        [word, uid, _, rest @ ..] => format!("{word} {uid} {}", rest.join(" ")),
        _ => line.to_owned(),
    }
}

/// The UID that a line or key speaks of.
pub fn uid_of(text: &str) -> &str {
    text.split(' ').nth(1).unwrap_or_default()
}

/// The generation in a line.
pub fn generation_of(line: &str) -> Option<i64> {
    line.split(' ').nth(2)?.parse().ok()
}

/// The EIP's address in a key.
pub fn address_of(key: &str) -> &str {
    let mut words = key.split(' ');
    let word = words.next();
    let rest: Vec<&str> = words.collect();
    let place = if word == Some("snat") { 2 } else { 1 };
    rest.get(place).copied().unwrap_or_default()
}
