//! FIP, DNAT and SNAT: which of those on one EIP are accepted, and what each
//! asks of the kernel.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use sluice_crds::address::{DualAddress, Prefix, parse_hosts};
use sluice_crds::condition::Reason;
use sluice_crds::names::FINALIZER_PROGRAMMED;
use sluice_crds::user::{FIPSpec, SNATSpec};

use super::super::capability;
use super::super::event::{Key, Kind};
use super::super::verdict::{Resolved, Verdict, refuse};
use super::super::world::{Meta, Record, World, eips_of};
use super::Views;
use super::allowed::target_allowed;
use super::eip::EipView;
use super::forward::Forward;
use super::named::{one_gateway, usable};
use super::pods::{Followed, Missing, follow};
use super::rivals::Taken;
use crate::identity::Uid;

/// Age of an object: the older of two in conflict wins.
pub(crate) type Age = (i64, String, String, Kind);

/// What a rule asks, whatever addresses its EIP has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The whole address; of a Pod that has none, nothing.
    Fip(DualAddress),
    /// Some ports.
    Dnat(Forward),
    /// What prefixes send out, and how many connections each source may hold.
    Snat(Vec<Prefix>, Option<NonZeroU16>),
}

impl Ask {
    /// The inside addresses or prefixes that it names.
    pub(crate) fn inside(&self) -> Vec<Prefix> {
        match self {
            Ask::Fip(target) => target.iter().map(Prefix::host).collect(),
            Ask::Dnat(forward) => {
                let hosts = forward.hosts.iter().flat_map(|(host, _)| host.iter());
                hosts.map(Prefix::host).collect()
            }
            Ask::Snat(prefixes, _) => prefixes.clone(),
        }
    }

    /// The field that names one of [`Ask::inside`].
    fn field(&self, inside: Prefix) -> String {
        match self {
            Ask::Fip(_) => "spec.target.ips".to_owned(),
            Ask::Dnat(forward) => {
                let mut hosts = forward.hosts.iter();
                let at = hosts.position(|(host, _)| host.iter().any(|a| Prefix::host(a) == inside));
                format!("spec.targets[{}].ips", at.unwrap_or_default())
            }
            Ask::Snat(..) => "spec.sources".to_owned(),
        }
    }
}

/// What was decided about a rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RuleView {
    pub uid: Uid,
    /// The generation of what it asks, which its entries carry.
    pub generation: i64,
    pub created_secs: i64,
    pub age: Age,
    pub deleting: bool,
    /// The EIP that it names; of several, the first.
    pub eip: Key,
    /// The further EIPs of a SNAT.
    pub pool: Vec<Key>,
    /// The gateway that the EIP names.
    pub gateway: Option<Key>,
    /// What the rule and its EIP allow.
    pub own: Verdict,
    /// What another rule of the gateway takes away.
    pub conflict: Option<Verdict>,
    /// What it asks, where that can be read.
    pub ask: Option<Ask>,
    /// What it gets from Pods.
    pub followed: Followed,
    /// Pod addresses that older SNATs of the gateway have, and which.
    pub lost: BTreeMap<IpAddr, Key>,
}

impl RuleView {
    /// All EIPs that it names, in its order.
    pub(crate) fn eips(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.eip).chain(&self.pool)
    }

    /// What `Accepted` says.
    pub(crate) fn verdict(&self) -> &Verdict {
        match &self.conflict {
            Some(conflict) if self.own.ok => conflict,
            _ => &self.own,
        }
    }

    /// The inside addresses or prefixes that it stands for now.
    pub(crate) fn inside(&self) -> Vec<Prefix> {
        let mut inside = self.ask.as_ref().map_or_else(Vec::new, Ask::inside);
        inside.extend(self.pod_sources());
        inside
    }

    /// Addresses of selected Pods, but those that older SNATs have.
    pub(crate) fn pod_sources(&self) -> impl Iterator<Item = Prefix> {
        let all = self.followed.sources.keys();
        all.filter(|address| !self.lost.contains_key(address))
            .map(|address| Prefix::host(*address))
    }

    /// Why there is nothing to be translated, if so.
    pub(crate) fn missing(&self) -> Option<Missing> {
        if self.followed.missing.is_some() {
            return self.followed.missing.clone();
        }
        let left_out = self.followed.left_out(&self.lost)?;
        self.inside().is_empty().then(|| Missing {
            reason: Reason::NoSources,
            message: format!(
                "spec.podSelector: {left_out}; select other Pods, or delete those SNATs"
            ),
        })
    }

    /// Whether it takes part in the gateway at all.
    pub(crate) fn competes(&self) -> bool {
        self.own.ok && !self.deleting
    }
}

