//! Reading tables back.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::chain::NFTA_CHAIN_TABLE;
use super::element::{NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE, read_elements};
use super::event::read_generation;
use super::rule::NFTA_RULE_TABLE;
use super::set::NFTA_SET_TABLE;
use super::{
    Chain, Element, Family, ListedRule, Set, SetContent, SetFlags, Table, TableContent, TableId,
    msg,
};
use crate::socket::DUMP_TRIES;
use crate::wire::{AttrMap, Message, MessageHeader, NFNL_SUBSYS_NFTABLES, WireError, Writer};
use crate::{Errno, Error, Socket};

/// Number of a state of all rules of a network namespace; each change makes the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation after this one; the kernel skips 0.
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1).max(1))
    }
}

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A table as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// The table.
    pub table: Table,
    /// Port id of the socket that owns it.
    pub owner: Option<u32>,
}

/// An object in a table that this crate does not model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OtherObject {
    /// A stateful object: counter, quota, limit and so on.
    Stateful {
        /// Its type (`NFT_OBJECT_*`).
        kind: u32,
        /// Its name.
        name: String,
    },
    /// A flow table.
    FlowTable {
        /// Its name.
        name: String,
    },
}

/// A whole table, consistent at one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDump {
    /// The generation.
    pub generation: Generation,
    /// Port id of the socket that owns the table.
    pub owner: Option<u32>,
    /// The table and what it holds.
    pub content: TableContent,
    /// Handles of the rules, by chain, in order.
    pub handles: BTreeMap<String, Vec<u64>>,
    /// What else the table holds.
    pub others: BTreeSet<OtherObject>,
}

/// `enum nft_object_attributes`, `enum nft_flowtable_attributes`.
const NFTA_OBJ_TABLE: u16 = 1;
const NFTA_OBJ_NAME: u16 = 2;
const NFTA_OBJ_TYPE: u16 = 3;
const NFTA_FLOWTABLE_TABLE: u16 = 1;
const NFTA_FLOWTABLE_NAME: u16 = 2;

fn header(message: u16, family: u8) -> MessageHeader {
    MessageHeader {
        kind: NFNL_SUBSYS_NFTABLES << 8 | message,
        family,
        ..MessageHeader::default()
    }
}

impl Socket {
    /// The current generation.
    pub fn generation(&mut self) -> Result<Generation, Error> {
        let mut generation = None;
        self.request(
            "NFT_MSG_GETGEN",
            header(msg::NFT_MSG_GETGEN, 0),
            |_| {},
            |message| {
                generation = Some(read_generation(message.netfilter()?.1)?.0);
                Ok(())
            },
        )?;
        generation.ok_or(Error::Wire(WireError::Missing("NFTA_GEN_ID")))
    }

    /// All tables of the namespace, or those of one family. Tables of families that this
    /// crate does not know are left out.
    pub fn tables(&mut self, family: Option<Family>) -> Result<Vec<TableInfo>, Error> {
        let number = family.map_or(0, Family::number);
        self.dump(
            "NFT_MSG_GETTABLE",
            header(msg::NFT_MSG_GETTABLE, number),
            |_| {},
            |message| {
                let (family, attrs) = message.netfilter()?;
                if Family::try_from(family).is_err() {
                    return Ok(None);
                }
                let (table, owner) = Table::read(family, attrs)?;
                Ok(Some(TableInfo { table, owner }))
            },
        )
    }

    /// All chains of the namespace with their tables, or those of one family.
    pub fn chains(&mut self, family: Option<Family>) -> Result<Vec<(TableId, Chain)>, Error> {
        let number = family.map_or(0, Family::number);
        self.dump(
            "NFT_MSG_GETCHAIN",
            header(msg::NFT_MSG_GETCHAIN, number),
            |_| {},
            |message| {
                let (family, attrs) = message.netfilter()?;
                if Family::try_from(family).is_err() {
                    return Ok(None);
                }
                Chain::read(family, attrs).map(Some)
            },
        )
    }

    /// The elements of one set.
    ///
    /// A hash without [`Set::size`] is rehashed by the kernel while it is used; a list made
    /// meanwhile repeats some elements and lacks as many others, without any sign of it but the
    /// repetition. Such a list is made again, up to a limit ([`Error::Unsettled`]).
    pub fn elements(&mut self, table: &TableId, set: &str) -> Result<Vec<Element>, Error> {
        for _ in 0..DUMP_TRIES {
            let elements = self.elements_once(table, set)?;
            let keys: HashSet<_> = elements
                .iter()
                .map(|element| (&element.key, &element.key_end, element.flags))
                .collect();
            if keys.len() == elements.len() {
                return Ok(elements);
            }
        }
        Err(Error::Unsettled {
            request: "NFT_MSG_GETSETELEM",
            tries: DUMP_TRIES,
        })
    }

    fn elements_once(&mut self, table: &TableId, set: &str) -> Result<Vec<Element>, Error> {
        let chunks = self.dump(
            "NFT_MSG_GETSETELEM",
            header(msg::NFT_MSG_GETSETELEM, table.family.number()),
            |w| {
                w.put_text(NFTA_SET_ELEM_LIST_TABLE, &table.name);
                w.put_text(NFTA_SET_ELEM_LIST_SET, set);
            },
            |message| {
                let (family, attrs) = message.netfilter()?;
                Ok(Some(read_elements(family, attrs)?.2))
            },
        )?;
        Ok(chunks.into_iter().flatten().collect())
    }

