//! Carries commands out.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use serde_json::Value;

use crate::bundle::{self, BundleError};
use crate::explain::{Explanation, explain};
use crate::fetch::{Access, FetchError};
use crate::options::{Command, Options, Until};
use crate::output::Style;
use crate::overview::overview;
use crate::target::Target;
use crate::trace::trace;
use crate::uninstall::{self, UninstallError};
use crate::world::Key;
use crate::{ports, who};

/// Between two looks of `wait`.
const LOOK: Duration = Duration::from_millis(300);

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cluster could not be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// There is no answer to this.
    #[error("{0}")]
    Answer(String),
    /// There is no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The removal stopped.
    #[error(transparent)]
    Uninstall(#[from] UninstallError),
}

/// Carries one command out. Exit code 1 where the answer is no.
///
/// # Errors
/// [`RunError`].
pub async fn run(options: Options) -> Result<ExitCode, RunError> {
    let style = Style::new(options.output, options.color);
    if let Command::Completion { shell } = options.command {
        clap_complete::generate(
            shell,
            &mut Options::command(),
            "kubectl-sluice",
            &mut std::io::stdout(),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let access = Access::new(&options.cluster).await?;
    match options.command {
        Command::Completion { .. } => {}
        Command::Status => {
            let all = overview(&access.world().await?);
            println!(
                "{}",
                style.document(&all).unwrap_or_else(|| all.text(style))
            );
        }
        Command::Explain { targets } => return explained(&access, &targets, style).await,
        Command::Wait {
            targets,
            until,
            timeout,
        } => {
            return waited(
                &access,
                &targets,
                until,
                Duration::from_secs(timeout),
                style,
            )
            .await;
        }
        Command::Trace {
            gateway,
            from,
            to,
            protocol,
        } => {
            let key = Key::new(&access.namespace, gateway);
            let trace = trace(&access.world().await?, &key, from, to, protocol)
                .map_err(RunError::Answer)?;
            println!("{}", style.document(&trace).unwrap_or_else(|| trace.text()));
        }
        Command::Who { endpoint, at } => {
            let text = flows(&access).await?;
            let uses = who::who(text.iter().flat_map(|log| log.lines()), endpoint, at);
            println!(
                "{}",
                style
                    .document(&uses)
                    .unwrap_or_else(|| who::text(&uses, endpoint))
            );
        }
        Command::Ports => {
            let short = ports::short(&access.world().await?);
            println!(
                "{}",
                style
                    .document(&short)
                    .unwrap_or_else(|| ports::short_text(&short))
            );
        }
        Command::Drift => {
            let drift = ports::drift(&access.world().await?);
            println!(
                "{}",
                style
                    .document(&drift)
                    .unwrap_or_else(|| ports::drift_text(&drift))
            );
        }
        Command::Bundle { folder } => {
            bundle::write(&access, &folder).await?;
            println!("{}: look it through before you send it", folder.display());
        }
        Command::Uninstall {
            yes,
            keep_operator,
            keep_crds,
            definitions,
            timeout,
        } => {
            let how = uninstall::How {
                yes,
                keep_operator,
                keep_crds: keep_crds || (keep_operator && !definitions),
                timeout: Duration::from_secs(timeout),
            };
            uninstall::run(&access, &how).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn key(access: &Access, target: &Target) -> Key {
    let namespace = if target.kind.is_namespaced() {
        access.namespace.as_str()
    } else {
        ""
    };
    Key::new(namespace, &target.name)
}

async fn explained(
    access: &Access,
    targets: &[Target],
    style: Style,
) -> Result<ExitCode, RunError> {
    let world = access.world().await?;
    let all: Vec<Explanation> = targets
        .iter()
        .map(|target| explain(&world, target.kind, &key(access, target)))
        .collect();
    let texts: Vec<String> = all.iter().map(|one| style.explanation(one)).collect();
    println!(
        "{}",
        style.document(&all).unwrap_or_else(|| texts.join("\n\n"))
    );
    let fine = all.iter().all(Explanation::is_fine);
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn waited(
    access: &Access,
    targets: &[Target],
    until: Until,
    timeout: Duration,
    style: Style,
) -> Result<ExitCode, RunError> {
    let deadline = Instant::now() + timeout;
    let mut open: Vec<&Target> = targets.iter().collect();
    loop {
        let mut left = Vec::new();
        for target in open {
            let object = access.object(target.kind, &target.name).await?;
            if done(object.as_ref(), until) {
                println!(
                    "{target}: {}",
                    if until == Until::Ready {
                        "Ready"
                    } else {
                        "gone"
                    }
                );
            } else {
                left.push(target);
            }
        }
        if left.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        if Instant::now() >= deadline {
            let left: Vec<Target> = left.into_iter().cloned().collect();
            eprintln!("not in time, after {} s:", timeout.as_secs());
            explained(access, &left, style).await?;
            return Ok(ExitCode::FAILURE);
        }
        open = left;
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether an object is as waited for: Ready counts for the present generation only.
fn done(object: Option<&Value>, until: Until) -> bool {
    let Some(object) = object else {
        return until == Until::Deleted;
    };
    if until == Until::Deleted {
        return false;
    }
    let generation = object.pointer("/metadata/generation");
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| {
        c.get("type").and_then(Value::as_str) == Some("Ready")
            && c.get("status").and_then(Value::as_str) == Some("True")
            && c.get("observedGeneration") == generation
    })
}

/// The logs of all gateway Pods.
async fn flows(access: &Access) -> Result<Vec<String>, FetchError> {
    let pods = access
        .list("/api/v1/pods", "sluice.dev%2Fgateway")
        .await?
        .unwrap_or_default();
    let mut logs = Vec::new();
    for pod in pods {
        let text = |path: &str| {
            pod.pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/log?container=agent",
            text("/metadata/namespace"),
            text("/metadata/name")
        );
        for previous in ["&previous=true", ""] {
            logs.extend(access.text(&format!("{path}{previous}")).await);
        }
    }
    Ok(logs)
}

#[cfg(test)]
mod tests;
