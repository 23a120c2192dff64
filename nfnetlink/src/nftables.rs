//! nf_tables: what a table holds, how to change it in one transaction, how to read it
//! back, and how to hear of changes (`linux/netfilter/nf_tables.h`).

mod batch;
mod chain;
mod commit;
mod content;
mod data;
mod dump;
mod element;
mod event;
pub mod expr;
mod family;
mod msg;
mod rule;
mod set;
mod table;
pub mod userdata;

pub use batch::{Batch, Operation, OperationKind, Verb};
pub use chain::{BaseChain, Chain, ChainKind, Hook, Policy};
pub use commit::{BatchError, Committed, Refusal};
pub use content::{ChainContent, SetContent, TableContent};
pub use data::{Data, Value, Verdict};
pub use dump::{Generation, OtherObject, TableDump, TableInfo};
pub use element::{Element, ElementFlags};
pub use event::{Change, Event, Object};
pub use family::Family;
pub use rule::{ListedRule, Rule};
pub use set::{Field, KeyType, MapType, Set, SetFlags, SetPolicy};
pub use table::{Table, TableFlags, TableId};

#[cfg(test)]
mod tests;
