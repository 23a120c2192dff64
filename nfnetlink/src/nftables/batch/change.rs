//! Changes of tables, chains, rules, sets and elements, as messages.

use crate::nftables::chain::{NFTA_CHAIN_NAME, NFTA_CHAIN_TABLE};
use crate::nftables::element::{
    NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE, write_listed,
};
use crate::nftables::msg::*;
use crate::nftables::rule::{
    NFTA_RULE_CHAIN, NFTA_RULE_HANDLE, NFTA_RULE_POSITION, NFTA_RULE_TABLE,
};
use crate::nftables::set::{NFTA_SET_NAME, NFTA_SET_TABLE};
use crate::nftables::table::NFTA_TABLE_NAME;
use crate::nftables::{Chain, Element, Rule, Set, Table, TableContent, TableFlags, TableId};
use crate::wire::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};

use super::{Batch, OperationKind, Verb};

/// Bytes of elements put into one message; an attribute holds 65,535.
const ELEMENT_BYTES: usize = 60_000;

impl Batch {
    /// Adds a table, or changes the flags of an existing one.
    pub fn add_table(&mut self, table: &Table) -> usize {
        let kind = OperationKind::Table(table.flags);
        let message = (NFT_MSG_NEWTABLE, NLM_F_CREATE);
        self.one((Verb::Add, kind), (&table.id, ""), message, |w| {
            table.write(w);
        })
    }

    fn remove_table(&mut self, verb: Verb, message: u16, table: &TableId) -> usize {
        let kind = OperationKind::Table(TableFlags::empty());
        self.one((verb, kind), (table, ""), (message, 0), |w| {
            w.put_text(NFTA_TABLE_NAME, &table.name);
        })
    }

    /// Deletes a table with all that it holds; an error if there is none.
    pub fn delete_table(&mut self, table: &TableId) -> usize {
        self.remove_table(Verb::Delete, NFT_MSG_DELTABLE, table)
    }

    /// Deletes a table with all that it holds, if there is one (kernel ≥ 6.3).
    pub fn destroy_table(&mut self, table: &TableId) -> usize {
        self.remove_table(Verb::Destroy, NFT_MSG_DESTROYTABLE, table)
    }

    /// Adds a chain, or changes the policy of an existing one.
    pub fn add_chain(&mut self, table: &TableId, chain: &Chain) -> usize {
        let message = (NFT_MSG_NEWCHAIN, NLM_F_CREATE);
        let what = (Verb::Add, OperationKind::Chain);
        self.one(what, (table, &chain.name), message, |w| {
            chain.write(table, w);
        })
    }

    fn remove_chain(&mut self, verb: Verb, message: u16, table: &TableId, name: &str) -> usize {
        let what = (verb, OperationKind::Chain);
        self.one(what, (table, name), (message, 0), |w| {
            w.put_text(NFTA_CHAIN_TABLE, &table.name);
            w.put_text(NFTA_CHAIN_NAME, name);
        })
    }

    /// Deletes a chain that is empty and not referred to.
    pub fn delete_chain(&mut self, table: &TableId, name: &str) -> usize {
        self.remove_chain(Verb::Delete, NFT_MSG_DELCHAIN, table, name)
    }

    /// Deletes a chain, if there is one (kernel ≥ 6.3).
    pub fn destroy_chain(&mut self, table: &TableId, name: &str) -> usize {
        self.remove_chain(Verb::Destroy, NFT_MSG_DESTROYCHAIN, table, name)
    }