/// A rule's metadata and spec, of whatever kind.
struct Raw {
    view: RuleView,
    ask: Resolved<Ask>,
    finalized: bool,
}

fn raw<T: Meta + Record>(kind: Kind, rule: &T, eips: &[Key], ask: Resolved<Ask>) -> Raw {
    let key = rule.key();
    let (eip, pool) = eips
        .split_first()
        .map(|(a, b)| (a.clone(), b.to_vec()))
        .unwrap_or_default();
    Raw {
        finalized: rule.finalizers().iter().any(|f| f == FINALIZER_PROGRAMMED),
        view: RuleView {
            uid: rule.uid(),
            generation: rule.asked_generation(),
            created_secs: rule.created_secs(),
            age: (rule.created_secs(), key.namespace, key.name, kind),
            deleting: rule.deleting(),
            eip,
            pool,
            gateway: None,
            own: Verdict::accepted(),
            conflict: None,
            ask: None,
            followed: Followed::default(),
            lost: BTreeMap::new(),
        },
        ask,
    }
}

fn fip(spec: &FIPSpec) -> Resolved<Ask> {
    parse_hosts(&spec.target.ips)
        .map(Ask::Fip)
        .map_err(|e| Verdict::refused(Reason::Invalid, format!("spec.target.ips: {e}")))
}

