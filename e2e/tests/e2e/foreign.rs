//! Others change a gateway's kernel: Ready says so, the agent repairs, Ready
//! says that too.

use serde_json::{Value, json};
use sluice_e2e::Host;
use sluice_e2e::evidence::{Harm, What};

use crate::failure::{Failure, Outcome, demand, wrong};
use crate::gateway::NS;
use crate::runner::Scenario;
use crate::stage::{Stage, text};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "foreign_change_of_routes_rules_and_settings_is_told_and_repaired",
        secs: 120,
        full: false,
        run: repaired,
    },
    Scenario {
        name: "foreign_edit_of_owned_tables_is_refused",
        secs: 60,
        full: false,
        run: owned,
    },
    Scenario {
        name: "foreign_edit_of_tables_without_owner_is_told_and_repaired",
        secs: 90,
        full: false,
        run: without_owner,
    },
    Scenario {
        name: "forwarding_turned_off_where_the_agent_may_not_repair_is_told",
        secs: 60,
        full: false,
        run: told,
    },
];

/// How long a change may take to be told and repaired, in seconds; the figure
/// itself is printed.
const PATIENCE: f64 = 10.0;
/// A report that was bad for less than this may pass without a False.
const BLINK_US: u64 = 150_000;

fn repaired(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(2)?;
    let limits = json!({"spec": {"bandwidth": {"ingress": "1G", "egress": "1G"}}});
    stage.patch("EIP", NS, "eip-0", &limits)?;
    let host = stage.gateway_host()?;
    stage.wait_for("classes of traffic", PATIENCE, || {
        let classes = run(
            stage,
            &host,
            "tc class show dev lan0; tc class show dev eth1",
        );
        match classes.map_err(|e| e.to_string())?.lines().count() {
            2 => Ok(()),
            count => Err(format!("{count} classes, of two")),
        }
    })?;
    stage.wait_all_ready(PATIENCE)?;
    let [four, six] = stage.addresses(NS, "eip-0")?;
    let edits = [
        (
            "EIP route",
            format!("ip route del local {four} dev lo table local"),
        ),
        (
            "EIP route v6",
            format!("ip -6 route del local {six} dev lo table local"),
        ),
        (
            "proxy entry",
            format!("ip -6 neigh del proxy {six} dev eth1"),
        ),
        ("ip rule", "ip rule del pref 120".to_owned()),
        ("ip rule v6", "ip -6 rule del pref 120".to_owned()),
        ("HTB", "tc qdisc del dev eth1 root".to_owned()),
        (
            "class",
            "tc class del dev lan0 classid $(tc class show dev lan0 | cut -d' ' -f3)".to_owned(),
        ),
        (
            "forwarding",
            "echo 0 > /proc/sys/net/ipv4/conf/lan0/forwarding".to_owned(),
        ),
        (
            "rp_filter",
            "echo 1 > /proc/sys/net/ipv4/conf/eth1/rp_filter".to_owned(),
        ),
    ];
    let mut wrongs = Vec::new();
    for (what, edit) in &edits {
        if let Err(failure) = edit_and_watch(stage, &host, what, edit) {
            wrongs.push(format!("{what}: {failure}"));
        }
        stage.wait_all_ready(PATIENCE)?;
    }
    demand(wrongs.is_empty(), || wrongs.join("\n"))
}

fn owned(stage: &mut Stage) -> Outcome {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(6), Some(9)) {
        return Err(Failure::Skip(format!(
            "tables have owners since Linux 6.9, this is {}",
            release.trim()
        )));
    }
    stage.with_gateway()?;
    stage.with_pairs(2)?;
    let host = stage.gateway_host()?;
    let tables = run(stage, &host, "nft list tables")?;
    let Some(table) = tables.lines().find_map(|line| {
        line.strip_prefix("table ")
            .filter(|t| t.starts_with("inet"))
    }) else {
        return wrong(format!("the gateway has no inet table: {tables}"));
    };
    let before = run(stage, &host, &format!("nft list table {table}"))?;
    for edit in [
        format!("nft flush table {table}"),
        format!("nft delete table {table}"),
    ] {
        let output = stage.lab.exec(&host, &["sh", "-c", &edit])?;
        demand(!output.status.success(), || {
            format!("`{edit}` was not refused")
        })?;
    }
    // A flush of everything passes over tables of an owner.
    stage.lab.exec(&host, &["nft", "flush", "ruleset"])?;
    let after = run(stage, &host, &format!("nft list table {table}"))?;
    let count = |text: &str| text.lines().count();
    demand(count(&before) == count(&after), || {
        format!("{} lines before, {} after", count(&before), count(&after))
    })?;
    stage.pause(1.5);
    stage.wait_all_ready(1.0)?;
    stage.probes_pass(3.0)
}

