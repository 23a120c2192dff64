//! What this product promises because others failed at it, where it takes a cluster to see:
//! a next hop's wrong MAC, own addresses of an uplink, and figures that agree.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::Host;
use sluice_e2e::LabError;
use sluice_e2e::evidence::journal;

use crate::failure::{Outcome, demand, wrong};
use crate::gateway::{GATEWAY, NS};
use crate::operator::NAMESPACE;
use crate::runner::Scenario;
use crate::stage::{Stage, text};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "r_mac_a_next_hop_under_a_wrong_static_entry_is_repaired_and_told",
        secs: 90,
        full: false,
        run: repaired,
    },
    Scenario {
        name: "r_mac_under_report_a_wrong_static_entry_is_told_as_long_as_it_is_wrong",
        secs: 90,
        full: false,
        run: reported,
    },
    Scenario {
        name: "r_upl_a_nodes_annotation_is_used_or_told_of_and_nothing_in_its_place",
        secs: 90,
        full: false,
        run: annotated,
    },
    Scenario {
        name: "r_met_what_came_less_what_went_is_what_there_is_and_the_logs_say_the_same",
        secs: 120,
        full: false,
        run: counted,
    },
];

/// The router that the pools name.
const ROUTER: [&str; 2] = ["10.155.30.1", "2001:db8:1::1"];
/// A MAC that nobody has.
const WRONG: &str = "02:00:00:00:ee:ee";
/// How long a wrong MAC may go unnoticed, in seconds; a busy machine gets as much again.
const NOTICE: f64 = 10.0;

fn pin(stage: &Stage, host: &Host) -> Outcome {
    for router in ROUTER {
        let pin = format!("ip neigh replace {router} lladdr {WRONG} nud permanent dev eth1");
        shell(stage, host, &pin)?;
    }
    Ok(())
}

fn shell(stage: &Stage, host: &Host, script: &str) -> Outcome<String> {
    let output = stage.lab.exec(host, &["sh", "-c", script])?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    wrong(format!("`{script}`: {said}"))
}

/// What the holder's report tells of a next hop.
fn told(stage: &Stage, router: &str) -> Option<Value> {
    let (pod, _) = stage.gateway_pod().ok()?;
    let report = stage.live("GatewayInstance", GATEWAY.0, &pod)?;
    let told = report.pointer("/status/neighbours")?.as_array()?.clone();
    told.into_iter().find(|n| text(n, "/address") == router)
}

fn repaired(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(1)?;
    let host = stage.gateway_host()?;
    pin(stage, &host)?;
    for router in ROUTER {
        stage.wait_for("the report of the repair", NOTICE, || {
            let told = told(stage, router).ok_or("nothing is told")?;
            let words = text(&told, "/message");
            if words.contains("was replaced") {
                Ok(())
            } else {
                Err(words)
            }
        })?;
        let entry = shell(stage, &host, &format!("ip neigh show {router} dev eth1"))?;
        demand(!entry.contains(WRONG), || {
            format!("the entry stands: {entry}")
        })?;
    }
    // An Event on the gateway, in words that name the next hop.
    stage.wait_for("an Event on the gateway", NOTICE, || {
        let field = "--field-selector=involvedObject.kind=NATGateway,reason=MACChanged";
        let events = stage.kubectl(
            &["-n", GATEWAY.0, "get", "events", field, "-o", "yaml"],
            None,
        );
        let events = events.map_err(|failure| failure.to_string())?;
        match ROUTER.iter().find(|router| !events.contains(**router)) {
            None => Ok(()),
            Some(router) => Err(format!("none names {router}")),
        }
    })?;
    stage.wait_all_ready(5.0)?;
    stage.probes_pass(5.0)
}

