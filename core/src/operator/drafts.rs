//! Statuses as they shall be, beside those that stand.

use super::Operator;
use super::event::{Key, Kind, Millis};
use super::ready::{Judgement, Said, accepted, said};
use super::world::{Meta, Record, cluster_key};
use crate::identity::Uid;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use sluice_crds::condition::{ACCEPTED, EXHAUSTED, READY, Reason};
use sluice_crds::internal::{ClaimOwnerKind, ClaimPhase};
use sluice_crds::user::{
    EIPPoolStatus, EIPStatus, FamilyUsage, GatewayHolder, IpFamily, NATGatewayStatus, RuleStatus,
};
use std::net::IpAddr;

/// A holder that acknowledges later than this is behind.
const LAG_MS: u64 = 5_000;
/// How many users the status of a gateway or a pool names.
const NAMED: usize = 5;

/// A status of any user kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Typed {
    Eip(EIPStatus),
    Rule(RuleStatus),
    Gateway(NATGatewayStatus),
    Pool(EIPPoolStatus),
}

/// A status as it shall be.
pub(crate) struct Draft {
    pub new: Typed,
    pub old: Typed,
    pub ready: bool,
    pub pending: bool,
    /// Programmed, and not Ready for its rules.
    pub turning: bool,
    /// Nothing has been written for this object yet.
    pub first: bool,
    /// Whose holder makes it Ready.
    pub site: Option<Uid>,
    /// See [`Judgement::rests_on`].
    pub rests_on: Option<i64>,
}

impl Draft {
    /// Whether what stands says Ready.
    pub(super) fn was_ready(&self) -> bool {
        ready_of(&self.old).is_some_and(|c| c.status == "True")
    }

    /// Whether what stands says Ready and must not any more, or by another holder.
    pub(super) fn corrects(&self) -> bool {
        let moved = match (&self.old, &self.new) {
            (Typed::Eip(old), Typed::Eip(new)) => old.holder != new.holder,
            _ => false,
        };
        self.was_ready() && (!self.ready || moved)
    }

    /// Whether it tells no more than a step on the way to Ready.
    pub(super) fn is_step(&self) -> bool {
        self.pending && !self.ready && !self.was_ready()
    }

    pub(super) fn is_accepted(&self) -> bool {
        conditions_of(&self.new)
            .iter()
            .any(|c| c.type_ == ACCEPTED && c.status == "True")
    }
}

impl Operator {
    pub(super) fn draft(
        &self,
        kind: Kind,
        key: &Key,
        now: Millis,
        wall: Option<Timestamp>,
    ) -> Option<Draft> {
        match kind {
            Kind::EIP => self.draft_eip(key, wall),
            Kind::FIP | Kind::DNAT | Kind::SNAT => self.draft_rule(kind, key, wall),
            Kind::NATGateway => self.draft_gateway(key, now, wall),
            Kind::EIPPool => self.draft_pool(key, wall),
            _ => None,
        }
    }

    fn draft_eip(&self, key: &Key, wall: Option<Timestamp>) -> Option<Draft> {
        let eip = self.world.eips.get(key)?;
        let view = self.views.eips.get(key)?;
        let judged = self.judge_eip(key)?;
        let old = eip.status.clone().unwrap_or_default();
        let new = EIPStatus {
            observed_generation: Some(eip.generation()),
            pool: view.pool.clone(),
            ip_families: view.families.clone(),
            ipv4: view.addresses.ipv4.map(|a| a.to_string()),
            ipv6: view.addresses.ipv6.map(|a| a.to_string()),
            holder: judged.holder.clone(),
            conditions: merge(&old.conditions, &judged, eip.generation(), wall),
        };
        Some(Draft {
            first: old.observed_generation.is_none(),
            ready: judged.is_ready(),
            // Addresses that are on their way are told with the first status.
            pending: judged.pending || view.allocating,
            turning: judged.turning,
            site: view.gateway_uid.clone(),
            rests_on: judged.rests_on,
            new: Typed::Eip(new),
            old: Typed::Eip(old),
        })
    }

