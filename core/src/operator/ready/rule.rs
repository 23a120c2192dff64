//! Programmed and Ready of a FIP, DNAT or SNAT.

use sluice_crds::condition::{PROGRAMMED, READY, Reason};

use super::super::Operator;
use super::super::event::{Key, Kind};
use super::super::resolve::eip::EipView;
use super::super::resolve::rules::RuleView;
use super::{Judgement, Lack, accepted, lacking, not_accepted, releasing, said};

impl Operator {
    /// What is said of a FIP, DNAT or SNAT.
    pub(in crate::operator) fn judge_rule(&self, kind: Kind, key: &Key) -> Option<Judgement> {
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
            Some(site) => unaddressed(rule, eip).or_else(|| site.programmed(&rule.uid).err()),
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

/// Why a family that the rule asks cannot be translated: the EIP has no address of it.
fn unaddressed(rule: &RuleView, eip: &EipView) -> Option<Lack> {
    let inside = rule.ask.as_ref()?.inside();
    let mut families = inside.iter().map(|prefix| prefix.family());
    let family = families.find(|family| eip.granted.get(*family).is_none())?;
    Some(if eip.allocating || eip.addresses.get(family).is_some() {
        Lack::Pending
    } else {
        Lack::NoAddress(format!(
            "EIP {} has no {family:?} address, for its pool has none free; give the pool more of them, or take {family:?} out of this rule",
            rule.eip.name
        ))
    })
}