fn reported(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let policy = json!({"spec": {"neighbours": {"macPolicy": "Report", "probeInterval": "1s"}}});
    stage.patch("NATGateway", GATEWAY.0, GATEWAY.1, &policy)?;
    stage.with_pairs(1)?;
    let host = stage.gateway_host()?;
    pin(stage, &host)?;
    ready_reason(stage, "NextHopMACMismatch")?;
    let entry = shell(
        stage,
        &host,
        &format!("ip neigh show {} dev eth1", ROUTER[0]),
    )?;
    demand(entry.contains(WRONG), || {
        format!("the entry is another: {entry}")
    })?;
    for router in ROUTER {
        shell(stage, &host, &format!("ip neigh del {router} dev eth1"))?;
    }
    ready_reason(stage, "Ready")?;
    stage.wait_all_ready(5.0)
}

/// The gateway stays Ready, and says what is to be known by the reason.
fn ready_reason(stage: &Stage, reason: &str) -> Outcome {
    stage.wait_for("a reason of the gateway's Ready", NOTICE, || {
        let gateway = stage.live("NATGateway", GATEWAY.0, GATEWAY.1);
        let gateway = gateway.unwrap_or_default();
        let conditions = gateway
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        let mut ready = conditions.into_iter().flatten();
        let Some(ready) = ready.find(|c| text(c, "/type") == "Ready") else {
            return Err("it has no Ready".to_owned());
        };
        let is_so = text(ready, "/status") == "True" && text(ready, "/reason") == reason;
        if is_so {
            Ok(())
        } else {
            Err(ready.to_string())
        }
    })
}

fn annotated(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let (_, node) = stage.gateway_pod()?;
    let own = own_addresses(stage);
    let result = (|| {
        for (text, v4, v6, reason) in [
            (
                "2001:db8:1::77",
                own.0.clone(),
                Value::Null,
                "AddressNotOnInterface",
            ),
            (
                "10.155.30.77",
                Value::Null,
                own.1.clone(),
                "AddressNotOnInterface",
            ),
            (
                "10.155.30.7/24",
                Value::Null,
                Value::Null,
                "AnnotationInvalid",
            ),
        ] {
            annotate(stage, &node, json!(text))?;
            ready_reason(stage, reason)?;
            expect_own(stage, &(v4, v6))?;
        }
        let both = [&own.0, &own.1].map(|a| a.as_str().unwrap_or_default().to_owned());
        annotate(stage, &node, json!(both.join(",")))?;
        ready_reason(stage, "Ready")?;
        expect_own(stage, &own)
    })();
    annotate(stage, &node, Value::Null)?;
    result
}

fn annotate(stage: &Stage, node: &str, value: Value) -> Outcome {
    let patch = json!({"metadata": {"annotations": {"sluice.dev/uplink-address": value}}});
    let patch = patch.to_string();
    stage.kubectl(&["patch", "node", node, "--type=merge", "-p", &patch], None)?;
    Ok(())
}

/// The uplink's own addresses, as reported.
fn own_addresses(stage: &Stage) -> (Value, Value) {
    let pod = stage.gateway_pod().map(|(pod, _)| pod).unwrap_or_default();
    let report = stage
        .live("GatewayInstance", GATEWAY.0, &pod)
        .unwrap_or_default();
    let own = |family: &str| {
        let at = format!("/status/uplinks/0/{family}");
        report.pointer(&at).cloned().unwrap_or_default()
    };
    (own("ipv4"), own("ipv6"))
}

fn expect_own(stage: &Stage, expected: &(Value, Value)) -> Outcome {
    stage.wait_for("the own addresses", NOTICE, || {
        let now = own_addresses(stage);
        if now == *expected {
            Ok(())
        } else {
            Err(format!("{now:?} instead of {expected:?}"))
        }
    })
}

