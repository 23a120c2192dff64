//! Expressions: what rules are made of (`linux/netfilter/nf_tables.h`).
//!
//! Each expression is one struct with the kernel's name in [`Expr::name`]. An expression,
//! an attribute or a number that this crate does not model decodes to [`Expr::Unknown`]
//! with its bytes, so that nothing is lost or taken for something else.

mod act;
mod compare;
mod generate;
mod meta;
mod number;
mod packet;
mod reg;
mod update;

pub use act::{
    Counter, Immediate, Limit, LimitKind, Masquerade, Nat, NatFlags, NatKind, NatRange, Reject,
};
pub use compare::{Bitwise, Byteorder, ByteorderOp, Cmp, CmpOp, Lookup, LookupResult, Range};
pub use generate::{Fib, FibFlags, FibResult, Hash, HashKind, NumGen, NumGenKind};
pub use meta::{Ct, CtKey, Direction, Meta, MetaKey, Rt, RtKey};
pub use packet::{ExtHdr, ExtHdrOp, Payload, PayloadBase};
pub use reg::Reg;
pub use update::{ConnLimit, DynSet, DynSetOp, ExtHdrWrite, PayloadWrite};

use super::Verdict;
use crate::wire::{AttrMap, NLA_F_NESTED, WireError, Writer};

/// `enum nft_expr_attributes`.
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;

/// Expressions may hold expressions (`dynset`); the kernel allows one level.
const MAX_DEPTH: usize = 4;

/// `ct state` bits (`NF_CT_STATE_BIT`, `linux/netfilter/nf_conntrack_common.h`).
pub mod ct_state {
    /// `NF_CT_STATE_INVALID_BIT`.
    pub const INVALID: u32 = 1;
    /// `IP_CT_ESTABLISHED`.
    pub const ESTABLISHED: u32 = 2;
    /// `IP_CT_RELATED`.
    pub const RELATED: u32 = 4;
    /// `IP_CT_NEW`.
    pub const NEW: u32 = 8;
    /// `NF_CT_STATE_UNTRACKED_BIT`.
    pub const UNTRACKED: u32 = 64;
}

/// How one kind of expression is written and read.
trait Body: Sized {
    /// Writes the attributes inside `NFTA_EXPR_DATA`.
    fn write(&self, w: &mut Writer);
    /// Reads them; `None` where they say more than the type can hold.
    fn read(attrs: &AttrMap<'_>, depth: usize) -> Result<Option<Self>, WireError>;
}

/// Declares [`Expr`] and how it is written and read. A kernel name may stand for several
/// variants; the first one whose `read` answers is taken.
macro_rules! expressions {
    ($($(#[$doc:meta])* $variant:ident($body:ty) = $name:literal,)*) => {
        /// An expression.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Expr {
            $($(#[$doc])* $variant($body),)*
            /// `notrack`: the packet starts no conntrack entry.
            NoTrack,
            /// An expression that this crate does not model.
            Unknown {
                /// The kernel's name.
                name: String,
                /// What `NFTA_EXPR_DATA` holds; `None` if it is absent.
                raw: Option<Vec<u8>>,
            },
        }

        impl Expr {
            /// The kernel's name (`NFTA_EXPR_NAME`).
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::NoTrack => "notrack",
                    Self::Unknown { name, .. } => name,
                }
            }

            fn write_body(&self, w: &mut Writer) {
                match self {
                    $(Self::$variant(body) => w.nest(NFTA_EXPR_DATA, |w| body.write(w)),)*
                    Self::NoTrack => {}
                    Self::Unknown { raw, .. } => {
                        if let Some(raw) = raw {
                            w.put(NFTA_EXPR_DATA | NLA_F_NESTED, raw);
                        }
                    }
                }
            }

            fn read_body(
                name: &str,
                attrs: &AttrMap<'_>,
                depth: usize,
            ) -> Result<Option<Self>, WireError> {
                $(if name == $name
                    && let Some(body) = <$body>::read(attrs, depth)?
                {
                    return Ok(Some(Self::$variant(body)));
                })*
                Ok(None)
            }
        }

        $(impl From<$body> for Expr {
            fn from(body: $body) -> Self {
                Self::$variant(body)
            }
        })*
    };
}

expressions! {
    /// `meta`: loads packet metadata into a register or sets it from one.
    Meta(Meta) = "meta",
    /// `ct`: loads conntrack data into a register or sets it from one.
    Ct(Ct) = "ct",
    /// `rt`: loads routing data.
    Rt(Rt) = "rt",
    /// `payload`: loads a piece of the packet.
    Payload(Payload) = "payload",
    /// `payload`: writes a piece of the packet.
    PayloadWrite(PayloadWrite) = "payload",
    /// `exthdr`: loads a piece of an extension header or TCP option.
    ExtHdr(ExtHdr) = "exthdr",
    /// `exthdr`: writes a piece of a TCP option.
    ExtHdrWrite(ExtHdrWrite) = "exthdr",
    /// `fib`: asks the routing tables.
    Fib(Fib) = "fib",
    /// `numgen`: loads a random or counting number.
    NumGen(NumGen) = "numgen",
    /// `hash`: loads a hash of a register.
    Hash(Hash) = "hash",
    /// `cmp`: ends the rule unless a register compares.
    Cmp(Cmp) = "cmp",
    /// `range`: ends the rule unless a register is in (or outside) a range.
    Range(Range) = "range",
    /// `bitwise`: masks and flips bits.
    Bitwise(Bitwise) = "bitwise",
    /// `byteorder`: swaps bytes.
    Byteorder(Byteorder) = "byteorder",
    /// `lookup`: looks a register up in a set or map.
    Lookup(Lookup) = "lookup",
    /// `immediate`: loads a constant.
    Immediate(Immediate) = "immediate",
    /// `immediate`: decides.
    Verdict(Verdict) = "immediate",
    /// `nat`: changes source or destination.
    Nat(Nat) = "nat",
    /// `masq`: changes the source to the address of the outgoing device.
    Masquerade(Masquerade) = "masq",
    /// `reject`: answers with an error and drops.
    Reject(Reject) = "reject",
    /// `counter`: counts packets and bytes.
    Counter(Counter) = "counter",
    /// `limit`: ends the rule above (or below) a rate.
    Limit(Limit) = "limit",
    /// `connlimit`: ends the rule above (or below) a number of connections.
    ConnLimit(ConnLimit) = "connlimit",
    /// `dynset`: adds an element to a set, refreshes or deletes it.
    DynSet(DynSet) = "dynset",
}

impl Expr {
    pub(crate) fn write(&self, w: &mut Writer) {
        w.put_text(NFTA_EXPR_NAME, self.name());
        self.write_body(w);
    }

    /// Reads an expression that is inside of `depth` others.
    pub(crate) fn read(bytes: &[u8], depth: usize) -> Result<Self, WireError> {
        if depth > MAX_DEPTH {
            return Err(WireError::TooDeep { limit: MAX_DEPTH });
        }
        let attrs = AttrMap::parse(bytes)?;
        let name = attrs.need(NFTA_EXPR_NAME, "NFTA_EXPR_NAME")?.text()?;
        let data = attrs.get(NFTA_EXPR_DATA);
        if name == "notrack" && data.is_none_or(|data| data.payload.is_empty()) {
            return Ok(Self::NoTrack);
        }
        if let Some(data) = data {
            let body = AttrMap::parse(data.payload)?;
            if let Some(expr) = Self::read_body(&name, &body, depth)? {
                return Ok(expr);
            }
        }
        Ok(Self::Unknown {
            name,
            raw: data.map(|data| data.payload.to_vec()),
        })
    }
}
