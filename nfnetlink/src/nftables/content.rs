//! All that a table holds, as one comparable value.

use std::collections::{BTreeMap, BTreeSet};

use super::expr::{Counter, Expr};
use super::{Chain, Element, Rule, Set, Table};

/// A chain and its rules, in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainContent {
    /// The chain.
    pub chain: Chain,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A set or map and its elements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetContent {
    /// The set.
    pub set: Set,
    /// Its elements.
    pub elements: BTreeSet<Element>,
}

/// All that a table holds.
///
/// What was sent with [`super::Batch::add_content`] equals what [`crate::Socket::dump_table`]
/// reads back, after [`TableContent::without_readings`] on both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableContent {
    /// The table.
    pub table: Table,
    /// Chains with their rules, by name.
    pub chains: BTreeMap<String, ChainContent>,
    /// Sets and maps with their elements, by name.
    pub sets: BTreeMap<String, SetContent>,
}

impl TableContent {
    /// A table that holds nothing.
    pub fn new(table: Table) -> Self {
        Self {
            table,
            chains: BTreeMap::new(),
            sets: BTreeMap::new(),
        }
    }

    /// Puts a chain in, replacing one of the same name.
    pub fn chain(&mut self, chain: Chain, rules: impl IntoIterator<Item = Rule>) -> &mut Self {
        let rules = rules.into_iter().collect();
        self.chains
            .insert(chain.name.clone(), ChainContent { chain, rules });
        self
    }

    /// Puts a set in, replacing one of the same name.
    pub fn set(&mut self, set: Set, elements: impl IntoIterator<Item = Element>) -> &mut Self {
        let elements = elements.into_iter().collect();
        self.sets
            .insert(set.name.clone(), SetContent { set, elements });
        self
    }

    /// The same content without what changes by itself: counters, remaining lifetimes, and
    /// the elements of sets that rules fill or that expire.
    pub fn without_readings(mut self) -> Self {
        for chain in self.chains.values_mut() {
            chain
                .rules
                .iter_mut()
                .for_each(|rule| reset(&mut rule.exprs));
        }
        for content in self.sets.values_mut() {
            if content
                .set
                .flags
                .intersects(super::SetFlags::TIMEOUT | super::SetFlags::EVAL)
            {
                content.elements.clear();
                continue;
            }
            content.elements = std::mem::take(&mut content.elements)
                .into_iter()
                .map(|mut element| {
                    reset(&mut element.exprs);
                    element.expiration_ms = None;
                    element
                })
                .collect();
        }
        self
    }
}

fn reset(exprs: &mut [Expr]) {
    for expr in exprs {
        match expr {
            Expr::Counter(counter) => *counter = Counter::default(),
            Expr::DynSet(dynset) => reset(&mut dynset.exprs),
            _ => {}
        }
    }
}
