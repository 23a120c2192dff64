//! The race: the gateway's pod is replaced while FIPs are deleted. No EIP may
//! say Ready before the new holder has reported that it serves it.

use rustix::process::Signal;
use sluice_e2e::Host;
use sluice_e2e::evidence::Harm;

use crate::failure::{Outcome, demand, wrong};
use crate::gateway::{GATEWAY, NS};
use crate::runner::Scenario;
use crate::stage::{Stage, text};

/// EIPs, and as many FIPs.
const PAIRS: usize = 20;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "race_pod_and_all_fips_deleted_at_once",
        secs: 90,
        full: false,
        run: at_once,
    },
    Scenario {
        name: "race_new_agent_stopped_for_10_s_after_its_start",
        secs: 120,
        full: false,
        run: agent_stopped,
    },
    Scenario {
        name: "race_operator_killed_and_restarted_in_between",
        secs: 120,
        full: false,
        run: operator_killed,
    },
    Scenario {
        name: "race_half_of_the_fips_deleted_one_by_one_during_recovery",
        secs: 90,
        full: false,
        run: one_by_one,
    },
    Scenario {
        name: "race_pod_deleted_by_force",
        secs: 120,
        full: false,
        run: by_force,
    },
];

fn at_once(stage: &mut Stage) -> Outcome {
    let before = prepare(stage)?;
    let pod = doom(stage)?;
    delete_pod_and_fips(stage, &pod, false)?;
    finish(stage, &before)
}

fn agent_stopped(stage: &mut Stage) -> Outcome {
    prepare(stage)?;
    let mut before = stage.holder();
    let mut pod = doom(stage)?;
    delete_pod_and_fips(stage, &pod, false)?;
    for _ in 0..5 {
        let new = wait_new_process(stage, &pod)?;
        stage.lab.signal(&new, Signal::STOP)?;
        stage.note(format!("{new} is stopped"));
        // What was on its way when it was stopped arrives.
        stage.pause(0.5);
        // The old one may still be on its way out, and rightly Ready.
        if ready_after(stage, &before.0).is_empty() {
            stage.pause(10.0);
            let early = ready_after(stage, &before.0);
            stage.lab.signal(&new, Signal::CONT)?;
            stage.note(format!("{new} goes on"));
            demand(early.is_empty(), || {
                format!(
                    "Ready=True while the new agent was stopped: {}",
                    early.join(", ")
                )
            })?;
            return finish(stage, &before);
        }
        // It was quicker than the signal, and rightly Ready: the next one.
        stage.lab.signal(&new, Signal::CONT)?;
        stage.wait_recovered(&before, 30.0)?;
        before = stage.holder();
        pod = doom(stage)?;
        stage.delete("Pod", GATEWAY.0, &pod)?;
    }
    wrong("every new agent had reported before it could be stopped")
}

/// The names of the EIPs that say Ready now, by another instance than this one.
fn ready_after(stage: &Stage, old: &str) -> Vec<String> {
    let eips = stage.history.live_of("EIP");
    let by_others = eips
        .iter()
        .filter(|eip| text(eip, "/status/holder/instance") != old);
    let names = by_others.map(|eip| text(eip, "/metadata/name"));
    names
        .filter(|name| stage.condition("EIP", NS, name, "Ready").0 == "True")
        .collect()
}

fn operator_killed(stage: &mut Stage) -> Outcome {
    let before = prepare(stage)?;
    let pod = doom(stage)?;
    delete_pod_and_fips(stage, &pod, false)?;
    let since = stage.history.now_us();
    stage.kill_operator()?;
    stage.wait_operator(since, 60.0)?;
    finish(stage, &before)
}

fn one_by_one(stage: &mut Stage) -> Outcome {
    let before = prepare(stage)?;
    let pod = doom(stage)?;
    stage.delete("Pod", GATEWAY.0, &pod)?;
    for n in 0..PAIRS / 2 {
        stage.retire(&[format!("FIP/{NS}/fip-{n}")]);
        stage.delete("FIP", NS, &format!("fip-{n}"))?;
        stage.pause(0.15);
    }
    finish(stage, &before)
}

fn by_force(stage: &mut Stage) -> Outcome {
    let before = prepare(stage)?;
    let pod = doom(stage)?;
    delete_pod_and_fips(stage, &pod, true)?;
    finish(stage, &before)
}

/// The gateway with its EIPs and FIPs, all Ready and answering. Returns the
/// holder and its term.
fn prepare(stage: &mut Stage) -> Outcome<(String, i64)> {
    stage.demands.few_writes = true;
    stage.with_gateway()?;
    stage.with_pairs(PAIRS)?;
    stage.pause(0.5);
    Ok(stage.holder())
}

/// Notes that the holder is about to end. Returns its pod.
fn doom(stage: &Stage) -> Outcome<String> {
    let (pod, _) = stage.gateway_pod()?;
    stage.fault(Harm::Holder, format!("pod {pod} goes"));
    Ok(pod)
}

fn delete_pod_and_fips(stage: &Stage, pod: &str, force: bool) -> Outcome {
    stage.retire(&["FIP/*".into()]);
    let mut all = vec![("Pod".to_owned(), GATEWAY.0.to_owned(), pod.to_owned())];
    all.extend((0..PAIRS).map(|n| ("FIP".to_owned(), NS.to_owned(), format!("fip-{n}"))));
    if force {
        all.remove(0);
        stage.kubectl(
            &[
                "-n",
                GATEWAY.0,
                "delete",
                "pod",
                pod,
                "--force",
                "--grace-period=0",
                "--wait=false",
            ],
            None,
        )?;
    }
    stage.delete_all(&all)
}

/// Waits until the process of a gateway pod other than `old` runs.
fn wait_new_process(stage: &Stage, old: &str) -> Outcome<Host> {
    stage.wait_for("the start of the new agent", 60.0, || {
        let (name, _) = stage.gateway_pod().map_err(|failure| failure.to_string())?;
        let host = Host::pod(GATEWAY.0, &name);
        let lab = &stage.lab;
        let processes = host.processes(lab.paths(), lab.state()).unwrap_or_default();
        if name != old && processes.iter().any(|process| !process.pause) {
            Ok(host)
        } else {
            Err(format!("newest is {name}"))
        }
    })
}

/// All EIPs are Ready at another holder and answer; all deleted FIPs are gone.
fn finish(stage: &mut Stage, before: &(String, i64)) -> Outcome {
    let start = std::time::Instant::now();
    stage.wait_for("another holder", 60.0, || {
        let now = stage.holder();
        if now == *before || now.0.is_empty() {
            Err(format!("the Lease shows {now:?}"))
        } else {
            Ok(())
        }
    })?;
    stage.wait_for("the end of the deleted FIPs", 60.0, || {
        let fips = stage.history.live_of("FIP");
        let going = fips
            .iter()
            .filter(|fip| fip.pointer("/metadata/deletionTimestamp").is_some())
            .count();
        if going == 0 {
            Ok(())
        } else {
            Err(format!("{going} are still there"))
        }
    })?;
    stage.wait_all_ready(60.0)?;
    stage.tell(format!(
        "all Ready after {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    for n in 0..PAIRS {
        if stage.live("FIP", NS, &format!("fip-{n}")).is_none() {
            stage.prober.remove(&format!("FIP/{NS}/fip-{n}"));
        }
    }
    stage.probes_pass(5.0)?;
    stage.pause(1.0);
    Ok(())
}
