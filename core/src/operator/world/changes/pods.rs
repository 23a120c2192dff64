//! Pods as targets and sources: whom a changed one concerns.

use std::collections::BTreeSet;

use sluice_crds::user::LabelSelector;
use sluice_crds::{FIP, SNAT};

use super::super::World;
use super::super::references::{cluster_key, eips_of, sibling};
use crate::operator::event::{InsidePodFacts, Key};
use crate::operator::subject::Subject;

/// Under which name of [`World::selecting`] a SNAT stands, if it selects Pods.
fn selects_in(key: &Key, snat: &SNAT) -> Option<String> {
    snat.spec.pod_selector.as_ref()?;
    Some(match snat.spec.namespace_selector {
        Some(_) => String::new(),
        None => key.namespace.clone(),
    })
}

impl World {
    /// Keeps who names which Pod.
    pub(super) fn follow_target(&mut self, key: &Key, old: Option<&FIP>, new: Option<&FIP>) {
        let pod = |fip: Option<&FIP>| {
            let pod = fip?.spec.target.pod.as_ref()?;
            Some(sibling(key, &pod.name))
        };
        if let Some(pod) = pod(old) {
            self.fips_by_pod.remove(&pod, key);
        }
        if let Some(pod) = pod(new) {
            self.fips_by_pod.insert(pod, key.clone());
        }
    }

    /// Keeps who selects Pods.
    pub(super) fn follow_selection(&mut self, key: &Key, old: Option<&SNAT>, new: Option<&SNAT>) {
        if let Some(place) = old.and_then(|snat| selects_in(key, snat)) {
            self.selecting.remove(&place, key);
        }
        if let Some(place) = new.and_then(|snat| selects_in(key, snat)) {
            self.selecting.insert(place, key.clone());
        }
    }

    /// Marks the rules that a Pod concerns, by what it was or by what it is. One
    /// that no rule names or selects marks nothing, however often it changes.
    pub(in crate::operator::world) fn inside_pod_changed(
        &mut self,
        key: &Key,
        old: Option<&InsidePodFacts>,
        new: Option<&InsidePodFacts>,
    ) {
        let (Some(any), true) = (old.or(new), differ(old, new)) else {
            return;
        };
        let mut concerned: BTreeSet<Key> = BTreeSet::new();
        for fip in self.fips_by_pod.of(key) {
            if let Some(rule) = self.fips.get(fip) {
                concerned.insert(sibling(fip, &rule.spec.eip.name));
            }
        }
        let own = self.selecting.of(&any.key.namespace);
        for name in own.chain(self.selecting.of(&String::new())) {
            let Some(snat) = self.snats.get(name) else {
                continue;
            };
            if old
                .into_iter()
                .chain(new)
                .any(|pod| self.selects(snat, pod))
            {
                concerned.extend(eips_of(snat));
            }
        }
        for eip in concerned {
            self.mark(Subject::RulesOf(eip));
        }
    }

    /// Whether a SNAT, which stands where it may, selects a Pod.
    fn selects(&self, snat: &SNAT, pod: &InsidePodFacts) -> bool {
        let matches = |selector: &Option<LabelSelector>, labels| {
            selector.as_ref().is_none_or(|s| s.matches(labels))
        };
        let namespace = self.namespaces.get(&cluster_key(&pod.key.namespace));
        matches(&snat.spec.pod_selector, &pod.labels)
            && namespace.is_none_or(|n| matches(&snat.spec.namespace_selector, &n.labels))
    }

    /// Marks the SNATs that choose namespaces by label.
    pub(super) fn mark_selecting_in_namespaces(&mut self) {
        let eips: Vec<Key> = self
            .selecting
            .of(&String::new())
            .filter_map(|name| self.snats.get(name))
            .flat_map(eips_of)
            .collect();
        for eip in eips {
            self.mark(Subject::RulesOf(eip));
        }
    }
}

/// Whether anything differs that a rule could depend on.
fn differ(old: Option<&InsidePodFacts>, new: Option<&InsidePodFacts>) -> bool {
    let (Some(old), Some(new)) = (old, new) else {
        return old.is_some() != new.is_some();
    };
    let old = InsidePodFacts {
        resource_version: new.resource_version.clone(),
        uid: new.uid.clone(),
        ..old.clone()
    };
    old != *new
}
