//! A gateway whose data plane is OVN: entries become rows of the northbound database.
//!
//! * [`rows`] compiles entries to rows of `NAT` and `Load_Balancer`, on the named logical router
//!   and gateway port.
//! * [`difference`](difference()) tells what to write, from the rows that the database has now:
//!   rows that are not this gateway's are never touched, and what is right is not written.
//! * [`Acknowledgement`] tells from the databases' counters whether the chassis that hosts the
//!   gateway port now has taken in what was written.

mod acknowledge;
mod compile;
mod difference;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::identity::Digest;

#[cfg(test)]
mod tests;

pub use acknowledge::{Acknowledgement, Counters, Host, Hosting, Verdict, Waiting};
pub use compile::{Compiled, Refused, VIPS_MAX, rows};
pub use difference::{Change, Claim, Foreign, Live, LiveRow, Table, batches, difference};

/// The row of a table by its `_uuid`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub [u8; 16]);

impl RowId {
    /// The row for an entry of a gateway on a router: always the same, so that writing it twice
    /// makes no second one.
    #[must_use]
    pub fn of(gateway: &str, router: &str, what: &str) -> Self {
        let digest = Digest::of_lines(["sluice.dev/ovn", gateway, router, what]);
        let mut bytes = [0; 16];
        for (byte, of) in bytes.iter_mut().zip(digest.bytes()) {
            *byte = *of;
        }
        // RFC 9562, 5.8: version 8, whose other bits are the writer's.
        bytes[6] = (bytes[6] & 0x0f) | 0x80;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            let dash = if matches!(n, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Keys of `external_ids`, by which rows of ours are known.
pub mod ids {
    /// UID of the NATGateway.
    pub const GATEWAY: &str = "sluice.dev/gateway";
    /// UID of the EIP, FIP, DNAT or SNAT that asked for the row.
    pub const OWNER: &str = "sluice.dev/owner";
    /// Generation of that object: the row's revision.
    pub const GENERATION: &str = "sluice.dev/generation";
    /// Digest of the entry that the row was made from.
    pub const DIGEST: &str = "sluice.dev/digest";
}

/// Where a gateway's rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// UID of the NATGateway.
    pub gateway: String,
    /// Name of the `Logical_Router`.
    pub router: String,
    /// The `Logical_Router_Port` by which traffic comes and goes.
    pub gateway_port: RowId,
}

/// What stands in a row of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Of table `NAT`.
    Nat(Nat),
    /// Of table `Load_Balancer`.
    LoadBalancer(LoadBalancer),
}

impl Row {
    /// Its `external_ids`.
    #[must_use]
    pub fn external_ids(&self) -> &BTreeMap<String, String> {
        match self {
            Row::Nat(nat) => &nat.external_ids,
            Row::LoadBalancer(balancer) => &balancer.external_ids,
        }
    }
}

/// A row of table `NAT` (ovn-nb(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Column `type`.
    pub kind: NatKind,
    /// The EIP's address.
    pub external_ip: IpAddr,
    /// The inside address or prefix.
    pub logical_ip: String,
    /// The port of [`Place::gateway_port`]: the row is centralized there.
    pub gateway_port: Option<RowId>,
    /// Whose it is.
    pub external_ids: BTreeMap<String, String>,
}

/// `type` of a `NAT` row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatKind {
    /// In only.
    Dnat,
    /// Out only.
    Snat,
    /// Both.
    DnatAndSnat,
}

impl NatKind {
    /// The schema's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            NatKind::Dnat => "dnat",
            NatKind::Snat => "snat",
            NatKind::DnatAndSnat => "dnat_and_snat",
        }
    }
}

/// A row of table `Load_Balancer` (ovn-nb(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    /// For people.
    pub name: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
    /// Address and port of the EIP to addresses and ports of targets, comma between.
    pub vips: BTreeMap<String, String>,
    /// What is not as OVN does it by itself.
    pub options: BTreeMap<String, String>,
    /// Whose it is.
    pub external_ids: BTreeMap<String, String>,
}

/// Rows by their identity.
pub type Rows = BTreeMap<RowId, Row>;

/// Identities of rows.
pub type RowIds = BTreeSet<RowId>;
