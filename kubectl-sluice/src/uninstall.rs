//! `uninstall`: takes Sluice down in the order that leaves nothing behind.
//!
//! While the operator works it does the work: users' objects go first, each kind when
//! nothing needs it any more, then the operator, then the definitions. Where it is gone,
//! gateways are ended before anything is freed from its finalizers, so that no kernel
//! answers for an address that nobody knows of any more. [`next`] decides, from what is
//! there; so it can be stopped and begun again at any point.

use std::time::{Duration, Instant};

use crate::explain::{Operator, operator};
use crate::fetch::{Access, FetchError};

mod present;
#[cfg(test)]
mod tests;

pub use present::{Item, Present, Resource};

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Do it, instead of saying what would be done.
    pub yes: bool,
    /// Leave the operator with its roles and policies.
    pub keep_operator: bool,
    /// Leave the definitions.
    pub keep_crds: bool,
    /// For each step.
    pub timeout: Duration,
}

/// Why it stopped.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// The cluster could not be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Something may not be listed.
    #[error("you may not list {0}: uninstalling needs the rights of a cluster administrator")]
    Hidden(&'static str),
    /// A write was refused.
    #[error("{0}: {1}")]
    Refused(String, String),
    /// Something stays.
    #[error("after {secs} s there {} still: {}; {hint}", if .left.len() == 1 { "is" } else { "are" }, .left.join(", "))]
    Stays {
        /// What.
        left: Vec<String>,
        /// For how long it was waited.
        secs: u64,
        /// What to look at.
        hint: &'static str,
    },
}

/// What is to be done next: all of these are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it is, for people.
    pub what: &'static str,
    /// Items to delete, or to wait for.
    pub items: Vec<Item>,
    /// Whether this stage deletes; else somebody else does, and it waits.
    pub deletes: bool,
    /// Whether it takes finalizers away, because nobody else is there to do so.
    pub frees: bool,
    /// What to look at when they stay.
    pub hint: &'static str,
}

/// What is to be done next, with an operator that works or without.
#[must_use]
pub fn next(present: &Present, works: bool, how: &How) -> Option<Stage> {
    let order = if works {
        with_operator()
    } else {
        without_operator()
    };
    let last = [
        step(
            "the operator, its roles and policies",
            &Resource::INSTALLED,
            true,
            false,
            "see what holds them: kubectl get -o yaml",
        ),
        step(
            "the definitions",
            &[Resource::Definitions],
            true,
            false,
            "objects of these kinds are left: begin again",
        ),
    ];
    let [installed, definitions] = last;
    let installed = (!how.keep_operator).then_some(installed);
    let definitions = (!how.keep_crds).then_some(definitions);
    order
        .into_iter()
        .chain(installed)
        .chain(definitions)
        .find_map(|step| step.stage(present))
}

struct Step {
    what: &'static str,
    of: Vec<Resource>,
    deletes: bool,
    frees: bool,
    hint: &'static str,
}

fn step(
    what: &'static str,
    of: &[Resource],
    deletes: bool,
    frees: bool,
    hint: &'static str,
) -> Step {
    Step {
        what,
        of: of.to_vec(),
        deletes,
        frees,
        hint,
    }
}

impl Step {
    fn stage(self, present: &Present) -> Option<Stage> {
        let items: Vec<Item> = self
            .of
            .iter()
            .flat_map(|of| present.of(*of))
            .cloned()
            .collect();
        (!items.is_empty()).then_some(Stage {
            what: self.what,
            items,
            deletes: self.deletes,
            frees: self.frees,
            hint: self.hint,
        })
    }
}

fn with_operator() -> Vec<Step> {
    use Resource::{
        Claims, Configs, Deletions, Dnats, Eips, Fips, Gateways, Instances, Pools, Slices, Snats,
    };
    vec![
        step("the guard of objects in use", &[Deletions], true, false, ""),
        step(
            "FIPs, DNATs and SNATs",
            &[Fips, Dnats, Snats],
            true,
            false,
            "kubectl sluice explain says what they wait for",
        ),
        step(
            "EIPs",
            &[Eips],
            true,
            false,
            "kubectl sluice explain says what they wait for",
        ),
        step(
            "NATGateways",
            &[Gateways],
            true,
            false,
            "kubectl sluice explain says what they wait for",
        ),
        step(
            "EIPPools",
            &[Pools],
            true,
            false,
            "kubectl sluice explain says what they wait for",
        ),
        step(
            "what the operator made of them",
            &[Configs, Slices, Instances, Claims],
            false,
            false,
            "the operator removes these: see its log",
        ),
    ]
}

