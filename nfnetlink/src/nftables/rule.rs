//! Rules.

use super::TableId;
use super::expr::Expr;
use crate::wire::{AttrMap, Attrs, WireError, Writer};

/// `enum nft_rule_attributes` (`linux/netfilter/nf_tables.h`).
pub(crate) const NFTA_RULE_TABLE: u16 = 1;
pub(crate) const NFTA_RULE_CHAIN: u16 = 2;
pub(crate) const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
pub(crate) const NFTA_RULE_POSITION: u16 = 6;
const NFTA_RULE_USERDATA: u16 = 7;
/// `enum nft_list_attributes`.
const NFTA_LIST_ELEM: u16 = 1;

/// A rule: expressions that are evaluated in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rule {
    /// The expressions.
    pub exprs: Vec<Expr>,
    /// User data, up to 256 bytes; see [`super::userdata`].
    pub userdata: Vec<u8>,
}

/// A rule as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRule {
    /// The table.
    pub table: TableId,
    /// The chain.
    pub chain: String,
    /// The kernel's number of the rule, unique in the table.
    pub handle: u64,
    /// Handle of the rule before it (`NFTA_RULE_POSITION`).
    pub position: Option<u64>,
    /// The rule.
    pub rule: Rule,
}

impl From<Vec<Expr>> for Rule {
    fn from(exprs: Vec<Expr>) -> Self {
        Self {
            exprs,
            userdata: Vec::new(),
        }
    }
}

impl Rule {
    /// The same rule with a comment.
    pub fn with_comment(mut self, text: &str) -> Self {
        self.userdata = super::userdata::comment(text);
        self
    }

    pub(crate) fn write(&self, table: &TableId, chain: &str, w: &mut Writer) {
        w.put_text(NFTA_RULE_TABLE, &table.name);
        w.put_text(NFTA_RULE_CHAIN, chain);
        w.nest(NFTA_RULE_EXPRESSIONS, |w| write_exprs(&self.exprs, w));
        if !self.userdata.is_empty() {
            w.put(NFTA_RULE_USERDATA, &self.userdata);
        }
    }
}

impl ListedRule {
    /// Reads the attributes of `NFT_MSG_NEWRULE`.
    pub(crate) fn read(family: u8, attrs: &[u8]) -> Result<Self, WireError> {
        let attrs = AttrMap::parse(attrs)?;
        let table = attrs.need(NFTA_RULE_TABLE, "NFTA_RULE_TABLE")?.text()?;
        Ok(Self {
            table: TableId::new(family.try_into()?, table),
            chain: attrs.need(NFTA_RULE_CHAIN, "NFTA_RULE_CHAIN")?.text()?,
            handle: attrs.need(NFTA_RULE_HANDLE, "NFTA_RULE_HANDLE")?.u64_be()?,
            position: attrs.u64_be(NFTA_RULE_POSITION)?,
            rule: Rule {
                exprs: match attrs.get(NFTA_RULE_EXPRESSIONS) {
                    Some(list) => read_exprs(list.payload, 0)?,
                    None => Vec::new(),
                },
                userdata: attrs.bytes(NFTA_RULE_USERDATA),
            },
        })
    }
}

/// Writes a list of expressions (`NFTA_LIST_ELEM`).
pub(crate) fn write_exprs(exprs: &[Expr], w: &mut Writer) {
    for expr in exprs {
        w.nest(NFTA_LIST_ELEM, |w| expr.write(w));
    }
}

/// Reads a list of expressions; `depth` is how many expressions it is inside of.
pub(crate) fn read_exprs(bytes: &[u8], depth: usize) -> Result<Vec<Expr>, WireError> {
    Attrs::new(bytes)
        .map(|attr| Expr::read(attr?.payload, depth))
        .collect()
}
