//! What is decided as one piece. The order of the variants is the order of
//! deciding: what others depend on comes first.

use std::net::IpAddr;

use super::event::{Key, Kind};
use crate::identity::Uid;

/// A piece of the world that is decided at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    /// A pool's acceptance and ranges.
    Pool(String),
    /// A gateway's acceptance and settings.
    Gateway(Key),
    /// An EIP's acceptance and addresses.
    Eip(Key),
    /// Acceptance of all rules that name an EIP (which need not exist).
    RulesOf(Key),
    /// Which SNATs of a gateway have their prefixes.
    Snats(Key),
    /// Which DNATs of a gateway have room in its maps.
    Room(Key),
    /// Which FIP of a gateway is the source of an inside address.
    Inside(Key, IpAddr),
    /// What an EIP or a rule asks of a gateway's kernel.
    Entries(Kind, Key),
    /// A claim: release, cooldown.
    Claim(String),
    /// What one life of a gateway has in the cluster: config, Lease, reports,
    /// pods, children.
    Site(Uid),
    /// An object's finalizers.
    Hold(Kind, Key),
    /// An object's status.
    Status(Kind, Key),
}