fn snat(spec: &SNATSpec) -> Resolved<Ask> {
    let mut prefixes = Vec::new();
    for (i, source) in spec.sources.iter().enumerate() {
        let prefix: Prefix = source
            .parse()
            .map_err(|e| Verdict::refused(Reason::Invalid, format!("spec.sources[{i}]: {e}")))?;
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    let limit = |n| u16::try_from(n).ok().and_then(NonZeroU16::new);
    let per_source = match spec.ports_per_source {
        Some(n) => Some(limit(n).ok_or_else(|| {
            let message = format!("spec.portsPerSource: {n} is no limit; write 1 to 64512");
            Verdict::refused(Reason::Invalid, message)
        })?),
        None => None,
    };
    Ok(Ask::Snat(prefixes, per_source))
}

/// Decides about all rules that name one EIP: the oldest first, each against
/// the accepted ones before it. What rules of other EIPs take away is decided
/// per gateway.
pub(crate) fn resolve(world: &World, views: &Views, eip: &Key) -> Vec<((Kind, Key), RuleView)> {
    let one = std::slice::from_ref(eip);
    let mut rules: Vec<((Kind, Key), Raw)> = world
        .rules_by_eip
        .of(eip)
        .filter_map(|(kind, key)| {
            let raw = match kind {
                Kind::FIP => world
                    .fips
                    .get(key)
                    .map(|r| raw(*kind, r, one, fip(&r.spec))),
                Kind::DNAT => world
                    .dnats
                    .get(key)
                    .map(|r| raw(*kind, r, one, Forward::read(&r.spec).map(Ask::Dnat))),
                Kind::SNAT => world
                    .snats
                    .get(key)
                    .map(|r| raw(*kind, r, &eips_of(r), snat(&r.spec))),
                _ => None,
            };
            Some(((*kind, key.clone()), raw?))
        })
        .collect();
    rules.sort_by(|(_, a), (_, b)| a.view.age.cmp(&b.view.age));
    let mut taken = Taken::default();
    rules
        .into_iter()
        .map(|(name, raw)| {
            let mut view = raw.view;
            view.gateway = views.eips.get(&view.eip).map(|e| e.gateway.clone());
            match raw.ask.and_then(|mut ask| {
                check(world, views, &view, &name.1, raw.finalized, &ask)?;
                let followed = follow(world, views, &view, &name, &mut ask)?;
                // One that is being deleted is out of the way at once.
                if !view.deleting {
                    taken.take(&name.1, &ask)?;
                }
                Ok((ask, followed))
            }) {
                Ok((ask, followed)) => {
                    view.ask = Some(ask);
                    view.followed = followed;
                }
                Err(refusal) => view.own = refusal,
            }
            (name, view)
        })
        .collect()
}

/// What the EIPs of a rule and their gateway allow. The first reason in the
/// rule's own order of EIPs counts, whichever of them is looked at.
fn check(
    world: &World,
    views: &Views,
    asked: &RuleView,
    rule: &Key,
    finalized: bool,
    ask: &Ask,
) -> Resolved<()> {
    let usable = asked
        .eips()
        .map(|eip| usable(views, eip, finalized, ask).map(|view| (eip, view)));
    let eips = usable.collect::<Resolved<Vec<(&Key, &EipView)>>>()?;
    let Some((eip, view)) = eips.first().copied() else {
        return refuse(Reason::Invalid, "spec.eips: none is named; name one");
    };
    one_gateway(&eips)?;
    let targets = ask.inside();
    for target in &targets {
        if !eips
            .iter()
            .any(|(_, v)| v.families.contains(&target.family()))
        {
            return no_such_family(&ask.field(*target), *target, &eips);
        }
    }
    let Some(gateway) = world.gateways.get(&view.gateway) else {
        return refuse(
            Reason::EIPNotAccepted,
            format!("spec.eip: the gateway of EIP {} does not exist", eip.name),
        );
    };
    capability::of(gateway).rule(&view.gateway, ask, eips.len())?;
    for target in targets {
        if !target_allowed(
            world,
            gateway,
            &view.gateway.namespace,
            &rule.namespace,
            target,
        ) {
            return refuse(
                Reason::TargetNotAllowed,
                format!(
                    "{}: NATGateway {}/{} does not let rules of namespace {} point at {}; cover it by spec.allowedTargets[].cidrs there",
                    ask.field(target),
                    view.gateway.namespace,
                    view.gateway.name,
                    rule.namespace,
                    show(target)
                ),
            );
        }
    }
    Ok(())
}

fn no_such_family(field: &str, target: Prefix, eips: &[(&Key, &EipView)]) -> Resolved<()> {
    let names: Vec<&str> = eips.iter().map(|(eip, _)| eip.name.as_str()).collect();
    let mut families: Vec<String> = Vec::new();
    for family in eips.iter().flat_map(|(_, view)| &view.families) {
        let family = format!("{family:?}");
        if !families.contains(&family) {
            families.push(family);
        }
    }
    refuse(
        Reason::FamilyMismatch,
        format!(
            "{field}: {} is {:?}, and EIP {} has {} only; remove it or give the EIP both families",
            show(target),
            target.family(),
            names.join(", "),
            families.join(" and ")
        ),
    )
}

fn show(target: Prefix) -> String {
    if target == Prefix::host(target.network()) {
        target.network().to_string()
    } else {
        target.to_string()
    }
}

/// Names of rules that hold an EIP: those that have been taken up.
pub(crate) fn holding(world: &World, eip: &Key) -> Vec<(Kind, Key)> {
    let finalized = |finalizers: &[String]| finalizers.iter().any(|f| f == FINALIZER_PROGRAMMED);
    world
        .rules_by_eip
        .of(eip)
        .filter(|(kind, key)| match kind {
            Kind::FIP => world
                .fips
                .get(key)
                .is_some_and(|r| finalized(r.finalizers())),
            Kind::DNAT => world
                .dnats
                .get(key)
                .is_some_and(|r| finalized(r.finalizers())),
            Kind::SNAT => world
                .snats
                .get(key)
                .is_some_and(|r| finalized(r.finalizers())),
            _ => false,
        })
        .cloned()
        .collect()
}
