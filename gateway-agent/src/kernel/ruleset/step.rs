//! The step from one config to the next where few entries differ: worked out from these
//! alone, so that it costs as much beside ten thousand rules as beside ten.
//!
//! It is taken only where it leads to what [`super::build()`] would make: whatever is not
//! plainly so has no step, and all is built anew.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nfnetlink::nftables::{Batch, Element, Family, SetContent, TableContent, TableId, Value};
use sluice_core::entry::cost::EXPANDED_MAX;
use sluice_core::entry::{Body, Entry};

use super::build::{family, source_names};
use super::{Change, Part, arp_id, empty, inet_id, size_for};
use crate::kernel::report::KernelOptions;

#[cfg(test)]
mod tests;

/// What rules are on an address, and what all of them cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// FIPs, DNATs, SNATs and limits of each address that has any.
    of: BTreeMap<IpAddr, [u32; 4]>,
    expanded: u32,
}

impl Uses {
    /// Counts entries.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut uses = Self::default();
        entries.into_iter().for_each(|entry| uses.add(entry));
        uses
    }

    fn add(&mut self, entry: &Entry) {
        self.expanded = self.expanded.saturating_add(entry.body.expanded());
        if let Some(kind) = kind(&entry.body) {
            let counts = self.of.entry(entry.body.address()).or_default();
            if let Some(count) = counts.get_mut(kind) {
                *count = count.saturating_add(1);
            }
        }
    }

    fn remove(&mut self, entry: &Entry) {
        self.expanded = self.expanded.saturating_sub(entry.body.expanded());
        let address = entry.body.address();
        if let (Some(kind), Some(counts)) = (kind(&entry.body), self.of.get_mut(&address)) {
            if let Some(count) = counts.get_mut(kind) {
                *count = count.saturating_sub(1);
            }
            if *counts == [0; 4] {
                self.of.remove(&address);
            }
        }
    }

    /// Changes the counts. `false` where the rules of one of the addresses then depend on
    /// each other, on an address that is not `there`, or on one that changed its uplink.
    pub fn change(
        &mut self,
        gone: &[&Entry],
        come: &[&Entry],
        there: impl Fn(IpAddr) -> bool,
    ) -> bool {
        gone.iter().for_each(|entry| self.remove(entry));
        come.iter().for_each(|entry| self.add(entry));
        let touched = gone.iter().chain(come).map(|entry| entry.body.address());
        let is_simple = |address: IpAddr| match self.of.get(&address) {
            None => true,
            Some([fips, dnats, ..]) => there(address) && *fips <= 1 && (*fips == 0 || *dnats == 0),
        };
        let before: BTreeMap<IpAddr, &str> = gone.iter().filter_map(uplink).collect();
        let mut after = come.iter().filter_map(uplink);
        let moved = after.any(|(address, uplink)| {
            let other = before.get(&address).is_some_and(|before| *before != uplink);
            other && self.of.contains_key(&address)
        });
        self.expanded <= EXPANDED_MAX && !moved && touched.into_iter().all(is_simple)
    }
}

/// An address and its uplink.
fn uplink<'e>(entry: &&'e Entry) -> Option<(IpAddr, &'e str)> {
    match &entry.body {
        Body::Addr { address, uplink } => Some((*address, uplink)),
        _ => None,
    }
}

fn kind(body: &Body) -> Option<usize> {
    match body {
        Body::Addr { .. } => None,
        Body::Fip { .. } => Some(0),
        Body::Dnat { .. } => Some(1),
        Body::Snat { .. } => Some(2),
        Body::Shape { .. } => Some(3),
    }
}

/// What changes in one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetStep {
    name: String,
    gone: BTreeSet<Element>,
    come: BTreeSet<Element>,
}

/// What changes in both tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    inet: Vec<SetStep>,
    arp: Vec<SetStep>,
    /// The sets of `inet sluice` with these elements only: as they were, and as they will be.
    pub tables: (TableContent, TableContent),
}

impl Step {
    /// The step that takes the elements of some entries out and puts those of others in.
    pub fn between(old: Part, new: Part, options: &KernelOptions) -> Self {
        let only = |sets: BTreeMap<String, SetContent>| {
            let mut table = empty(Family::Inet, options);
            table.sets = sets;
            table
        };
        Self {
            inet: sets(&old.inet, &new.inet),
            arp: sets(&old.arp, &new.arp),
            tables: (only(old.inet), only(new.inet)),
        }
    }

