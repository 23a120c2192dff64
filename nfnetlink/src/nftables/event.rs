//! Events: what was added and removed.

use super::chain::{NFTA_CHAIN_NAME, NFTA_CHAIN_TABLE};
use super::element::read_elements;
use super::rule::{NFTA_RULE_CHAIN, NFTA_RULE_HANDLE, NFTA_RULE_TABLE};
use super::set::{NFTA_SET_NAME, NFTA_SET_TABLE};
use super::table::NFTA_TABLE_NAME;
use super::{Chain, Element, Generation, ListedRule, Set, Table, TableId, msg};
use crate::wire::{AttrMap, Message, NFNL_SUBSYS_NFTABLES, WireError};

/// `enum nft_gen_attributes` (`linux/netfilter/nf_tables.h`).
const NFTA_GEN_ID: u16 = 1;
const NFTA_GEN_PROC_PID: u16 = 2;
const NFTA_GEN_PROC_NAME: u16 = 3;

/// Whether something came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Added, or changed.
    Added,
    /// Removed.
    Removed,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whether it came or went.
    pub change: Change,
    /// Port id of the socket that caused it; 0 for the kernel itself.
    pub port: u32,
    /// What.
    pub object: Object,
}

/// What an event is about. Of removed tables, chains, rules and sets the kernel gives only
/// the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A table.
    Table(Table),
    /// A table that is gone.
    TableName(TableId),
    /// A chain.
    Chain {
        /// Its table.
        table: TableId,
        /// The chain.
        chain: Chain,
    },
    /// A chain that is gone.
    ChainName {
        /// Its table.
        table: TableId,
        /// Its name.
        name: String,
    },
    /// A rule.
    Rule(Box<ListedRule>),
    /// A rule that is gone.
    RuleHandle {
        /// Its table.
        table: TableId,
        /// Its chain.
        chain: String,
        /// Its handle.
        handle: u64,
    },
    /// A set or map.
    Set {
        /// Its table.
        table: TableId,
        /// The set.
        set: Box<Set>,
    },
    /// A set that is gone.
    SetName {
        /// Its table.
        table: TableId,
        /// Its name.
        name: String,
    },
    /// Elements.
    Elements {
        /// Their table.
        table: TableId,
        /// Their set.
        set: String,
        /// The elements.
        elements: Vec<Element>,
    },
    /// The end of a batch.
    Generation {
        /// The generation that it made.
        generation: Generation,
        /// Thread that sent it (the kernel's `NFTA_GEN_PROC_PID` is a thread id).
        pid: u32,
        /// Name of that thread (`NFTA_GEN_PROC_NAME`).
        process: String,
    },
    /// An object that this crate does not model (stateful objects, flow tables).
    Other {
        /// Message number, without the subsystem (`enum nf_tables_msg_types`).
        message: u16,
    },
}

