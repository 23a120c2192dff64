//! The first link: the operator has looked at the object, and accepts it.

use sluice_crds::condition::Reason;

use super::operator::operator;
use super::subject::words;
use super::{Part, Step, Subject};
use crate::target::Kind;
use crate::world::World;

/// Whether the object is looked at and accepted.
pub fn step(world: &World, subject: &Subject) -> Step {
    let current = subject.observed == Some(subject.generation);
    let accepted = subject
        .accepted()
        .filter(|c| current && c.status != "Unknown");
    let Some(accepted) = accepted else {
        let (says, remedy) = operator(world).behind();
        let seen = match subject.observed {
            Some(observed) if !subject.deleting => {
                format!(
                    "its generation {} is not looked at yet, only {observed}",
                    subject.generation
                )
            }
            _ => "nobody has looked at it".to_owned(),
        };
        // A deletion counts as a generation; what holds it up is said by the next link.
        if subject.deleting && subject.observed.is_some() {
            return Step::holds(Part::Spec, "being deleted");
        }
        return Step::broken(Part::Spec, format!("{seen}, for {says}"), remedy);
    };
    if accepted.status == "True" {
        return Step::holds(
            Part::Spec,
            format!("accepted at generation {}", subject.generation),
        );
    }
    if subject.deleting {
        return Step::holds(Part::Spec, format!("not accepted: {}", accepted.reason));
    }
    if let Some(step) = by_eip(world, subject, &accepted.reason) {
        return step;
    }
    let (says, remedy) = words(accepted);
    let remedy = if remedy.is_empty() {
        default(&accepted.reason).to_owned()
    } else {
        remedy
    };
    Step::broken(Part::Spec, says, remedy)
}

/// A rule that its EIP keeps from being accepted: why the EIP is not.
fn by_eip(world: &World, subject: &Subject, reason: &str) -> Option<Step> {
    if reason != Reason::EIPNotAccepted.as_str() {
        return None;
    }
    let refused = |eip: Subject| {
        let of_eip = step(world, &eip);
        (of_eip.state == super::State::Broken).then(|| {
            Step::broken(
                Part::Spec,
                format!("its {eip} is not accepted: {}", of_eip.says),
                of_eip.remedy,
            )
        })
    };
    subject
        .eips
        .iter()
        .filter_map(|key| Subject::find(world, Kind::EIP, key))
        .find_map(refused)
}

/// What helps in general where a message does not say it.
fn default(reason: &str) -> &'static str {
    match reason {
        "EIPNotFound" => "create the EIP, in the namespace of the rule",
        "EIPTerminating" => "name another EIP, or wait until it is gone and create it anew",
        "GatewayNotFound" | "GatewayTerminating" => "create the gateway, or name another",
        "PoolNotFound" | "PoolTerminating" => "create the pool, or name another",
        "PoolExhausted" => "add ranges to the pool, or delete EIPs",
        "Conflict" | "AddressInUse" | "Overlap" => {
            "change one of the two; this one is taken up by itself then"
        }
        "NotAllowed" | "TargetNotAllowed" => "ask who runs the gateway to allow it",
        _ => "change the spec as the message says",
    }
}
