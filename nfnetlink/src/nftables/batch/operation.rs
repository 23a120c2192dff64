//! What a batch is asked to do, for error messages.

use crate::nftables::{TableFlags, TableId};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Adds; no error if it exists.
    Add,
    /// Adds; an error if it exists.
    Create,
    /// Inserts in front.
    Insert,
    /// Replaces.
    Replace,
    /// Deletes; an error if it does not exist.
    Delete,
    /// Deletes; no error if it does not exist (kernel ≥ 6.3).
    Destroy,
    /// Deletes all that the object holds.
    Flush,
}

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// A table.
    Table(TableFlags),
    /// A chain.
    Chain,
    /// A rule of a chain.
    Rule,
    /// A set or map.
    Set,
    /// Elements of a set or map.
    Elements,
}

/// One call of a [`Batch`](super::Batch) method, for error messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub verb: Verb,
    /// What it is about.
    pub kind: OperationKind,
    /// The table.
    pub table: TableId,
    /// Chain or set; empty for tables.
    pub name: String,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = match self.verb {
            Verb::Add => "add",
            Verb::Create => "create",
            Verb::Insert => "insert",
            Verb::Replace => "replace",
            Verb::Delete => "delete",
            Verb::Destroy => "destroy",
            Verb::Flush => "flush",
        };
        let kind = match self.kind {
            OperationKind::Table(_) => return write!(f, "{verb} table {}", self.table),
            OperationKind::Chain => "chain",
            OperationKind::Rule => "rule in chain",
            OperationKind::Set => "set",
            OperationKind::Elements => "elements of set",
        };
        write!(f, "{verb} {kind} {} {}", self.table, self.name)
    }
}
