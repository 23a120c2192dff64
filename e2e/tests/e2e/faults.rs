//! Parts fail and come back: everything ends Ready and traffic flows.

use rustix::process::Signal;
use serde_json::json;
use sluice_e2e::Host;
use sluice_e2e::control::Request;
use sluice_e2e::control_plane::Component;
use sluice_e2e::evidence::{Harm, Mark};

use crate::failure::Outcome;
use crate::gateway::{GATEWAY, NS, eip, fip, tenant};
use crate::restore::{node_off, node_on, tenants};
use crate::runner::Scenario;
use crate::stage::Stage;

/// EIPs, and as many FIPs.
const PAIRS: usize = 8;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_deleted_pod_is_replaced_and_serves",
        secs: 90,
        full: false,
        run: pod_deleted,
    },
    Scenario {
        name: "a_killed_container_stops_no_traffic",
        secs: 90,
        full: false,
        run: container_killed,
    },
    Scenario {
        name: "an_agent_killed_amid_its_commits_leaves_whole_rules",
        secs: 600,
        full: false,
        run: killed_amid_commits,
    },
    Scenario {
        name: "the_api_server_is_away_and_traffic_goes_on",
        secs: 180,
        full: false,
        run: api_away,
    },
    Scenario {
        name: "connections_whose_end_was_not_heard_are_made_anew",
        secs: 180,
        full: false,
        run: ends_unheard,
    },
    Scenario {
        name: "a_node_that_goes_off_and_on_serves_again",
        secs: 180,
        full: false,
        run: node_off_and_on,
    },
    Scenario {
        name: "a_node_off_for_good_with_the_out_of_service_taint_is_left_behind",
        secs: 180,
        full: false,
        run: node_lost,
    },
];

fn pod_deleted(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(PAIRS)?;
    for _ in 0..2 {
        let (pod, _) = stage.gateway_pod()?;
        let before = stage.holder();
        stage.fault(Harm::Holder, format!("pod {pod} is deleted"));
        let start = std::time::Instant::now();
        stage.delete("Pod", GATEWAY.0, &pod)?;
        stage.wait_recovered(&before, 60.0)?;
        stage.tell(format!("{:.1} s", start.elapsed().as_secs_f64()));
        stage.pause(1.0);
    }
    Ok(())
}

fn container_killed(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(PAIRS)?;
    let host = stage.gateway_host()?;
    // No fault is noted: rules, routes and addresses stay, so traffic must.
    stage.lab.signal(&host, Signal::KILL)?;
    stage.pause(5.0);
    stage.create_all(&[eip(NS, "later"), fip(NS, "later", "later", tenant(0).1)])?;
    stage.wait_seen("FIP", NS, "later")?;
    stage.wait_all_ready(30.0)?;
    stage.probe("FIP", NS, "later")?;
    stage.probes_pass(5.0)
}

fn killed_amid_commits(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(PAIRS)?;
    // The kubelet restarts it after 0, 10, 20, 40 s: longer than its Lease lasts.
    for round in 0..if stage.full { 4 } else { 2 } {
        let host = stage.gateway_host()?;
        let names: Vec<String> = (0..10).map(|n| format!("round-{round}-{n}")).collect();
        let mut objects: Vec<_> = names.iter().map(|name| eip(NS, name)).collect();
        objects.extend(
            names
                .iter()
                .enumerate()
                .map(|(n, name)| fip(NS, name, name, tenant(n).1)),
        );
        stage.create_all(&objects)?;
        let ms = stage.below(250);
        stage.pause(f64::from(u32::try_from(ms).unwrap_or(0)) / 1000.0);
        stage.note(format!("the agent is killed {ms} ms after a change"));
        stage.lab.signal(&host, Signal::KILL)?;
        for name in &names {
            stage.wait_seen("FIP", NS, name)?;
        }
        stage.wait_all_ready(75.0)?;
        stage.retire(
            &names
                .iter()
                .flat_map(|n| [format!("EIP/{NS}/{n}"), format!("FIP/{NS}/{n}")])
                .collect::<Vec<_>>(),
        );
        let all: Vec<_> = names
            .iter()
            .flat_map(|name| {
                ["FIP", "EIP"].map(|kind| (kind.to_owned(), NS.to_owned(), name.clone()))
            })
            .collect();
        stage.delete_all(&all)?;
        for name in &names {
            // Ready before it was killed, they go when its container is back.
            stage.wait_gone("EIP", NS, name, 75.0)?;
        }
    }
    stage.probes_pass(5.0)
}

fn api_away(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(PAIRS)?;
    let secs = if stage.full { 30.0 } else { 10.0 };
    stage.history.mark(Mark::OperatorOut);
    let component = Component::ApiServer;
    stage.lab.ask(&Request::Stop { component })?;
    stage.pause(secs);
    stage.probes_pass(3.0)?;
    stage.lab.ask(&Request::Start { component })?;
    stage.wait("the API server", 30.0, || {
        stage.list("Node", "", "").is_ok()
    })?;
    let start = std::time::Instant::now();
    stage.create_all(&[eip(NS, "later"), fip(NS, "later", "later", tenant(0).1)])?;
    let web2 = tenant(1).1;
    stage.retire(&[format!("FIP/{NS}/fip-0")]);
    stage.patch(
        "FIP",
        NS,
        "fip-0",
        &json!({"spec": {"target": {"ips": [web2.0, web2.1]}}}),
    )?;
    // Our own watches come back one by one, each after its backoff.
    stage.wait("sight of the later EIP and FIP", 60.0, || {
        ["EIP", "FIP"]
            .iter()
            .all(|kind| stage.live(kind, NS, "later").is_some())
    })?;
    stage.wait_all_ready(60.0)?;
    stage.history.mark(Mark::OperatorBack);
    stage.tell(format!(
        "changes arrived {:.1} s after the API server was back",
        start.elapsed().as_secs_f64()
    ));
    stage.probe("FIP", NS, "later")?;
    stage.probes_pass(5.0)?;
    let address = stage.addresses(NS, "eip-0")?[0].clone();
    stage.expect_http(
        &crate::traffic::outside("client"),
        &address,
        80,
        tenant(1).0,
        crate::address::OUTSIDE.0,
    )
}

