//! An EIP: its gateway, pool and families, and the addresses it has.

use std::net::IpAddr;

use sluice_crds::address::{DualAddress, parse_hosts};
use sluice_crds::condition::Reason;
use sluice_crds::internal::ClaimPhase;
use sluice_crds::user::{Bandwidth, IpFamily, IpFamilyPolicy, NamespacesFromKind, Rate};
use sluice_crds::{AddressClaim, EIP};

use super::super::capability;
use super::super::event::Key;
use super::super::verdict::{Resolved, Verdict, refuse};
use super::super::world::{Meta, Record, World, gateway_of};
use super::Views;
use super::allowed::namespace_allowed;
use super::gateway::has_addresses;
use super::pool::PoolView;
use crate::identity::Uid;

/// What was decided about an EIP.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EipView {
    pub uid: Uid,
    /// The generation of what it asks, which its entries carry.
    pub generation: i64,
    pub created_secs: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What `Accepted` says.
    pub verdict: Verdict,
    /// The gateway that it names.
    pub gateway: Key,
    /// UID of the gateway, where the EIP may use it.
    pub gateway_uid: Option<Uid>,
    /// Uplink of the gateway that its pool stands on.
    pub uplink: String,
    /// Where its addresses come from.
    pub pool: Option<String>,
    /// External network of the pool.
    pub network: String,
    /// Resolved families, the primary first.
    pub families: Vec<IpFamily>,
    /// Addresses asked for.
    pub requested: DualAddress,
    /// How fast its traffic may be: from outside, and to outside.
    pub limits: (Option<Rate>, Option<Rate>),
    /// Addresses that it has claimed.
    pub addresses: DualAddress,
    /// Those of them that its gateway may program.
    pub granted: DualAddress,
    /// Whether addresses are still to come.
    pub allocating: bool,
    /// The gateway that must give it up before its own may have it.
    pub leaving: Option<Key>,
}

struct Place {
    gateway_uid: Uid,
    uplink: String,
    pool: String,
    network: String,
    families: Vec<IpFamily>,
    requested: DualAddress,
    limits: (Option<Rate>, Option<Rate>),
}

/// Decides about an EIP, all but the allocation of what it lacks. It does not have
/// what `releasing` says is on its way back: another claim of that family counts. What
/// is on its way to the gateway that `handed_to` names is nobody's to program, nor is what
/// it is not `sure` to have.
pub(crate) fn resolve(
    world: &World,
    views: &Views,
    eip: &EIP,
    releasing: impl Fn(&AddressClaim) -> bool,
    handed_to: impl Fn(&AddressClaim) -> Option<Uid>,
    sure: impl Fn(&AddressClaim) -> bool,
) -> EipView {
    let key = eip.key();
    let gateway = gateway_of(eip);
    let mut view = EipView {
        uid: eip.uid(),
        generation: eip.asked_generation(),
        created_secs: eip.created_secs(),
        deleting: eip.deleting(),
        verdict: Verdict::accepted(),
        gateway: gateway.clone(),
        gateway_uid: None,
        uplink: String::new(),
        pool: eip.status.as_ref().and_then(|s| s.pool.clone()),
        network: String::new(),
        families: eip
            .status
            .as_ref()
            .map(|s| s.ip_families.clone())
            .unwrap_or_default(),
        requested: DualAddress::default(),
        limits: (None, None),
        addresses: DualAddress::default(),
        granted: DualAddress::default(),
        allocating: false,
        leaving: None,
    };
    match place(world, views, eip, &key, &gateway) {
        Ok(place) => {
            view.gateway_uid = Some(place.gateway_uid);
            view.uplink = place.uplink;
            view.pool = Some(place.pool);
            view.network = place.network;
            view.families = place.families;
            view.requested = place.requested;
            view.limits = place.limits;
        }
        Err(refusal) => view.verdict = refusal,
    }
    for name in world.claims_by_owner.of(&view.uid) {
        let Some(claim) = world
            .claims
            .get(&super::super::world::cluster_key(name))
            .filter(|c| c.spec.phase == ClaimPhase::Bound && !releasing(c))
        else {
            continue;
        };
        let Ok(address) = claim.spec.address.parse::<IpAddr>() else {
            continue;
        };
        if !view.families.is_empty()
            && !view
                .families
                .contains(&sluice_crds::address::family(address))
        {
            continue;
        }
        if !view.addresses.insert(address) {
            continue;
        }
        let Some(gateway) = &view.gateway_uid else {
            continue;
        };
        let elsewhere = handed_to(claim).filter(|to| to != gateway);
        let has_it = elsewhere.unwrap_or_else(|| Uid::new(&claim.spec.gateway_uid));
        if has_it != *gateway {
            view.leaving = world.gateways_by_uid.get(&has_it).cloned();
        } else if sure(claim) {
            view.granted.insert(address);
        }
    }
    view
}

