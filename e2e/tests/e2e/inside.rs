//! Inside hosts that are not on the LAN's own segment.

use serde_json::{Value, json};
use sluice_e2e::Host;

use crate::address::{OUTSIDE, TENANTS};
use crate::failure::{Failure, Outcome};
use crate::gateway::{GATEWAY, NS, eip, fip, gateway, pool};
use crate::runner::Scenario;
use crate::stage::{Stage, text};
use crate::traffic::{outside, tenant};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "pods_of_the_pod_network_are_served_without_a_lan",
        secs: 90,
        full: false,
        run: pod_network,
    },
    Scenario {
        name: "a_subnet_behind_an_inside_router_is_served_by_a_route",
        secs: 60,
        full: false,
        run: router,
    },
];

/// Hosts behind the inside router.
const BEHIND: (&str, &str) = ("10.99.0.7", "fd00:10:99::7");

/// A gateway that names no LAN serves pods by the pod network; that network
/// sends what is for outside to the gateway's pod.
fn pod_network(stage: &mut Stage) -> Outcome {
    let node = "node-a";
    stage.namespace("inside")?;
    stage.create(&plain_pod(node))?;
    stage.create(&pool("external"))?;
    let mut own = gateway(GATEWAY.0, GATEWAY.1, "external");
    if let Some(spec) = own.pointer_mut("/spec").and_then(Value::as_object_mut) {
        spec.remove("lan");
        spec.remove("allowedTargets");
        spec.insert(
            "template".into(),
            json!({"nodeSelector": {"kubernetes.io/hostname": node}}),
        );
    }
    stage.create(&own)?;
    let [pod4, pod6] = pod_ips(stage, "inside", "server")?;
    stage.create_all(&[
        eip(GATEWAY.0, "own"),
        fip(GATEWAY.0, "own", "own", (&pod4, &pod6)),
    ])?;
    for (kind, name) in [("EIP", "own"), ("FIP", "own")] {
        stage.wait_seen(kind, GATEWAY.0, name)?;
    }
    stage.wait_all_ready(30.0)?;

    let (name, _) = stage.gateway_pod()?;
    let gateways = pod_ips(stage, GATEWAY.0, &name)?;
    for (there, via) in [OUTSIDE.0, OUTSIDE.1].into_iter().zip(&gateways) {
        // The node's link to the pod has no subnet; the route goes with the link.
        let link = format!("$(ip -o route get {via} | sed 's/.* dev \\([^ ]*\\).*/\\1/')");
        let route = format!("ip route replace {there} via {via} dev {link} onlink");
        run(stage, &Host::Node(node.into()), &["sh", "-c", &route])?;
    }
    let server = Host::pod("inside", "server");
    let [eip4, eip6] = stage.addresses(GATEWAY.0, "own")?;
    for (eip, client) in [(eip4, OUTSIDE.0), (eip6, OUTSIDE.1)] {
        stage.expect_http(&outside("client"), &eip, 80, "server", client)?;
        stage.expect_http(&server, client, 80, "client", &eip)?;
    }
    stage.probe("EIP", GATEWAY.0, "own")?;
    stage.probe("FIP", GATEWAY.0, "own")?;
    stage.probes_pass(5.0)?;
    stage.pause(1.0);
    Ok(())
}

/// The tenant `web2` routes for a subnet; the gateway learns of it later, and
/// forgets it again.
fn router(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let (name, own) = TENANTS[1];
    for address in [BEHIND.0, BEHIND.1] {
        run(
            stage,
            &tenant(name),
            &["ip", "address", "replace", address, "dev", "lo"],
        )?;
    }
    allow(stage, &["10.99.0.0/16", "fd00:10:99::/64"])?;
    stage.create_all(&[eip(NS, "behind"), fip(NS, "behind", "behind", BEHIND)])?;
    for (kind, name) in [("EIP", "behind"), ("FIP", "behind")] {
        stage.wait_seen(kind, NS, name)?;
    }
    stage.wait_all_ready(20.0)?;
    let [eip4, eip6] = stage.addresses(NS, "behind")?;
    stage.expect_no_http(&outside("client"), &eip4, 80)?;
    let routes = json!([
        {"to": "10.99.0.0/16", "via": own.0},
        {"to": "fd00:10:99::/64", "via": own.1},
    ]);
    stage.patch(
        "NATGateway",
        GATEWAY.0,
        GATEWAY.1,
        &json!({"spec": {"lan": {"routes": routes}}}),
    )?;
    for (eip, client) in [(&eip4, OUTSIDE.0), (&eip6, OUTSIDE.1)] {
        stage.expect_http(&outside("client"), eip, 80, name, client)?;
    }
    stage.patch(
        "NATGateway",
        GATEWAY.0,
        GATEWAY.1,
        &json!({"spec": {"lan": {"routes": null}}}),
    )?;
    stage.wait("the end of the route", 5.0, || {
        stage.expect_no_http(&outside("client"), &eip6, 80).is_ok()
    })?;
    Ok(())
}

/// Lets rules of other namespaces point at these prefixes too.
fn allow(stage: &Stage, more: &[&str]) -> Outcome {
    let usual = gateway(GATEWAY.0, GATEWAY.1, "external");
    let mut targets = usual
        .pointer("/spec/allowedTargets")
        .cloned()
        .unwrap_or_default();
    if let Some(cidrs) = targets
        .pointer_mut("/0/cidrs")
        .and_then(Value::as_array_mut)
    {
        cidrs.extend(more.iter().map(|one| json!(one)));
    }
    stage.patch(
        "NATGateway",
        GATEWAY.0,
        GATEWAY.1,
        &json!({"spec": {"allowedTargets": targets}}),
    )
}

/// An echo server with no other network than the pods' own.
fn plain_pod(node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "inside", "name": "server"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false,
            "containers": [{
                "name": "echo", "image": "sluice/echo:dev", "imagePullPolicy": "Never",
                "env": [{"name": "POD_NAME", "value": "server"}],
            }],
        },
    })
}

/// A pod's addresses on the pod network, IPv4 first, once it has both.
fn pod_ips(stage: &Stage, namespace: &str, name: &str) -> Outcome<[String; 2]> {
    stage.wait_for("the pod's addresses", 30.0, || {
        let pod = stage
            .get("Pod", namespace, name)
            .map_err(|failure: Failure| failure.to_string())?;
        let pod = pod.unwrap_or_default();
        let both = [0, 1].map(|n| text(&pod, &format!("/status/podIPs/{n}/ip")));
        if both.iter().any(String::is_empty) {
            Err(format!("{name} has {both:?}"))
        } else {
            Ok(both)
        }
    })
}

fn run(stage: &Stage, host: &Host, argv: &[&str]) -> Outcome {
    let output = stage.lab.exec(host, argv)?;
    crate::failure::demand(output.status.success(), || {
        format!(
            "{host}: {}: {}",
            argv.join(" "),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}
