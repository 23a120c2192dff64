//! Which entries stand in one slice.
//!
//! Objects stand in order of age. Now and then one ends a *group*, by the hash of its
//! UID, and a group is cut into slices of bounded length from its beginning. So a group
//! follows from its own objects alone: who comes or goes changes one group, or two where
//! it ends one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use sluice_crds::internal::RuleSliceSpec;

use super::{Rank, SLICE_CUT, SLICE_MAX, digest_of, name_of};
use crate::identity::{Digest, Uid};

#[cfg(test)]
mod tests;

/// A slice as a header names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceRef {
    /// Its name in the gateway's namespace.
    pub name: String,
    /// Digest of its content.
    pub digest: Digest,
    /// How many entries it has.
    pub entries: usize,
}

/// A group, cut.
#[derive(Clone, Debug)]
struct Group {
    /// The object that stands last in it.
    last: Rank,
    slices: Vec<SliceRef>,
}

/// The slices of one gateway, kept from one revision to the next. Entries themselves are
/// not kept: whoever asks says what each object has.
#[derive(Clone, Debug, Default)]
pub struct Cutter {
    ranks: BTreeSet<Rank>,
    /// By the object that stands first in it; those that changed are absent.
    groups: BTreeMap<Rank, Group>,
}

impl Cutter {
    /// An object came or has other entries (`present`), or has none any more.
    pub fn touch(&mut self, rank: &Rank, present: bool) {
        if present {
            self.ranks.insert(rank.clone());
        } else {
            self.ranks.remove(rank);
        }
        let before = self.groups.range(..=rank).next_back();
        let own = before.filter(|(_, group)| *rank <= group.last || !ends_group(&group.last));
        match own.map(|(first, _)| first.clone()) {
            Some(first) => {
                self.groups.remove(&first);
            }
            None => self.forget_after(rank),
        }
        if ends_group(rank) {
            self.forget_after(rank);
        }
    }

    fn forget_after(&mut self, rank: &Rank) {
        let next = self.groups.range((Excluded(rank), Unbounded)).next();
        if let Some(first) = next.map(|(first, _)| first.clone()) {
            self.groups.remove(&first);
        }
    }

    /// All slices in order. `lines` are an object's entries as text, sorted.
    pub fn slices<'a>(
        &mut self,
        gateway: &str,
        lines: impl Fn(&Uid) -> &'a [String] + Copy,
    ) -> Vec<SliceRef> {
        let mut slices = Vec::new();
        let mut next = self.ranks.first().cloned();
        while let Some(first) = next {
            if !self.groups.contains_key(&first) {
                let group = Group {
                    last: self.members(&first).last().unwrap_or(&first).clone(),
                    slices: cut(self.members(&first), lines)
                        .map(|spec| {
                            let digest = digest_of(&spec);
                            SliceRef {
                                name: name_of(gateway, &digest),
                                digest,
                                entries: spec.entries.len(),
                            }
                        })
                        .collect(),
                };
                self.groups.insert(first.clone(), group);
            }
            let Some(group) = self.groups.get(&first) else {
                break;
            };
            slices.extend(group.slices.iter().cloned());
            let after = (Excluded(&group.last), Unbounded);
            next = self.ranks.range(after).next().cloned();
        }
        slices
    }

    /// Name and content of the slices whose names are `wanted`, after [`Cutter::slices`].
    pub fn contents<'a>(
        &self,
        wanted: impl Fn(&str) -> bool,
        lines: impl Fn(&Uid) -> &'a [String] + Copy,
    ) -> Vec<(String, RuleSliceSpec)> {
        let has_wanted = |group: &Group| group.slices.iter().any(|slice| wanted(&slice.name));
        let groups = self.groups.iter().filter(|(_, group)| has_wanted(group));
        let contents = groups.flat_map(|(first, group)| {
            let names = group.slices.iter().map(|slice| slice.name.clone());
            names.zip(cut(self.members(first), lines))
        });
        contents.filter(|(name, _)| wanted(name)).collect()
    }

    /// The objects of the group that begins with `first`.
    fn members(&self, first: &Rank) -> impl Iterator<Item = &Rank> {
        let mut ended = false;
        self.ranks.range(first..).take_while(move |rank| {
            let within = !ended;
            ended = ends_group(rank);
            within
        })
    }
}

/// Whether the object ends its group.
fn ends_group(rank: &Rank) -> bool {
    Digest::of(rank.uid.as_str().as_bytes())
        .to_u64()
        .is_multiple_of(SLICE_CUT)
}

/// Cuts the entries of a group's objects into slices.
fn cut<'a, 'r>(
    members: impl Iterator<Item = &'r Rank>,
    lines: impl Fn(&Uid) -> &'a [String],
) -> impl Iterator<Item = RuleSliceSpec> {
    let all: Vec<&String> = members.flat_map(|rank| lines(&rank.uid)).collect();
    let slices: Vec<RuleSliceSpec> = all
        .chunks(SLICE_MAX)
        .map(|slice| RuleSliceSpec {
            entries: slice.iter().map(|line| (*line).clone()).collect(),
        })
        .collect();
    slices.into_iter()
}