    fn draft_rule(&self, kind: Kind, key: &Key, wall: Option<Timestamp>) -> Option<Draft> {
        let world = &self.world;
        let (old, generation) = match kind {
            Kind::FIP => world
                .fips
                .get(key)
                .map(|o| (o.status.clone(), o.generation())),
            Kind::DNAT => world
                .dnats
                .get(key)
                .map(|o| (o.status.clone(), o.generation())),
            Kind::SNAT => world
                .snats
                .get(key)
                .map(|o| (o.status.clone(), o.generation())),
            _ => None,
        }?;
        let judged = self.judge_rule(kind, key)?;
        let old = old.unwrap_or_default();
        let eip = &self.views.rules.get(&(kind, key.clone()))?.eip;
        let new = RuleStatus {
            observed_generation: Some(generation),
            conditions: merge(&old.conditions, &judged, generation, wall),
        };
        Some(Draft {
            first: old.observed_generation.is_none(),
            ready: judged.is_ready(),
            pending: judged.pending,
            turning: false,
            site: self.views.eips.get(eip).and_then(|v| v.gateway_uid.clone()),
            rests_on: judged.rests_on,
            new: Typed::Rule(new),
            old: Typed::Rule(old),
        })
    }

    fn draft_gateway(&self, key: &Key, now: Millis, wall: Option<Timestamp>) -> Option<Draft> {
        let gateway = self.world.gateways.get(key)?;
        let uid = gateway.uid();
        let site = self.sites.get(&uid);
        let lenient = site
            .and_then(|s| s.published_at)
            .is_some_and(|at| now.0 < at.0.saturating_add(LAG_MS));
        let judged = self.judge_gateway(key, lenient)?;
        let old = gateway.status.clone().unwrap_or_default();
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let acked = self
            .world
            .reports_by_gateway
            .of(&uid)
            .filter_map(|r| self.world.reports.get(r)?.status.as_ref())
            .filter(|s| {
                site.is_some_and(|site| {
                    site.history.proven(s.applied.as_ref()) == Some(site.history.current())
                })
            })
            .count();
        let new = NATGatewayStatus {
            observed_generation: Some(gateway.generation()),
            holder: site.and_then(|s| self.gateway_holder(&uid, s)),
            revision: site.and_then(|s| s.evidence.proven),
            replicas: count(self.world.pods_by_gateway.count(&uid)),
            ready_replicas: count(acked),
            eips: count(self.world.eips_by_gateway.count(key)),
            used_by: self
                .world
                .eips_by_gateway
                .of(key)
                .take(NAMED)
                .map(name_of)
                .collect(),
            conditions: merge(&old.conditions, &judged, gateway.generation(), wall),
        };
        Some(Draft {
            first: old.observed_generation.is_none(),
            ready: judged.is_ready(),
            pending: judged.pending,
            turning: false,
            site: Some(uid),
            rests_on: judged.rests_on,
            new: Typed::Gateway(new),
            old: Typed::Gateway(old),
        })
    }

    fn gateway_holder(&self, uid: &Uid, site: &super::site::Site) -> Option<GatewayHolder> {
        let (instance, term) = site.evidence.holder.named()?;
        let report = self
            .world
            .reports_by_gateway
            .of(uid)
            .filter_map(|key| self.world.reports.get(key))
            .find(|r| r.status.as_ref().is_some_and(|s| s.instance == instance));
        Some(GatewayHolder {
            instance: instance.to_owned(),
            pod: report
                .and_then(|r| r.metadata.name.clone())
                .unwrap_or_default(),
            node: report.map(|r| r.spec.node.clone()).unwrap_or_default(),
            term: term.transitions,
            // A Lease has microseconds, a status whole seconds.
            since: self
                .lease_of(uid)
                .and_then(|l| l.acquire_time.parse::<Timestamp>().ok())
                .and_then(|since| Timestamp::from_second(since.as_second()).ok())
                .map(Time),
            hosting: site.evidence.hosting.clone(),
        })
    }

