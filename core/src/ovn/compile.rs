//! Entries to rows.
//!
//! | entry | row |
//! | --- | --- |
//! | `fip … both` | `NAT` of type `dnat_and_snat` |
//! | `fip … in` | `NAT` of type `dnat` |
//! | `snat` | `NAT` of type `snat` |
//! | `dnat` | one `Load_Balancer`, a VIP for each port |
//! | `addr` | none: OVN answers for the addresses that rows of `NAT` and VIPs name |
//!
//! All rows are centralized: none names a `logical_port` and an `external_mac`, so that only the
//! chassis of the gateway port translates, and its word is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sluice_crds::user::{Ports, Protocol};

use super::{Foreign, LoadBalancer, Nat, NatKind, Place, Row, RowId, Rows, ids};
use crate::entry::{Body, Entry, Targets};

/// VIPs that one DNAT may need, one for each port.
pub const VIPS_MAX: u32 = 1_024;

/// What entries became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// The rows.
    pub rows: Rows,
    /// The keys of the entries that they are for.
    pub keys: BTreeMap<RowId, String>,
    /// The entries that OVN cannot do, by their keys.
    pub refused: BTreeMap<String, Refused>,
}

/// Why an entry has no row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Limits of rate.
    #[error(
        "UnsupportedByDataplane: OVN does not limit the bandwidth of an EIP: remove spec.bandwidth"
    )]
    Bandwidth,
    /// Limits per source.
    #[error(
        "UnsupportedByDataplane: OVN does not count connections per source: remove portsPerSource"
    )]
    PortsPerSource,
    /// Several EIPs for one prefix.
    #[error(
        "UnsupportedByDataplane: OVN translates {source_prefix} to one EIP only, here {winner}: remove the other EIPs"
    )]
    Pool {
        /// The prefix.
        source_prefix: String,
        /// The EIP's address that is used.
        winner: IpAddr,
    },
    /// Targets of unequal weight.
    #[error(
        "UnsupportedByDataplane: OVN shares connections evenly: give all targets the same weight"
    )]
    Weights,
    /// All ports of one protocol.
    #[error(
        "UnsupportedByDataplane: OVN forwards ports one by one: name ports instead of \"*\", or use a FIP"
    )]
    AllPorts,
    /// A long range.
    #[error(
        "UnsupportedByDataplane: OVN forwards ports one by one, at most {VIPS_MAX} by one DNAT, here {0}"
    )]
    TooManyPorts(u32),
    /// A row that is not ours does the same.
    #[error(
        "AddressInUse: row {0} of the northbound database, which is not Sluice's, translates it: remove that row"
    )]
    Foreign(RowId),
}

impl Compiled {
    /// Takes away the rows that stand against rows of others, as what OVN does of two is not
    /// defined. Those of others stay.
    #[must_use]
    pub fn beside(mut self, foreign: &[Foreign]) -> Self {
        let taken: BTreeMap<RowId, RowId> = self
            .rows
            .iter()
            .filter_map(|(id, row)| {
                let other = foreign.iter().find(|other| other.is_against(row))?;
                Some((*id, other.id))
            })
            .collect();
        for (id, other) in taken {
            self.rows.remove(&id);
            if let Some(key) = self.keys.remove(&id) {
                self.refused.insert(key, Refused::Foreign(other));
            }
        }
        self
    }
}

/// Compiles entries. The order in which they come does not matter.
#[must_use]
pub fn rows<'a>(entries: impl IntoIterator<Item = &'a Entry>, place: &Place) -> Compiled {
    let entries: BTreeSet<&Entry> = entries.into_iter().collect();
    let mut compiled = Compiled::default();
    let winners = winners(&entries);
    for entry in entries {
        match row(entry, place, &winners) {
            Ok(Some(row)) => {
                let id = RowId::of(&place.gateway, &place.router, &entry.key());
                compiled.keys.insert(id, entry.key());
                compiled.rows.insert(id, row);
            }
            Ok(None) => {}
            Err(refused) => {
                compiled.refused.insert(entry.key(), refused);
            }
        }
    }
    compiled
}

