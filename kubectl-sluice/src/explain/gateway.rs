//! The links that a gateway bears: config, holder, report, kernel.

use sluice_core::entry::Entry;
use sluice_crds::condition::Reason;
use sluice_crds::internal::{Applied, GatewayInstanceStatus};
use sluice_crds::{GatewayConfig, GatewayInstance, NATGateway};

use super::operator::{operator, seconds};
use super::pods::{node_trouble, trouble};
use super::subject::words;
use super::{Part, State, Step, Subject};
use crate::target::Kind;
use crate::world::{Key, World};

/// All four, for an object that this gateway serves.
pub fn steps(world: &World, subject: &Subject, key: &Key) -> Vec<Step> {
    let Some(gateway) = world.gateway(key) else {
        return if world.hides("natgateways") {
            vec![Step::unseen(Part::Config, "natgateways")]
        } else {
            vec![Step::broken(
                Part::Config,
                format!("NATGateway {key} does not exist"),
                "create it, or name another in spec.gateway",
            )]
        };
    };
    let config = config(world, subject, key);
    let (holder, identity) = holder(world, key, gateway);
    let mut steps = vec![config, holder];
    let Some(identity) = identity else {
        return steps;
    };
    if world.hides("gatewayinstances") {
        steps.push(Step::unseen(Part::Report, "gatewayinstances"));
        return steps;
    }
    let report = world
        .reports_of(key)
        .find(|r| r.status.as_ref().is_some_and(|s| s.instance == identity));
    let step = reported(world, subject, key, report);
    let stands = step.state == State::Holds;
    steps.push(step);
    if let (true, Some(status)) = (stands, report.and_then(|r| r.status.as_ref())) {
        steps.push(kernel(world, subject, key, status));
    }
    steps
}

/// Whether the gateway's config has what the object asks.
fn config(world: &World, subject: &Subject, key: &Key) -> Step {
    let gateway = Subject::find(world, Kind::NATGateway, key);
    if let Some(refused) = gateway
        .as_ref()
        .and_then(Subject::accepted)
        .filter(|c| c.status == "False")
    {
        let (says, remedy) = words(refused);
        let remedy = if remedy.is_empty() {
            format!(
                "kubectl sluice explain natgw/{} -n {}",
                key.name, key.namespace
            )
        } else {
            remedy
        };
        return Step::broken(
            Part::Config,
            format!("NATGateway {key} is not accepted: {says}"),
            remedy,
        );
    }
    if let Some(large) = gateway
        .as_ref()
        .and_then(Subject::programmed)
        .filter(|c| c.reason == Reason::TooLarge.as_str())
    {
        return Step::broken(
            Part::Config,
            format!("NATGateway {key} cannot take more: {}", large.message),
            "delete rules, or move EIPs to another gateway",
        );
    }
    if let Some(step) = nothing_to_translate(subject) {
        return step;
    }
    if world.hides("gatewayconfigs") {
        return Step::unseen(Part::Config, "gatewayconfigs");
    }
    let Some(config) = world.config(key) else {
        let (says, remedy) = operator(world).behind();
        return Step::broken(
            Part::Config,
            format!("there is no config of NATGateway {key}: {says}"),
            remedy,
        );
    };
    let generation = config.metadata.generation.unwrap_or_default();
    if subject.kind == Kind::NATGateway {
        return Step::holds(
            Part::Config,
            format!("revision {generation}, {} entries", config.spec.entries),
        );
    }
    if world.hides("ruleslices") {
        return Step::unseen(Part::Config, "ruleslices");
    }
    let entries = world.entries_of(config, &subject.uid);
    if entries.is_empty() {
        return absent(world, subject, key);
    }
    Step::holds(
        Part::Config,
        format!(
            "{} entries in revision {generation} of NATGateway {key}",
            entries.len()
        ),
    )
}