    fn draft_pool(&self, key: &Key, wall: Option<Timestamp>) -> Option<Draft> {
        let pool = self.world.pools.get(key)?;
        let view = self.views.pools.get(&key.name)?;
        // All that are in use, and those that leave less of the present ranges.
        let mut used = [0i64; 2];
        let mut taken = [0i64; 2];
        let mut used_by: Vec<String> = Vec::new();
        for name in self.world.claims_by_pool.of(&key.name) {
            let claim = self.world.claims.get(&cluster_key(name))?;
            let Ok(address) = claim.spec.address.parse::<IpAddr>() else {
                continue;
            };
            let place = usize::from(address.is_ipv6());
            let within = i64::from(view.ranges.contains(address));
            if let (Some(used), Some(taken)) = (used.get_mut(place), taken.get_mut(place)) {
                *used += 1;
                *taken += within;
            }
            let owner = &claim.spec.owner;
            if used_by.len() < NAMED
                && claim.spec.phase == ClaimPhase::Bound
                && owner.kind == ClaimOwnerKind::EIP
            {
                let name = name_of(&Key {
                    namespace: owner.namespace.clone(),
                    name: owner.name.clone(),
                });
                if !used_by.contains(&name) {
                    used_by.push(name);
                }
            }
        }
        let usage = |family: IpFamily, used: i64| {
            view.families.contains(&family).then(|| FamilyUsage {
                total: view.ranges.count(family).to_string(),
                used,
            })
        };
        let [used4, used6] = used;
        let (ipv4, ipv6) = (usage(IpFamily::IPv4, used4), usage(IpFamily::IPv6, used6));
        let full: Vec<String> = IpFamily::BOTH
            .into_iter()
            .zip(taken)
            .filter(|(family, taken)| {
                view.families.contains(family)
                    && u128::try_from(*taken).is_ok_and(|t| t >= view.ranges.count(*family))
            })
            .map(|(family, _)| format!("{family:?}"))
            .collect();
        let exhausted = if full.is_empty() {
            said(
                EXHAUSTED,
                Some(false),
                Reason::AddressesLeft,
                "every family has a free address",
            )
        } else {
            let message = format!(
                "no free {} address; add ranges or delete EIPs",
                full.join(" and no free ")
            );
            said(EXHAUSTED, Some(true), Reason::Exhausted, message)
        };
        let mut verdict = view.verdict.clone();
        if pool.deleting() {
            verdict.reason = Reason::DeletionBlocked;
            verdict.message =
                "being deleted; it goes when no EIP has an address of it any more".to_owned();
        }
        let ready = if view.verdict.ok {
            said(READY, Some(true), Reason::Ready, "addresses are handed out")
        } else {
            said(
                READY,
                Some(false),
                Reason::NotAccepted,
                format!("not accepted: {}", view.verdict.reason),
            )
        };
        let judged = Judgement {
            conditions: vec![accepted(&verdict), ready, exhausted],
            holder: None,
            pending: false,
            turning: false,
            rests_on: None,
        };
        let old = pool.status.clone().unwrap_or_default();
        let new = EIPPoolStatus {
            observed_generation: Some(pool.generation()),
            ipv4,
            ipv6,
            used_by,
            conditions: merge(&old.conditions, &judged, pool.generation(), wall),
        };
        Some(Draft {
            first: old.observed_generation.is_none(),
            ready: false,
            pending: false,
            turning: false,
            site: None,
            rests_on: None,
            new: Typed::Pool(new),
            old: Typed::Pool(old),
        })
    }
}

fn name_of(key: &Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

/// The conditions as they shall stand: `lastTransitionTime` moves with the
/// status only.
fn merge(
    old: &[Condition],
    judged: &Judgement,
    generation: i64,
    wall: Option<Timestamp>,
) -> Vec<Condition> {
    judged
        .conditions
        .iter()
        .map(
            |Said {
                 type_,
                 status,
                 reason,
                 message,
             }| {
                let status = match status {
                    Some(true) => "True",
                    Some(false) => "False",
                    None => "Unknown",
                };
                let kept = old
                    .iter()
                    .find(|c| c.type_ == *type_ && c.status == status)
                    .map(|c| c.last_transition_time.clone());
                Condition {
                    type_: (*type_).to_owned(),
                    status: status.to_owned(),
                    reason: reason.clone(),
                    message: message.clone(),
                    last_transition_time: kept
                        .unwrap_or(Time(wall.unwrap_or(Timestamp::UNIX_EPOCH))),
                    observed_generation: Some(generation),
                }
            },
        )
        .collect()
}

fn conditions_of(status: &Typed) -> &[Condition] {
    match status {
        Typed::Eip(s) => &s.conditions,
        Typed::Rule(s) => &s.conditions,
        Typed::Gateway(s) => &s.conditions,
        Typed::Pool(s) => &s.conditions,
    }
}

pub(super) fn ready_of(status: &Typed) -> Option<&Condition> {
    conditions_of(status).iter().find(|c| c.type_ == READY)
}
