//! Room in a gateway's maps: the oldest DNATs have it, and one for which it is too small
//! waits until there is more.

use std::collections::BTreeMap;

use sluice_crds::condition::Reason;

use super::Operator;
use super::event::{Key, Kind};
use super::resolve::rules::{Age, Ask, RuleView};
use super::subject::Subject;
use super::verdict::Verdict;
use crate::entry::cost::EXPANDED_MAX;

/// What the DNATs of each gateway need of its maps, where one element is not enough.
pub(super) type Needs = BTreeMap<Key, BTreeMap<(Age, Key), u32>>;

/// The gateway of which a rule takes room, and how much.
fn need(view: Option<&RuleView>) -> Option<(&Key, u32)> {
    let view = view.filter(|view| view.competes())?;
    match &view.ask {
        Some(Ask::Dnat(forward)) => Some((view.gateway.as_ref()?, forward.expanded())),
        _ => None,
    }
    .filter(|(_, need)| *need > 0)
}

impl RuleView {
    /// Whether [`Operator::decide_room`] decides about it.
    pub(super) fn needs_room(&self) -> bool {
        need(Some(self)).is_some()
    }
}

impl Operator {
    /// Keeps [`Needs`] up to date.
    pub(super) fn room_changed(
        &mut self,
        key: &Key,
        old: Option<&RuleView>,
        new: Option<&RuleView>,
    ) {
        for (view, add) in [(old, false), (new, true)] {
            let (Some(view), Some((gateway, need))) = (view, need(view)) else {
                continue;
            };
            let needs = self.needs.entry(gateway.clone()).or_default();
            let name = (view.age.clone(), key.clone());
            if add {
                needs.insert(name, need);
            } else {
                needs.remove(&name);
            }
            if needs.is_empty() {
                self.needs.remove(gateway);
            }
            self.mark(Subject::Room(gateway.clone()));
        }
    }

    /// Gives the room of a gateway to its DNATs, the oldest first. A smaller one may still
    /// fit behind one that does not.
    pub(super) fn decide_room(&mut self, gateway: &Key) {
        let Some(needs) = self.needs.get(gateway) else {
            return;
        };
        let mut used = 0_u32;
        let mut changed = Vec::new();
        for ((_, key), need) in needs {
            let all = used.saturating_add(*need);
            let refusal = (all > EXPANDED_MAX).then(|| too_large(gateway, *need, used));
            if refusal.is_none() {
                used = all;
            }
            let name = (Kind::DNAT, key.clone());
            if let Some(view) = self.views.rules.get_mut(&name)
                && view.conflict != refusal
            {
                view.conflict = refusal;
                changed.push(name);
            }
        }
        for (kind, key) in changed {
            self.mark(Subject::Entries(kind, key.clone()));
            self.mark(Subject::Hold(kind, key.clone()));
            self.mark(Subject::Status(kind, key));
        }
    }
}

fn too_large(gateway: &Key, need: u32, used: u32) -> Verdict {
    let message = format!(
        "spec: its ports and targets need {need} elements in the maps of NATGateway {}/{}, where older DNATs have {used} of {EXPANDED_MAX}; forward to the same ports, name fewer ports or targets, or use an EIP of another gateway",
        gateway.namespace, gateway.name
    );
    Verdict::refused(Reason::TooLarge, message)
}
