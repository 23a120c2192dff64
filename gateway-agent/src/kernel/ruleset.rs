//! The rules that the kernel must hold, as a pure function of the config.
//!
//! Two tables, made and changed together: `inet sluice` translates and guards, `arp sluice`
//! keeps interfaces from answering for addresses that are not theirs. What there is per
//! object is an element of a map, so that a packet costs the same with one EIP and with ten
//! thousand; what there is per gateway is a rule.

mod build;
mod chains;
mod content;
mod difference;
mod quota;
mod segments;
pub mod statement;
mod step;

use std::ops::RangeInclusive;
use std::sync::Arc;

use nfnetlink::nftables::{Family, Table, TableContent, TableFlags, TableId, Value, userdata};
use sluice_core::entry::cost::Form;
use sluice_core::identity::{Revision, Uid};

#[cfg(test)]
use build::Built;
pub use build::{Part, build, origins, part};
pub use chains::{guard, hairpin_source};
pub use content::{Contents, Origin, size_for};
pub use difference::{Change, difference};
pub use quota::refused_set;
pub use segments::chains as segments;
pub use step::{Step, Uses, is_pooled};

use super::report::{KernelOptions, Stamp};

#[cfg(test)]
mod tests;

/// Name of both tables.
pub const TABLE: &str = "sluice";
/// The set whose elements say what was applied.
pub const STAMP: &str = "stamp";

/// `ct mark`: the flow began outside; the low byte is the number of its uplink.
pub const FROM_OUTSIDE: u32 = 0x100;
/// `ct mark`: the flow began inside; the low byte is the number of the uplink it leaves by,
/// and the high half what [`quota`] says.
pub const FROM_INSIDE: u32 = 0x200;
/// Where a flow began.
pub const ORIGIN_MASK: u32 = 0x300;
/// The part of `ct mark` that chooses the routing table.
pub const UPLINK_MASK: u32 = 0xff;
/// The packet mark that chooses the LAN's routing table.
pub const LAN_MARK: u32 = 0xfe;

/// The ports of an EIP that connections to one peer share by our rules: a rule that names no
/// ports keeps a port where it can, and where it cannot finds another of the same class; that
/// of all ports but privileged ones is this (kernel `nf_nat_l4proto_unique_tuple`).
pub const PORTS: RangeInclusive<u16> = 1_024..=65_535;

/// The maps of port forwarding in the order in which they are asked: how the ports stand in
/// them, and whether several targets share each.
pub const FORWARD_MAPS: [(Form, bool); 6] = [
    (Form::Exact, false),
    (Form::Exact, true),
    (Form::Range, false),
    (Form::Range, true),
    (Form::All, false),
    (Form::All, true),
];

/// The maps from an EIP to the class of what comes in for it and of what leaves it, and the
/// chains that ask them; the maps without their family.
pub const SHAPE_IN: &str = "shapein";
pub const SHAPE_OUT: &str = "shapeout";

/// The name of such a map, without its family.
pub fn forward_map(form: Form, shared: bool) -> &'static str {
    match (form, shared) {
        (Form::Exact, false) => "dnat",
        (Form::Exact, true) => "share",
        (Form::Range, false) => "range",
        (Form::Range, true) => "sharerange",
        (Form::All, false) => "any",
        (Form::All, true) => "shareany",
    }
}

/// Both flags together: owned by a socket, and outliving it.
pub const OWNED: TableFlags = TableFlags::OWNER.union(TableFlags::PERSIST);

/// Both tables with all that they hold. Shared, for they are large: what is wanted, what
/// was sent and what is known to stand are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// `inet sluice`.
    pub inet: Arc<TableContent>,
    /// `arp sluice`.
    pub arp: Arc<TableContent>,
}

/// A table of ours that holds nothing.
fn empty(family: Family, options: &KernelOptions) -> TableContent {
    let mut table = Table::new(family, TABLE);
    if options.ownership {
        table.flags = OWNED;
    }
    TableContent::new(table)
}

/// The table that translates and guards.
pub fn inet_id() -> TableId {
    TableId::new(Family::Inet, TABLE)
}

/// The table that keeps interfaces silent.
pub fn arp_id() -> TableId {
    TableId::new(Family::Arp, TABLE)
}

/// What the table `inet sluice` says was applied; `None` where it says nothing.
pub fn stamp_of(inet: &TableContent) -> Option<Stamp> {
    let elements = &inet.sets.get(STAMP)?.elements;
    let text = |number: u32| {
        let key = Value::u32(number);
        let element = elements.iter().find(|element| element.key == key)?;
        userdata::comment_of(&element.userdata)
    };
    Some(Stamp {
        revision: Revision {
            uid: Uid::new(text(StampField::Uid.number())?),
            generation: text(StampField::Generation.number())?.parse().ok()?,
        },
        digest: text(StampField::Digest.number())?,
        holding: text(StampField::Role.number())? == HOLDER,
    })
}

/// The elements of the set [`STAMP`]: each says one thing in its comment.
#[derive(Clone, Copy)]
enum StampField {
    Uid,
    Generation,
    Digest,
    Role,
}

impl StampField {
    fn number(self) -> u32 {
        match self {
            Self::Uid => 1,
            Self::Generation => 2,
            Self::Digest => 3,
            Self::Role => 4,
        }
    }
}

const HOLDER: &str = "holder";
const STANDBY: &str = "standby";
