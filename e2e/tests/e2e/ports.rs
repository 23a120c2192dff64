//! Ports of an EIP: limits per source, warnings before they run out, and who had which;
//! and the size of TCP segments.

use std::net::{SocketAddr, UdpSocket};

use serde_json::{Value, json};
use sluice_e2e::{Host, LabError};

use crate::address::OUTSIDE;
use crate::failure::{Outcome, demand, wrong};
use crate::gateway::{GATEWAY, NS, eip, fip, snat};
use crate::runner::Scenario;
use crate::stage::{Stage, text};
use crate::traffic::{Held, outside, tenant};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_source_holds_as_many_connections_as_its_snat_allows",
        secs: 120,
        full: false,
        run: limited,
    },
    Scenario {
        name: "ports_that_run_short_are_told_before_they_are_gone",
        secs: 180,
        full: false,
        run: short,
    },
    Scenario {
        name: "tcp_segments_are_held_to_the_gateways_size",
        secs: 90,
        full: false,
        run: segments,
    },
    Scenario {
        name: "a_log_of_flows_tells_who_had_a_port",
        secs: 120,
        full: false,
        run: logged,
    },
];

const SOURCES: [&str; 2] = ["10.244.0.0/16", "fd00:10:244::/64"];
const SNAT: (&str, &str, &str) = ("SNAT", NS, "out");
/// How long the agent takes to look at ports, and a little.
const LOOK_SECS: f64 = 25.0;

/// A gateway with an EIP `out` that all tenants leave by; `more` is merged into the SNAT's
/// spec.
fn with_snat(stage: &Stage, more: &Value) -> Outcome {
    stage.with_gateway()?;
    let mut out = snat(NS, "out", "out", &SOURCES);
    let spec = out.get_mut("spec").and_then(Value::as_object_mut);
    if let (Some(spec), Some(more)) = (spec, more.as_object()) {
        spec.extend(more.clone());
    }
    stage.create(&eip(NS, "out"))?;
    stage.create(&out)?;
    stage.wait_seen(SNAT.0, SNAT.1, SNAT.2)?;
    stage.wait_all_ready(30.0)
}

/// Connections from a tenant until one cannot be opened, at most so many.
fn hold(stage: &Stage, host: &Host, to: &str, most: usize) -> Vec<Held> {
    let mut held = Vec::new();
    while held.len() < most {
        match stage.hold(host, to) {
            Ok(one) => held.push(one),
            Err(_) => break,
        }
    }
    held
}

fn limited(stage: &mut Stage) -> Outcome {
    with_snat(stage, &json!({"portsPerSource": 2}))?;
    let (web, web2) = (tenant("web"), tenant("web2"));
    for to in [OUTSIDE.0, OUTSIDE.1] {
        let mut held = hold(stage, &web, to, 5);
        demand(held.len() == 2, || {
            format!("web holds {} connections to {to}, of 2 allowed", held.len())
        })?;
        demand(held.iter_mut().all(|one| !one.ended()), || {
            "one that was held ended".to_owned()
        })?;
        // Another source has as many of its own.
        let other = hold(stage, &web2, to, 2);
        demand(other.len() == 2, || {
            format!("web2 holds {} connections to {to}", other.len())
        })?;
        drop(held.pop());
        stage.wait("room after one that ended", 10.0, || {
            stage.hold(&web, to).is_ok()
        })?;
    }
    // A user sees it, and the SNAT stays Ready.
    stage.wait_condition(SNAT, "Ready", ("True", "PortsPerSourceReached"), LOOK_SECS)?;
    let metrics = agent_metrics(stage)?;
    for family in ["ipv4", "ipv6"] {
        let of_family = format!("family=\"{family}\"");
        let counted = metrics.lines().any(|line| {
            line.starts_with("sluice_agent_snat_refused_total{") && line.contains(&of_family)
        });
        demand(counted, || format!("no refusals of {family} are counted"))?;
    }
    // Without a limit there is none.
    let none = json!({"spec": {"portsPerSource": null}});
    stage.patch(SNAT.0, SNAT.1, SNAT.2, &none)?;
    stage.wait("five connections without a limit", 20.0, || {
        hold(stage, &web, OUTSIDE.0, 5).len() == 5
    })
}

