//! Programmed and Ready of a FIP, DNAT or SNAT.

use std::collections::BTreeSet;

use sluice_crds::condition::{PROGRAMMED, READY, Reason};
use sluice_crds::user::IpFamily;

use super::super::Operator;
use super::super::event::{Key, Kind};
use super::super::resolve::eip::EipView;
use super::super::resolve::rules::RuleView;
use super::super::site::Site;
use super::{Judgement, Lack, Said, accepted, lacking, not_accepted, releasing, said};

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
        let named = |key| Some((key, self.views.eips.get(key)?));
        let eips: Vec<(&Key, &EipView)> = rule.eips().map(named).collect::<Option<_>>()?;
        let gateway = eips.first().and_then(|(_, eip)| eip.gateway_uid.as_ref());
        let site = gateway.and_then(|uid| self.sites.get(uid));
        let lack = match (rule.missing(), site) {
            (Some(missing), _) => Some(Lack::Missing(missing)),
            (None, None) => Some(Lack::NoHolder),
            (None, Some(site)) => {
                unaddressed(rule, &eips).or_else(|| site.programmed(&rule.uid).err())
            }
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
                let mut words = "the holder's kernel has it".to_owned();
                if let Some(left_out) = rule.followed.left_out(&rule.lost) {
                    words = format!("{words}; {left_out}");
                }
                conditions.push(said(PROGRAMMED, Some(true), Reason::Programmed, words));
                let (mut ready, passes) = usable(site, &eips);
                if kind == Kind::SNAT && ready.status == Some(true) {
                    tell_shortages(site, rule, &eips, &mut ready);
                }
                pending = passes;
                conditions.push(ready);
            }
        }
        Some(Judgement {
            conditions,
            holder: None,
            pending,
            turning: false,
            rests_on: site.and_then(|site| {
                let own = site.published_since(&rule.uid)?;
                eips.iter().try_fold(own, |latest, (_, eip)| {
                    Some(latest.max(site.published_since(&eip.uid)?))
                })
            }),
        })
    }
}

/// So many shortages stand in a message.
const SHORTAGES_MAX: usize = 5;

/// What `Ready` says of a rule that is programmed: all its EIPs must be, and their
/// addresses usable. And whether that may change within a moment.
fn usable(site: &Site, eips: &[(&Key, &EipView)]) -> (Said, bool) {
    for (key, eip) in eips {
        if let Err(lack) = site.programmed(&eip.uid) {
            let words = format!("EIP {} is not programmed; see its conditions", key.name);
            let ready = said(READY, Some(false), Reason::AddressNotUsable, words);
            return (ready, lack.passes());
        }
        if let Some((reason, words)) = site.unusable(eip.granted.iter()) {
            return (said(READY, Some(false), reason, words), false);
        }
    }
    let words = "the gateway's holder translates by it";
    (said(READY, Some(true), Reason::Ready, words), false)
}

/// A SNAT goes on translating while something runs short; the first of it is the reason.
fn tell_shortages(site: &Site, rule: &RuleView, eips: &[(&Key, &EipView)], ready: &mut Said) {
    let granted = eips.iter().flat_map(|(_, eip)| eip.granted.iter());
    let addresses: BTreeSet<String> = granted.map(|address| address.to_string()).collect();
    let short = site.evidence.shortages.iter().filter(|short| {
        let ours = short
            .rule
            .as_deref()
            .is_none_or(|uid| uid == rule.uid.as_str());
        ours && addresses.contains(&short.address)
    });
    let short: Vec<_> = short.take(SHORTAGES_MAX).collect();
    if let Some(first) = short.first() {
        ready.reason.clone_from(&first.reason);
        let messages: Vec<&str> = short.iter().map(|short| short.message.as_str()).collect();
        ready.message = messages.join("; ");
    }
}

/// Why a family that the rule asks cannot be translated: no EIP has an address of it, or
/// one has it and may not use it yet.
fn unaddressed(rule: &RuleView, eips: &[(&Key, &EipView)]) -> Option<Lack> {
    let inside = rule.inside();
    let families: BTreeSet<IpFamily> = inside.iter().map(|prefix| prefix.family()).collect();
    families.into_iter().find_map(|family| {
        let coming = |(_, eip): &(&Key, &EipView)| {
            eip.granted.get(family).is_none() && eip.addresses.get(family).is_some()
        };
        if eips.iter().any(coming) {
            return Some(Lack::Pending);
        }
        if eips.iter().any(|(_, eip)| eip.granted.get(family).is_some()) {
            return None;
        }
        if eips.iter().any(|(_, eip)| eip.allocating) {
            return Some(Lack::Pending);
        }
        let names: Vec<&str> = eips.iter().map(|(key, _)| key.name.as_str()).collect();
        Some(Lack::NoAddress(format!(
            "EIP {} has no {family:?} address, for its pool has none free; give the pool more of them, or take {family:?} out of this rule",
            names.join(", ")
        )))
    })
}