/// A rule that is accepted, and has nothing to be translated now, says so itself.
fn nothing_to_translate(subject: &Subject) -> Option<Step> {
    let programmed = subject.programmed().filter(|c| c.status == "False")?;
    let missing = [
        Reason::PodNotFound,
        Reason::TargetNotReady,
        Reason::HostNetwork,
        Reason::NoSources,
        Reason::PoolExhausted,
        Reason::TargetNotAllowed,
        Reason::FamilyMismatch,
    ];
    missing
        .iter()
        .any(|reason| reason.as_str() == programmed.reason)
        .then(|| {
            let (says, remedy) = words(programmed);
            let remedy = if remedy.is_empty() {
                "it is taken up by itself when that changes".to_owned()
            } else {
                remedy
            };
            Step::broken(Part::Config, says, remedy)
        })
}

/// Why a config does not have an object that was accepted.
fn absent(world: &World, subject: &Subject, key: &Key) -> Step {
    let gateway_uid = world
        .gateway(key)
        .and_then(|g| g.metadata.uid.clone())
        .unwrap_or_default();
    let elsewhere = world
        .claims
        .iter()
        .find(|claim| claim.spec.owner.uid == subject.uid && claim.spec.gateway_uid != gateway_uid);
    if let Some(claim) = elsewhere {
        let old = world
            .gateways
            .iter()
            .find(|g| g.metadata.uid.as_deref() == Some(claim.spec.gateway_uid.as_str()));
        let old_key = old.map(|g| Key::of(&g.metadata));
        let name = old_key
            .as_ref()
            .map_or_else(|| "one that is gone".to_owned(), ToString::to_string);
        let lost = old_key
            .iter()
            .flat_map(|key| world.reports_of(key))
            .find_map(|report| node_trouble(world, &report.spec.node));
        let (why, remedy) = lost.unwrap_or_else(|| {
            (
                "its instances have not given it up yet".to_owned(),
                "look again in a few seconds".to_owned(),
            )
        });
        return Step::broken(
            Part::Config,
            format!(
                "it moves: {} is still with NATGateway {name}, for {why}",
                claim.spec.address
            ),
            remedy,
        );
    }
    let (says, remedy) = operator(world).behind();
    Step::broken(
        Part::Config,
        format!("the config of NATGateway {key} does not have it: {says}"),
        remedy,
    )
}

/// Who holds the gateway; the instance, where one does.
fn holder(world: &World, key: &Key, gateway: &NATGateway) -> (Step, Option<String>) {
    if world.hides("leases") {
        let told = gateway.status.as_ref().and_then(|s| s.holder.as_ref());
        return (
            Step::unseen(Part::Holder, "leases"),
            told.map(|h| h.instance.clone()),
        );
    }
    let taken = Subject::find(world, Kind::NATGateway, key).and_then(|s| {
        s.programmed()
            .filter(|c| c.reason == Reason::LeaseTaken.as_str())
            .map(words)
    });
    if let Some((says, remedy)) = taken {
        return (Step::broken(Part::Holder, says, remedy), None);
    }
    let spec = world.lease(key).and_then(|l| l.spec.as_ref());
    let identity = spec
        .and_then(|s| s.holder_identity.clone())
        .unwrap_or_default();
    if identity.is_empty() {
        let (why, remedy) = nobody(world, key);
        return (
            Step::broken(
                Part::Holder,
                format!("nobody holds NATGateway {key}: {why}"),
                remedy,
            ),
            None,
        );
    }
    let report = world
        .reports_of(key)
        .find(|r| r.status.as_ref().is_some_and(|s| s.instance == identity));
    let pod = report
        .and_then(|r| r.metadata.name.clone())
        .unwrap_or_else(|| identity.clone());
    let term = spec.and_then(|s| s.lease_transitions).unwrap_or_default();
    let lasts = i64::from(
        spec.and_then(|s| s.lease_duration_seconds)
            .unwrap_or_default(),
    );
    let ago = spec
        .and_then(|s| s.renew_time.as_ref())
        .map(|t| seconds(t.0, world.now))
        .unwrap_or_default();
    if ago > lasts {
        let node = report.map(|r| r.spec.node.as_str()).unwrap_or_default();
        let of_pod = world
            .pods_of(key)
            .into_iter()
            .find(|p| p.metadata.name.as_deref() == Some(pod.as_str()));
        let (why, remedy) = node_trouble(world, node)
            .or_else(|| of_pod.and_then(|p| trouble(world, p)))
            .unwrap_or_else(|| {
                (
                    "its Pod looks well, so that the agent does not reach the API server"
                        .to_owned(),
                    format!("kubectl logs {pod} -n {}", key.namespace),
                )
            });
        let says = format!(
            "the holder of NATGateway {key}, {pod}, has not renewed its Lease for {ago} s: {why}"
        );
        return (Step::broken(Part::Holder, says, remedy), None);
    }
    (
        Step::holds(
            Part::Holder,
            format!("{pod} holds NATGateway {key} at term {term}, renewed {ago} s ago"),
        ),
        Some(identity),
    )
}

