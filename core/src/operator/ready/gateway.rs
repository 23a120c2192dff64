//! Programmed and Ready of a gateway.

use super::super::Operator;
use super::super::event::{Key, Kind};
use super::super::lease::Holder;
use super::super::resolve::gateway::users;
use super::{
    Judgement, Lack, accepted, deletion_blocked, find, lacking, not_accepted, releasing, said,
};
use sluice_crds::condition::{PROGRAMMED, READY, Reason};
use sluice_crds::names::{ANNOTATION_DECLARE_DEAD, LABEL_GATEWAY_UID, child_name};

impl Operator {
    /// What is said of a gateway. `lenient`: an acknowledgement that is late by
    /// a moment does not count yet.
    pub(in crate::operator) fn judge_gateway(&self, key: &Key, lenient: bool) -> Option<Judgement> {
        let view = self.views.gateways.get(key)?;
        let gateway = self.world.gateways.get(key)?;
        let mut verdict = view.verdict.clone();
        if verdict.ok
            && let Err(refusal) = self.lan_claimed(view)
        {
            verdict = refusal;
        }
        if !verdict.ok {
            return Some(not_accepted(&verdict));
        }
        if view.teardown {
            return Some(releasing(&verdict));
        }
        if view.deleting {
            let eips: Vec<(Kind, Key)> = users(&self.world, key, &view.uid)
                .map(|k| (Kind::EIP, k.clone()))
                .collect();
            verdict.reason = Reason::DeletionBlocked;
            verdict.message = deletion_blocked(&eips);
        }
        let status = gateway.status.as_ref();
        let was_ready = status
            .and_then(|s| find(&s.conditions, READY))
            .is_some_and(|c| c.status == "True");
        let mut conditions = vec![accepted(&verdict)];
        let Some(site) = self.sites.get(&view.uid) else {
            conditions.extend(lacking(&Lack::NoHolder, false));
            return Some(Judgement {
                conditions,
                holder: None,
                pending: true,
                turning: false,
                rests_on: None,
            });
        };
        let same = status
            .and_then(|s| s.holder.as_ref())
            .zip(site.evidence.holder.named())
            .is_some_and(|(h, (instance, term))| {
                h.instance == instance
                    && h.term == term.transitions
                    && h.hosting == site.evidence.hosting
            });
        let lack = match &site.evidence.holder {
            Holder::Nobody => Some(Lack::NoHolder),
            Holder::Lost { .. } => Some(Lack::Lost),
            Holder::Held { .. } if !site.evidence.active => Some(Lack::Passive),
            Holder::Held { .. } => {
                let current = site.evidence.proven == Some(site.history.current());
                let known = site.evidence.proven.is_some();
                let late = known && same && was_ready && lenient;
                (!current && !late).then_some(Lack::Pending)
            }
        };
        match lack {
            Some(Lack::NoHolder) if site.lease_taken.is_some() => {
                let words = format!(
                    "Lease {}/{} is not this gateway's, for it lacks the label {LABEL_GATEWAY_UID}; delete it, and the operator makes its own",
                    key.namespace,
                    child_name(&key.name)
                );
                let words = words.as_str();
                conditions.extend([
                    said(PROGRAMMED, Some(false), Reason::LeaseTaken, words),
                    said(READY, Some(false), Reason::NotProgrammed, words),
                ]);
            }
            Some(lack) => {
                let mut said = lacking(&lack, was_ready && !same);
                if let Holder::Lost { instance, .. } = &site.evidence.holder {
                    for said in &mut said {
                        let way_out = format!(
                            "; it is {instance}, by Lease {}/{}; if its machine is off for good, set the taint node.kubernetes.io/out-of-service on its Node, or the annotation {ANNOTATION_DECLARE_DEAD}: {instance} here",
                            key.namespace,
                            child_name(&key.name)
                        );
                        said.message.push_str(&way_out);
                    }
                }
                conditions.extend(said);
            }
            None => {
                conditions.push(said(
                    PROGRAMMED,
                    Some(true),
                    Reason::Programmed,
                    "the holder has acknowledged the current revision",
                ));
                conditions.push(match site.unusable(std::iter::empty()) {
                    Some((reason, words)) => said(READY, Some(false), reason, words),
                    None => {
                        let active = "the holder is active";
                        match &site.evidence.impaired {
                            Some((reason, words)) => {
                                said(READY, Some(true), reason, format!("{active}; {words}"))
                            }
                            None => said(READY, Some(true), Reason::Ready, active),
                        }
                    }
                });
            }
        }
        if let Some(slices) = site.too_large {
            let words = format!(
                "its rules take {slices} slices, and a config names {} at most; the last revision that fits stays; delete rules or move EIPs to another gateway",
                self.settings.slices_max
            );
            for said in conditions.iter_mut().filter(|c| c.type_ == PROGRAMMED) {
                said.status = Some(false);
                said.reason = Reason::TooLarge.to_string();
                said.message.clone_from(&words);
            }
        }
        if let Some(why) = site.refused.values().next() {
            for said in conditions.iter_mut().filter(|c| c.type_ == PROGRAMMED) {
                said.message = format!("{}; refused by the API server: {why}", said.message);
            }
        }
        Some(Judgement {
            conditions,
            holder: site.holder_ref(),
            pending: false,
            turning: false,
            rests_on: site.evidence.proven,
        })
    }
}