fn without_operator() -> Vec<Step> {
    use Resource::{
        Accounts, Bindings, Claims, Configs, Deletions, Deployments, Dnats, Eips, Fips, Gateways,
        Instances, Leases, Pods, Policies, Pools, Roles, Slices, Snats,
    };
    vec![
        step(
            "the admission policies",
            &[Deletions, Policies],
            true,
            false,
            "",
        ),
        step(
            "the gateways' Deployments",
            &[Deployments],
            true,
            false,
            "see kubectl describe",
        ),
        step(
            "the gateways' Pods",
            &[Pods],
            true,
            true,
            "a Pod is freed when its containers have ended: if its machine is off for good, set the taint node.kubernetes.io/out-of-service on its Node, or delete the Node",
        ),
        step(
            "users' objects",
            &[Fips, Dnats, Snats, Eips, Gateways, Pools],
            true,
            true,
            "see what holds them: kubectl get -o yaml",
        ),
        step(
            "configs, reports and claims",
            &[Configs, Slices, Instances, Claims],
            true,
            true,
            "see what holds them: kubectl get -o yaml",
        ),
        step(
            "what else the gateways had",
            &[Leases, Bindings, Roles, Accounts],
            true,
            false,
            "see what holds them: kubectl get -o yaml",
        ),
    ]
}

/// Carries it out, or says what it would do.
///
/// # Errors
/// [`UninstallError`]; it can be begun again then.
pub async fn run(access: &Access, how: &How) -> Result<(), UninstallError> {
    let mut since: Option<(&'static str, Instant)> = None;
    let mut refusal = None;
    loop {
        let present = Present::read(access).await?;
        let works = !matches!(operator(&access.world().await?), Operator::Down(..));
        if !how.yes {
            say(&present, works, how);
            return Ok(());
        }
        let Some(stage) = next(&present, works, how) else {
            println!("done: nothing of it is left");
            return Ok(());
        };
        match since {
            Some((what, began)) if what == stage.what => {
                if began.elapsed() > how.timeout {
                    return Err(refusal.unwrap_or_else(|| stays(&stage, how)));
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            _ => {
                println!("{}: {}", stage.what, stage.items.len());
                since = Some((stage.what, Instant::now()));
            }
        }
        refusal = carry_out(access, &stage).await;
    }
}

fn stays(stage: &Stage, how: &How) -> UninstallError {
    UninstallError::Stays {
        left: stage
            .items
            .iter()
            .take(5)
            .map(ToString::to_string)
            .collect(),
        secs: how.timeout.as_secs(),
        hint: stage.hint,
    }
}

/// Asks for all that the stage wants; the last refusal, where there was one. A policy
/// that was removed is in force for a moment still, so that a refusal is not the end.
async fn carry_out(access: &Access, stage: &Stage) -> Option<UninstallError> {
    let gone = |error: &kube::Error| matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409));
    let mut refusal = None;
    for item in &stage.items {
        let mut requests = Vec::new();
        if stage.deletes && !item.deleting {
            requests.push(("DELETE", Vec::new()));
        }
        if stage.frees && item.held && item.ended {
            requests.push(("PATCH", br#"{"metadata":{"finalizers":null}}"#.to_vec()));
        }
        for (method, body) in requests {
            match access.send(method, &item.path, body).await {
                Ok(_) => {}
                Err(error) if gone(&error) => break,
                Err(error) => {
                    refusal = Some(UninstallError::Refused(item.to_string(), error.to_string()));
                    break;
                }
            }
        }
    }
    refusal
}

/// What would be done, stage by stage.
fn say(present: &Present, works: bool, how: &How) {
    println!(
        "operator: {}",
        if works {
            "works, and clears away itself"
        } else {
            "gone: finalizers are taken away once the gateways' Pods have ended"
        }
    );
    let mut left = present.clone();
    while let Some(stage) = next(&left, works, how) {
        println!("would remove {}:", stage.what);
        for item in stage.items.iter().take(10) {
            println!("  {item}");
        }
        if stage.items.len() > 10 {
            println!("  and {} more", stage.items.len() - 10);
        }
        left.forget(&stage.items);
    }
    println!("nothing was changed: add --yes to do it");
}
