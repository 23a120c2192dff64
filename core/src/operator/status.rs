//! Statuses as they are written: which differ, when they may be written, and
//! the patch.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use sluice_crds::condition::{ACCEPTED, EXHAUSTED, READY, Reason};
use sluice_crds::user::{
    EIPPoolStatus, EIPStatus, FamilyUsage, GatewayHolder, IpFamily, NATGatewayStatus, RuleStatus,
};

use super::Operator;
use super::action::{Action, StatusWrite, Target};
use super::event::{Key, Kind, Millis};
use super::ready::{Judgement, Said, accepted, said};
use super::subject::Subject;
use super::urgency::Urgency;
use super::world::{Meta, Record, cluster_key};
use crate::identity::Uid;

/// A holder that acknowledges later than this is behind.
const LAG_MS: u64 = 5_000;

/// A status of any user kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Typed {
    Eip(EIPStatus),
    Rule(RuleStatus),
    Gateway(NATGatewayStatus),
    Pool(EIPPoolStatus),
}

/// A status as it shall be.
struct Draft {
    new: Typed,
    old: Typed,
    ready: bool,
    pending: bool,
    /// Programmed, and not Ready for its rules.
    turning: bool,
    /// Nothing has been written for this object yet.
    first: bool,
    /// Whose holder makes it Ready.
    site: Option<Uid>,
    /// See [`Judgement::rests_on`].
    rests_on: Option<i64>,
}

impl Draft {
    /// Whether what stands says Ready.
    fn was_ready(&self) -> bool {
        ready_of(&self.old).is_some_and(|c| c.status == "True")
    }

    /// Whether what stands says Ready and must not any more, or by another holder.
    fn corrects(&self) -> bool {
        let moved = match (&self.old, &self.new) {
            (Typed::Eip(old), Typed::Eip(new)) => old.holder != new.holder,
            _ => false,
        };
        self.was_ready() && (!self.ready || moved)
    }

    /// Whether it tells no more than a step on the way to Ready.
    fn is_step(&self) -> bool {
        self.pending && !self.ready && !self.was_ready()
    }

    fn is_accepted(&self) -> bool {
        conditions_of(&self.new)
            .iter()
            .any(|c| c.type_ == ACCEPTED && c.status == "True")
    }
}

impl Operator {
    pub(super) fn decide_status(&mut self, kind: Kind, key: &Key, now: Millis) {
        let subject = Subject::Status(kind, key.clone());
        let target = Target::Status(kind, key.clone());
        let action = self
            .due_status(kind, key, now)
            .map(|urgency| Action::WriteStatus {
                kind,
                key: key.clone(),
                urgency,
            });
        self.queue.set(&subject, target, action);
    }

    /// Until when a step on the way to Ready is not worth a write of its own.
    ///
    /// One write shall tell all if the holder reports soon, and no object takes
    /// more than two: the first, and Ready. So time counts from the publication,
    /// and where there is none yet, up to a limit, from when the step was first
    /// seen: what waits in our own queues is no news.
    fn patience(&mut self, uid: &Uid, draft: &Draft, now: Millis) -> Millis {
        let settings = &self.settings;
        let (after, most) = if draft.first {
            (settings.first_status_ms, settings.first_status_max_ms)
        } else if draft.is_accepted() {
            (settings.progress_ms, settings.progress_max_ms)
        } else {
            (settings.progress_ms, settings.first_status_max_ms)
        };
        let since = *self.held_back.entry(uid.clone()).or_insert(now);
        let most = since.0.saturating_add(most);
        let shown = draft
            .site
            .as_ref()
            .and_then(|site| self.sites.get(site)?.shown_at(draft.rests_on?));
        Millis(shown.map_or(most, |at| most.min(at.max(since).0.saturating_add(after))))
    }

    /// How urgently the object's status shall be written now, if so. Looks again
    /// by itself where it shall be later.
    fn due_status(&mut self, kind: Kind, key: &Key, now: Millis) -> Option<Urgency> {
        let (uid, _, _) = self.life_of(kind, key)?;
        if self
            .queue
            .under_way(&Target::Object(kind, key.clone()))
            .is_some()
        {
            return None;
        }
        let subject = Subject::Status(kind, key.clone());
        if matches!(kind, Kind::NATGateway | Kind::EIPPool)
            && let Some(at) = self.told.get(key)
        {
            let again = Millis(at.0.saturating_add(self.settings.gateway_status_ms));
            if now < again {
                self.wake(subject, again);
                return None;
            }
        }
        let draft = self.draft(kind, key, now, None)?;
        if let (Kind::EIP, Some(site)) = (
            kind,
            draft.site.as_ref().and_then(|s| self.sites.get_mut(s)),
        ) {
            if draft.turning {
                site.turning.insert(key.clone());
            } else {
                site.turning.remove(key);
            }
        }
        self.may_write(&uid, &draft, (kind, key), now)
            .then(|| Urgency::of_status(kind, draft.corrects()))
    }