fn counted(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let (pod, _) = stage.gateway_pod()?;
    let agent = metrics_of(stage, GATEWAY.0, &pod, 9808)?;
    balance(
        &agent,
        "sluice_agent_address_adds_total",
        "sluice_agent_address_deletes_total",
        "sluice_agent_addresses",
        "ipv4",
        Some(0),
    )?;
    stage.with_pairs(3)?;
    let many = stage.keeper.logs();
    let before = journal::operations(&many, &stage.logged);
    // Read again and again while addresses come and go: at any time they agree.
    let names: Vec<String> = (0..3).map(|n| format!("eip-{n}")).collect();
    for round in 0..6 {
        if round == 2 {
            for n in 0..3 {
                stage.retire(&[format!("FIP/{NS}/fip-{n}"), format!("EIP/{NS}/eip-{n}")]);
            }
            let objects: Vec<_> = (0..3)
                .flat_map(|n| {
                    [("FIP", format!("fip-{n}")), ("EIP", format!("eip-{n}"))]
                        .map(|(kind, name)| (kind.to_owned(), NS.to_owned(), name))
                })
                .collect();
            stage.delete_all(&objects)?;
        }
        let held = (round < 2).then_some(3);
        let agent = metrics_of(stage, GATEWAY.0, &pod, 9808)?;
        for family in ["ipv4", "ipv6"] {
            balance(
                &agent,
                "sluice_agent_address_adds_total",
                "sluice_agent_address_deletes_total",
                "sluice_agent_addresses",
                family,
                held,
            )?;
        }
        let operator = metrics_of(stage, NAMESPACE, &operator_pod(stage)?, 8080)?;
        for family in ["IPv4", "IPv6"] {
            balance(
                &operator,
                "sluice_address_claims_total",
                "sluice_address_releases_total",
                "sluice_addresses_claimed",
                family,
                None,
            )?;
        }
        stage.pause(0.3);
    }
    for name in &names {
        stage.wait_gone("EIP", NS, name, 30.0)?;
    }
    // Three deletions, told by the agent and by the operator.
    stage.wait_for("the lines of the deletions", 10.0, || {
        let logs = stage.keeper.logs();
        match journal::operations(&logs, &stage.logged) {
            now if now >= before + 6 => Ok(()),
            now => Err(format!("{now} operations ended, {before} before")),
        }
    })
}

fn operator_pod(stage: &Stage) -> Outcome<String> {
    let pods = stage.list("Pod", NAMESPACE, "")?;
    let pod = pods.first().map(|pod| text(pod, "/metadata/name"));
    pod.map_or_else(|| wrong("there is no operator pod"), Ok)
}

/// What a pod's metrics say now.
fn metrics_of(stage: &Stage, namespace: &str, name: &str, port: u16) -> Outcome<String> {
    let pods = stage.list("Pod", namespace, "")?;
    let pod = pods.iter().find(|pod| text(pod, "/metadata/name") == name);
    let ip = pod
        .map(|pod| text(pod, "/status/podIP"))
        .unwrap_or_default();
    let Ok(ip) = ip.parse::<IpAddr>() else {
        return wrong(format!("pod {namespace}/{name} has no address"));
    };
    let host = Host::pod(namespace, name);
    let text = stage.lab.within(&host, || {
        fetch(SocketAddr::new(ip, port)).map_err(|source| LabError::Io {
            action: format!("read the metrics of {name}"),
            source,
        })
    })?;
    Ok(text)
}

fn fetch(from: SocketAddr) -> std::io::Result<String> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&from, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let request = "GET /metrics HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// In one scrape, what came less what went is what there is.
fn balance(
    metrics: &str,
    adds: &str,
    deletes: &str,
    gauge: &str,
    family: &str,
    held: Option<i64>,
) -> Outcome {
    let value = |name: &str| -> Outcome<i64> {
        let prefix = format!("{name}{{family=\"{family}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
        match line.and_then(|value| value.trim().parse().ok()) {
            Some(value) => Ok(value),
            None => wrong(format!("the metrics have no {prefix}")),
        }
    };
    let (came, went, is) = (value(adds)?, value(deletes)?, value(gauge)?);
    demand(came - went == is, || {
        format!("{family}: {adds} {came} less {deletes} {went} is not {gauge} {is}")
    })?;
    match held {
        Some(held) => demand(is == held, || {
            format!("{gauge} of {family} is {is}, not {held}")
        }),
        None => Ok(()),
    }
}