    /// A whole table, consistent at one generation; `None` if it does not exist. What sets hold
    /// that rules fill ([`SetFlags::EVAL`]) is left out: packets change it at any time, and no
    /// generation tells; [`Self::elements`] lists it. Repeats itself while changes disturb it, up to a limit ([`Error::Unsettled`]).
    pub fn dump_table(&mut self, family: Family, name: &str) -> Result<Option<TableDump>, Error> {
        let id = TableId::new(family, name);
        for _ in 0..DUMP_TRIES {
            let before = self.generation()?;
            let dump = match self.dump_parts(&id, before) {
                Ok(dump) => dump,
                // Something went away between two of the lists.
                Err(Error::Refused {
                    errno: Errno::NOENT,
                    ..
                }) => continue,
                Err(error) => return Err(error),
            };
            if self.generation()? == before {
                return Ok(dump);
            }
        }
        Err(Error::Unsettled {
            request: "dump of a table",
            tries: DUMP_TRIES,
        })
    }

    fn dump_parts(
        &mut self,
        id: &TableId,
        generation: Generation,
    ) -> Result<Option<TableDump>, Error> {
        let tables = self.tables(Some(id.family))?;
        let Some(info) = tables.into_iter().find(|info| info.table.id == *id) else {
            return Ok(None);
        };
        let mut content = TableContent::new(info.table);
        for chain in self.dump_chains(id)? {
            content.chain(chain, []);
        }
        let mut handles: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for listed in self.dump_rules(id)? {
            if let Some(chain) = content.chains.get_mut(&listed.chain) {
                chain.rules.push(listed.rule);
                handles.entry(listed.chain).or_default().push(listed.handle);
            }
        }
        for set in self.dump_sets(id)? {
            let elements = if set.flags.contains(SetFlags::EVAL) {
                BTreeSet::new()
            } else {
                self.elements(id, &set.name)?.into_iter().collect()
            };
            let name = set.name.clone();
            content.sets.insert(name, SetContent { set, elements });
        }
        Ok(Some(TableDump {
            generation,
            owner: info.owner,
            content,
            handles,
            others: self.dump_others(id)?,
        }))
    }

    /// Lists objects of one table. Kernels that cannot filter list all, so this filters.
    fn dump_of<T>(
        &mut self,
        table: &TableId,
        (name, message): (&'static str, u16),
        table_attr: u16,
        read: impl Fn(u8, &[u8]) -> Result<T, WireError>,
    ) -> Result<Vec<T>, Error> {
        let mine = |message: &Message<'_>| {
            let (family, attrs) = message.netfilter()?;
            let of = AttrMap::parse(attrs)?.text(table_attr)?;
            if family != table.family.number() || of.as_deref() != Some(&table.name) {
                return Ok(None);
            }
            read(family, attrs).map(Some)
        };
        let filter = |w: &mut Writer| w.put_text(table_attr, &table.name);
        self.dump(name, header(message, table.family.number()), filter, mine)
    }

    fn dump_chains(&mut self, table: &TableId) -> Result<Vec<Chain>, Error> {
        let message = ("NFT_MSG_GETCHAIN", msg::NFT_MSG_GETCHAIN);
        self.dump_of(table, message, NFTA_CHAIN_TABLE, |family, attrs| {
            Ok(Chain::read(family, attrs)?.1)
        })
    }

    fn dump_rules(&mut self, table: &TableId) -> Result<Vec<ListedRule>, Error> {
        let message = ("NFT_MSG_GETRULE", msg::NFT_MSG_GETRULE);
        self.dump_of(table, message, NFTA_RULE_TABLE, ListedRule::read)
    }

    fn dump_sets(&mut self, table: &TableId) -> Result<Vec<Set>, Error> {
        let message = ("NFT_MSG_GETSET", msg::NFT_MSG_GETSET);
        self.dump_of(table, message, NFTA_SET_TABLE, |family, attrs| {
            Ok(Set::read(family, attrs)?.1)
        })
    }

    fn dump_others(&mut self, table: &TableId) -> Result<BTreeSet<OtherObject>, Error> {
        let message = ("NFT_MSG_GETOBJ", msg::NFT_MSG_GETOBJ);
        let mut others = self.dump_of(table, message, NFTA_OBJ_TABLE, |_, attrs| {
            let attrs = AttrMap::parse(attrs)?;
            Ok(OtherObject::Stateful {
                kind: attrs.u32_be(NFTA_OBJ_TYPE)?.unwrap_or(0),
                name: attrs.text(NFTA_OBJ_NAME)?.unwrap_or_default(),
            })
        })?;
        let message = ("NFT_MSG_GETFLOWTABLE", msg::NFT_MSG_GETFLOWTABLE);
        others.extend(
            self.dump_of(table, message, NFTA_FLOWTABLE_TABLE, |_, attrs| {
                let attrs = AttrMap::parse(attrs)?;
                Ok(OtherObject::FlowTable {
                    name: attrs.text(NFTA_FLOWTABLE_NAME)?.unwrap_or_default(),
                })
            })?,
        );
        Ok(others.into_iter().collect())
    }
}
