//! The judgement on a scenario's record, and what is kept of a failed one.

use std::fmt::Write as _;

use sluice_e2e::evidence::{checker, journal};

use crate::failure::{Outcome, wrong};
use crate::stage::Stage;

/// How many violations are shown; the record has all.
const SHOWN: usize = 8;

/// Checks the scenario's whole record against the rules.
pub fn judge(stage: &Stage) -> Outcome {
    let records = stage.history.records();
    let violations = checker::check(&records, stage.demands);
    if violations.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} violations of the rules", violations.len());
    for violation in violations.iter().take(SHOWN) {
        let _ = write!(text, "\n{violation}");
    }
    let all: String = violations
        .iter()
        .map(|violation| format!("{violation}\n"))
        .collect();
    stage.write("violations.txt", all.as_bytes());
    wrong(text)
}

/// Checks what the programs' logs say of addresses since the scenario began: also of what
/// the clean-up deleted.
pub fn judge_logs(stage: &Stage) -> Outcome {
    // The kubelet's links and ours follow what is written by a moment.
    stage.pause(0.5);
    let logs = stage.keeper.logs();
    let violations = journal::check(&logs, &stage.logged);
    if violations.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} lines of logs that break the rules", violations.len());
    for violation in violations.iter().take(SHOWN) {
        let _ = write!(text, "\n{violation}");
    }
    stage.write("log-violations.txt", violations.join("\n").as_bytes());
    wrong(text)
}

/// Keeps logs and objects beside the record of a failed scenario; `when` begins
/// the files' names.
pub fn keep(stage: &Stage, when: &str) {
    let write = |name: &str, content: &[u8]| stage.write(&format!("{when}{name}"), content);
    let everything = "natgateways,eippools,eips,fips,dnats,snats,gatewayconfigs,ruleslices,gatewayinstances,addressclaims";
    let logs = ["--tail=5000", "--prefix", "--timestamps"];
    let asked: [(&str, Vec<&str>); 6] = [
        ("objects.yaml", vec!["get", everything, "-A", "-o", "yaml"]),
        ("leases.yaml", vec!["get", "leases", "-A", "-o", "yaml"]),
        (
            "pods.txt",
            vec!["get", "pods,deployments", "-A", "-o", "wide"],
        ),
        (
            "events.txt",
            vec!["get", "events", "-A", "--sort-by=.lastTimestamp"],
        ),
        (
            "operator.log",
            [
                &["-n", "sluice-system", "logs", "deployment/sluice-operator"],
                &logs[..],
            ]
            .concat(),
        ),
        (
            "agents.log",
            [
                &[
                    "-n",
                    "net",
                    "logs",
                    "-l",
                    "sluice.dev/gateway",
                    "--max-log-requests=9",
                ],
                &logs[..],
            ]
            .concat(),
        ),
    ];
    for (file, arguments) in asked {
        match stage.kubectl(&arguments, None) {
            Ok(text) => write(file, text.as_bytes()),
            Err(failure) => write(file, failure.to_string().as_bytes()),
        }
    }
    if let Ok(host) = stage.gateway_host() {
        let script = "ip -br addr; ip rule; ip route show table all; ip -6 rule; ip -6 neigh show proxy; nft list ruleset";
        if let Ok(output) = stage.lab.exec(&host, &["sh", "-c", script]) {
            write("gateway-netns.txt", &output.stdout);
        }
    }
    let previous = [
        "-n",
        "sluice-system",
        "logs",
        "deployment/sluice-operator",
        "--previous",
        "--tail=2000",
    ];
    if let Ok(text) = stage.kubectl(&previous, None) {
        write("operator-previous.log", text.as_bytes());
    }
}