/// Sends a datagram from each port of a tenant.
fn fill(stage: &Stage, name: &str, to: &str, ports: std::ops::Range<u16>) -> Outcome {
    let to: SocketAddr = match to.parse() {
        Ok(to) => to,
        Err(error) => return wrong(format!("{to}: {error}")),
    };
    let from = if to.is_ipv4() { "0.0.0.0" } else { "::" };
    stage.lab.within(&tenant(name), || {
        for port in ports {
            // A port that something else has is none that is missing much.
            if let Ok(socket) = UdpSocket::bind((from, port)) {
                socket.send_to(b"x", to).map_err(|source| LabError::Io {
                    action: format!("send from port {port}"),
                    source,
                })?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

fn short(stage: &mut Stage) -> Outcome {
    with_snat(stage, &json!({}))?;
    // Datagrams that nobody answers: their flows go by themselves after 30 s.
    let to = format!("{}:9", OUTSIDE.0);
    fill(stage, "web", &to, 2_000..55_000)?;
    stage.wait_condition(SNAT, "Ready", ("True", "PortsLow"), LOOK_SECS)?;
    let said = stage.live(SNAT.0, SNAT.1, SNAT.2).unwrap_or_default();
    let message = said.to_string();
    demand(message.contains("port 9"), || {
        format!("the message does not name the destination: {message}")
    })?;
    stage.wait("an Event about it", 10.0, || {
        let asked = ["-n", NS, "get", "events", "--no-headers"];
        let events = stage.kubectl(&asked, None).unwrap_or_default();
        let told = |line: &str| line.contains("Warning") && line.contains("PortsLow");
        events.lines().any(told)
    })?;
    let [address, _] = stage.addresses(NS, "out")?;
    let metrics = agent_metrics(stage)?;
    let used = metrics
        .lines()
        .any(|line| line.starts_with("sluice_agent_ports_used{") && line.contains(&address));
    demand(used, || format!("no figure for {address}"))?;
    // It goes away with the flows.
    stage.wait_condition(SNAT, "Ready", ("True", "Ready"), 90.0)
}

fn segments(stage: &mut Stage) -> Outcome {
    with_snat(stage, &json!({}))?;
    stage.create_all(&[eip(NS, "web")])?;
    let web = crate::address::TENANTS[0].1;
    stage.create(&fip(NS, "web", "web", web))?;
    stage.wait_seen("FIP", NS, "web")?;
    stage.wait_all_ready(30.0)?;
    let clamp = json!({"spec": {"mssClamp": 1200}});
    stage.patch("NATGateway", GATEWAY.0, GATEWAY.1, &clamp)?;
    let both = stage.addresses(NS, "web")?;
    let ways = [
        (outside("client"), both[0].as_str()),
        (outside("client"), both[1].as_str()),
        (tenant("web2"), OUTSIDE.0),
        (tenant("web2"), OUTSIDE.1),
    ];
    for (host, to) in ways {
        // With timestamps a segment carries 12 bytes less.
        stage.wait_for(&format!("{host} -> {to} in small segments"), 15.0, || {
            let held = stage.hold(&host, to).map_err(|f| f.to_string())?;
            let output = stage
                .lab
                .exec(&host, &["ss", "-tinH", "state", "established"]);
            drop(held);
            let said = output.map_err(|error| error.to_string())?;
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            if said.contains("mss:1188") || said.contains("mss:1200") {
                Ok(())
            } else {
                Err(said)
            }
        })?;
    }
    Ok(())
}

fn logged(stage: &mut Stage) -> Outcome {
    with_snat(stage, &json!({}))?;
    let (web, client) = (tenant("web"), OUTSIDE);
    stage.http(&web, client.0, 80)?;
    demand(flows(stage)?.is_empty(), || {
        "flows are logged although nobody asked for it".to_owned()
    })?;
    let on = json!({"spec": {"flowLog": "Stdout"}});
    stage.patch("NATGateway", GATEWAY.0, GATEWAY.1, &on)?;
    let eip = stage.addresses(NS, "out")?;
    let inside = crate::address::TENANTS[0].1;
    let pairs = [
        (client.0, inside.0, eip[0].as_str()),
        (client.1, inside.1, eip[1].as_str()),
    ];
    for (to, inside, eip) in pairs {
        stage.wait_for(&format!("a line about {inside} -> {to}"), 20.0, || {
            stage.http(&web, to, 80).map_err(|f| f.to_string())?;
            let lines = flows(stage).map_err(|f| f.to_string())?;
            let found = lines.iter().any(|line| {
                line["event"] == json!("start")
                    && line["direction"] == json!("out")
                    && line["inside_address"] == json!(inside)
                    && line["eip_address"] == json!(eip)
                    && line["peer_address"] == json!(to)
                    && line["peer_port"] == json!(80)
            });
            if found {
                Ok(())
            } else {
                Err(format!("{} lines, none of them it", lines.len()))
            }
        })?;
    }
    let off = json!({"spec": {"flowLog": "Disabled"}});
    stage.patch("NATGateway", GATEWAY.0, GATEWAY.1, &off)?;
    stage.wait("a log that is off", 20.0, || {
        agent_metrics(stage).is_ok_and(|text| text.contains("sluice_agent_flow_log_on 0"))
    })?;
    let before = flows(stage)?.len();
    stage.http(&web, client.0, 80)?;
    stage.pause(1.0);
    demand(flows(stage)?.len() == before, || {
        "flows are logged although the log is off".to_owned()
    })
}

/// The lines about flows in the log of the gateway's pod.
fn flows(stage: &Stage) -> Outcome<Vec<Value>> {
    let (pod, _) = stage.gateway_pod()?;
    let log = stage.kubectl(&["-n", GATEWAY.0, "logs", &pod], None)?;
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    Ok(lines
        .filter(|line: &Value| line["kind"] == json!("flow"))
        .collect())
}

/// What the agent's `/metrics` says.
fn agent_metrics(stage: &Stage) -> Outcome<String> {
    let (pod, _) = stage.gateway_pod()?;
    let object = stage.get("Pod", GATEWAY.0, &pod)?.unwrap_or_default();
    let ip = text(&object, "/status/podIP");
    let url = if ip.contains(':') {
        format!("http://[{ip}]:9808/metrics")
    } else {
        format!("http://{ip}:9808/metrics")
    };
    let echo = stage.echo();
    let argv = [crate::stage::path_text(&echo)?, "--get", &url];
    let output = stage.lab.exec(&stage.gateway_host()?, &argv)?;
    demand(output.status.success(), || {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("{url}: {words}")
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
