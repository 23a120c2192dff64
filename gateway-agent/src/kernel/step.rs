//! From one config to the next by what differs between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sluice_core::config::{Snapshot, difference};
use sluice_core::entry::{Body, Entry};

use super::flows::Flush;
use super::report::{Applied, KernelError, KernelOptions, Stamp};
use super::ruleset::{self, Step, is_pooled};
use super::settings::Settings;
use super::usage::Watched;
use super::{Held, Kernel};

/// Where more entries differ than this, all is made anew.
const FEW: usize = 4_096;

/// What is to be done.
struct Plan {
    step: Step,
    uses: ruleset::Uses,
    /// Whether SNATs are among what changes.
    sources: bool,
    /// Addresses that are answered for no more.
    gone: BTreeMap<IpAddr, usize>,
    /// Addresses that are answered for from now on.
    come: BTreeMap<IpAddr, usize>,
}

impl Kernel {
    /// Brings the kernel from the config that it holds to the next by what differs, where
    /// that is little and plain. `None` where it is not, or the kernel is not what it was:
    /// then apply all. What has been done by then is part of that, and no rule is.
    ///
    /// # Errors
    /// [`KernelError`]; the next apply makes all anew.
    pub(super) fn step(
        &mut self,
        settings: &Settings,
        snapshot: &Snapshot,
        stamp: &Stamp,
    ) -> Result<Option<Applied>, KernelError> {
        let Some(held) = &mut self.applied else {
            return Ok(None);
        };
        let Some(plan) = held.plan(settings, snapshot, stamp, &self.options) else {
            return Ok(None);
        };
        let mut changed = 0;
        if stamp.holding {
            // Addresses that go, go before their rules.
            changed += self.network.take_away(settings, &plan.gone)?;
        }
        let Some(objects) = self.tables.alter(&mut held.ruleset, &plan.step)? else {
            return Ok(None);
        };
        changed += objects;
        if stamp.holding {
            let outcome = self.network.add(settings, &plan.come)?;
            // The rules have changed, so that who makes all anew cannot see which went: the
            // failure says that connections must be looked at.
            if let Some(words) = outcome.refused.into_values().next() {
                return Err(KernelError::Rules(words));
            }
            changed += outcome.changed;
        }
        let (old, new) = &plan.step.tables;
        let flush = Flush::between(Some(old), new, &held.ruleset.inet);
        for address in plan.gone.keys() {
            held.addresses.remove(address);
        }
        held.addresses.extend(plan.come);
        if plan.sources {
            let watched = Watched::of(snapshot.entries(), &BTreeMap::new());
            self.watching.set(watched.filter(|_| stamp.holding));
        }
        held.snapshot = snapshot.clone();
        held.stamp = stamp.clone();
        held.uses = Some(plan.uses);
        Ok(Some(Applied {
            stamp: stamp.clone(),
            rejected: Vec::new(),
            changed,
            flush: (!flush.is_empty()).then_some(flush),
        }))
    }
}

impl Held {
    /// The way to the next config. Takes the counts of what is on the addresses: they stand
    /// again once all is done, one way or the other.
    fn plan(
        &mut self,
        settings: &Settings,
        snapshot: &Snapshot,
        stamp: &Stamp,
        options: &KernelOptions,
    ) -> Option<Plan> {
        let mut uses = self.uses.take()?;
        if self.settings != *settings || self.stamp.holding != stamp.holding {
            return None;
        }
        let (gone, come) = difference(&self.snapshot, snapshot);
        let pooled = |entry: &&Entry| is_pooled(entry, &self.ruleset.inet);
        if gone.len() + come.len() > FEW || gone.iter().chain(&come).any(pooled) {
            return None;
        }
        let (without, with) = (addresses(&gone), addresses(&come));
        let there = |address: IpAddr| {
            with.contains(&address)
                || self.addresses.contains_key(&address) && !without.contains(&address)
        };
        if !uses.change(&gone, &come, there) {
            return None;
        }
        let old = ruleset::part(settings, &gone, options, &self.stamp, &self.addresses)?;
        let new = ruleset::part(settings, &come, options, stamp, &self.addresses)?;
        // One that is on another uplink than before takes its connections along.
        let moved = |(address, uplink): (&IpAddr, &usize)| {
            new.addresses.get(address).is_some_and(|now| now != uplink)
        };
        if old.addresses.iter().any(moved) {
            return None;
        }
        let only = |one: &BTreeMap<IpAddr, usize>, other: &BTreeMap<IpAddr, usize>| {
            let all = one.iter().map(|(address, uplink)| (*address, *uplink));
            all.filter(|(address, _)| !other.contains_key(address))
                .collect()
        };
        Some(Plan {
            gone: only(&old.addresses, &new.addresses),
            come: only(&new.addresses, &old.addresses),
            step: Step::between(old, new, options),
            sources: gone.iter().chain(&come).any(is_snat),
            uses,
        })
    }
}

fn is_snat(entry: &&Entry) -> bool {
    matches!(entry.body, Body::Snat { .. })
}

/// The addresses that entries ask to answer for.
fn addresses(entries: &[&Entry]) -> BTreeSet<IpAddr> {
    entries.iter().filter_map(|e| e.body.held()).collect()
}