/// Something on the way ends connections, and tells the API server alone: watches only
/// listen, and would do so for ever.
fn ends_unheard(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(1)?;
    stage.history.mark(Mark::OperatorOut);
    let nodes = stage.lab.state().options.node_plans();
    let on_nodes = |stage: &Stage, script: &str| -> Outcome {
        for plan in &nodes {
            let node = Host::Node(plan.name.clone());
            stage.lab.exec(&node, &["sh", "-c", script])?;
        }
        Ok(())
    };
    on_nodes(
        stage,
        "nft add table inet cut
        nft 'add chain inet cut f { type filter hook forward priority 0; }'
        nft add rule inet cut f tcp sport 6443 reject with tcp reset",
    )?;
    // What the API server tells of them ends the watches, at its end.
    let created = stage.create_all(&[eip(NS, "later"), fip(NS, "later", "later", tenant(0).1)]);
    stage.pause(1.0);
    on_nodes(stage, "nft delete table inet cut")?;
    created?;
    let start = std::time::Instant::now();
    stage.wait_all_ready(60.0)?;
    stage.history.mark(Mark::OperatorBack);
    stage.tell(format!(
        "Ready {:.1} s after the way was free again",
        start.elapsed().as_secs_f64()
    ));
    stage.probe("FIP", NS, "later")?;
    stage.probes_pass(5.0)
}

fn node_off_and_on(stage: &mut Stage) -> Outcome {
    on_one_node(stage, "node-a", PAIRS)?;
    let before = stage.holder();
    stage.fault(Harm::Holder, "node-a goes off");
    stage.prober.clear();
    node_off(stage, "node-a")?;
    stage.pause(2.0);
    node_on(stage, "node-a")?;
    tenants(stage)?;
    let start = std::time::Instant::now();
    stage.wait_for("another holder or term", 60.0, || {
        let now = stage.holder();
        if now == before || now.0.is_empty() {
            Err(format!("the Lease shows {now:?}"))
        } else {
            Ok(())
        }
    })?;
    stage.wait_all_ready(60.0)?;
    stage.tell(format!(
        "Ready {:.1} s after the tenants were back",
        start.elapsed().as_secs_f64()
    ));
    for n in 0..PAIRS {
        stage.probe("EIP", NS, &format!("eip-{n}"))?;
        stage.probe("FIP", NS, &format!("fip-{n}"))?;
    }
    stage.probes_pass(10.0)
}

fn node_lost(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(PAIRS)?;
    let (_, node) = stage.gateway_pod()?;
    let before = stage.holder();
    stage.fault(Harm::Holder, format!("{node} goes off for good"));
    // Tenants of that node are gone with it: what leads to them is silent.
    let lost = usize::from(node != "node-a");
    for n in (lost..PAIRS).step_by(2) {
        stage.prober.remove(&format!("FIP/{NS}/fip-{n}"));
        stage.prober.remove(&format!("EIP/{NS}/eip-{n}"));
    }
    node_off(stage, &node)?;
    let taint = json!([{"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}]);
    stage.wait("that the node is seen to be gone", 30.0, || {
        stage
            .get("Node", "", &node)
            .ok()
            .flatten()
            .is_some_and(|found| !crate::restore::ready(&found))
    })?;
    stage.kubectl(
        &[
            "taint",
            "node",
            &node,
            "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
        ],
        None,
    )?;
    stage.note(format!("taint {taint}"));
    let start = std::time::Instant::now();
    let back = stage.wait_recovered(&before, 90.0);
    stage.tell(format!(
        "recovered {:.1} s after the taint",
        start.elapsed().as_secs_f64()
    ));
    stage.kubectl(
        &["taint", "node", &node, "node.kubernetes.io/out-of-service-"],
        None,
    )?;
    back
}

/// The usual gateway, on one node, with its EIPs and FIPs.
fn on_one_node(stage: &mut Stage, node: &str, pairs: usize) -> Outcome {
    let mut one = crate::gateway::gateway(GATEWAY.0, GATEWAY.1, "external");
    if let Some(spec) = one
        .pointer_mut("/spec")
        .and_then(|spec| spec.as_object_mut())
    {
        spec.insert(
            "template".into(),
            json!({"nodeSelector": {"kubernetes.io/hostname": node}}),
        );
    }
    stage.create(&crate::gateway::pool("external"))?;
    stage.create(&one)?;
    stage.wait_seen("NATGateway", GATEWAY.0, GATEWAY.1)?;
    stage.wait_ready(&[("NATGateway", GATEWAY.0, GATEWAY.1)], 30.0)?;
    stage.with_pairs(pairs)
}
