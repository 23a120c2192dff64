//! Programmed and Ready of an EIP.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sluice_crds::condition::{PROGRAMMED, READY, Reason};
use sluice_crds::user::HolderRef;

use super::super::Operator;
use super::super::event::Key;
use super::super::resolve::eip::EipView;
use super::super::resolve::rules::holding;
use super::{
    Judgement, Lack, Said, WAITING, accepted, deletion_blocked, find, lacking, not_accepted,
    releasing, said,
};

/// What is said beyond `Accepted`.
struct Rest {
    conditions: Vec<Said>,
    holder: Option<HolderRef>,
    pending: bool,
}

impl Operator {
    /// What is said of an EIP.
    pub(in crate::operator) fn judge_eip(&self, key: &Key) -> Option<Judgement> {
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
        let proof = if let Some(old) = &view.leaving {
            Err(Lack::Leaving(format!("{}/{}", old.namespace, old.name)))
        } else if view.allocating || view.granted != view.addresses {
            site.programmed(&view.uid).and(Err(Lack::Pending))
        } else {
            site.programmed(&view.uid)
        };
        if let Err(lack) = proof {
            // What is withheld because another host has it is reported as refused, too.
            if matches!(lack, Lack::Rejected(_))
                && let Some((reason, words)) = site.unusable(view.granted.iter())
            {
                let programmed = said(PROGRAMMED, Some(false), &reason, words.clone());
                let ready = said(READY, Some(false), reason, words);
                return not_ready(vec![programmed, ready], false);
            }
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
}
