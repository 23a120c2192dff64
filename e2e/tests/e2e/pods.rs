//! Pods as targets and sources: named by a FIP, selected by a SNAT.

use serde_json::{Value, json};
use sluice_e2e::Host;

use crate::address::{OUTSIDE, Pair};
use crate::failure::{Outcome, demand, wrong};
use crate::gateway::{VERSION, eip};
use crate::runner::Scenario;
use crate::stage::{Stage, text};
use crate::traffic::outside;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_fip_follows_the_pod_that_it_names",
        secs: 180,
        full: false,
        run: fip_follows,
    },
    Scenario {
        name: "a_snat_takes_the_pods_that_it_selects_and_no_others",
        secs: 120,
        full: false,
        run: snat_selects,
    },
];

/// The namespace of these pods and rules; the clean-up removes it.
const NS: &str = "roam";
/// Where the pod stands first, and when it was made anew.
const FIRST: Pair = ("10.244.0.31", "fd00:10:244::31");
const SECOND: Pair = ("10.244.0.32", "fd00:10:244::32");

/// An echo server on the tenant LAN. Its MAC belongs to its address, so that neighbours
/// who knew that of an earlier pod are not led astray.
fn pod(name: &str, lan: Pair, labels: Value) -> Value {
    let last = lan.0.rsplit('.').next().unwrap_or_default();
    let networks = json!([{
        "name": "lan", "namespace": "net", "interface": "lan0",
        "mac": format!("02:5c:00:0a:f4:{last}"),
        "cni-args": {"ips": [format!("{}/16", lan.0), format!("{}/64", lan.1)]},
        "default-route": ["10.244.0.254", "fd00:10:244::fe"],
    }]);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": NS, "name": name, "labels": labels,
            "annotations": {"k8s.v1.cni.cncf.io/networks": networks.to_string()},
        },
        "spec": {
            "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false,
            "containers": [{
                "name": "echo", "image": "sluice/echo:dev", "imagePullPolicy": "Never",
                "env": [{"name": "POD_NAME", "value": name}],
                "readinessProbe": {"httpGet": {"port": 80, "path": "/"}, "periodSeconds": 1},
            }],
        },
    })
}

fn host(name: &str) -> Host {
    Host::pod(NS, name)
}

/// Waits until a pod serves.
fn serves(stage: &Stage, name: &str) -> Outcome {
    stage.wait_for(&format!("readiness of pod {name}"), 60.0, || {
        let pod = stage.get("Pod", NS, name).map_err(|f| f.to_string())?;
        let pod = pod.unwrap_or_default();
        let ready = pod
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
        if ready {
            Ok(())
        } else {
            Err(text(&pod, "/status/phase"))
        }
    })
}

fn pod_gone(stage: &Stage, name: &str) -> Outcome {
    stage.delete("Pod", NS, name)?;
    stage.wait(&format!("the end of pod {name}"), 60.0, || {
        stage.get("Pod", NS, name).is_ok_and(|pod| pod.is_none())
    })
}

/// What the EIP's status says, and how often anything of it was written.
fn eip_now(stage: &Stage) -> (Value, String) {
    let eip = stage.live("EIP", NS, "web").unwrap_or_default();
    let status = eip.pointer("/status").cloned().unwrap_or_default();
    (status, text(&eip, "/metadata/resourceVersion"))
}

/// Both of the EIP's addresses lead to the pod, and the pod leaves with them.
fn leads_to(stage: &Stage, name: &str, both: &[String; 2]) -> Outcome {
    let client = outside("client");
    for (address, outside) in both.iter().zip([OUTSIDE.0, OUTSIDE.1]) {
        stage.expect_http(&client, address, 80, name, outside)?;
        stage.expect_udp(&client, address, name, outside)?;
        stage.expect_http(&host(name), outside, 80, "client", address)?;
    }
    Ok(())
}