fn place(world: &World, views: &Views, eip: &EIP, key: &Key, gateway_key: &Key) -> Resolved<Place> {
    let named = format!("NATGateway {}/{}", gateway_key.namespace, gateway_key.name);
    let (Some(gateway), Some(gateway_view)) = (
        world.gateways.get(gateway_key),
        views.gateways.get(gateway_key),
    ) else {
        return refuse(
            Reason::GatewayNotFound,
            format!("spec.gateway: {named} does not exist; create it or name another"),
        );
    };
    let late = || gateway_view.deleting && !has_addresses(world, &eip.uid(), &gateway_view.uid);
    if gateway_view.teardown || late() {
        return refuse(
            Reason::GatewayNotFound,
            format!("spec.gateway: {named} is being deleted; create it anew or name another"),
        );
    }
    if !namespace_allowed(
        world,
        gateway.spec.allowed_namespaces.as_ref(),
        NamespacesFromKind::Same,
        &gateway_key.namespace,
        &key.namespace,
    ) {
        return refuse(
            Reason::NotAllowed,
            format!(
                "spec.gateway: {named} does not serve EIPs of namespace {}; allow it in spec.allowedNamespaces there",
                key.namespace
            ),
        );
    }
    let status = eip.status.as_ref();
    let pool = eip
        .spec
        .pool
        .clone()
        .or_else(|| status.and_then(|s| s.pool.clone()))
        .or_else(|| gateway.spec.uplinks.first()?.pools.first().cloned())
        .unwrap_or_default();
    let Some(uplink) = gateway
        .spec
        .uplinks
        .iter()
        .find(|u| u.pools.contains(&pool))
    else {
        return refuse(
            Reason::PoolNotOnGateway,
            format!(
                "spec.pool: EIPPool {pool} is on no uplink of {named}; add it to spec.uplinks[].pools there or name another"
            ),
        );
    };
    let Some(pool_view) = views.pools.get(&pool) else {
        return refuse(
            Reason::PoolNotFound,
            format!("spec.pool: EIPPool {pool} does not exist; create it or name another"),
        );
    };
    let allowed = pool_view.spec.allowed_namespaces.as_ref();
    for namespace in [&key.namespace, &gateway_key.namespace] {
        if !namespace_allowed(world, allowed, NamespacesFromKind::All, "", namespace) {
            return refuse(
                Reason::NotAllowed,
                format!(
                    "spec.pool: EIPPool {pool} may not be used by namespace {namespace}; allow it in spec.allowedNamespaces there"
                ),
            );
        }
    }
    let requested = parse_hosts(&eip.spec.addresses)
        .map_err(|e| Verdict::refused(Reason::Invalid, format!("spec.addresses: {e}")))?;
    let families = families(eip, &pool, pool_view, requested)?;
    for address in requested.iter() {
        if !families.contains(&sluice_crds::address::family(address)) {
            return refuse(
                Reason::FamilyMismatch,
                format!(
                    "spec.addresses: {address} is of a family that the EIP does not have; set spec.ipFamilies or spec.ipFamilyPolicy to have both"
                ),
            );
        }
    }
    if let Some(given) = eip.spec.bandwidth.as_ref().and_then(limit) {
        capability::of(gateway).limits(gateway_key, &given)?;
    }
    Ok(Place {
        gateway_uid: gateway.uid(),
        uplink: uplink.name.clone(),
        pool,
        network: pool_view.spec.network.clone(),
        families,
        requested,
        limits: limits(eip)?,
    })
}

/// The first limit that there is, in words.
fn limit(bandwidth: &Bandwidth) -> Option<String> {
    let sides = [
        ("ingress", &bandwidth.ingress),
        ("egress", &bandwidth.egress),
    ];
    sides
        .into_iter()
        .find_map(|(side, rate)| Some(format!("{side} {}", rate.as_ref()?)))
}

/// What `spec.bandwidth` says, ingress first.
fn limits(eip: &EIP) -> Resolved<(Option<Rate>, Option<Rate>)> {
    let Some(bandwidth) = &eip.spec.bandwidth else {
        return Ok((None, None));
    };
    let rate = |field: &str, text: &Option<String>| {
        let rate = text.as_deref().map(Rate::parse).transpose();
        rate.map_err(|e| Verdict::refused(Reason::Invalid, format!("spec.bandwidth.{field}: {e}")))
    };
    Ok((
        rate("ingress", &bandwidth.ingress)?,
        rate("egress", &bandwidth.egress)?,
    ))
}

/// As in a Service: what is unset is resolved once, the primary stays.
fn families(
    eip: &EIP,
    pool: &str,
    view: &PoolView,
    requested: DualAddress,
) -> Resolved<Vec<IpFamily>> {
    let wanted = &eip.spec.ip_families;
    let policy = eip.spec.ip_family_policy.unwrap_or(if wanted.len() > 1 {
        IpFamilyPolicy::RequireDualStack
    } else {
        IpFamilyPolicy::SingleStack
    });
    let resolved = eip
        .status
        .as_ref()
        .map(|s| s.ip_families.as_slice())
        .unwrap_or_default();
    let primary = resolved
        .first()
        .or(wanted.first())
        .copied()
        .or_else(|| {
            (requested.iter().count() == 1)
                .then(|| requested.iter().next().map(sluice_crds::address::family))
                .flatten()
        })
        .or(view.families.first().copied())
        .unwrap_or(IpFamily::IPv4);
    let secondary = match primary {
        IpFamily::IPv4 => IpFamily::IPv6,
        IpFamily::IPv6 => IpFamily::IPv4,
    };
    let has = |family: IpFamily| view.families.contains(&family) || resolved.contains(&family);
    let missing = |family: IpFamily| {
        refuse(
            Reason::FamilyMismatch,
            format!(
                "spec.ipFamilies: EIPPool {pool} has no {family:?} subnet; add one there, or do not ask for {family:?}"
            ),
        )
    };
    match policy {
        _ if !has(primary) && (policy != IpFamilyPolicy::PreferDualStack || !has(secondary)) => {
            missing(primary)
        }
        IpFamilyPolicy::SingleStack => Ok(vec![primary]),
        IpFamilyPolicy::PreferDualStack => Ok([primary, secondary]
            .into_iter()
            .filter(|f| has(*f))
            .collect()),
        IpFamilyPolicy::RequireDualStack if !has(secondary) => missing(secondary),
        IpFamilyPolicy::RequireDualStack => Ok(vec![primary, secondary]),
    }
}
