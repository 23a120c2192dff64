//! Pools: nothing is programmed, so that the chain is short.

use std::collections::BTreeMap;

use sluice_crds::condition::EXHAUSTED;

use super::subject::words;
use super::{Part, Step, Subject, spec};
use crate::world::World;

/// The chain of a pool.
pub fn chain(world: &World, subject: &Subject) -> Vec<Step> {
    let mut chain = vec![spec::step(world, subject)];
    if subject.deleting {
        let pool = world
            .pools
            .iter()
            .find(|p| p.metadata.name.as_deref() == Some(subject.key.name.as_str()));
        let users = pool
            .and_then(|p| p.status.as_ref())
            .map(|s| s.used_by.join(", "))
            .unwrap_or_default();
        let says = format!("it is being deleted, and in use by EIP {users}");
        chain.push(Step::broken(
            Part::Status,
            says,
            "delete those first; it goes by itself then",
        ));
        return chain;
    }
    if let Some(exhausted) = subject.condition(EXHAUSTED).filter(|c| c.status == "True") {
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        for claim in world
            .claims
            .iter()
            .filter(|c| c.spec.pool == subject.key.name)
        {
            *by.entry(&claim.spec.owner.namespace).or_default() += 1;
        }
        let mut most: Vec<(&str, usize)> = by.into_iter().collect();
        most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let most: Vec<String> = most
            .iter()
            .take(3)
            .map(|(ns, count)| format!("{ns} {count}"))
            .collect();
        let (says, remedy) = words(exhausted);
        let who = if most.is_empty() {
            String::new()
        } else {
            format!("; most are in namespaces {}", most.join(", "))
        };
        chain.push(Step::broken(Part::Status, format!("{says}{who}"), remedy));
        return chain;
    }
    chain.push(Step::holds(Part::Status, "addresses are handed out"));
    chain
}