/// Why nobody holds a gateway.
fn nobody(world: &World, key: &Key) -> (String, String) {
    if world.hides("pods") {
        return (
            "you may not read its Pods".to_owned(),
            "ask who runs the gateway".to_owned(),
        );
    }
    let pods = world.pods_of(key);
    if let Some(found) = pods.iter().find_map(|pod| trouble(world, pod)) {
        return found;
    }
    if let Some(pod) = pods.first() {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let problem = world
            .reports_of(key)
            .filter(|r| r.metadata.name.as_deref() == Some(name))
            .filter_map(|r| r.status.as_ref())
            .find_map(|s| s.problems.first());
        return match problem {
            Some(problem) => (
                format!("Pod {name} says {}: {}", problem.reason, problem.message),
                format!("kubectl logs {name} -n {}", key.namespace),
            ),
            None => (
                format!("Pod {name} runs, and has not taken the Lease yet"),
                format!(
                    "look again; if it stays: kubectl logs {name} -n {}",
                    key.namespace
                ),
            ),
        };
    }
    let Some(deployment) = world.deployment(key) else {
        let (says, remedy) = operator(world).behind();
        return (format!("it has no Deployment: {says}"), remedy);
    };
    let conditions = deployment
        .status
        .as_ref()
        .and_then(|s| s.conditions.as_deref())
        .unwrap_or_default();
    let failure = conditions
        .iter()
        .find(|c| c.type_ == "ReplicaFailure" && c.status == "True");
    match failure {
        Some(failure) => (
            format!(
                "its Pod cannot be created: {}",
                failure.message.clone().unwrap_or_default()
            ),
            format!(
                "let namespace {} have it (quota, Pod Security, admission webhooks)",
                key.namespace
            ),
        ),
        None => (
            "it has no Pod".to_owned(),
            format!(
                "kubectl describe deployment sluice-{} -n {}",
                key.name, key.namespace
            ),
        ),
    }
}

/// Whether the holder has reported the object's entries, at its term.
fn reported(world: &World, subject: &Subject, key: &Key, report: Option<&GatewayInstance>) -> Step {
    let Some(status) = report.and_then(|r| r.status.as_ref()) else {
        return Step::broken(
            Part::Report,
            format!("the holder of NATGateway {key} has written no report"),
            format!(
                "kubectl logs -n {} -l sluice.dev/gateway={}",
                key.namespace, key.name
            ),
        );
    };
    let pod = report
        .and_then(|r| r.metadata.name.as_deref())
        .unwrap_or_default();
    let log = format!("kubectl logs {pod} -n {}", key.namespace);
    let lease = world.lease(key);
    let term = lease
        .and_then(|l| l.spec.as_ref())
        .and_then(|s| s.lease_transitions)
        .map(i64::from);
    let active = status.active.as_ref();
    if let (Some(term), Some(lease)) = (term, lease)
        && active.map(|a| (a.term, Some(&a.lease_uid))) != Some((term, lease.metadata.uid.as_ref()))
    {
        let at = active.map_or_else(
            || "at no term".to_owned(),
            |a| format!("at term {}", a.term),
        );
        // What keeps an instance from taking over is a problem that it reports.
        let (why, remedy) = match status.problems.iter().find(|p| p.blocking) {
            Some(problem) => (format!(": {}: {}", problem.reason, problem.message), log),
            None => (String::new(), format!("look again; if it stays: {log}")),
        };
        return Step::broken(
            Part::Report,
            format!("{pod} holds NATGateway {key} at term {term} and answers {at} yet{why}"),
            remedy,
        );
    }
    let Some(config) = world.config(key) else {
        return Step::unseen(Part::Report, "gatewayconfigs");
    };
    let wanted = config.metadata.generation.unwrap_or_default();
    match &status.applied {
        Some(applied) if is_current(config, applied) => Step::holds(
            Part::Report,
            format!("{pod} has applied and verified revision {wanted}"),
        ),
        Some(applied) if holds_already(world, config, applied, subject) => Step::holds(
            Part::Report,
            format!(
                "{pod} has applied revision {} of {wanted}, which has all of it",
                applied.generation
            ),
        ),
        other => {
            let has = other.as_ref().map_or_else(
                || "nothing".to_owned(),
                |a| format!("revision {}", a.generation),
            );
            let (why, remedy) = world
                .pods_of(key)
                .into_iter()
                .find(|p| p.metadata.name.as_deref() == Some(pod))
                .and_then(|p| trouble(world, p))
                .map_or_else(
                    || (String::new(), format!("look again; if it stays: {log}")),
                    |(why, remedy)| (format!(": {why}"), remedy),
                );
            Step::broken(
                Part::Report,
                format!("the kernel of {pod} has {has}, and revision {wanted} is wanted{why}"),
                remedy,
            )
        }
    }
}

