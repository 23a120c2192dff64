//! Programmed and Ready, from the holder's report and nothing else. No module
//! but this and its own says anything about Ready.

mod gateway;

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sluice_crds::condition::{ACCEPTED, PROGRAMMED, READY, Reason};
use sluice_crds::user::HolderRef;

use super::Operator;
use super::event::{Key, Kind};
use super::lease::Holder;
use super::resolve::eip::EipView;
use super::resolve::rules::holding;
use super::site::Site;
use super::verdict::Verdict;
use crate::identity::Uid;

/// One condition as it shall stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub type_: &'static str,
    /// `None`: Unknown.
    pub status: Option<bool>,
    pub reason: String,
    pub message: String,
}

/// What is said of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub conditions: Vec<Said>,
    /// Who makes it Ready; only with Ready=True.
    pub holder: Option<HolderRef>,
    /// Whether it may change by itself within a moment.
    pub pending: bool,
    /// Programmed, and not Ready until its rules are covered.
    pub turning: bool,
    /// The generation of the header that brought the last of what counts for
    /// it, where all of that is published.
    pub rests_on: Option<i64>,
}

impl Judgement {
    /// Whether it says Ready=True.
    pub(crate) fn is_ready(&self) -> bool {
        self.conditions
            .iter()
            .any(|c| c.type_ == READY && c.status == Some(true))
    }
}

/// What is said beyond `Accepted`.
struct Rest {
    conditions: Vec<Said>,
    holder: Option<HolderRef>,
    pending: bool,
}

/// Why something is not programmed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lack {
    /// The holder has not reported it yet.
    Pending,
    /// Nobody holds the gateway.
    NoHolder,
    /// The holder's Lease has expired.
    Lost,
    /// The holder is not active at its term yet.
    Passive,
    /// The kernel refused it.
    Rejected(String),
}

impl Lack {
    /// Whether it may be gone within a moment: a holder is alive, and has not
    /// said no.
    fn passes(&self) -> bool {
        match self {
            Lack::Pending | Lack::Passive => true,
            Lack::NoHolder | Lack::Lost | Lack::Rejected(_) => false,
        }
    }
}

pub(crate) fn said(
    type_: &'static str,
    status: Option<bool>,
    reason: impl ToString,
    message: impl Into<String>,
) -> Said {
    Said {
        type_,
        status,
        reason: reason.to_string(),
        message: message.into(),
    }
}

pub(crate) fn accepted(verdict: &Verdict) -> Said {
    said(
        ACCEPTED,
        Some(verdict.ok),
        verdict.reason,
        verdict.message.clone(),
    )
}

const WAITING: &str = "waiting for the gateway's holder to report it";

impl Site {
    /// Whether all that an object asks is proved to be in the holder's kernel.
    fn programmed(&self, uid: &Uid) -> Result<(), Lack> {
        match &self.evidence.holder {
            Holder::Nobody => return Err(Lack::NoHolder),
            Holder::Lost { .. } => return Err(Lack::Lost),
            Holder::Held { .. } => {}
        }
        if !self.evidence.active {
            return Err(Lack::Passive);
        }
        let (Some(placed), Some(proven), Some(since)) = (
            self.desired.get(uid),
            self.evidence.proven,
            self.published_since(uid),
        ) else {
            return Err(Lack::Pending);
        };
        if since > proven {
            return Err(Lack::Pending);
        }
        for entry in &placed.entries {
            if let Some((digest, words)) = self.evidence.rejected.get(&entry.key())
                && *digest == entry.digest().short()
            {
                return Err(Lack::Rejected(words.clone()));
            }
        }
        Ok(())
    }

    /// The generation that brought the last of an object's lines, where the
    /// current header has what the object asks.
    fn published_since(&self, uid: &Uid) -> Option<i64> {
        let placed = self.desired.get(uid)?;
        let published = self.history.published(uid)?;
        let same = published.len() == placed.lines.len()
            && published
                .iter()
                .zip(&placed.lines)
                .all(|(p, l)| p.line == *l);
        same.then(|| published.iter().map(|p| p.generation).max())?
    }

    /// Whether every entry of an object in the current header has been applied,
    /// or refused by the kernel.
    fn covered(&self, uid: &Uid) -> bool {
        self.history.published(uid).is_none_or(|lines| {
            lines
                .iter()
                .all(|l| self.evidence.proven.is_some_and(|p| l.generation <= p))
        })
    }

    /// Why an address does not work, if so.
    fn unusable(&self, addresses: impl Iterator<Item = IpAddr>) -> Option<(String, String)> {
        let named = |reason: &str| {
            if reason.is_empty() {
                Reason::AddressNotUsable.to_string()
            } else {
                reason.to_owned()
            }
        };
        if let Some((reason, words)) = &self.evidence.blocked {
            return Some((named(reason), words.clone()));
        }
        let mut addresses = addresses;
        addresses.find_map(|a| {
            let (reason, words) = self.evidence.unusable.get(&a)?;
            Some((named(reason), format!("{a}: {words}")))
        })
    }

