//! What a gateway's config has held at which generation, as seen by this leader.

use std::collections::{BTreeMap, BTreeSet};

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

/// What is known of a header's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Not all of its slices are known.
    Unknown,
    /// All of it.
    Whole(Lines),
    /// What it lost and what it won since the generation before.
    Change {
        /// Lines that are in it no more.
        gone: Lines,
        /// Lines that were not in it.
        come: Lines,
    },
}

/// A line of the current header and the generation since which it has been in
/// every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    pub line: String,
    pub generation: i64,
}

/// What the headers of one UID held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    uid: Option<Uid>,
    /// Nothing is known of generations before this one.
    epoch: i64,
    current: i64,
    /// Whether the lines of `current` are known.
    known: bool,
    digests: BTreeMap<i64, String>,
    published: BTreeMap<Uid, Vec<Since>>,
    /// Whose lines came with a generation; of those up to `let_go` nothing is kept.
    began: BTreeMap<i64, Vec<Uid>>,
    let_go: i64,
    removed: BTreeMap<Uid, i64>,
}

impl History {
    /// Whether a header comes right after the one that was taken in last, whose content is
    /// known: then a change of that says all.
    pub(crate) fn is_followed_by(&self, uid: &Uid, generation: i64) -> bool {
        self.uid.as_ref() == Some(uid) && self.known && generation == self.current + 1
    }

    /// Takes in the header as it stands. A change counts only where the header follows the
    /// last one ([`History::is_followed_by`]). Returns the UIDs whose lines changed.
    pub(crate) fn advance(
        &mut self,
        uid: &Uid,
        generation: i64,
        digest: &str,
        content: Content,
    ) -> Vec<Uid> {
        let same_life = self.uid.as_ref() == Some(uid);
        if same_life && (generation < self.current || (generation == self.current && self.known)) {
            return Vec::new();
        }
        let gapless = self.is_followed_by(uid, generation);
        if !gapless {
            self.uid = Some(uid.clone());
            self.epoch = generation;
            self.digests.clear();
            self.removed.clear();
            self.began.clear();
            self.let_go = 0;
        }
        self.current = generation;
        self.digests.insert(generation, digest.to_owned());
        while self.digests.len() > DIGESTS_MAX {
            self.digests.pop_first();
        }
        let lines = match content {
            Content::Whole(lines) => Some(self.whole(lines)),
            Content::Change { gone, come } if gapless => Some(self.changed(&gone, come)),
            Content::Change { .. } | Content::Unknown => None,
        };
        self.known = lines.is_some();
        while self.began.len() > DIGESTS_MAX {
            if let Some((generation, _)) = self.began.pop_first() {
                self.let_go = self.let_go.max(generation);
            }
        }
        let lines = lines.unwrap_or_else(|| self.whole(Lines::new()));
        lines
            .into_iter()
            .filter(|(uid, lines)| self.replace(uid, lines, gapless))
            .map(|(uid, _)| uid)
            .collect()
    }

    /// All lines, those that are there and those that were.
    fn whole(&self, mut lines: Lines) -> Lines {
        for uid in self.published.keys() {
            if !lines.contains_key(uid) {
                lines.insert(uid.clone(), Vec::new());
            }
        }
        lines
    }

    /// All lines of the objects that a change touches.
    fn changed(&self, gone: &Lines, come: Lines) -> Lines {
        let mut lines = come;
        for uid in gone.keys() {
            lines.entry(uid.clone()).or_default();
        }
        for (uid, new) in &mut lines {
            let old = self.published.get(uid).map_or(&[][..], Vec::as_slice);
            let mut gone = gone.get(uid).cloned().unwrap_or_default();
            for Since { line, .. } in old {
                match gone.iter().position(|lost| lost == line) {
                    Some(at) => {
                        gone.swap_remove(at);
                    }
                    None => new.push(line.clone()),
                }
            }
            new.sort_unstable();
        }
        lines
    }

    /// Gives an object these lines; whether that changes anything.
    fn replace(&mut self, uid: &Uid, lines: &[String], gapless: bool) -> bool {
        let old = self.published.get(uid).map_or(&[][..], Vec::as_slice);
        let same = old.len() == lines.len() && old.iter().zip(lines).all(|(o, l)| o.line == *l);
        if gapless && same {
            return false;
        }
        if old.iter().any(|o| !lines.contains(&o.line)) {
            self.removed.insert(uid.clone(), self.current);
        }
        let since = |line: &String| {
            let kept = old.iter().find(|o| gapless && o.line == *line);
            Since {
                generation: kept.map_or(self.current, |o| o.generation),
                line: line.clone(),
            }
        };
        let lines: Vec<Since> = lines.iter().map(since).collect();
        if lines.is_empty() {
            return self.published.remove(uid).is_some();
        }
        self.began
            .entry(self.current)
            .or_default()
            .push(uid.clone());
        self.published.insert(uid.clone(), lines);
        true
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
    /// given span, its end included; others may be among them.
    pub(crate) fn since_within(&self, after: i64, upto: i64) -> BTreeSet<Uid> {
        if after >= upto {
            return BTreeSet::new();
        }
        if after < self.let_go {
            // A holder that is behind the one that had proved it.
            let within = |line: &Since| line.generation > after && line.generation <= upto;
            let all = self.published.iter();
            return all
                .filter(|(_, lines)| lines.iter().any(within))
                .map(|(uid, _)| uid.clone())
                .collect();
        }
        let began = self.began.range(after.saturating_add(1)..=upto);
        began.flat_map(|(_, uids)| uids).cloned().collect()
    }

    /// A holder has proved a generation: who asks for what came with it or before asks for
    /// the lines themselves.
    pub(crate) fn prove(&mut self, generation: i64) {
        self.let_go = self.let_go.max(generation);
        self.began = self.began.split_off(&self.let_go.saturating_add(1));
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
