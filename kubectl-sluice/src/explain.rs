//! Why an object is Ready or not: the chain of evidence that Ready rests on, link by
//! link, and the first link that is broken.
//!
//! spec → config → holder → report → kernel → status. Each link is judged by what the
//! objects show; what the asker may not read is unknown, and never a cause.

use serde::Serialize;

use crate::target::Kind;
use crate::world::{Key, World};

mod gateway;
mod operator;
mod pods;
mod pool;
mod removal;
mod spec;
mod subject;

#[cfg(test)]
mod tests;

pub use operator::{Operator, operator};
pub use subject::Subject;

/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It holds.
    Holds,
    /// It is broken, and everything after it for that.
    Broken,
    /// The asker may not read what would show it.
    Unknown,
}

/// Links of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The operator has looked at the object and accepts it.
    Spec,
    /// The gateway's config has what the object asks.
    Config,
    /// An instance holds the gateway.
    Holder,
    /// The holder has reported the config at its term.
    Report,
    /// The holder's kernel has it, and it works.
    Kernel,
    /// The status says so.
    Status,
}

impl Part {
    /// Its name, as it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Config => "config",
            Self::Holder => "holder",
            Self::Report => "report",
            Self::Kernel => "kernel",
            Self::Status => "status",
        }
    }
}

/// One link, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Which.
    pub part: Part,
    /// How it stands.
    pub state: State,
    /// What the objects show.
    pub says: String,
    /// What to do about it; empty where it holds.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Step {
    /// A link that holds.
    #[must_use]
    pub fn holds(part: Part, says: impl Into<String>) -> Self {
        Self {
            part,
            state: State::Holds,
            says: says.into(),
            remedy: String::new(),
        }
    }

    /// A link that is broken.
    #[must_use]
    pub fn broken(part: Part, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            part,
            state: State::Broken,
            says: says.into(),
            remedy: remedy.into(),
        }
    }

    /// A link that cannot be seen.
    #[must_use]
    pub fn unseen(part: Part, plural: &str) -> Self {
        Self {
            part,
            state: State::Unknown,
            says: format!("you may not read {plural}"),
            remedy: String::new(),
        }
    }
}

/// What is said of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The object, as `EIP net/web`.
    pub object: String,
    /// Whether it is Ready by its status: `True`, `False`, `Unknown`.
    pub ready: String,
    /// The first line: what the matter is.
    pub cause: String,
    /// The second line: what to do, or what Ready rests on.
    pub remedy: String,
    /// The chain.
    pub chain: Vec<Step>,
}

impl Explanation {
    /// Whether nothing is broken and the status says Ready.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.ready == "True" && self.chain.iter().all(|step| step.state != State::Broken)
    }
}

/// Explains one object.
#[must_use]
pub fn explain(world: &World, kind: Kind, key: &Key) -> Explanation {
    let Some(subject) = Subject::find(world, kind, key) else {
        return missing(world, kind, key);
    };
    let chain = chain(world, &subject);
    let ready = subject
        .ready()
        .map_or("Unknown", |c| c.status.as_str())
        .to_owned();
    let broken = chain.iter().find(|step| step.state == State::Broken);
    let (cause, remedy) = match (broken, ready.as_str()) {
        (Some(step), "True") => (
            format!(
                "{subject} says Ready, but {}: {}",
                step.part.name(),
                step.says
            ),
            step.remedy.clone(),
        ),
        (Some(step), _) => (
            format!("{subject} is not Ready: {}", step.says),
            step.remedy.clone(),
        ),
        (None, "True") => (format!("{subject} is Ready"), proof(&chain)),
        (None, _) => {
            let words = subject
                .ready()
                .map(|c| format!("{}: {}", c.reason, c.message));
            let words = words.unwrap_or_else(|| "nobody has looked at it".to_owned());
            (
                format!("{subject} is not Ready: {words}"),
                "ask someone who may read internal.sluice.dev".to_owned(),
            )
        }
    };
    Explanation {
        object: subject.to_string(),
        ready,
        cause,
        remedy,
        chain,
    }
}

/// The whole chain of an object.
fn chain(world: &World, subject: &Subject) -> Vec<Step> {
    if subject.kind == Kind::EIPPool {
        return pool::chain(world, subject);
    }
    let mut chain = vec![spec::step(world, subject)];
    if subject.deleting {
        chain.push(removal::step(world, subject));
        return chain;
    }
    if let Some(gateway) = &subject.gateway {
        chain.extend(gateway::steps(world, subject, gateway));
    }
    chain.push(status(world, subject, &chain));
    chain
}

/// Whether the status says what the rest shows.
fn status(world: &World, subject: &Subject, before: &[Step]) -> Step {
    let ready = subject.ready();
    let words = ready.map_or_else(String::new, |c| format!("{}: {}", c.reason, c.message));
    let whole = before.iter().all(|step| step.state == State::Holds);
    match ready.map(|c| c.status.as_str()) {
        Some("True") => Step::holds(Part::Status, format!("Ready, {words}")),
        _ if whole => {
            let (says, remedy) = operator(world).behind();
            Step::broken(
                Part::Status,
                format!("the evidence is whole, and the status does not say so ({words}): {says}"),
                remedy,
            )
        }
        _ => Step::holds(Part::Status, format!("not Ready, {words}")),
    }
}

/// What a Ready rests on, in a line.
fn proof(chain: &[Step]) -> String {
    let seen = chain.iter().rev().find(|step| {
        step.state == State::Holds
            && matches!(step.part, Part::Report | Part::Kernel | Part::Holder)
    });
    seen.map_or_else(
        || "its status says so; the evidence is not yours to read".to_owned(),
        |step| format!("{}: {}", step.part.name(), step.says),
    )
}

fn missing(world: &World, kind: Kind, key: &Key) -> Explanation {
    let (cause, remedy) = if world.hides(kind.plural()) {
        (
            format!(
                "{kind} {key} cannot be seen: you may not read {}",
                kind.plural()
            ),
            "ask for the role sluice-gateway-admin".to_owned(),
        )
    } else {
        let all = Subject::names(world, kind);
        let elsewhere = all.iter().find(|other| other.name == key.name);
        let remedy = match elsewhere {
            Some(other) => format!("there is {kind} {other}: add -n {}", other.namespace),
            None if all.is_empty() => format!("there is no {kind} at all"),
            None => {
                let some: Vec<String> = all.iter().take(5).map(ToString::to_string).collect();
                format!("there are: {}", some.join(", "))
            }
        };
        (format!("{kind} {key} does not exist"), remedy)
    };
    Explanation {
        object: format!("{kind} {key}"),
        ready: "Unknown".to_owned(),
        cause,
        remedy,
        chain: Vec::new(),
    }
}