impl Event {
    /// Reads a message of the nf_tables subsystem; `None` for other subsystems.
    pub fn read(message: &Message<'_>) -> Result<Option<Self>, WireError> {
        if message.kind >> 8 != NFNL_SUBSYS_NFTABLES {
            return Ok(None);
        }
        let (family, attrs) = message.netfilter()?;
        let number = message.kind & 0xff;
        let (change, object) = match number {
            msg::NFT_MSG_NEWTABLE => (Change::Added, Object::Table(Table::read(family, attrs)?.0)),
            msg::NFT_MSG_DELTABLE => {
                let attrs = AttrMap::parse(attrs)?;
                let name = attrs.need(NFTA_TABLE_NAME, "NFTA_TABLE_NAME")?.text()?;
                let table = TableId::new(family.try_into()?, name);
                (Change::Removed, Object::TableName(table))
            }
            msg::NFT_MSG_NEWCHAIN => {
                let (table, chain) = Chain::read(family, attrs)?;
                (Change::Added, Object::Chain { table, chain })
            }
            msg::NFT_MSG_DELCHAIN => {
                let attrs = AttrMap::parse(attrs)?;
                let table = attrs.need(NFTA_CHAIN_TABLE, "NFTA_CHAIN_TABLE")?.text()?;
                let table = TableId::new(family.try_into()?, table);
                let name = attrs.need(NFTA_CHAIN_NAME, "NFTA_CHAIN_NAME")?.text()?;
                (Change::Removed, Object::ChainName { table, name })
            }
            msg::NFT_MSG_NEWRULE => (
                Change::Added,
                Object::Rule(Box::new(ListedRule::read(family, attrs)?)),
            ),
            msg::NFT_MSG_DELRULE => {
                let attrs = AttrMap::parse(attrs)?;
                let table = attrs.need(NFTA_RULE_TABLE, "NFTA_RULE_TABLE")?.text()?;
                let object = Object::RuleHandle {
                    table: TableId::new(family.try_into()?, table),
                    chain: attrs.need(NFTA_RULE_CHAIN, "NFTA_RULE_CHAIN")?.text()?,
                    handle: attrs.need(NFTA_RULE_HANDLE, "NFTA_RULE_HANDLE")?.u64_be()?,
                };
                (Change::Removed, object)
            }
            msg::NFT_MSG_NEWSET => {
                let (table, set) = Set::read(family, attrs)?;
                let set = Box::new(set);
                (Change::Added, Object::Set { table, set })
            }
            msg::NFT_MSG_DELSET => {
                let attrs = AttrMap::parse(attrs)?;
                let table = attrs.need(NFTA_SET_TABLE, "NFTA_SET_TABLE")?.text()?;
                let table = TableId::new(family.try_into()?, table);
                let name = attrs.need(NFTA_SET_NAME, "NFTA_SET_NAME")?.text()?;
                (Change::Removed, Object::SetName { table, name })
            }
            msg::NFT_MSG_NEWSETELEM | msg::NFT_MSG_DELSETELEM => {
                let (table, set, elements) = read_elements(family, attrs)?;
                let change = if number == msg::NFT_MSG_NEWSETELEM {
                    Change::Added
                } else {
                    Change::Removed
                };
                let object = Object::Elements {
                    table,
                    set,
                    elements,
                };
                (change, object)
            }
            msg::NFT_MSG_NEWGEN => {
                let (generation, pid, process) = read_generation(attrs)?;
                let object = Object::Generation {
                    generation,
                    pid,
                    process,
                };
                (Change::Added, object)
            }
            msg::NFT_MSG_DELOBJ | msg::NFT_MSG_DELFLOWTABLE => {
                (Change::Removed, Object::Other { message: number })
            }
            _ => (Change::Added, Object::Other { message: number }),
        };
        Ok(Some(Self {
            change,
            port: message.port,
            object,
        }))
    }

    /// The table that the event is about, if it is about one.
    pub fn table(&self) -> Option<&TableId> {
        match &self.object {
            Object::Table(table) => Some(&table.id),
            Object::Rule(rule) => Some(&rule.table),
            Object::TableName(table)
            | Object::Chain { table, .. }
            | Object::ChainName { table, .. }
            | Object::RuleHandle { table, .. }
            | Object::Set { table, .. }
            | Object::SetName { table, .. }
            | Object::Elements { table, .. } => Some(table),
            Object::Generation { .. } | Object::Other { .. } => None,
        }
    }
}

/// Reads the attributes of `NFT_MSG_NEWGEN`: generation, process and its name.
pub(crate) fn read_generation(attrs: &[u8]) -> Result<(Generation, u32, String), WireError> {
    let attrs = AttrMap::parse(attrs)?;
    Ok((
        Generation(attrs.need(NFTA_GEN_ID, "NFTA_GEN_ID")?.u32_be()?),
        attrs.u32_be(NFTA_GEN_PROC_PID)?.unwrap_or(0),
        attrs.text(NFTA_GEN_PROC_NAME)?.unwrap_or_default(),
    ))
}
