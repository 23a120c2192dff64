//! A pool: what may be handed out of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use sluice_crds::address::{AddressRange, Prefix, parse_next_hop};
use sluice_crds::condition::Reason;
use sluice_crds::user::{EIPPoolSpec, IpFamily};

use super::super::ranges::Ranges;
use super::super::verdict::{Resolved, Verdict, refuse};
use super::super::world::{Meta, World};

/// What was decided about a pool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PoolView {
    /// Whether something new may be allocated from it.
    pub verdict: Verdict,
    /// What it was decided from: EIPs and gateways read whom it allows and its
    /// next hops there, and are decided anew when any of it changes.
    pub spec: EIPPoolSpec,
    /// Families of its subnets, that of the first subnet first.
    pub families: Vec<IpFamily>,
    /// What may be handed out.
    pub ranges: Ranges,
    /// How long a freed address rests, in milliseconds.
    pub cooldown_ms: u64,
    /// Whether it is being deleted: nothing new is handed out, and nothing rests.
    pub deleting: bool,
}

/// Decides about a pool; own addresses of uplinks are given by the caller.
pub(crate) fn resolve(world: &World, name: &str, own: &BTreeSet<IpAddr>) -> Option<PoolView> {
    let pool = world.pools.get(&super::super::world::cluster_key(name))?;
    let (ranges, mut verdict) = match ranges_of(&pool.spec) {
        Ok(ranges) => (ranges, Verdict::accepted()),
        Err(refusal) => (Ranges::default(), refusal),
    };
    if verdict.ok {
        verdict = overlap(world, name, &pool.spec.network, &ranges).unwrap_or(verdict);
    }
    if verdict.ok
        && let Some(address) = own.iter().find(|a| ranges.contains(**a))
    {
        verdict = Verdict::refused(
            Reason::Overlap,
            format!(
                "spec.subnets: {address} lies in the ranges and is the own address of a gateway's uplink; exclude it, or let the uplink's IPAM use other addresses"
            ),
        );
    }
    let mut families = Vec::new();
    for subnet in &pool.spec.subnets {
        if let Ok(prefix) = subnet.cidr.parse::<Prefix>()
            && !families.contains(&prefix.family())
        {
            families.push(prefix.family());
        }
    }
    Some(PoolView {
        verdict,
        spec: pool.spec.clone(),
        families,
        ranges,
        cooldown_ms: cooldown_ms(&pool.spec.cooldown),
        deleting: pool.deleting(),
    })
}

fn overlap(world: &World, name: &str, network: &str, ranges: &Ranges) -> Option<Verdict> {
    world
        .pools
        .iter()
        .filter(|(key, other)| key.name != name && other.spec.network == network)
        .find_map(|(key, other)| {
            let shared = ranges.first_shared(&ranges_of(&other.spec).ok()?)?;
            Some(Verdict::refused(
                Reason::Overlap,
                format!(
                    "spec.subnets: {shared} lies in the ranges of EIPPool {} of network {network} too; nothing new is allocated until one of them excludes it",
                    key.name
                ),
            ))
        })
}

/// The addresses that a pool may hand out.
pub(crate) fn ranges_of(spec: &EIPPoolSpec) -> Resolved<Ranges> {
    let invalid = |field: String, error: &dyn std::fmt::Display| {
        Verdict::refused(Reason::Invalid, format!("{field}: {error}"))
    };
    let mut all = Ranges::default();
    for (i, subnet) in spec.subnets.iter().enumerate() {
        let prefix: Prefix = subnet
            .cidr
            .parse()
            .map_err(|e| invalid(format!("spec.subnets[{i}].cidr"), &e))?;
        let parse = |texts: &[String], field: &str| -> Resolved<Vec<AddressRange>> {
            texts
                .iter()
                .enumerate()
                .map(|(k, text)| {
                    let range: AddressRange = text
                        .parse()
                        .map_err(|e| invalid(format!("spec.subnets[{i}].{field}[{k}]"), &e))?;
                    if range.lies_in(prefix) {
                        Ok(range)
                    } else {
                        refuse(
                            Reason::Invalid,
                            format!(
                                "spec.subnets[{i}].{field}[{k}]: {range} does not lie in {prefix}"
                            ),
                        )
                    }
                })
                .collect()
        };
        let mut ranges = Ranges::default();
        let given = parse(&subnet.ranges, "ranges")?;
        if given.is_empty() {
            ranges.add(prefix.into());
        }
        given.into_iter().for_each(|r| ranges.add(r));
        for excluded in parse(&subnet.exclude, "exclude")? {
            ranges.remove(excluded);
        }
        let gateway = match &subnet.gateway {
            Some(text) => Some(
                parse_next_hop(text)
                    .map_err(|e| invalid(format!("spec.subnets[{i}].gateway"), &e))?,
            ),
            None => None,
        };
        for address in [gateway, prefix.network_address(), prefix.broadcast()]
            .into_iter()
            .flatten()
        {
            ranges.remove(Prefix::host(address).into());
        }
        ranges.iter().for_each(|r| all.add(r));
    }
    Ok(all)
}

/// `60s` or `5m`; what cannot be read is the default.
fn cooldown_ms(text: &str) -> u64 {
    let number =
        |digits: &str, unit: u64| digits.parse::<u64>().ok().map(|n| n.saturating_mul(unit));
    text.strip_suffix('s')
        .and_then(|d| number(d, 1_000))
        .or_else(|| text.strip_suffix('m').and_then(|d| number(d, 60_000)))
        .unwrap_or(60_000)
        .min(86_400_000)
}
