//! The operator's own program against a real API server: from objects to
//! evidence, and silence when nothing happens.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod control_plane;

use std::time::Duration;

use control_plane::objects::{NETWORKS, OBJECTS};
use control_plane::program::Program;
use control_plane::{ControlPlane, OPERATOR, agent};
use serde_json::Value;

fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|c| c["type"] == name)?["status"].as_str()
}

/// The operator's writes but the renewals of its own Lease.
fn real_writes(plane: &ControlPlane) -> Vec<String> {
    plane
        .writes(OPERATOR)
        .into_iter()
        .filter(|w| !w.contains(" leases  sluice-system/sluice-operator "))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_objects_to_evidence_and_silence() {
    let plane = ControlPlane::start("operator").await;
    let program = Program::start(&plane);
    plane.apply(NETWORKS);
    plane.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=30s",
    ]);
    plane.apply(OBJECTS);

    // Before anybody reports: addresses, finalizers, children, config; nothing is Ready.
    let eip = plane
        .wait("addresses", || {
            let eip = plane.get("eips.sluice.dev", "net", "web")?;
            (eip["status"]["ipv4"].is_string() && eip["status"]["ipv6"].is_string()).then_some(eip)
        })
        .await;
    assert_eq!(
        eip["metadata"]["finalizers"],
        serde_json::json!(["sluice.dev/programmed"])
    );
    assert_eq!(condition(&eip, "Accepted"), Some("True"), "{eip:#}");
    assert_ne!(condition(&eip, "Ready"), Some("True"));
    for child in [
        "serviceaccounts",
        "roles",
        "rolebindings",
        "deployments",
        "leases",
    ] {
        plane
            .wait(child, || plane.get(child, "net", "sluice-egress"))
            .await;
    }
    let config = plane
        .wait("the config", || {
            plane.get("gatewayconfigs.internal.sluice.dev", "net", "egress")
        })
        .await;
    assert_eq!(
        config["spec"]["settings"]["lan"]["addresses"],
        serde_json::json!(["10.244.0.254/16", "fd00:10:244::fe/64"])
    );

    // Only a Pod's own token may report, and only for that Pod.
    let gateway = plane
        .get("natgateways.sluice.dev", "net", "egress")
        .unwrap();
    let gateway_uid = gateway["metadata"]["uid"].as_str().unwrap().to_owned();
    let (uid, token) = agent::pod(&plane, "gw-1", true, &gateway_uid);
    let (other, _) = agent::pod(&plane, "gw-2", false, &gateway_uid);
    let reports = plane.client(&token).await;
    for (pod, pod_uid) in [("gw-2", &other), ("gw-1", &other)] {
        let forged = serde_json::from_value(agent::instance(pod, pod_uid, &gateway_uid)).unwrap();
        let instances: kube::Api<sluice_crds::GatewayInstance> =
            kube::Api::namespaced(reports.clone(), "net");
        let refused = instances
            .create(&kube::api::PostParams::default(), &forged)
            .await
            .unwrap_err();
        assert!(
            matches!(&refused, kube::Error::Api(status) if status.code == 403),
            "{refused}"
        );
    }

    // With evidence, Ready.
    let agent = tokio::spawn(agent::run(reports, "gw-1".into(), uid.clone(), gateway_uid));
    for (kind, name) in [
        ("eips.sluice.dev", "web"),
        ("fips.sluice.dev", "web"),
        ("natgateways.sluice.dev", "egress"),
    ] {
        plane
            .wait(&format!("{kind} Ready"), || {
                (condition(&plane.get(kind, "net", name)?, "Ready") == Some("True")).then_some(())
            })
            .await;
    }
    let holder = plane.get("eips.sluice.dev", "net", "web").unwrap()["status"]["holder"].clone();
    assert!(
        holder["instance"].as_str().unwrap().contains(&uid),
        "{holder}"
    );

    // Idle: no writes but the renewals of the Lease.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = real_writes(&plane);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = real_writes(&plane);
    assert_eq!(
        before.len(),
        after.len(),
        "written while idle: {:#?}",
        &after[before.len()..]
    );

    // Killed and started again: the new leader finds everything as it should be.
    program.kill();
    let leases = plane.writes(OPERATOR).len();
    let program = Program::start(&plane);
    plane
        .wait("a new leader", || {
            (plane.writes(OPERATOR).len() > leases + 1).then_some(())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let restarted = real_writes(&plane);
    assert_eq!(
        after.len(),
        restarted.len(),
        "written on restart: {:#?}",
        &restarted[after.len()..]
    );
    assert_eq!(
        condition(
            &plane.get("eips.sluice.dev", "net", "web").unwrap(),
            "Ready"
        ),
        Some("True")
    );

    // Deleted: the address is free after the agent has acknowledged and the cooldown.
    plane.kubectl(&[
        "delete",
        "fips.sluice.dev,eips.sluice.dev",
        "web",
        "-n",
        "net",
        "--wait=false",
    ]);
    plane
        .wait("no claim left but the LAN's", || {
            let text = plane.kubectl(&["get", "addressclaims.internal.sluice.dev", "-o", "name"]);
            (!text.contains("default.")).then_some(())
        })
        .await;
    assert!(plane.get("eips.sluice.dev", "net", "web").is_none());

    // Asked to end: exit code 0, and the Lease is nobody's.
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let lease = plane
        .get("leases", "sluice-system", "sluice-operator")
        .unwrap();
    assert_eq!(
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default(),
        "",
        "{lease:#}"
    );
    agent.abort();
}
