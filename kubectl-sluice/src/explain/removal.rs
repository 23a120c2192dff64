//! What keeps an object that is being deleted.

use sluice_crds::condition::Reason;

use super::pods::node_trouble;
use super::subject::words;
use super::{Part, Step, Subject, operator};
use crate::world::World;

/// What a deletion waits for.
pub fn step(world: &World, subject: &Subject) -> Step {
    if let Some(accepted) = subject
        .accepted()
        .filter(|c| c.reason == Reason::DeletionBlocked.as_str())
    {
        let (says, _) = words(accepted);
        return Step::broken(
            Part::Status,
            says,
            "delete those first; it goes by itself then",
        );
    }
    if let super::Operator::Down(says, remedy) = operator(world) {
        return Step::broken(
            Part::Status,
            format!("it is being deleted, and {says}"),
            remedy,
        );
    }
    let Some(gateway) = &subject.gateway else {
        return Step::holds(Part::Status, "being deleted");
    };
    // Instances that have not said that they gave up may still hold it.
    for report in world.reports_of(gateway) {
        let status = report.status.as_ref();
        if status.is_some_and(|s| s.is_final) {
            continue;
        }
        if let Some((why, remedy)) = node_trouble(world, &report.spec.node) {
            let pod = report.metadata.name.as_deref().unwrap_or_default();
            let says = format!("it is being deleted, and instance {pod} may still hold it: {why}");
            // One that has not told its name is declared by its pod.
            let dead = status
                .map(|s| s.instance.clone())
                .filter(|instance| !instance.is_empty())
                .unwrap_or_else(|| format!("pod/{}", report.spec.pod_uid));
            let declare = format!(
                "{remedy}; or kubectl annotate natgateway {} -n {} sluice.dev/declare-dead={dead}",
                gateway.name, gateway.namespace
            );
            return Step::broken(Part::Status, says, declare);
        }
    }
    Step::broken(
        Part::Status,
        "it is being deleted: waiting until no instance holds it any more",
        "look again in a few seconds",
    )
}
