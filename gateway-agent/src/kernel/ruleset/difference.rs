//! The smallest batch that makes one table into another.

use nfnetlink::nftables::{Batch, Element, OperationKind, TableContent};

/// Elements of an operation of the batch, by the operation's index: what the kernel refused
/// is found in it.
pub type Sent = Vec<(usize, Vec<Element>)>;

/// A batch being made, with what it holds.
#[derive(Debug, Default)]
pub struct Change {
    /// What is sent.
    pub batch: Batch,
    /// Elements that are added, by operation.
    pub sent: Sent,
    /// How many objects change.
    pub objects: usize,
}

/// Adds to the change all that makes `old` into `new`. Where a chain or a set must become
/// another kind of chain or set, the whole table is replaced, in the same transaction.
/// Tables must have the same name; their flags are not compared.
pub fn difference(old: Option<&TableContent>, new: &TableContent, change: &mut Change) {
    match old {
        None => add(new, change),
        Some(old) if is_alike(old, new) => step(old, new, change),
        Some(old) => {
            change.batch.delete_table(&old.table.id);
            add(new, change);
        }
    }
}

/// Whether what both tables have of the same name is of the same kind.
fn is_alike(old: &TableContent, new: &TableContent) -> bool {
    let chains = new.chains.iter().all(|(name, chain)| {
        old.chains
            .get(name)
            .is_none_or(|old| old.chain == chain.chain)
    });
    let sets = new
        .sets
        .iter()
        .all(|(name, set)| old.sets.get(name).is_none_or(|old| old.set == set.set));
    chains && sets
}

fn add(new: &TableContent, change: &mut Change) {
    let before = change.batch.operations().len();
    change.batch.add_content(new);
    // `add_content` adds elements once per set that has any, in the order of the sets.
    let operations = change.batch.operations().iter().enumerate().skip(before);
    let lists = operations.filter(|(_, operation)| operation.kind == OperationKind::Elements);
    for (index, operation) in lists {
        if let Some(set) = new.sets.get(&operation.name) {
            let elements = set.elements.iter().cloned().collect();
            change.sent.push((index, elements));
        }
    }
    change.objects += 1
        + new
            .chains
            .values()
            .map(|c| 1 + c.rules.len())
            .sum::<usize>()
        + new
            .sets
            .values()
            .map(|s| 1 + s.elements.len())
            .sum::<usize>();
}

fn step(old: &TableContent, new: &TableContent, change: &mut Change) {
    let table = &new.table.id;
    for (name, chain) in &new.chains {
        if !old.chains.contains_key(name) {
            change.batch.add_chain(table, &chain.chain);
            change.objects += 1;
        }
    }
    for (name, set) in &new.sets {
        if !old.sets.contains_key(name) {
            change.batch.add_set(table, &set.set);
            change.objects += 1;
        }
    }
    // Removals first: an element whose data changes is removed and added.
    for (name, set) in &old.sets {
        let Some(kept) = new.sets.get(name) else {
            continue;
        };
        let gone: Vec<&Element> = set.elements.difference(&kept.elements).collect();
        if !gone.is_empty() {
            change
                .batch
                .delete_elements(table, name, gone.iter().copied());
            change.objects += gone.len();
        }
    }
    for (name, set) in &new.sets {
        let come: Vec<Element> = match old.sets.get(name) {
            Some(old) => set.elements.difference(&old.elements).cloned().collect(),
            None => set.elements.iter().cloned().collect(),
        };
        if !come.is_empty() {
            let operation = change.batch.add_elements(table, name, &come);
            change.objects += come.len();
            change.sent.push((operation, come));
        }
    }
    let mut emptied = Vec::new();
    for (name, chain) in &old.chains {
        let kept = new.chains.get(name);
        if kept.is_some_and(|kept| kept.rules == chain.rules) {
            continue;
        }
        if !chain.rules.is_empty() {
            change.batch.flush_chain(table, name);
            change.objects += chain.rules.len();
        }
        if kept.is_none() {
            emptied.push(name);
        }
    }
    for (name, chain) in &new.chains {
        if old
            .chains
            .get(name)
            .is_some_and(|old| old.rules == chain.rules)
        {
            continue;
        }
        for rule in &chain.rules {
            change.batch.append_rule(table, name, rule);
        }
        change.objects += chain.rules.len();
    }
    for name in old.sets.keys() {
        if !new.sets.contains_key(name) {
            change.batch.delete_set(table, name);
            change.objects += 1;
        }
    }
    // Last, because verdict maps refer to chains too.
    for name in emptied {
        change.batch.delete_chain(table, name);
        change.objects += 1;
    }
}
