//! A gateway of an OVN network: FIPs from their config to the word of the chassis that hosts
//! the gateway port, against a script of `ovn-nbctl` that writes the same rows and waits for
//! all chassis (`--wait=hv`).

use std::fs;
use std::time::{Duration, Instant};

use ovn_lab::{Failed, GATEWAY_PORT, Network, ROUTER};
use sluice_gateway_agent::dataplane::DataPlane as _;
use sluice_gateway_agent::ovn::{OvnOptions, OvnPlane};

use super::gateway::{external, failed, internal, revision, snapshot};
use super::report::{Figure, Report};
use crate::error::{Doing, LabError, Result};

/// Runs each way, by turns on one network.
const RUNS: usize = 3;
/// How long one apply may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures 1,000 and 5,000 FIPs.
///
/// # Errors
/// When OVN is not there, or refuses.
pub fn measure(report: &mut Report) -> Result<()> {
    let network = Network::up(1).map_err(lab)?;
    for (n, name) in [(1_000, "1k"), (5_000, "5k")] {
        println!("bench: {name} FIPs into OVN, {RUNS} runs each way");
        let (mut ours, mut script) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            ours.push(sluice(&network, n)?);
            script.push(nbctl(&network, n)?);
        }
        report.add(
            Figure::new(
                &format!("ovn_{name}_ms"),
                "ms",
                &ours,
                "FIPs as rows of OVN, acknowledged by the chassis that hosts the gateway port",
            )
            .beside("one ovn-nbctl --wait=hv with the same rows", &script),
        );
    }
    Ok(())
}

fn lab(error: Failed) -> LabError {
    LabError::Content(error.to_string())
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// An agent's data plane that takes them, and gives them up again.
fn sluice(network: &Network, n: usize) -> Result<f64> {
    let options = OvnOptions {
        northbound: network.northbound().map_err(lab)?,
        southbound: network.southbound().map_err(lab)?,
        router: ROUTER.to_owned(),
        gateway_port: GATEWAY_PORT.to_owned(),
        ..OvnOptions::default()
    };
    let mut plane = OvnPlane::open(options, "bench", "bench").map_err(|e| failed("open", &e))?;
    plane.guard().map_err(|e| failed("both databases", &e))?;
    let snapshot = snapshot(n);
    let start = Instant::now();
    // The hosting chassis is asked again until it has all.
    let applied = loop {
        match plane.apply(&snapshot, &revision(1), true) {
            Ok(applied) => break applied,
            Err(error) if start.elapsed() > PATIENCE => return Err(failed("apply", &error)),
            Err(_) => {}
        }
    };
    let took = ms(start);
    if let Some(refused) = applied.rejected.first() {
        let (key, error) = (&refused.key, &refused.error);
        return Err(LabError::Content(format!("refused {key}: {error}")));
    }
    while let Err(error) = plane.clear() {
        if start.elapsed() > PATIENCE {
            return Err(failed("clear", &error));
        }
    }
    settle(network)?;
    Ok(took)
}

/// The same rows by one process in one transaction.
fn nbctl(network: &Network, n: usize) -> Result<f64> {
    let script = network.path("rows");
    fs::write(&script, rows(network, n)?).doing(|| format!("write {}", script.display()))?;
    let words = script.display().to_string();
    let start = Instant::now();
    network.run("nbctl-script", &[&words]).map_err(lab)?;
    let took = ms(start);
    network
        .nbctl(&format!("clear logical_router {ROUTER} nat"))
        .map_err(lab)?;
    settle(network)?;
    Ok(took)
}

/// Words of `ovn-nbctl`, one a line.
fn rows(network: &Network, n: usize) -> Result<String> {
    let port = format!("--bare --columns=_uuid list logical_router_port {GATEWAY_PORT}");
    let port = network.nbctl(&port).map_err(lab)?;
    let mut words = String::from("--timeout=600\n--wait=hv\n");
    for i in 0..n {
        let (outside, inside) = (external(i), internal(i));
        words += &format!(
            "--\n--id=@n{i}\ncreate\nnat\ntype=dnat_and_snat\nexternal_ip=\"{outside}\"\nlogical_ip=\"{inside}\"\ngateway_port={port}\nexternal_ids:owner=script\nexternal_ids:n={i}\n--\nadd\nlogical_router\n{ROUTER}\nnat\n@n{i}\n"
        );
    }
    Ok(words)
}

/// Waits until all chassis have nothing left to do.
fn settle(network: &Network) -> Result<()> {
    network
        .nbctl("--timeout=600 --wait=hv sync")
        .map(drop)
        .map_err(lab)
}