fn fip_follows(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.namespace(NS)?;
    let fip = json!({
        "apiVersion": VERSION, "kind": "FIP", "metadata": {"namespace": NS, "name": "web"},
        "spec": {"eip": {"name": "web"}, "target": {"pod": {"name": "roamer"}}},
    });
    let (eip_name, fip_name) = (("EIP", NS, "web"), ("FIP", NS, "web"));
    stage.create_all(&[eip(NS, "web"), fip])?;
    stage.wait_seen("FIP", NS, "web")?;
    stage.wait_seen("EIP", NS, "web")?;
    stage.wait_condition(fip_name, "Programmed", ("False", "PodNotFound"), 10.0)?;
    stage.wait_condition(fip_name, "Accepted", ("True", "Accepted"), 1.0)?;
    stage.wait_ready(&[eip_name], 20.0)?;
    let both = stage.addresses(NS, "web")?;

    stage.create(&pod("roamer", FIRST, json!({})))?;
    stage.wait_ready(&[fip_name], 60.0)?;
    serves(stage, "roamer")?;
    leads_to(stage, "roamer", &both)?;
    let before = eip_now(stage);
    let mut held = Vec::new();
    for address in &both {
        held.push(stage.hold(&outside("client"), address)?);
    }

    pod_gone(stage, "roamer")?;
    stage.wait_condition(fip_name, "Ready", ("False", "NotProgrammed"), 10.0)?;
    let (status, reason) = stage.condition("FIP", NS, "web", "Programmed");
    let told = ["PodNotFound: ", "TargetNotReady: "];
    demand(
        status == "False"
            && told.iter().any(|t| reason.starts_with(t))
            && reason.contains("roamer"),
        || format!("without its pod the FIP says Programmed {status} {reason}"),
    )?;
    for (held, address) in held.iter_mut().zip(&both) {
        let what = format!("the end of the old connection to {address}");
        stage.wait(&what, 6.0, || held.ended())?;
    }
    // Whoever gets the old addresses gets nothing of the FIP.
    stage.create(&pod("heir", FIRST, json!({})))?;
    serves(stage, "heir")?;
    for (address, inside) in both.iter().zip([FIRST.0, FIRST.1]) {
        stage.expect_http(
            &crate::traffic::tenant("web"),
            inside,
            80,
            "heir",
            inside_of_web(inside),
        )?;
        stage.expect_no_http(&outside("client"), address, 80)?;
    }
    let after = eip_now(stage);
    demand(before == after, || {
        format!("the EIP was {before:?} and is {after:?}, though only its FIP's pod went")
    })?;

    stage.create(&pod("roamer", SECOND, json!({})))?;
    let again = std::time::Instant::now();
    stage.wait_ready(&[fip_name], 60.0)?;
    stage.tell(format!(
        "Ready {:.1} s after the pod was made anew",
        again.elapsed().as_secs_f64()
    ));
    serves(stage, "roamer")?;
    leads_to(stage, "roamer", &both)?;
    let after = eip_now(stage);
    demand(before == after, || {
        format!("the EIP was {before:?} and is {after:?}, though only its FIP's pod came")
    })
}

/// The tenant `web`'s address of the family of `inside`.
fn inside_of_web(inside: &str) -> &'static str {
    let [(_, web), ..] = crate::address::TENANTS;
    if inside.contains(':') { web.1 } else { web.0 }
}

fn snat_selects(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.namespace(NS)?;
    stage.create_all(&[
        pod("one", FIRST, json!({"egress": "yes"})),
        pod("other", SECOND, json!({"egress": "no"})),
    ])?;
    let snat = json!({
        "apiVersion": VERSION, "kind": "SNAT", "metadata": {"namespace": NS, "name": "out"},
        "spec": {"eips": [{"name": "web"}], "podSelector": {"matchLabels": {"egress": "yes"}}},
    });
    stage.create_all(&[eip(NS, "web"), snat])?;
    stage.wait_seen("SNAT", NS, "out")?;
    stage.wait_seen("EIP", NS, "web")?;
    stage.wait_ready(&[("SNAT", NS, "out"), ("EIP", NS, "web")], 60.0)?;
    let both = stage.addresses(NS, "web")?;
    for name in ["one", "other"] {
        serves(stage, name)?;
    }
    let leaves = |name: &str| -> Outcome {
        for (address, to) in both.iter().zip([OUTSIDE.0, OUTSIDE.1]) {
            stage.expect_http(&host(name), to, 80, "client", address)?;
            stage.expect_udp(&host(name), to, "client", address)?;
        }
        Ok(())
    };
    let stays = |name: &str| -> Outcome {
        for to in [OUTSIDE.0, OUTSIDE.1] {
            stage.expect_no_http(&host(name), to, 80)?;
            if let Ok(seen) = stage.udp(&host(name), to) {
                return wrong(format!("{name} is not selected and was seen as {seen:?}"));
            }
        }
        Ok(())
    };
    leaves("one")?;
    stays("other")?;
    // The other way round.
    let label = |name: &str, value: &str| {
        let labels = json!({"metadata": {"labels": {"egress": value}}});
        stage.patch("Pod", NS, name, &labels)
    };
    label("other", "yes")?;
    leaves("other")?;
    leaves("one")?;
    label("one", "no")?;
    stage.wait("that the pod is not translated any more", 5.0, || {
        stage.http(&host("one"), OUTSIDE.0, 80).is_err()
    })?;
    stays("one")?;
    leaves("other")?;
    // None is left, and that is no error of the SNAT's.
    label("other", "no")?;
    stage.wait("that no pod is translated any more", 5.0, || {
        stage.http(&host("other"), OUTSIDE.0, 80).is_err()
    })?;
    let snat = ("SNAT", NS, "out");
    stage.wait_condition(snat, "Programmed", ("False", "NoSources"), 10.0)?;
    stage.wait_condition(snat, "Accepted", ("True", "Accepted"), 1.0)?;
    stays("other")
}