    /// The current holder, as an EIP's status names it.
    pub(crate) fn holder_ref(&self) -> Option<HolderRef> {
        match &self.evidence.holder {
            Holder::Held { instance, term } => Some(HolderRef {
                instance: instance.clone(),
                term: term.transitions,
                lease_uid: term.lease_uid.to_string(),
            }),
            Holder::Nobody | Holder::Lost { .. } => None,
        }
    }
}

/// Programmed and Ready for what lacks something.
fn lacking(lack: &Lack, holder_changed: bool) -> [Said; 2] {
    let not_programmed = Reason::NotProgrammed;
    match lack {
        Lack::Pending => [
            said(PROGRAMMED, Some(false), Reason::Pending, WAITING),
            said(READY, Some(false), not_programmed, WAITING),
        ],
        Lack::Passive if holder_changed => {
            let words = "the gateway has a new holder, which has not reported it yet";
            [
                said(PROGRAMMED, Some(false), Reason::Pending, WAITING),
                said(READY, Some(false), Reason::HolderChanged, words),
            ]
        }
        Lack::Passive => [
            said(PROGRAMMED, Some(false), Reason::Pending, WAITING),
            said(READY, Some(false), not_programmed, WAITING),
        ],
        Lack::NoHolder => {
            let words = "no instance holds the gateway; see its Pods and its Lease";
            [
                said(PROGRAMMED, Some(false), Reason::NoHolder, words),
                said(READY, Some(false), not_programmed, words),
            ]
        }
        Lack::Lost => {
            let words = "the gateway's holder has not renewed its Lease for its whole duration; whether it still answers is not known";
            [
                said(PROGRAMMED, None, Reason::HolderLost, words),
                said(READY, None, Reason::HolderLost, words),
            ]
        }
        Lack::Rejected(words) => {
            let words = format!("the kernel of the holder refused it: {words}");
            [
                said(PROGRAMMED, Some(false), Reason::Rejected, words.clone()),
                said(READY, Some(false), not_programmed, words),
            ]
        }
    }
}

fn not_accepted(verdict: &Verdict) -> Judgement {
    let words = format!("not accepted: {}", verdict.reason);
    Judgement {
        pending: matches!(
            verdict.reason,
            Reason::EIPNotFound
                | Reason::EIPNotAccepted
                | Reason::GatewayNotFound
                | Reason::PoolNotFound
        ),
        turning: false,
        conditions: vec![
            accepted(verdict),
            said(PROGRAMMED, Some(false), Reason::NotAccepted, words.clone()),
            said(READY, Some(false), Reason::NotAccepted, words),
        ],
        holder: None,
        rests_on: None,
    }
}

fn releasing(verdict: &Verdict) -> Judgement {
    let words = "being deleted: waiting until no instance holds it any more";
    Judgement {
        conditions: vec![
            accepted(verdict),
            said(PROGRAMMED, Some(false), Reason::Releasing, words),
            said(READY, Some(false), Reason::NotProgrammed, words),
        ],
        holder: None,
        pending: true,
        turning: false,
        rests_on: None,
    }
}

fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

impl Operator {
    /// What is said of an EIP.
    pub(super) fn judge_eip(&self, key: &Key) -> Option<Judgement> {
        let view = self.views.eips.get(key)?;
        let status = self.world.eips.get(key)?.status.as_ref();
        if !view.verdict.ok {
            return Some(not_accepted(&view.verdict));
        }
        let mut verdict = view.verdict.clone();
        if view.deleting {
            let rules = holding(&self.world, key);
            if rules.is_empty() {
                return Some(releasing(&verdict));
            }
            verdict.reason = Reason::DeletionBlocked;
            verdict.message = deletion_blocked(&rules);
        }
        let before = status.and_then(|s| s.holder.clone());
        let rest = self.eip_ready(
            key,
            view,
            before,
            status.map(|s| s.conditions.as_slice()).unwrap_or_default(),
        );
        let mut conditions = vec![accepted(&verdict)];
        conditions.extend(rest.conditions);
        Some(Judgement {
            turning: conditions
                .iter()
                .any(|c| c.type_ == PROGRAMMED && c.status == Some(true))
                && rest.holder.is_none(),
            rests_on: self.eip_rests_on(key, view, rest.holder.is_some()),
            conditions,
            holder: rest.holder,
            pending: rest.pending,
        })
    }

    /// The generation that an EIP rests on: that of its address, and of its
    /// rules while it turns Ready.
    fn eip_rests_on(&self, key: &Key, view: &EipView, ready: bool) -> Option<i64> {
        let site = self.sites.get(view.gateway_uid.as_ref()?)?;
        let own = site.published_since(&view.uid)?;
        let rules = self
            .world
            .rules_by_eip
            .of(key)
            .filter_map(|rule| site.history.published(&self.views.rules.get(rule)?.uid))
            .flatten()
            .map(|l| l.generation)
            // One that is Ready already does not wait for a rule that was added.
            .filter(|g| !ready || site.evidence.proven.is_some_and(|p| *g <= p));
        Some(rules.fold(own, i64::max))
    }

