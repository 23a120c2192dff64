//! A gateway: its settings, and whether they resolve.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sluice_crds::NATGateway;
use sluice_crds::address::{InterfaceAddress, Prefix, parse_host, parse_next_hop};
use sluice_crds::condition::Reason;
use sluice_crds::internal::{
    ClaimPhase, ConfigLan, ConfigNeighbours, ConfigRoute, ConfigSettings, ConfigSubnet,
    ConfigUplink,
};
use sluice_crds::user::{FlowLog, Lan, MacPolicy, MssClamp, NamespacesFromKind, Neighbours};

use super::super::event::Key;
use super::super::verdict::{Resolved, Verdict, refuse};
use super::super::world::{Meta, Record, World, attachment_key, cluster_key};
use super::allowed::namespace_allowed;
use crate::identity::Uid;

/// What was decided about a gateway.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GatewayView {
    pub uid: Uid,
    pub generation: i64,
    pub verdict: Verdict,
    /// Being deleted, and nothing stands in the way any more.
    pub teardown: bool,
    /// Being deleted, or about to be.
    pub deleting: bool,
    /// Inside addresses that it must hold, with their network's claim prefix.
    pub lan: Vec<LanAddress>,
    /// All that the agent must know but the entries; `lan.addresses` are in it
    /// whether or not they are claimed yet.
    pub settings: Option<ConfigSettings>,
}

/// An inside address of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LanAddress {
    /// `lan.<namespace>.<attachment>`.
    pub network: String,
    /// The address.
    pub address: IpAddr,
}

/// Decides about a gateway.
pub(crate) fn resolve(world: &World, gateway: &NATGateway) -> GatewayView {
    let key = gateway.key();
    let deleting = gateway.deleting();
    let used = deleting && users(world, &key, &gateway.uid()).next().is_some();
    let namespace_goes = world
        .namespace(&key.namespace)
        .is_some_and(|n| n.terminating);
    let mut view = GatewayView {
        uid: gateway.uid(),
        generation: gateway.generation(),
        verdict: Verdict::accepted(),
        teardown: deleting && (!used || namespace_goes),
        deleting,
        lan: Vec::new(),
        settings: None,
    };
    let lan = resolve_lan(world, &key, gateway.spec.lan.as_ref());
    let uplinks = resolve_uplinks(world, gateway, &key);
    let (mss_clamp, bad) = match gateway.spec.mss_clamp.as_ref() {
        None => (None, None),
        Some(field) => match MssClamp::from_field(field) {
            Some(clamp) => (Some(clamp), None),
            None => {
                let message = format!(
                    "spec.mssClamp: {field:?} is no size of segments; write Auto, or a number of 536 to 65495"
                );
                (None, Some(Verdict::refused(Reason::Invalid, message)))
            }
        },
    };
    match (lan, uplinks) {
        (Ok((lan, addresses)), (uplinks, problem)) => {
            view.lan = addresses;
            view.settings = Some(ConfigSettings {
                lan,
                uplinks,
                ping_eips: gateway.spec.ping_eips,
                mss_clamp: mss_clamp.map(|clamp| clamp.to_string()),
                flow_log: gateway.spec.flow_log == FlowLog::Stdout,
                neighbours: neighbours(gateway.spec.neighbours.as_ref()),
                // Nodes are those of the Pods, which come and go: they are added when it
                // is published.
                nodes: Vec::new(),
            });
            if let Some(problem) = problem.or(bad) {
                view.verdict = problem;
            }
        }
        (Err(refusal), _) => view.verdict = refusal,
    }
    view
}

/// The EIPs that a gateway which is being deleted waits for: those that it had
/// given addresses to before. It takes no others.
pub(crate) fn users<'w>(
    world: &'w World,
    key: &'w Key,
    uid: &'w Uid,
) -> impl Iterator<Item = &'w Key> {
    world.eips_by_gateway.of(key).filter(|eip| {
        let eip = world.eips.get(eip);
        eip.is_some_and(|eip| has_addresses(world, &eip.uid(), uid))
    })
}

