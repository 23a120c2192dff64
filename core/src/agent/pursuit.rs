//! Which config the kernel should hold: from header and slices to a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_crds::internal::{Problem, RuleSliceSpec};

use super::backoff::{Backoff, Wake};
use super::event::{Found, Header};
use super::{Action, Good, Millis};
use crate::config::{self, BadConfig, Slice};
use crate::entry::FORMAT;
use crate::identity::Revision;

#[cfg(test)]
mod tests;

/// The way to the newest config.
#[derive(Clone, Debug)]
pub(super) struct Pursuit {
    /// Newest revision that was accepted, and its digest: never go below.
    floor: Option<(Revision, String)>,
    /// The newest header, on its way.
    goal: Option<Header>,
    /// The newest config that is whole.
    good: Option<Good>,
    /// Why the newest header is not followed.
    refused: Option<Problem>,
    /// Slices that the goal or the good config names.
    cache: BTreeMap<String, Arc<Slice>>,
    /// The header must be read live before it is believed.
    confirm: bool,
    reading: bool,
    fetching: bool,
    retry: Backoff,
}

impl Pursuit {
    pub(super) fn new(found: Option<&Found>) -> Self {
        Self {
            floor: found.map(|f| (f.revision.clone(), f.digest.clone())),
            goal: None,
            good: None,
            refused: None,
            cache: BTreeMap::new(),
            confirm: false,
            reading: false,
            fetching: false,
            retry: Backoff::new(100, 30_000),
        }
    }

    /// The newest config that is whole.
    pub(super) fn good(&self) -> Option<&Good> {
        self.good.as_ref()
    }

    /// Why the newest header is not followed.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.refused.as_ref()
    }

    /// A header came; `live` by a quorum read. An absent one changes nothing.
    pub(super) fn seen(&mut self, header: Option<Header>, live: bool) {
        let Some(header) = header else { return };
        let known = match &self.goal {
            Some(goal) => Some((goal.revision.clone(), goal.spec.digest.clone())),
            None => self.floor.clone(),
        };
        let Some((revision, digest)) = known else {
            return self.follow(header);
        };
        if header.revision.uid != revision.uid {
            // Old watch events and restored backups look the same: ask.
            if live {
                self.follow(header);
            } else {
                self.confirm = true;
            }
            return;
        }
        if header.revision.generation > revision.generation {
            self.follow(header);
        } else if header.revision.generation == revision.generation {
            if header.spec.digest != digest {
                self.refuse("ConfigDiverged", format!(
                    "config {revision} has digest {} now and had {digest} before: the last good one stays; any change of the gateway's rules mends it",
                    header.spec.digest
                ));
            } else if self.goal.is_none() && self.good.is_none() {
                self.follow(header);
            }
        }
    }

    /// A quorum read of the header ended.
    pub(super) fn read(&mut self, now: Millis, answer: Result<Option<Header>, String>) {
        self.reading = false;
        match answer {
            Ok(header) => {
                self.confirm = false;
                self.seen(header, true);
            }
            Err(_) => self.retry.failed(now),
        }
    }

    /// Slices came.
    pub(super) fn fetched(
        &mut self,
        now: Millis,
        found: Vec<(String, RuleSliceSpec)>,
        missing: &[String],
        error: Option<String>,
    ) {
        self.fetching = false;
        let mut bad = None;
        for (name, spec) in found {
            // What no goal asks for any more is let go.
            let Some(goal) = &self.goal else { break };
            match Slice::read(&goal.spec.gateway.name, &name, &spec) {
                Ok(slice) => {
                    self.cache.insert(name, Arc::new(slice));
                }
                // It may have been damaged on the way: it is read again.
                Err(error) if goal.spec.slices.contains(&name) => bad = Some(error),
                Err(_) => {}
            }
        }
        let wanted = |name: &String| {
            self.goal
                .as_ref()
                .is_some_and(|g| g.spec.slices.contains(name))
        };
        if let Some(name) = missing.iter().find(|name| wanted(name)) {
            // A slice goes when no header names it: there must be a newer one.
            self.confirm = true;
            self.refuse(
                "ConfigIncomplete",
                format!("slice {name} does not exist: waiting for the operator to write it"),
            );
            self.retry.failed(now);
        } else if let Some(error) = error {
            self.refuse("ConfigUnread", format!("slices could not be read: {error}"));
            self.retry.failed(now);
        } else if let Some(bad) = bad {
            self.refuse("ConfigRefused", bad.to_string());
            self.retry.failed(now);
        }
        self.assemble(now);
    }

    /// What to ask the API server for.
    pub(super) fn next(&mut self, now: Millis, wake: &mut Wake) -> Vec<Action> {
        let mut actions = Vec::new();
        let wants_read = self.confirm && !self.reading;
        let missing = self.missing();
        let wants_slices = !missing.is_empty() && !self.fetching;
        if !(wants_read || wants_slices) || !wake.reached(now, self.retry.due()) {
            return actions;
        }
        if wants_read {
            self.reading = true;
            actions.push(Action::ReadHeader);
        }
        if wants_slices {
            self.fetching = true;
            actions.push(Action::FetchSlices(missing));
        }
        actions
    }

    fn follow(&mut self, header: Header) {
        if header.spec.format != FORMAT {
            let format = header.spec.format;
            return self.refuse(
                "UnknownFormat",
                BadConfig::UnknownFormat(format).to_string(),
            );
        }
        // Slices that were read for a header that was overtaken are not wanted any more.
        let good = self.good.iter().flat_map(|good| &good.snapshot.names);
        let wanted: BTreeSet<&String> = header.spec.slices.iter().chain(good).collect();
        self.cache.retain(|name, _| wanted.contains(name));
        self.goal = Some(header);
        self.refused = None;
        self.retry.reset();
        if self.missing().is_empty() {
            self.assemble(Millis(0));
        }
    }

    fn missing(&self) -> Vec<String> {
        let names = self.goal.iter().flat_map(|goal| &goal.spec.slices);
        names
            .filter(|name| !self.cache.contains_key(*name))
            .cloned()
            .collect()
    }

    /// Puts the goal together, if all of it is there.
    fn assemble(&mut self, now: Millis) {
        let Some(goal) = &self.goal else { return };
        match config::assemble(&goal.spec, &self.cache) {
            Ok(snapshot) => {
                self.floor = Some((goal.revision.clone(), snapshot.digest.to_string()));
                let names: BTreeSet<&String> = snapshot.names.iter().collect();
                self.cache.retain(|name, _| names.contains(name));
                self.good = Some(Good::new(goal.revision.clone(), snapshot));
                self.goal = None;
                self.refused = None;
                self.retry.reset();
            }
            Err(BadConfig::SliceMissing(_)) => {}
            Err(
                error @ (BadConfig::UnknownFormat(_)
                | BadConfig::SliceForged(_)
                | BadConfig::DigestDiffers { .. }
                | BadConfig::Entry(_)),
            ) => {
                // What was received is not what the header names: get it anew,
                // in case it was damaged on the way.
                for name in goal.spec.slices.clone() {
                    self.cache.remove(&name);
                }
                self.refuse("ConfigRefused", error.to_string());
                self.retry.failed(now);
            }
        }
    }

    fn refuse(&mut self, reason: &str, message: String) {
        self.refused = Some(Problem {
            reason: reason.to_owned(),
            message,
            blocking: false,
        });
    }
}
