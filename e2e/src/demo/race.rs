//! The gateway pod and a FIP are deleted at the same moment.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::screen::{Screen, quiet};
use super::traffic::addresses;
use super::{NAMESPACE, PATIENCE};
use crate::Lab;
use crate::error::{LabError, Result};
use crate::evidence::checker::{Demands, Violation, check};
use crate::evidence::prober::{Method, Prober, Target};
use crate::evidence::{Harm, History, Mark, Record, What};

/// How the race ended.
pub struct Outcome {
    /// A few sentences.
    pub summary: Vec<String>,
    /// Rules that were broken; none is a success.
    pub violations: Vec<Violation>,
}

/// EIPs that are probed: one whose FIP is deleted, one that keeps its rule.
const EIPS: [&str; 2] = ["web", "ports"];

/// Runs the race, prints its timeline, and judges it.
///
/// # Errors
/// When the cluster does not recover.
pub async fn run(screen: &Screen, lab: &Lab, history: &History) -> Result<Outcome> {
    let prober = Prober::start(&lab.netns(&"client".parse()?)?, history)?;
    for eip in EIPS {
        for address in addresses(lab, eip)? {
            prober.add(Target {
                object: format!("EIP/{NAMESPACE}/{eip}"),
                address,
                method: Method::Ping,
            });
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;

    let gateway = format!("{}=egress", sluice_crds::names::LABEL_GATEWAY);
    let old = holder(history);
    screen.command(&format!("kubectl -n {NAMESPACE} delete pod -l {gateway} --wait=false & kubectl -n {NAMESPACE} delete fip web --wait=false"));
    let fault = history.now_us();
    history.mark(Mark::Fault {
        harm: Harm::Holder,
        text: "gateway pod and FIP deleted".into(),
    });
    history.mark(Mark::Retire {
        objects: vec![format!("FIP/{NAMESPACE}/web")],
    });
    let delete = |words: Vec<String>| {
        let mut command = lab.kubectl();
        command
            .args(["-n", NAMESPACE, "delete", "--wait=false"])
            .args(words);
        command.stdout(std::process::Stdio::null());
        command
    };
    let both = [
        delete(vec!["pod".into(), "-l".into(), gateway]),
        delete(vec!["fip".into(), "web".into()]),
    ]
    .map(|mut command| command.spawn());
    for child in both {
        let status = child.and_then(|mut child| child.wait());
        if !status.is_ok_and(|s| s.success()) {
            return Err(LabError::Content("a kubectl delete failed".into()));
        }
    }
    recovered(history, old.as_ref()).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    prober.settle();
    let records = history.records();
    quiet(lab, &["-n", NAMESPACE, "get", "eips"]).map(|text| screen.output(&text))?;
    let summary = timeline(screen, &records, fault);
    Ok(Outcome {
        summary,
        violations: check(
            &records,
            Demands {
                few_writes: false,
                slack_us: 500_000,
            },
        ),
    })
}

/// Waits until all EIPs are Ready by another holder than `old`.
async fn recovered(history: &History, old: Option<&Value>) -> Result<()> {
    let start = Instant::now();
    loop {
        let ready = EIPS.iter().all(|eip| {
            history.live("EIP", NAMESPACE, eip).is_some_and(|object| {
                ready(&object).0 == "True" && object.pointer("/status/holder") != old
            })
        });
        if ready {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(LabError::Content(format!(
                "the EIPs are not Ready again after {} s",
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn holder(history: &History) -> Option<Value> {
    history
        .live("EIP", NAMESPACE, "web")
        .and_then(|o| o.pointer("/status/holder").cloned())
}

/// Status and reason of an object's Ready condition.
fn ready(object: &Value) -> (String, String) {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let condition = conditions
        .into_iter()
        .flatten()
        .find(|c| c.get("type").and_then(Value::as_str) == Some("Ready"));
    let word = |key| {
        condition
            .and_then(|c| c.get(key))
            .and_then(Value::as_str)
            .unwrap_or("-")
            .to_owned()
    };
    (word("status"), word("reason"))
}

/// Prints what happened in order, and returns the sentences of the summary.
fn timeline(screen: &Screen, records: &[Record], fault: u64) -> Vec<String> {
    let mut lines: Vec<(u64, String)> = vec![(fault, "gateway pod and FIP web deleted".into())];
    let mut summary = Vec::new();
    let mut last: [String; 2] = EIPS.map(|_| String::new());
    let mut back: Option<u64> = None;
    let mut silent: Option<(u64, u64)> = None;
    for record in records {
        match &record.what {
            What::Object { kind, object, gone } => {
                let name = object
                    .pointer("/metadata/name")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                if kind == "FIP" && name == "web" && *gone {
                    lines.push((record.at_us, "FIP web is gone".into()));
                }
                let Some(slot) = EIPS.iter().position(|eip| kind == "EIP" && *eip == name) else {
                    continue;
                };
                let (status, reason) = ready(object);
                let term = object
                    .pointer("/status/holder/term")
                    .cloned()
                    .unwrap_or_default();
                let text = format!("EIP {name}: Ready={status} ({reason}), term {term}");
                let Some(seen) = last.get_mut(slot) else {
                    continue;
                };
                if *seen != text && record.at_us >= fault {
                    if status == "True" {
                        back = Some(back.map_or(record.at_us, |b| b.max(record.at_us)));
                    }
                    lines.push((record.at_us, text.clone()));
                }
                *seen = text;
            }
            What::Loss(loss) if loss.to_us >= fault => {
                let eip = loss.object.rsplit('/').next().unwrap_or_default();
                lines.push((
                    loss.from_us,
                    format!("probe {:<16} ({eip}) stops being answered", loss.address),
                ));
                lines.push((
                    loss.to_us,
                    format!("probe {:<16} ({eip}) lost for the last time", loss.address),
                ));
                let (from, to) = silent.unwrap_or((loss.from_us, loss.to_us));
                silent = Some((from.min(loss.from_us), to.max(loss.to_us)));
            }
            _ => {}
        }
    }
    lines.sort();
    for (at, text) in &lines {
        screen.note(&format!("{:>8.3} s  {text}", seconds(*at, fault)));
    }
    if let Some((from, to)) = silent {
        summary.push(format!(
            "probes were lost from {:.3} s to {:.3} s after the deletion",
            seconds(from, fault),
            seconds(to, fault)
        ));
    }
    if let Some(back) = back {
        let order = match silent {
            Some((_, to)) if to > back => "although probes were lost after that",
            _ => "after the last lost probe",
        };
        summary.push(format!(
            "the last EIP turned Ready=True {:.3} s after the deletion, {order}",
            seconds(back, fault)
        ));
    }
    summary
}

fn seconds(at: u64, from: u64) -> f64 {
    (at as f64 - from as f64) / 1e6
}