/// Whether an EIP has an address that a gateway may program.
pub(super) fn has_addresses(world: &World, eip: &Uid, gateway: &Uid) -> bool {
    world.claims_by_owner.of(eip).any(|name| {
        let claim = world.claims.get(&cluster_key(name));
        claim.is_some_and(|claim| {
            claim.spec.phase == ClaimPhase::Bound && claim.spec.gateway_uid == gateway.as_str()
        })
    })
}

/// How next hops are watched; what cannot be read is the default.
fn neighbours(spec: Option<&Neighbours>) -> ConfigNeighbours {
    let default = ConfigNeighbours::default();
    let Some(spec) = spec else { return default };
    let digits = spec.probe_interval.strip_suffix('s');
    let secs = digits.and_then(|digits| digits.parse::<i64>().ok());
    ConfigNeighbours {
        repair: spec.mac_policy == MacPolicy::Repair,
        probe_secs: secs.unwrap_or(default.probe_secs).clamp(1, 60),
    }
}

/// The inside network, and the addresses on it that the gateway claims.
fn resolve_lan(
    world: &World,
    key: &Key,
    lan: Option<&Lan>,
) -> Resolved<(ConfigLan, Vec<LanAddress>)> {
    let routes = lan.map_or(Ok(Vec::new()), resolve_routes)?;
    let Some((lan, text)) = lan.and_then(|lan| Some((lan, lan.network_attachment.as_ref()?)))
    else {
        let own = ConfigLan {
            interface: "eth0".to_owned(),
            addresses: Vec::new(),
            routes,
        };
        return Ok((own, Vec::new()));
    };
    let (addresses, claims) = resolve_next_hops(world, &attachment_key(text, &key.namespace), lan)?;
    let attached = ConfigLan {
        interface: lan.interface.clone(),
        addresses,
        routes,
    };
    Ok((attached, claims))
}

/// The inside hosts' next hops on an attachment.
fn resolve_next_hops(
    world: &World,
    attachment: &Key,
    lan: &Lan,
) -> Resolved<(Vec<String>, Vec<LanAddress>)> {
    let named = format!(
        "NetworkAttachmentDefinition {}/{}",
        attachment.namespace, attachment.name
    );
    let Some(facts) = world.attachments.get(attachment) else {
        return refuse(
            Reason::AttachmentNotFound,
            format!(
                "spec.lan.networkAttachment: {named} does not exist; create it or name another"
            ),
        );
    };
    let from_ipam = lan.addresses.is_empty();
    let texts = if from_ipam {
        &facts.gateways
    } else {
        &lan.addresses
    };
    if texts.is_empty() {
        let why = facts
            .error
            .as_deref()
            .unwrap_or("its IPAM names no gateway");
        return refuse(
            Reason::Invalid,
            format!(
                "spec.lan.addresses: not set, and {named} does not tell the pods' next hop ({why}); set spec.lan.addresses, for example 10.244.0.254/16"
            ),
        );
    }
    let mut addresses = Vec::new();
    let mut claims = Vec::new();
    for text in texts {
        let parsed: InterfaceAddress = text.parse().map_err(|e| {
            let field = if from_ipam {
                &named
            } else {
                "spec.lan.addresses"
            };
            Verdict::refused(Reason::Invalid, format!("{field}: {e}"))
        })?;
        addresses.push(parsed.to_string());
        claims.push(LanAddress {
            network: format!("lan.{}.{}", attachment.namespace, attachment.name),
            address: parsed.address(),
        });
    }
    Ok((addresses, claims))
}

