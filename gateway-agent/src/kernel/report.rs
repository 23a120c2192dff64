//! What the data plane is told and what it says: plain data for the caller.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sluice_core::identity::{Digest, Revision};
use sluice_crds::internal::NeighbourChange;

/// How the data plane is to be run.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// The pod's own interface, over which the agent reaches the API server.
    pub pod_interface: String,
    /// The Node that the pod is on: its annotation may override own addresses.
    pub node: String,
    /// Addresses of the pod's own interface (`status.podIPs`).
    pub pod_addresses: Vec<IpAddr>,
    /// Whether the nft tables are owned by this process and outlive it (flags `owner` and
    /// `persist`, Linux 6.9 and later). Where the kernel does not know the flags the tables
    /// are made without them.
    pub ownership: bool,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self {
            pod_interface: "eth0".to_owned(),
            node: String::new(),
            pod_addresses: Vec::new(),
            ownership: true,
        }
    }
}

/// What our own nft table says was applied last. It is stored in the table itself, in the
/// same transaction as the rules, so that it tells the truth also to a new process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The revision of the config.
    pub revision: Revision,
    /// Digest of the config's content, as in the header.
    pub digest: String,
    /// Whether the rules were those of a holder.
    pub holding: bool,
}

/// An entry that is not in the kernel, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// [`sluice_core::entry::Entry::key`].
    pub key: String,
    /// [`sluice_core::entry::Entry::digest`].
    pub digest: Digest,
    /// The reason, in the kernel's words where the kernel refused it.
    pub error: String,
}

/// What an apply did. All entries that are not in `rejected` are in the kernel, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What now stands in our table.
    pub stamp: Stamp,
    /// Entries that are not in the kernel.
    pub rejected: Vec<Rejected>,
    /// How many objects (elements, rules, routes, proxies, settings) were changed; 0 where
    /// everything was right already.
    pub changed: usize,
    /// Connections that the change made void. They stand until they are handed to
    /// `Kernel::flush`: at once, and once more about 50 ms later, before the removal of an
    /// entry may be acknowledged.
    pub flush: Option<super::Flush>,
}

/// What a repair did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// How many objects were changed.
    pub changed: usize,
    /// Whether rules were among them: what began meanwhile may be translated otherwise than
    /// they say.
    pub rules: bool,
}

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnusableReason {
    /// The local route of the address is absent.
    RouteMissing,
    /// The IPv6 proxy entry of the address is absent.
    ProxyMissing,
    /// A sysctl that IPv6 needs is off.
    ForwardingDisabled,
    /// The uplink is down or absent.
    InterfaceDown,
    /// Another host answers for the address.
    AddressConflict,
    /// The next-hop address is absent from the LAN interface, or DAD failed.
    AddressMissing,
}

/// An address that the instance should answer for but cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The address.
    pub address: IpAddr,
    /// Why, as a word.
    pub reason: UnusableReason,
    /// Why, with remedy.
    pub message: String,
}

/// What is wrong with the instance as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// IPv6 forwarding or NDP proxying is off and cannot be set from here.
    ForwardingDisabled,
    /// `net.ipv4.conf.all.rp_filter` drops what the gateway must forward.
    RPFilterBlocks,
    /// Another program has base chains in this network namespace.
    ForeignRules,
    /// An interface that the settings name does not exist.
    InterfaceNotFound,
    /// An interface is down.
    InterfaceDown,
    /// A value in the settings that cannot be used.
    SettingInvalid,
    /// The flow log is on, and the kernel tells of no flows.
    FlowLogSilent,
    /// An override of the uplink's own address that the interface does not have.
    AddressNotOnInterface,
    /// The Node's annotation for the uplink's own address cannot be read.
    AnnotationInvalid,
    /// A next hop does not answer.
    NextHopUnreachable,
    /// The kernel sends to another MAC than the next hop has.
    NextHopMACMismatch,
    /// Several answer for a next hop.
    NextHopConflict,
}

/// Something wrong with the instance as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What, as a word; it is also a condition's reason.
    pub kind: ProblemKind,
    /// What, where and what to do about it.
    pub message: String,
    /// Whether it keeps traffic from flowing.
    pub blocking: bool,
}

/// An uplink as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkState {
    /// Its name in the settings.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// Whether it is up and has a carrier.
    pub up: bool,
    /// Its MAC, absent where the interface is.
    pub mac: Option<[u8; 6]>,
    /// Its own IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its own IPv6 address: neither an EIP nor temporary, deprecated, tentative or link-local.
    pub ipv6: Option<Ipv6Addr>,
}

/// The kernel compared with what was applied last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What differs from what was applied, in words; `Kernel::repair` mends it.
    pub drift: Vec<String>,
    /// Addresses that cannot be used. Empty where the instance does not hold.
    pub unusable: Vec<Unusable>,
    /// What else is wrong.
    pub problems: Vec<Problem>,
    /// The uplinks, in the settings' order.
    pub uplinks: Vec<UplinkState>,
    /// MAC of the LAN interface.
    pub lan_mac: Option<[u8; 6]>,
    /// MAC addresses that changed, of next hops and own interfaces.
    pub neighbours: Vec<NeighbourChange>,
    /// How many wrong neighbour entries were replaced during this look.
    pub mended: usize,
}

/// Another host that answers for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// The other host's MAC.
    pub mac: [u8; 6],
    /// The interface on which it answered.
    pub interface: String,
}

/// Why the data plane could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A system call failed.
    #[error("{action}: {source}")]
    System {
        /// What was being done.
        action: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// The kernel refused a change of routing.
    #[error("{object}: {source}")]
    Refused {
        /// The route, rule, address or setting.
        object: String,
        /// The kernel's words.
        source: std::io::Error,
    },
    /// nf_tables refused what no entry is to blame for.
    #[error("nf_tables: {0}")]
    Rules(String),
    /// The kernel does not take a class of traffic any more.
    #[error("{0}")]
    Shaping(String),
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Nothing was applied yet.
    #[error("nothing was applied yet")]
    NotApplied,
}