    /// Whether a status is worth a write now, and confirmed where it says Ready.
    /// Looks again by itself where it may be later.
    fn may_write(
        &mut self,
        uid: &Uid,
        draft: &Draft,
        (kind, key): (Kind, &Key),
        now: Millis,
    ) -> bool {
        if draft.new == draft.old {
            self.held_back.remove(uid);
            return false;
        }
        if draft.is_step() {
            let until = self.patience(uid, draft, now);
            if now < until {
                self.wake(Subject::Status(kind, key.clone()), until);
                return false;
            }
        }
        match &draft.site {
            Some(site) if draft.ready => self.confirmed(site, draft.rests_on, (kind, key), now),
            _ => true,
        }
    }

    pub(super) fn write_status(
        &mut self,
        kind: Kind,
        key: &Key,
        now: Millis,
        wall: Timestamp,
    ) -> Option<StatusWrite> {
        if !self.world.all_listed() {
            return None;
        }
        let draft = self.draft(kind, key, now, Some(wall))?;
        let (uid, resource_version, _) = self.life_of(kind, key)?;
        if !self.may_write(&uid, &draft, (kind, key), now) {
            return None;
        }
        self.announce_later(kind, key, &uid, &draft);
        if matches!(kind, Kind::NATGateway | Kind::EIPPool) {
            self.told.insert(key.clone(), now);
        }
        self.held_back.remove(&uid);
        Some(StatusWrite {
            uid,
            resource_version,
            status: patch(&draft.old, &draft.new),
        })
    }

    fn announce_later(&mut self, kind: Kind, key: &Key, uid: &Uid, draft: &Draft) {
        let (old, new) = (ready_of(&draft.old), ready_of(&draft.new));
        let Some(new) = new else { return };
        let was = old.map(|c| c.status.as_str());
        // That a fresh object is not Ready yet is no news.
        if was == Some(new.status.as_str()) || (new.status != "True" && was != Some("True")) {
            return;
        }
        let gateway = match kind {
            Kind::NATGateway => Some(key.clone()),
            Kind::EIPPool => None,
            _ => self
                .views
                .eips
                .get(&match kind {
                    Kind::EIP => key.clone(),
                    _ => self
                        .views
                        .rules
                        .get(&(kind, key.clone()))
                        .map(|v| v.eip.clone())
                        .unwrap_or_default(),
                })
                .map(|v| v.gateway.clone()),
        };
        let addresses = match &draft.new {
            Typed::Eip(s) => format!(
                "ipv4={} ipv6={}: ",
                s.ipv4.as_deref().unwrap_or("-"),
                s.ipv6.as_deref().unwrap_or("-")
            ),
            _ => String::new(),
        };
        self.announcer.prepare(
            kind,
            key,
            super::announce::Change {
                uid: uid.clone(),
                gateway,
                ready: new.status == "True",
                message: format!("{addresses}{}: {}", new.reason, new.message),
            },
        );
    }

    fn draft(&self, kind: Kind, key: &Key, now: Millis, wall: Option<Timestamp>) -> Option<Draft> {
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
            since: self
                .lease_of(uid)
                .and_then(|l| l.acquire_time.parse().ok())
                .map(Time),
        })
    }

    fn draft_pool(&self, key: &Key, wall: Option<Timestamp>) -> Option<Draft> {
        let pool = self.world.pools.get(key)?;
        let view = self.views.pools.get(&key.name)?;
        let mut used = [0i64; 2];
        for name in self.world.claims_by_pool.of(&key.name) {
            let claim = self.world.claims.get(&cluster_key(name))?;
            match claim.spec.address.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => used[0] += 1,
                Ok(IpAddr::V6(_)) => used[1] += 1,
                Err(_) => {}
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
        let full: Vec<&str> = [("IPv4", &ipv4), ("IPv6", &ipv6)]
            .into_iter()
            .filter(|(_, u)| {
                u.as_ref().is_some_and(|u| {
                    u.total
                        .parse::<u128>()
                        .is_ok_and(|t| u128::try_from(u.used).is_ok_and(|used| used >= t))
                })
            })
            .map(|(name, _)| name)
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

fn ready_of(status: &Typed) -> Option<&Condition> {
    conditions_of(status).iter().find(|c| c.type_ == READY)
}

/// The merge-patch that makes the new status of the old one.
fn patch(old: &Typed, new: &Typed) -> Value {
    let fields = |status: &Typed| match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (old, new) = (fields(old), fields(new));
    let mut patch = Map::new();
    for name in old.keys() {
        if !new.contains_key(name) {
            patch.insert(name.clone(), Value::Null);
        }
    }
    for (name, value) in new {
        if old.get(&name) != Some(&value) {
            patch.insert(name, value);
        }
    }
    Value::Object(patch)
}