/// The address that each prefix leaves with: the first in the entries' order.
fn winners<'a>(entries: &BTreeSet<&'a Entry>) -> BTreeMap<&'a ipnet::IpNet, IpAddr> {
    let mut winners = BTreeMap::new();
    for entry in entries {
        if let Body::Snat {
            source,
            address,
            per_source: None,
        } = &entry.body
        {
            winners.entry(source).or_insert(*address);
        }
    }
    winners
}

fn row(
    entry: &Entry,
    place: &Place,
    winners: &BTreeMap<&ipnet::IpNet, IpAddr>,
) -> Result<Option<Row>, Refused> {
    let nat = |kind, external_ip: &IpAddr, logical_ip: String| {
        Row::Nat(Nat {
            kind,
            external_ip: *external_ip,
            logical_ip,
            gateway_port: Some(place.gateway_port),
            external_ids: external_ids(entry, place),
        })
    };
    match &entry.body {
        Body::Addr { .. } => Ok(None),
        Body::Shape { .. } => Err(Refused::Bandwidth),
        Body::Fip {
            address,
            inside,
            source,
        } => {
            let kind = if *source {
                NatKind::DnatAndSnat
            } else {
                NatKind::Dnat
            };
            Ok(Some(nat(kind, address, inside.to_string())))
        }
        Body::Snat {
            per_source: Some(_),
            ..
        } => Err(Refused::PortsPerSource),
        Body::Snat {
            source,
            address,
            per_source: None,
        } => match winners.get(source) {
            Some(winner) if winner != address => Err(Refused::Pool {
                source_prefix: source.to_string(),
                winner: *winner,
            }),
            Some(_) | None => {
                // A whole address is written without its length, as OVN's tools do.
                let whole = source.prefix_len() == source.max_prefix_len();
                let logical = if whole {
                    source.addr().to_string()
                } else {
                    source.to_string()
                };
                Ok(Some(nat(NatKind::Snat, address, logical)))
            }
        },
        Body::Dnat {
            address,
            protocol,
            ports,
            targets,
            inside_ports,
        } => {
            let vips = vips(*address, *ports, targets, *inside_ports)?;
            Ok(Some(Row::LoadBalancer(LoadBalancer {
                name: format!("sluice-{}-{address}", entry.uid),
                protocol: match protocol {
                    Protocol::TCP => "tcp",
                    Protocol::UDP => "udp",
                    Protocol::SCTP => "sctp",
                },
                vips,
                // Connections end with their target; VIPs outside of the router's networks are
                // answered for too.
                options: [("ct_flush", "true"), ("neighbor_responder", "all")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
                external_ids: external_ids(entry, place),
            })))
        }
    }
}

fn vips(
    address: IpAddr,
    ports: Ports,
    targets: &Targets,
    inside_ports: Ports,
) -> Result<BTreeMap<String, String>, Refused> {
    if ports == Ports::ALL {
        return Err(Refused::AllPorts);
    }
    if ports.count() > VIPS_MAX {
        return Err(Refused::TooManyPorts(ports.count()));
    }
    if !targets.is_even() {
        return Err(Refused::Weights);
    }
    let pairs = (ports.first()..=ports.last()).zip(inside_ports.first()..=inside_ports.last());
    Ok(pairs
        .map(|(port, inside)| {
            let backends: Vec<String> = targets.addresses().map(|a| socket(a, inside)).collect();
            (socket(address, port), backends.join(","))
        })
        .collect())
}

fn socket(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

fn external_ids(entry: &Entry, place: &Place) -> BTreeMap<String, String> {
    [
        (ids::GATEWAY, place.gateway.clone()),
        (ids::OWNER, entry.uid.to_string()),
        (ids::GENERATION, entry.generation.to_string()),
        (ids::DIGEST, entry.digest().to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests;