fn without_owner(stage: &mut Stage) -> Outcome {
    crate::gateway::without_ownership(stage)?;
    stage.with_pairs(2)?;
    let host = stage.gateway_host()?;
    let [four, _] = stage.addresses(NS, "eip-0")?;
    let listing = run(stage, &host, "nft list ruleset")?;
    let element = element_of(&listing, &four);
    let Some((table, map)) = element else {
        return wrong(format!("no map of the ruleset has {four} as key"));
    };
    edit_and_watch(
        stage,
        &host,
        "one element",
        &format!("nft delete element {table} {map} '{{ {four} }}'"),
    )?;
    stage.wait_all_ready(PATIENCE)?;
    edit_and_watch(stage, &host, "flush", "nft flush ruleset")?;
    stage.wait_all_ready(PATIENCE)?;
    stage.probes_pass(3.0)
}

/// What the agent may not repair it must still tell.
fn told(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(2)?;
    let host = stage.gateway_host()?;
    stage.fault(Harm::Traffic, "v6 forwarding off");
    run(
        stage,
        &host,
        "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding",
    )?;
    stage.wait_for(
        "a Ready that is not True, with ForwardingDisabled",
        PATIENCE,
        || {
            let (status, why) = stage.condition("EIP", NS, "eip-0", "Ready");
            if status == "False" && why.contains("orward") {
                Ok(())
            } else {
                Err(format!("Ready is {status:?} ({why})"))
            }
        },
    )?;
    run(
        stage,
        &host,
        "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
    )?;
    stage.wait_all_ready(PATIENCE)?;
    stage.probes_pass(3.0)
}

/// Makes a foreign change and demands that it is told and repaired: Ready turns
/// False with a reason and True again. A repair may be done before the False is
/// written; then the holder's report must have told it, and for less than
/// [`BLINK_US`]. Tells how long all took.
fn edit_and_watch(stage: &mut Stage, host: &Host, what: &str, edit: &str) -> Outcome {
    stage.fault(Harm::Traffic, format!("foreign change: {edit}"));
    let from = stage.history.now_us();
    run(stage, host, edit)?;
    let text = stage.wait_for(
        &format!("False and True again after `{edit}`"),
        PATIENCE,
        || {
            let (mut down, mut told) = (None, None);
            for record in stage.history.records() {
                let What::Object {
                    kind,
                    object,
                    gone: false,
                } = &record.what
                else {
                    continue;
                };
                if record.at_us < from {
                    continue;
                }
                let ms = (record.at_us - from) / 1000;
                if kind == "EIP" && text(object, "/metadata/name") == "eip-0" {
                    match (ready(object), &down) {
                        ((status, reason), None) if status != "True" => down = Some((ms, reason)),
                        ((status, _), Some((at, reason))) if status == "True" => {
                            return Ok(format!("{at} ms to {reason}, {ms} ms to Ready"));
                        }
                        _ => {}
                    }
                } else if kind == "GatewayInstance" {
                    match (complains(object), told) {
                        (true, None) => told = Some((record.at_us, None)),
                        (false, Some((at, None))) => told = Some((at, Some(record.at_us))),
                        _ => {}
                    }
                }
            }
            match (down, told) {
                (Some((_, reason)), _) => Err(format!("it stays False ({reason})")),
                (None, Some((at, Some(until)))) if until - at < BLINK_US => {
                    // A False that is on its way would show by now.
                    let late = stage.history.now_us() > until + 1_000_000;
                    let text = format!(
                        "repaired within {} ms, told in the report",
                        (until - from) / 1000
                    );
                    if late {
                        Ok(text)
                    } else {
                        Err("told and repaired a moment ago".to_owned())
                    }
                }
                (None, Some((_, Some(_)))) => {
                    Err("it was told and repaired, and Ready never False".to_owned())
                }
                (None, _) => Err("it never was False, nor told".to_owned()),
            }
        },
    )?;
    stage.tell(format!("{what}: {text}"));
    Ok(())
}

/// Whether a report names anything that does not work.
fn complains(report: &Value) -> bool {
    ["/status/problems", "/status/unusable"].iter().any(|at| {
        report
            .pointer(at)
            .and_then(Value::as_array)
            .is_some_and(|all| !all.is_empty())
    })
}

fn ready(object: &Value) -> (String, String) {
    let all = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let ready = all
        .into_iter()
        .flatten()
        .find(|one| text(one, "/type") == "Ready");
    ready
        .map(|ready| (text(ready, "/status"), text(ready, "/reason")))
        .unwrap_or_default()
}

/// The first map of a listing whose elements have `address` as key: its table,
/// with family, and its name.
fn element_of(listing: &str, address: &str) -> Option<(String, String)> {
    let (mut table, mut map) = (String::new(), String::new());
    for line in listing.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("table ") {
            table = rest
                .trim_end_matches([' ', '{'])
                .split('#')
                .next()?
                .trim()
                .to_owned();
            table = table.trim_end_matches([' ', '{']).to_owned();
        } else if let Some(rest) = line.strip_prefix("map ") {
            map = rest.trim_end_matches([' ', '{']).to_owned();
        } else if line.starts_with("chain ") || line.starts_with("set ") {
            map.clear();
        } else if !map.is_empty() && line.contains(&format!("{address} :")) {
            return Some((table, map));
        }
    }
    None
}

fn run(stage: &Stage, host: &Host, script: &str) -> Outcome<String> {
    let output = stage.lab.exec(host, &["sh", "-c", script])?;
    demand(output.status.success(), || {
        format!(
            "`{script}` on {host}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