fn is_current(config: &GatewayConfig, applied: &Applied) -> bool {
    config.metadata.uid.as_deref() == Some(applied.uid.as_str())
        && config.metadata.generation == Some(applied.generation)
}

/// Whether an older revision has the very slices that the object stands in.
fn holds_already(
    world: &World,
    config: &GatewayConfig,
    applied: &Applied,
    subject: &Subject,
) -> bool {
    let entries = world.entries_of(config, &subject.uid);
    config.metadata.uid.as_deref() == Some(applied.uid.as_str())
        && !entries.is_empty()
        && entries
            .iter()
            .all(|(slice, _)| applied.slices.iter().any(|s| s == slice))
}

/// What the holder says of its kernel that concerns the object.
fn kernel(world: &World, subject: &Subject, key: &Key, status: &GatewayInstanceStatus) -> Step {
    let remedy_of = |message: &str| {
        message.rsplit_once("; ").map_or_else(
            || "repair it; it is noticed within a second".to_owned(),
            |(_, remedy)| remedy.to_owned(),
        )
    };
    if let Some(problem) = status.problems.iter().find(|p| p.blocking) {
        return Step::broken(
            Part::Kernel,
            format!("{}: {}", problem.reason, problem.message),
            remedy_of(&problem.message),
        );
    }
    let keys: Vec<String> = world
        .config(key)
        .map(|config| world.entries_of(config, &subject.uid))
        .unwrap_or_default()
        .iter()
        .filter_map(|(_, line)| line.parse::<Entry>().ok())
        .map(|entry| entry.key())
        .collect();
    // A refused address says best why it does not work.
    let unusable = status
        .unusable
        .iter()
        .find(|u| subject.addresses.iter().any(|a| a.to_string() == u.address));
    if let Some(unusable) = unusable {
        let says = format!(
            "{}: {}: {}",
            unusable.reason, unusable.address, unusable.message
        );
        return Step::broken(Part::Kernel, says, remedy_of(&unusable.message));
    }
    if let Some(rejected) = status.rejected.iter().find(|r| keys.contains(&r.key)) {
        return Step::broken(
            Part::Kernel,
            format!("the kernel refused `{}`: {}", rejected.key, rejected.error),
            "change the object; it is tried again then, and from time to time",
        );
    }
    let short = status.shortages.iter().find(|s| {
        subject.addresses.iter().any(|a| a.to_string() == s.address)
            && s.rule.as_ref().is_none_or(|rule| *rule == subject.uid)
    });
    let also = short.map_or_else(String::new, |s| format!("; {}: {}", s.reason, s.message));
    Step::holds(Part::Kernel, format!("verified, nothing refused{also}"))
}