fn resolve_routes(lan: &Lan) -> Resolved<Vec<ConfigRoute>> {
    let mut routes = Vec::new();
    for (i, route) in lan.routes.iter().enumerate() {
        let invalid = |field: &str, e: &dyn std::fmt::Display| {
            Verdict::refused(
                Reason::Invalid,
                format!("spec.lan.routes[{i}].{field}: {e}"),
            )
        };
        let to: Prefix = route.to.parse().map_err(|e| invalid("to", &e))?;
        let via = parse_host(&route.via).map_err(|e| invalid("via", &e))?;
        routes.push(ConfigRoute {
            to: to.to_string(),
            via: via.to_string(),
        });
    }
    Ok(routes)
}

/// The uplinks with the subnets of the pools that exist and may be used, and
/// what is wrong with the others.
fn resolve_uplinks(
    world: &World,
    gateway: &NATGateway,
    key: &Key,
) -> (Vec<ConfigUplink>, Option<Verdict>) {
    let mut problem = None;
    let mut uplinks = Vec::new();
    for uplink in &gateway.spec.uplinks {
        let attachment = uplink.network_attachment.as_ref();
        let attachment = attachment.map(|text| attachment_key(text, &key.namespace));
        if let Some(attachment) = attachment
            && world.attachments.get(&attachment).is_none()
        {
            problem.get_or_insert_with(|| {
                Verdict::refused(
                    Reason::AttachmentNotFound,
                    format!(
                        "spec.uplinks[{}].networkAttachment: NetworkAttachmentDefinition {}/{} does not exist; create it or name another",
                        uplink.name, attachment.namespace, attachment.name
                    ),
                )
            });
        }
        let mut subnets = BTreeSet::new();
        let mut next_hops: BTreeMap<bool, (&str, IpAddr)> = BTreeMap::new();
        for name in &uplink.pools {
            let Some(pool) = world.pools.get(&cluster_key(name)) else {
                problem.get_or_insert_with(|| {
                    Verdict::refused(
                        Reason::PoolNotFound,
                        format!(
                            "spec.uplinks[{}].pools: EIPPool {name} does not exist; create it or remove it here",
                            uplink.name
                        ),
                    )
                });
                continue;
            };
            let allowed = pool.spec.allowed_namespaces.as_ref();
            if !namespace_allowed(world, allowed, NamespacesFromKind::All, "", &key.namespace) {
                problem.get_or_insert_with(|| {
                    Verdict::refused(
                        Reason::NotAllowed,
                        format!(
                            "spec.uplinks[{}].pools: EIPPool {name} may not be used by namespace {}; allow it in spec.allowedNamespaces there",
                            uplink.name, key.namespace
                        ),
                    )
                });
                continue;
            }
            for subnet in &pool.spec.subnets {
                let mut gateway = subnet.gateway.clone();
                let hop = gateway.as_deref().and_then(|g| parse_next_hop(g).ok());
                if let Some(hop) = hop {
                    let (first, known) = *next_hops
                        .entry(hop.is_ipv4())
                        .or_insert((name.as_str(), hop));
                    if known != hop {
                        // The way that was first stays.
                        gateway = None;
                        problem.get_or_insert_with(|| {
                            other_way(&uplink.name, (name, hop), (first, known))
                        });
                    }
                }
                subnets.insert(ConfigSubnet {
                    cidr: subnet.cidr.clone(),
                    gateway,
                });
            }
        }
        let own = uplink.address.clone().unwrap_or_default();
        uplinks.push(ConfigUplink {
            name: uplink.name.clone(),
            interface: uplink.interface.clone(),
            subnets: subnets.into_iter().collect(),
            ipv4: own.ipv4,
            ipv6: own.ipv6,
        });
    }
    (uplinks, problem)
}

fn other_way(uplink: &str, pool: (&str, IpAddr), first: (&str, IpAddr)) -> Verdict {
    Verdict::refused(
        Reason::Conflict,
        format!(
            "spec.uplinks[{uplink}].pools: EIPPool {} has next hop {} and EIPPool {} has {}, and an uplink has one per family, the first; give both the same gateway, or put one on another uplink",
            first.0, first.1, pool.0, pool.1
        ),
    )
}
