//! The way of a packet: rules that choose a table, and the longest prefix in it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Model, holds};

/// `RT_TABLE_MAIN`.
const MAIN: u32 = 254;

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Nowhere, and the sender is told.
    Unreachable,
    /// Out of an interface, to a next hop or to the destination itself.
    Link(String, Option<IpAddr>),
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its table.
    pub table: u32,
    /// Destinations.
    pub to: IpNet,
    /// Where it leads.
    pub hop: Hop,
}

/// A routing rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether it is for IPv4.
    pub v4: bool,
    /// The incoming interface; `lo` for what the gateway sends itself.
    pub interface: Option<String>,
    /// Mark and mask.
    pub mark: Option<(u32, u32)>,
    /// Sources.
    pub from: Option<IpNet>,
    /// The table to ask.
    pub table: u32,
}

impl Model {
    /// The route of a packet that came in by an interface, or by `lo`; `None` where there is
    /// none.
    pub(super) fn route(
        &self,
        interface: &str,
        mark: u32,
        from: IpAddr,
        to: IpAddr,
    ) -> Option<Hop> {
        let chosen = self.rules.iter().filter(|rule| {
            rule.v4 == to.is_ipv4()
                && rule
                    .interface
                    .as_deref()
                    .is_none_or(|name| name == interface)
                && rule.mark.is_none_or(|(wanted, mask)| mark & mask == wanted)
                && rule.from.is_none_or(|net| holds(&net, from))
        });
        let tables = chosen.map(|rule| rule.table).chain([MAIN]);
        tables
            .into_iter()
            .find_map(|table| self.in_table(table, to))
    }

    fn in_table(&self, table: u32, to: IpAddr) -> Option<Hop> {
        let fits = |route: &&Route| route.table == table && holds(&route.to, to);
        // An unreachable default is the last choice.
        let rank = |route: &&Route| (route.to.prefix_len(), route.hop != Hop::Unreachable);
        let best = self.routes.iter().filter(fits).max_by_key(rank)?;
        Some(best.hop.clone())
    }
}
