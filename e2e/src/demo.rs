//! The demonstration: a cluster, the quick start, traffic both ways in both
//! families, and the race that this project began with.

mod race;
mod screen;
mod traffic;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{LabError, Result};
use crate::evidence::{History, watcher};
use crate::{Lab, UpOptions};
use screen::{Screen, kubectl};

/// Namespace of the quick start.
const NAMESPACE: &str = "net";
/// The objects of the quick start.
const EXAMPLE: &str = "examples/quickstart.yaml";

/// Runs the demonstration from beginning to end; the lab goes down with it.
///
/// # Errors
/// When a step does not show what it should.
pub async fn run(lab_name: &str) -> Result<()> {
    let begin = Instant::now();
    let screen = Screen::new();
    screen.step(
        "A cluster",
        "Real etcd, kube-apiserver, kubelets and containerd, in network namespaces of their own.",
    );
    let options = UpOptions {
        name: lab_name.into(),
        ..UpOptions::default()
    };
    let lab = tokio::task::block_in_place(|| Lab::up(&options, &|text| screen.note(text)))?;

    // From before there is anything: each True is judged by what came before it.
    let history = History::new();
    let watches = watcher::start(&lab.client().await?, &history);
    tokio::time::sleep(Duration::from_secs(1)).await;
    history.begin(&lab.paths().repo.join("target/demo/history.jsonl"))?;

    screen.step(
        "The quick start",
        "A pool of external addresses, a NAT gateway, and what they are used for.",
    );
    screen.file(Path::new(EXAMPLE))?;
    kubectl(&screen, &lab, &["apply", "-f", EXAMPLE])?;
    kubectl(
        &screen,
        &lab,
        &[
            "-n",
            NAMESPACE,
            "wait",
            "--for=condition=Ready",
            "--timeout=60s",
            "natgateways,eips,fips,dnats,snats",
            "--all",
        ],
    )?;
    kubectl(
        &screen,
        &lab,
        &["-n", NAMESPACE, "get", "natgateways,eips,fips,dnats,snats"],
    )?;

    screen.step(
        "Traffic",
        "Every line is a real connection; both sides say which addresses they see.",
    );
    let flows = traffic::show(&screen, &lab)?;

    screen.step(
        "The race",
        "The gateway pod and a FIP are deleted at the same moment. Elsewhere this made a dead\n\
         address look alive. Watch Ready and the probes of both EIPs (a ping every 20 ms).",
    );
    let outcome = race::run(&screen, &lab, &history).await?;
    drop(watches);

    screen.step("Summary", "");
    screen.note(&format!(
        "{flows} connections translated as they should be, in IPv4 and IPv6"
    ));
    for line in &outcome.summary {
        screen.note(line);
    }
    let took = begin.elapsed();
    drop(lab);
    screen.note(&format!(
        "everything was removed again; {:.0} s",
        took.as_secs_f64()
    ));
    if outcome.violations.is_empty() {
        return Ok(());
    }
    for violation in &outcome.violations {
        eprintln!("demo: {violation}");
    }
    Err(LabError::Content(
        "Ready and traffic did not agree: see above".into(),
    ))
}

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(60);
