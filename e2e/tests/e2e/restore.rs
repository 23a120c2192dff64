//! Puts back whatever a scenario broke and did not mend.

use sluice_e2e::control::Request;
use sluice_e2e::control_plane::Component;
use sluice_e2e::evidence::Mark;

use crate::address::{TENANT_NAMESPACE, TENANTS};
use crate::failure::{Failure, Outcome, wrong};
use crate::stage::{Stage, text};

/// Starts every part of the lab that does not run, and the operator.
pub fn all(stage: &mut Stage) -> Outcome {
    let running = stage.lab.ask(&Request::Status)?.running;
    for component in Component::ALL {
        if !running.contains(&component.program().to_owned()) {
            stage.lab.ask(&Request::Start { component })?;
        }
    }
    for plan in stage.lab.state().options.node_plans() {
        if !running.contains(&plan.name) {
            node_on(stage, &plan.name)?;
        }
    }
    for plan in stage.lab.state().options.node_plans() {
        let name = plan.name;
        stage.wait_for(&format!("readiness of {name}"), 60.0, || {
            match stage.get("Node", "", &name) {
                Ok(Some(node)) if ready(&node) => Ok(()),
                Ok(_) => Err("not Ready".into()),
                Err(failure) => Err(failure.to_string()),
            }
        })?;
    }
    if stage
        .list("Deployment", "sluice-system", "")?
        .iter()
        .any(|d| d.pointer("/spec/replicas") == Some(&0.into()))
    {
        stage.kubectl(
            &[
                "-n",
                "sluice-system",
                "scale",
                "deployment",
                "--all",
                "--replicas=1",
            ],
            None,
        )?;
    }
    tenants(stage)
}

/// Makes the tenant pods anew that went with a node, and waits for all.
pub fn tenants(stage: &Stage) -> Outcome {
    let manifests = sluice_e2e::manifests::tenants(&stage.lab.state().options)?;
    let going = |pod: &serde_json::Value| pod.pointer("/metadata/deletionTimestamp").is_some();
    stage.wait("the end of tenant pods that are going", 60.0, || {
        stage
            .list("Pod", "tenants", "")
            .is_ok_and(|pods| !pods.iter().any(going))
    })?;
    if stage.list("Pod", "tenants", "")?.len() < TENANTS.len() {
        stage.kubectl(&["apply", "-f", "-"], Some(&manifests))?;
    }
    let waited = stage.wait_for("readiness of the tenant pods", 60.0, || {
        let pods = stage
            .list("Pod", "tenants", "")
            .map_err(|failure| failure.to_string())?;
        // The status of a pod whose node was off is that of before.
        let ended = |pod: &serde_json::Value| {
            stage.ended.get(&text(pod, "/metadata/name")) == Some(&container(pod))
        };
        match pods.iter().find(|pod| !ready(pod) || ended(pod)) {
            None => Ok(()),
            Some(pod) => Err(format!("{} is not Ready", text(pod, "/metadata/name"))),
        }
    });
    match waited {
        Err(Failure::Wrong(text)) => return wrong(format!("{text}\n{}", warnings(stage))),
        other => other?,
    }
    for plan in stage.lab.state().options.node_plans() {
        stage.history.mark(Mark::Started {
            host: format!("node/{}", plan.name),
        });
    }
    Ok(())
}

/// What the cluster last complained of about the tenant pods.
fn warnings(stage: &Stage) -> String {
    let asked = [
        "-n",
        TENANT_NAMESPACE,
        "get",
        "events",
        "--field-selector=type=Warning",
        "--sort-by=.lastTimestamp",
        "-o=jsonpath={range .items[*]}{.involvedObject.name}: {.reason}: {.message}{\"\\n\"}{end}",
    ];
    match stage.kubectl(&asked, None) {
        Ok(text) => text.lines().next_back().unwrap_or("no warning").to_owned(),
        Err(failure) => failure.to_string(),
    }
}

/// Powers a node on and looks out on its new links. What its inside hosts send counts when
/// [`tenants`] has seen them Ready.
pub fn node_on(stage: &mut Stage, node: &str) -> Outcome {
    stage.history.mark(Mark::Starting {
        host: format!("node/{node}"),
    });
    stage.lab.ask(&Request::NodeOn {
        node: node.to_owned(),
    })?;
    stage.look_out_on(&format!("node/{node}"))
}

/// Powers a node off.
pub fn node_off(stage: &mut Stage, node: &str) -> Outcome {
    stage.look_out.detach(&format!("node/{node}"));
    for pod in stage.list("Pod", TENANT_NAMESPACE, "")? {
        if text(&pod, "/spec/nodeName") == node {
            let name = text(&pod, "/metadata/name");
            stage.ended.insert(name, container(&pod));
        }
    }
    stage.lab.ask(&Request::NodeOff {
        node: node.to_owned(),
    })?;
    Ok(())
}

/// The container of a tenant pod that ran last.
fn container(pod: &serde_json::Value) -> String {
    text(pod, "/status/containerStatuses/0/containerID")
}

/// Whether the Ready condition of a Node or Pod is True.
pub fn ready(object: &serde_json::Value) -> bool {
    let all = object
        .pointer("/status/conditions")
        .and_then(|all| all.as_array());
    all.into_iter().flatten().any(|one| {
        one.pointer("/type") == Some(&"Ready".into())
            && one.pointer("/status") == Some(&"True".into())
    })
}
