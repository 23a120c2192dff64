//! What a gateway's config has held at which generation, as seen by this leader.

use std::collections::BTreeMap;

use sluice_crds::GatewayConfig;
use sluice_crds::internal::Applied;

use super::world::{Meta, Record};
use crate::identity::Uid;

#[cfg(test)]
mod tests;

/// Generations whose digest is remembered.
const DIGESTS_MAX: usize = 1_024;

/// Lines by the UID of the object that asked for them, each list sorted.
pub(crate) type Lines = BTreeMap<Uid, Vec<String>>;

/// A line of the current header and the generation since which it has been in
/// every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    pub line: String,
    pub generation: i64,
}

/// What the headers of one UID held.
#[derive(Debug, Default)]
pub(crate) struct History {
    uid: Option<Uid>,
    /// Nothing is known of generations before this one.
    epoch: i64,
    current: i64,
    /// Whether the lines of `current` are known.
    known: bool,
    digests: BTreeMap<i64, String>,
    published: BTreeMap<Uid, Vec<Since>>,
    removed: BTreeMap<Uid, i64>,
}

impl History {
    /// Takes in the header as it stands; `lines` where its content is known.
    /// Returns the UIDs whose lines changed.
    pub(crate) fn advance(
        &mut self,
        uid: &Uid,
        generation: i64,
        digest: &str,
        lines: Option<Lines>,
    ) -> Vec<Uid> {
        let same_life = self.uid.as_ref() == Some(uid);
        if same_life && (generation < self.current || (generation == self.current && self.known)) {
            return Vec::new();
        }
        let gapless = same_life && self.known && generation == self.current + 1;
        if !gapless {
            self.uid = Some(uid.clone());
            self.epoch = generation;
            self.digests.clear();
            self.removed.clear();
        }
        self.current = generation;
        self.digests.insert(generation, digest.to_owned());
        while self.digests.len() > DIGESTS_MAX {
            self.digests.pop_first();
        }
        self.known = lines.is_some();
        let mut before = std::mem::take(&mut self.published);
        let mut changed = Vec::new();
        for (uid, lines) in lines.unwrap_or_default() {
            let old = before.remove(&uid);
            let same = gapless
                && old.as_ref().is_some_and(|old| {
                    old.len() == lines.len() && old.iter().zip(&lines).all(|(o, l)| o.line == *l)
                });
            if same {
                self.published.insert(uid, old.unwrap_or_default());
                continue;
            }
            let old = old.unwrap_or_default();
            if old.iter().any(|o| !lines.contains(&o.line)) {
                self.removed.insert(uid.clone(), generation);
            }
            let lines = lines
                .into_iter()
                .map(|line| {
                    let kept = old.iter().find(|o| gapless && o.line == line);
                    Since {
                        generation: kept.map_or(generation, |o| o.generation),
                        line,
                    }
                })
                .collect();
            self.published.insert(uid.clone(), lines);
            changed.push(uid);
        }
        for (uid, _) in before {
            self.removed.insert(uid.clone(), generation);
            changed.push(uid);
        }
        changed
    }

    /// The header is gone.
    pub(crate) fn lose(&mut self) -> Vec<Uid> {
        let lost = std::mem::take(self);
        lost.published.into_keys().collect()
    }

    /// The header's UID, where there is one.
    pub(crate) fn uid(&self) -> Option<&Uid> {
        self.uid.as_ref()
    }

    /// Whether this header is the one that was taken in last.
    pub(crate) fn is_at(&self, header: &GatewayConfig) -> bool {
        self.uid.as_ref() == Some(&header.uid()) && self.current == header.generation()
    }

    /// Whether the content of the current header is known.
    pub(crate) fn known(&self) -> bool {
        self.known
    }

    /// The current generation.
    pub(crate) fn current(&self) -> i64 {
        self.current
    }

    /// What the current header holds for an object.
    pub(crate) fn published(&self, uid: &Uid) -> Option<&[Since]> {
        self.published.get(uid).map(Vec::as_slice)
    }

    /// UIDs whose lines have been in the headers since a generation in the
    /// given span, its end included.
    pub(crate) fn since_within(&self, after: i64, upto: i64) -> Vec<Uid> {
        self.published
            .iter()
            .filter(|(_, lines)| {
                lines
                    .iter()
                    .any(|l| l.generation > after && l.generation <= upto)
            })
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    /// The generation that a report proves: of this header, not from the future,
    /// with the digest that is known for it.
    pub(crate) fn proven(&self, applied: Option<&Applied>) -> Option<i64> {
        let applied = applied?;
        let uid = self.uid.as_ref()?;
        (applied.uid == uid.as_str()
            && applied.generation <= self.current
            && self.digests.get(&applied.generation) == Some(&applied.digest))
        .then_some(applied.generation)
    }

    /// The generation from which on no header has held anything for an object
    /// that it holds nothing for now (or held something more for one that it
    /// holds something for). `None`: the content of the header is not known.
    pub(crate) fn removed_at(&self, uid: &Uid) -> Option<i64> {
        self.known
            .then(|| self.removed.get(uid).copied().unwrap_or(self.epoch))
    }

    /// Objects of which something is remembered.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.published
            .keys()
            .filter(|uid| self.uid.as_ref() != Some(uid))
            .count()
            + self.removed.len()
    }

    /// Every instance that may still answer has applied this generation: what
    /// left before it need not be remembered one by one.
    pub(crate) fn settle(&mut self, acked: i64) {
        if acked > self.epoch && acked <= self.current {
            self.epoch = acked;
            self.removed.retain(|_, at| *at > acked);
        }
    }
}