    fn eip_ready(
        &self,
        key: &Key,
        view: &EipView,
        before: Option<HolderRef>,
        conditions: &[Condition],
    ) -> Rest {
        let not_ready = |conditions: Vec<Said>, pending: bool| Rest {
            conditions,
            holder: None,
            pending,
        };
        let site = view
            .gateway_uid
            .as_ref()
            .and_then(|uid| self.sites.get(uid));
        let Some(site) = site else {
            return not_ready(lacking(&Lack::NoHolder, false).to_vec(), false);
        };
        let now = site.holder_ref();
        let ready = find(conditions, READY);
        let was_ready = ready.is_some_and(|c| c.status == "True");
        let changed = ready.is_some_and(|c| {
            c.reason == Reason::HolderChanged.as_str() || (c.status == "True" && before != now)
        });
        let proof = if view.allocating || view.granted != view.addresses {
            site.programmed(&view.uid).and(Err(Lack::Pending))
        } else {
            site.programmed(&view.uid)
        };
        if let Err(lack) = proof {
            return not_ready(lacking(&lack, changed).to_vec(), lack.passes());
        }
        let programmed = said(
            PROGRAMMED,
            Some(true),
            Reason::Programmed,
            "the holder's kernel has it",
        );
        if let Some((reason, words)) = site.unusable(view.granted.iter()) {
            let ready = said(READY, Some(false), reason, words);
            return not_ready(vec![programmed, ready], false);
        }
        let stays = was_ready && before.is_some() && before == now;
        let turns = stays
            || self.world.rules_by_eip.of(key).all(|rule| {
                self.views
                    .rules
                    .get(rule)
                    .is_none_or(|v| site.covered(&v.uid))
            });
        if !turns {
            let ready = said(READY, Some(false), Reason::NotProgrammed, WAITING);
            return not_ready(vec![programmed, ready], true);
        }
        let ready = said(
            READY,
            Some(true),
            Reason::Ready,
            "the gateway's holder answers for it",
        );
        Rest {
            conditions: vec![programmed, ready],
            holder: now,
            pending: false,
        }
    }

    /// What is said of a FIP, DNAT or SNAT.
    pub(super) fn judge_rule(&self, kind: Kind, key: &Key) -> Option<Judgement> {
        let rule = self.views.rules.get(&(kind, key.clone()))?;
        let verdict = rule.verdict();
        if !verdict.ok {
            return Some(not_accepted(verdict));
        }
        if rule.deleting {
            return Some(releasing(verdict));
        }
        let eip = self.views.eips.get(&rule.eip)?;
        let site = eip.gateway_uid.as_ref().and_then(|uid| self.sites.get(uid));
        let lack = match site {
            None => Some(Lack::NoHolder),
            Some(site) => site.programmed(&rule.uid).err(),
        };
        let mut conditions = vec![accepted(verdict)];
        let mut pending = false;
        match (lack, site) {
            (Some(lack), _) => {
                pending = lack.passes();
                conditions.extend(lacking(&lack, false));
            }
            (None, None) => {}
            (None, Some(site)) => {
                conditions.push(said(
                    PROGRAMMED,
                    Some(true),
                    Reason::Programmed,
                    "the holder's kernel has it",
                ));
                conditions.push(match site.programmed(&eip.uid) {
                    Err(lack) => {
                        pending = lack.passes();
                        said(
                            READY,
                            Some(false),
                            Reason::AddressNotUsable,
                            format!(
                                "EIP {} is not programmed; see its conditions",
                                rule.eip.name
                            ),
                        )
                    }
                    Ok(()) => match site.unusable(eip.granted.iter()) {
                        Some((reason, words)) => said(READY, Some(false), reason, words),
                        None => said(
                            READY,
                            Some(true),
                            Reason::Ready,
                            "the gateway's holder translates by it",
                        ),
                    },
                });
            }
        }
        Some(Judgement {
            conditions,
            holder: None,
            pending,
            turning: false,
            rests_on: site.and_then(|site| {
                let own = site.published_since(&rule.uid)?;
                Some(own.max(site.published_since(&eip.uid)?))
            }),
        })
    }
}

/// Names up to five of those that stand in the way.
fn deletion_blocked(by: &[(Kind, Key)]) -> String {
    let mut names: Vec<String> = by
        .iter()
        .take(5)
        .map(|(kind, key)| format!("{kind:?} {}/{}", key.namespace, key.name))
        .collect();
    if by.len() > names.len() {
        names.push(format!("and {} more", by.len() - names.len()));
    }
    format!(
        "being deleted, and still in use by {}; it goes when they are gone",
        names.join(", ")
    )
}
