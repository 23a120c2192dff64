//! The smallest batch that makes one table into another.

use std::collections::BTreeSet;

use nfnetlink::nftables::expr::Expr;
use nfnetlink::nftables::{Batch, ChainContent, Element, OperationKind, SetContent, TableContent};

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

/// Adds to the change all that makes `old` into `new`. A set that must become another kind of
/// set is made anew, and the rules that use it are written again; where a chain must become
/// another kind of chain the whole table is replaced. All of it is one transaction. What
/// packets put into sets is lost with the set only.
///
/// Tables must have the same name; their flags are not compared.
pub fn difference(old: Option<&TableContent>, new: &TableContent, change: &mut Change) {
    match old {
        None => add(new, change),
        Some(old) if has_same_chains(old, new) => step(old, new, change),
        Some(old) => {
            change.batch.delete_table(&old.table.id);
            add(new, change);
        }
    }
}

/// Whether the chains that both tables have are of the same kind.
fn has_same_chains(old: &TableContent, new: &TableContent) -> bool {
    new.chains.iter().all(|(name, chain)| {
        old.chains
            .get(name)
            .is_none_or(|old| old.chain == chain.chain)
    })
}

/// Whether a rule of the chain uses one of the sets.
fn uses(chain: &ChainContent, sets: &BTreeSet<&str>) -> bool {
    let mut exprs = chain.rules.iter().flat_map(|rule| &rule.exprs);
    exprs.any(|expr| match expr {
        Expr::Lookup(lookup) => sets.contains(lookup.set.as_str()),
        Expr::DynSet(dynset) => sets.contains(dynset.set.as_str()),
        _ => false,
    })
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
    let other = |(name, set): (&String, &SetContent)| {
        old.sets.get(name).is_some_and(|old| old.set != set.set)
    };
    let remade = new.sets.iter().filter(|(name, set)| other((name, set)));
    let remade: BTreeSet<&str> = remade.map(|(name, _)| name.as_str()).collect();
    // Rules first, for no set goes that a rule uses.
    let mut emptied = Vec::new();
    let mut rewritten = BTreeSet::new();
    for (name, chain) in &old.chains {
        let kept = new.chains.get(name);
        if kept.is_some_and(|kept| kept.rules == chain.rules) && !uses(chain, &remade) {
            continue;
        }
        if !chain.rules.is_empty() {
            change.batch.flush_chain(table, name);
            change.objects += chain.rules.len();
        }
        match kept {
            Some(_) => rewritten.insert(name.as_str()),
            None => {
                emptied.push(name);
                false
            }
        };
    }
    for name in &remade {
        change.batch.delete_set(table, name);
    }
    for (name, set) in &new.sets {
        if !old.sets.contains_key(name) || remade.contains(name.as_str()) {
            change.batch.add_set(table, &set.set);
            change.objects += 1;
        }
    }
    // Removals first: an element whose data changes is removed and added.
    let stays = |name: &str| old.sets.get(name).filter(|_| !remade.contains(name));
    for (name, kept) in &new.sets {
        let Some(set) = stays(name) else {
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
        let come: Vec<Element> = match stays(name) {
            Some(old) => set.elements.difference(&old.elements).cloned().collect(),
            None => set.elements.iter().cloned().collect(),
        };
        if !come.is_empty() {
            let operation = change.batch.add_elements(table, name, &come);
            change.objects += come.len();
            change.sent.push((operation, come));
        }
    }
    for (name, chain) in &new.chains {
        if old.chains.contains_key(name) && !rewritten.contains(name.as_str()) {
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
