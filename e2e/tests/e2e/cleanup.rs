//! After each scenario nothing of it may be left: no object, no claim, no
//! report, no pod. That is a rule too, so it is checked, not forced.

use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::{Outcome, wrong};
use crate::objects::USER_KINDS;
use crate::stage::{Stage, text};

/// Kinds of which nothing stays when no user object is left.
const INTERNAL: [&str; 4] = [
    "GatewayConfig",
    "RuleSlice",
    "GatewayInstance",
    "AddressClaim",
];
/// How long it may take to clear away everything, in seconds, and how much more for
/// each object. A minute of it is Kubernetes': its own controllers, which delete the pods,
/// may take as long to watch again after the API server was stopped.
const PATIENCE: (f64, f64) = (90.0, 0.05);
/// How many of those that stay are named.
const NAMED: usize = 20;
/// Between two looks, which read everything: the product needs the API server.
const LOOK: Duration = Duration::from_millis(200);

/// Deletes all user objects and waits until nothing is left. When something
/// stays it is removed by force, for the next scenario's sake, and named.
pub fn all(stage: &mut Stage) -> Outcome {
    let mut patience = PATIENCE.0;
    // In the order in which a careful person would: a pool that is gone cannot
    // say any more how long its addresses must rest.
    for kinds in [
        &["FIP", "DNAT", "SNAT", "EIP"][..],
        &["NATGateway"],
        &["EIPPool"],
    ] {
        let mut objects = Vec::new();
        for kind in kinds {
            objects.extend(
                stage
                    .list(kind, "", "")?
                    .iter()
                    .map(|object| name_of(kind, object)),
            );
        }
        let many = objects.len() as f64 * PATIENCE.1;
        patience += many;
        stage.allow(Duration::from_secs_f64(60.0 + many));
        stage.delete_all(&objects)?;
        let gone = || {
            std::thread::sleep(LOOK);
            kinds
                .iter()
                .all(|kind| stage.list(kind, "", "").is_ok_and(|all| all.is_empty()))
        };
        let claims = || {
            kinds.len() == 1
                || stage
                    .list("AddressClaim", "", "")
                    .is_ok_and(|all| !all.iter().any(is_of_eip))
        };
        // What does not go is named below, with all else.
        let _ = stage.wait("the end of these kinds", PATIENCE.0 / 2.0 + many, || {
            gone() && claims()
        });
    }
    for namespace in stage.list("Namespace", "", "e2e.sluice.dev/scenario=true")? {
        stage.delete("Namespace", "", &text(&namespace, "/metadata/name"))?;
    }
    stage.allow(Duration::from_secs_f64(30.0 + patience));
    let left = stage.wait_for("that nothing is left", patience, || {
        std::thread::sleep(LOOK);
        match left(stage) {
            Ok(left) if left.is_empty() => Ok(()),
            Ok(left) => Err(some_of(&left)),
            Err(failure) => Err(failure.to_string()),
        }
    });
    if let Err(failure) = left {
        crate::evidence::keep(stage, "left-");
        force(stage)?;
        return wrong(format!("after deleting everything: {failure}"));
    }
    Ok(())
}

/// All that is left of any scenario.
pub fn left(stage: &Stage) -> Outcome<Vec<(String, String, String)>> {
    let mut out = Vec::new();
    for kind in USER_KINDS.iter().chain(&INTERNAL) {
        out.extend(
            stage
                .list(kind, "", "")?
                .iter()
                .map(|object| name_of(kind, object)),
        );
    }
    for kind in ["Deployment", "Pod"] {
        out.extend(
            stage
                .list(kind, "", "sluice.dev/gateway")?
                .iter()
                .map(|object| name_of(kind, object)),
        );
    }
    for lease in stage.list("Lease", "", "sluice.dev/gateway")? {
        out.push(name_of("Lease", &lease));
    }
    for namespace in stage.list("Namespace", "", "e2e.sluice.dev/scenario=true")? {
        out.push(name_of("Namespace", &namespace));
    }
    Ok(out)
}

/// The names of the first few, and how many there are.
fn some_of(left: &[(String, String, String)]) -> String {
    let names: Vec<String> = left
        .iter()
        .take(NAMED)
        .map(|(kind, ns, name)| format!("{kind} {ns}/{name}"))
        .collect();
    format!("{} objects: {}", left.len(), names.join(", "))
}

fn force(stage: &mut Stage) -> Outcome {
    for (kind, namespace, name) in left(stage)? {
        if kind == "Namespace" {
            continue;
        }
        let glass = json!({"sluice.dev/break-glass": "left over by a scenario"});
        let allow = json!({"metadata": {"annotations": glass}});
        let free = json!({"metadata": {"finalizers": null}});
        // It may go on its own meanwhile.
        let _ = stage.patch(&kind, &namespace, &name, &allow);
        let _ = stage.delete(&kind, &namespace, &name);
        let _ = stage.patch(&kind, &namespace, &name, &free);
    }
    // An operator that remembers what was torn from it starts anew.
    let _ = stage.kubectl(
        &[
            "-n",
            "sluice-system",
            "delete",
            "pods",
            "--all",
            "--force",
            "--grace-period=0",
        ],
        None,
    );
    let _ = stage.kubectl(&["-n", "sluice-system", "delete", "leases", "--all"], None);
    stage.pause(2.0);
    Ok(())
}

fn is_of_eip(claim: &Value) -> bool {
    text(claim, "/spec/owner/kind") == "EIP"
}

fn name_of(kind: &str, object: &Value) -> (String, String, String) {
    (
        kind.to_owned(),
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    )
}