    /// Whether the step leads from these tables to what would be built anew: every element
    /// that goes is there, none that comes stands in another's place, and no set would be
    /// of another size or absent.
    pub fn fits(&self, inet: &TableContent, arp: &TableContent) -> bool {
        let fit = |steps: &[SetStep], table: &TableContent| {
            let mut steps = steps.iter();
            steps.all(|step| table.sets.get(&step.name).is_some_and(|set| step.fits(set)))
        };
        fit(&self.inet, inet) && fit(&self.arp, arp)
    }

    /// The batch of the step.
    pub fn change(&self) -> Change {
        let mut change = Change {
            batch: Batch::with_echo(),
            ..Change::default()
        };
        for (table, steps) in self.by_table() {
            for step in steps.iter().filter(|step| !step.gone.is_empty()) {
                change.batch.delete_elements(&table, &step.name, &step.gone);
                change.objects += step.gone.len();
            }
            for step in steps.iter().filter(|step| !step.come.is_empty()) {
                let come: Vec<Element> = step.come.iter().cloned().collect();
                let operation = change.batch.add_elements(&table, &step.name, &come);
                change.objects += come.len();
                change.sent.push((operation, come));
            }
        }
        change
    }

    fn by_table(&self) -> [(TableId, &[SetStep]); 2] {
        [(arp_id(), &self.arp), (inet_id(), &self.inet)]
    }

    /// Takes the step in what is known of the tables.
    pub fn take(&self, inet: &mut TableContent, arp: &mut TableContent) {
        for (steps, table) in [(&self.inet, inet), (&self.arp, arp)] {
            for step in steps {
                if let Some(set) = table.sets.get_mut(&step.name) {
                    for element in &step.gone {
                        set.elements.remove(element);
                    }
                    set.elements.extend(step.come.iter().cloned());
                }
            }
        }
    }
}

impl SetStep {
    fn fits(&self, set: &SetContent) -> bool {
        let is_free = |element: &Element| {
            // Elements stand in the order of their keys.
            let lowest = Element {
                key: element.key.clone(),
                ..Element::default()
            };
            let mut same = set.elements.range(lowest..);
            let mut same = same.by_ref().take_while(|held| held.key == element.key);
            same.all(|held| self.gone.contains(held))
        };
        let left = (set.elements.len() + self.come.len()).checked_sub(self.gone.len());
        self.gone
            .iter()
            .all(|element| set.elements.contains(element))
            && self.come.iter().all(is_free)
            && left.is_some_and(|left| left > 0 && Some(size_for(left)) == set.set.size)
    }
}

fn sets(old: &BTreeMap<String, SetContent>, new: &BTreeMap<String, SetContent>) -> Vec<SetStep> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let only = |one: Option<&SetContent>, other: Option<&SetContent>| -> BTreeSet<Element> {
        let elements = one.into_iter().flat_map(|set| &set.elements);
        let is_in_other = |element: &&Element| other.is_some_and(|o| o.elements.contains(*element));
        elements
            .filter(|element| !is_in_other(element))
            .cloned()
            .collect()
    };
    let step = |name: &String| SetStep {
        name: name.clone(),
        gone: only(old.get(name), new.get(name)),
        come: only(new.get(name), old.get(name)),
    };
    let steps = names.into_iter().map(step);
    steps
        .filter(|step| !step.gone.is_empty() || !step.come.is_empty())
        .collect()
}

/// Whether the sources of an entry's prefix share several EIPs.
pub fn is_pooled(entry: &Entry, inet: &TableContent) -> bool {
    let Body::Snat { source, .. } = &entry.body else {
        return false;
    };
    let (pool, _) = source_names(family(source.addr()), source.prefix_len(), true);
    let slot = Element {
        key: Value::concat([source.addr().into(), Value::u32(0)]),
        ..Element::default()
    };
    let set = inet.sets.get(&pool);
    set.is_some_and(|set| {
        let next = set.elements.range(&slot..).next();
        next.is_some_and(|element| element.key == slot.key)
    })
}