    /// Adds a rule at the end of a chain.
    pub fn append_rule(&mut self, table: &TableId, chain: &str, rule: &Rule) -> usize {
        let message = (NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
        let what = (Verb::Add, OperationKind::Rule);
        self.one(what, (table, chain), message, |w| {
            rule.write(table, chain, w);
        })
    }

    /// Adds a rule in front: of the rule with the given handle, or of all rules.
    pub fn insert_rule(
        &mut self,
        table: &TableId,
        chain: &str,
        before: Option<u64>,
        rule: &Rule,
    ) -> usize {
        let message = (NFT_MSG_NEWRULE, NLM_F_CREATE);
        let what = (Verb::Insert, OperationKind::Rule);
        self.one(what, (table, chain), message, |w| {
            rule.write(table, chain, w);
            if let Some(handle) = before {
                w.put_u64_be(NFTA_RULE_POSITION, handle);
            }
        })
    }

    /// Replaces the rule with the given handle.
    pub fn replace_rule(
        &mut self,
        table: &TableId,
        chain: &str,
        handle: u64,
        rule: &Rule,
    ) -> usize {
        let message = (NFT_MSG_NEWRULE, NLM_F_REPLACE);
        let what = (Verb::Replace, OperationKind::Rule);
        self.one(what, (table, chain), message, |w| {
            rule.write(table, chain, w);
            w.put_u64_be(NFTA_RULE_HANDLE, handle);
        })
    }

    /// Deletes the rule with the given handle.
    pub fn delete_rule(&mut self, table: &TableId, chain: &str, handle: u64) -> usize {
        let message = (NFT_MSG_DELRULE, 0);
        let what = (Verb::Delete, OperationKind::Rule);
        self.one(what, (table, chain), message, |w| {
            w.put_text(NFTA_RULE_TABLE, &table.name);
            w.put_text(NFTA_RULE_CHAIN, chain);
            w.put_u64_be(NFTA_RULE_HANDLE, handle);
        })
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, table: &TableId, chain: &str) -> usize {
        let message = (NFT_MSG_DELRULE, 0);
        let what = (Verb::Flush, OperationKind::Chain);
        self.one(what, (table, chain), message, |w| {
            w.put_text(NFTA_RULE_TABLE, &table.name);
            w.put_text(NFTA_RULE_CHAIN, chain);
        })
    }

    /// Adds a set or map; no error if the same one exists.
    pub fn add_set(&mut self, table: &TableId, set: &Set) -> usize {
        self.sets += 1;
        let id = self.sets;
        let message = (NFT_MSG_NEWSET, NLM_F_CREATE);
        let what = (Verb::Add, OperationKind::Set);
        self.one(what, (table, &set.name), message, |w| {
            set.write(table, id, w);
        })
    }

    fn remove_set(&mut self, verb: Verb, message: u16, table: &TableId, name: &str) -> usize {
        let what = (verb, OperationKind::Set);
        self.one(what, (table, name), (message, 0), |w| {
            w.put_text(NFTA_SET_TABLE, &table.name);
            w.put_text(NFTA_SET_NAME, name);
        })
    }

    /// Deletes a set that no rule uses.
    pub fn delete_set(&mut self, table: &TableId, name: &str) -> usize {
        self.remove_set(Verb::Delete, NFT_MSG_DELSET, table, name)
    }

    /// Deletes a set, if there is one (kernel ≥ 6.3).
    pub fn destroy_set(&mut self, table: &TableId, name: &str) -> usize {
        self.remove_set(Verb::Destroy, NFT_MSG_DESTROYSET, table, name)
    }

    fn elements<'a>(
        &mut self,
        (verb, message, flags): (Verb, u16, u16),
        table: &TableId,
        set: &str,
        elements: impl IntoIterator<Item = &'a Element>,
    ) -> usize {
        let operation = self.operation(verb, OperationKind::Elements, table, set);
        let mut elements = elements.into_iter().peekable();
        let mut done = 0;
        while elements.peek().is_some() {
            let before = done;
            self.message(operation, before, message, flags, table.family, |w| {
                w.put_text(NFTA_SET_ELEM_LIST_TABLE, &table.name);
                w.put_text(NFTA_SET_ELEM_LIST_SET, set);
                w.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |w| {
                    let start = w.len();
                    // The largest element has about 1 kB.
                    while w.len() - start < ELEMENT_BYTES
                        && let Some(element) = elements.next()
                    {
                        write_listed(element, w);
                        done += 1;
                    }
                });
            });
        }
        operation
    }

    /// Adds elements; no error if an element exists with the same data. Long lists take
    /// several messages of the same batch.
    pub fn add_elements<'a>(
        &mut self,
        table: &TableId,
        set: &str,
        elements: impl IntoIterator<Item = &'a Element>,
    ) -> usize {
        let how = (Verb::Add, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
        self.elements(how, table, set, elements)
    }

    /// Adds elements; an error if an element exists.
    pub fn create_elements<'a>(
        &mut self,
        table: &TableId,
        set: &str,
        elements: impl IntoIterator<Item = &'a Element>,
    ) -> usize {
        let how = (Verb::Create, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL);
        self.elements(how, table, set, elements)
    }

    /// Deletes elements by their keys; an error if one does not exist, also if it expired.
    pub fn delete_elements<'a>(
        &mut self,
        table: &TableId,
        set: &str,
        elements: impl IntoIterator<Item = &'a Element>,
    ) -> usize {
        let how = (Verb::Delete, NFT_MSG_DELSETELEM, 0);
        self.elements(how, table, set, elements)
    }

    /// Deletes those of the elements that exist (kernel ≥ 6.3).
    pub fn destroy_elements<'a>(
        &mut self,
        table: &TableId,
        set: &str,
        elements: impl IntoIterator<Item = &'a Element>,
    ) -> usize {
        let how = (Verb::Destroy, NFT_MSG_DESTROYSETELEM, 0);
        self.elements(how, table, set, elements)
    }

    /// Deletes all elements of a set.
    pub fn flush_set(&mut self, table: &TableId, set: &str) -> usize {
        let message = (NFT_MSG_DELSETELEM, 0);
        let what = (Verb::Flush, OperationKind::Elements);
        self.one(what, (table, set), message, |w| {
            w.put_text(NFTA_SET_ELEM_LIST_TABLE, &table.name);
            w.put_text(NFTA_SET_ELEM_LIST_SET, set);
        })
    }

    /// Adds a table with all that it holds, in an order that the kernel accepts: chains,
    /// sets, elements, rules.
    pub fn add_content(&mut self, content: &TableContent) {
        let table = &content.table.id;
        self.add_table(&content.table);
        for (name, content) in &content.chains {
            let chain = Chain {
                name: name.clone(),
                ..content.chain.clone()
            };
            self.add_chain(table, &chain);
        }
        for content in content.sets.values() {
            self.add_set(table, &content.set);
        }
        for (name, content) in &content.sets {
            if !content.elements.is_empty() {
                self.add_elements(table, name, &content.elements);
            }
        }
        for (name, content) in &content.chains {
            for rule in &content.rules {
                self.append_rule(table, name, rule);
            }
        }
    }
}
