//! `kubectl sluice` against a real API server and the operator's own program: what it
//! says of a gateway that works, and that nothing is left when it has taken all down,
//! with the operator and without.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod control_plane;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use control_plane::objects::{NETWORKS, OBJECTS};
use control_plane::program::Program;
use control_plane::{ControlPlane, agent};
use kubectl_sluice::explain::explain;
use kubectl_sluice::fetch::Access;
use kubectl_sluice::options::Options;
use kubectl_sluice::target::Kind;
use kubectl_sluice::uninstall::{self, How};
use kubectl_sluice::world::Key;
use serde_json::json;
use tokio::task::JoinHandle;

const HOW: How = How {
    yes: true,
    keep_operator: false,
    keep_crds: false,
    timeout: Duration::from_secs(40),
};

/// A gateway that works, with an EIP and a FIP that are Ready.
async fn working(name: &str) -> (ControlPlane, Program, JoinHandle<()>) {
    let mut plane = ControlPlane::start(name).await;
    plane.start_controllers(&["namespace-controller"]);
    // Over what stands, as an upgrade.
    let all = control_plane::repo().join("deploy/install.yaml");
    plane.kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        all.to_str().unwrap(),
    ]);
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
    for child in ["serviceaccounts", "rolebindings", "leases"] {
        plane
            .wait(child, || plane.get(child, "net", "sluice-egress"))
            .await;
    }
    let gateway = plane
        .get("natgateways.sluice.dev", "net", "egress")
        .unwrap();
    let gateway_uid = gateway["metadata"]["uid"].as_str().unwrap().to_owned();
    let (uid, token) = agent::pod(&plane, "gw-1", true, &gateway_uid);
    plane.kubectl(&[
        "patch",
        "node",
        "node-a",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#,
    ]);
    let client = plane.client(&token).await;
    let agent = tokio::spawn(agent::run(client, "gw-1".into(), uid, gateway_uid));
    plane
        .wait("Ready", || {
            let fip = plane.get("fips.sluice.dev", "net", "web")?;
            let all = fip.pointer("/status/conditions")?.as_array()?.clone();
            all.iter()
                .any(|c| c["type"] == "Ready" && c["status"] == "True")
                .then_some(())
        })
        .await;
    (plane, program, agent)
}

async fn access(plane: &ControlPlane) -> Access {
    Access {
        client: plane.client("admin").await,
        namespace: "net".into(),
        operator_namespace: "sluice-system".into(),
    }
}

/// What a kubelet does once the gateway's Deployment is gone: the containers end, and
/// the Pod goes as far as its finalizers let it.
async fn end_pod(plane: &ControlPlane) {
    plane
        .wait("the end of the Deployment", || {
            plane
                .get("deployments", "net", "sluice-egress")
                .is_none()
                .then_some(())
        })
        .await;
    let ended = json!({"status": {"phase": "Succeeded", "containerStatuses": [{"name": "agent", "image": "none",
        "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}]}});
    plane.kubectl(&[
        "patch",
        "pod",
        "gw-1",
        "-n",
        "net",
        "--subresource=status",
        "--type=merge",
        "-p",
        &ended.to_string(),
    ]);
    plane.kubectl(&[
        "delete",
        "pod",
        "gw-1",
        "-n",
        "net",
        "--force",
        "--grace-period=0",
        "--wait=false",
    ]);
}

/// Names of all that is left of Sluice.
fn left(plane: &ControlPlane) -> Vec<String> {
    let kinds = "crd,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding,namespace";
    let text = plane.kubectl(&["get", kinds, "-o", "name"]);
    let in_net = plane.kubectl(&[
        "get",
        "deployment,pod,lease,serviceaccount,role,rolebinding",
        "-n",
        "net",
        "-o",
        "name",
    ]);
    text.lines()
        .chain(in_net.lines())
        .filter(|name| name.contains("sluice") || name.contains("gw-1"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_operator_all_goes_in_order() {
    let (plane, program, agent) = working("uninstall").await;
    let access = access(&plane).await;

    // What it says of what works, and of what does not.
    let world = access.world().await.unwrap();
    assert!(world.hidden.is_empty(), "{:?}", world.hidden);
    let said = explain(&world, Kind::EIP, &Key::new("net", "web"));
    assert!(said.is_fine(), "{said:#?}");
    assert_eq!(said.chain.len(), 6, "{said:#?}");
    plane.apply("apiVersion: sluice.dev/v1alpha1\nkind: EIP\nmetadata: {name: lost, namespace: net}\nspec: {gateway: {name: none}}\n");
    plane
        .wait("the operator to refuse it", || {
            let eip = plane.get("eips.sluice.dev", "net", "lost")?;
            eip.to_string().contains("GatewayNotFound").then_some(())
        })
        .await;
    let said = explain(
        &access.world().await.unwrap(),
        Kind::EIP,
        &Key::new("net", "lost"),
    );
    assert!(
        said.cause.contains("NATGateway net/none does not exist"),
        "{said:#?}"
    );

    // Without --yes nothing is changed.
    uninstall::run(&access, &How { yes: false, ..HOW })
        .await
        .unwrap();
    assert!(plane.get("fips.sluice.dev", "net", "web").is_some());

    let (done, ()) = tokio::join!(uninstall::run(&access, &HOW), end_pod(&plane));
    done.unwrap();
    assert_eq!(left(&plane), Vec::<String>::new());
    agent.abort();
    program.kill();
}

/// What the chart's Job runs, in the release's namespace.
fn of_the_hook() -> Vec<String> {
    let path = control_plane::repo().join("deploy/chart/templates/uninstall.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|l| l.trim().strip_prefix("args: ["));
    let line = line.unwrap().trim_end_matches(']');
    let line = line.replace("{{ .Release.Namespace }}", "sluice-system");
    line.split(", ").map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_charts_hook_removes_what_helm_does_not() {
    let (plane, program, agent) = working("hook").await;
    let rbac = control_plane::repo().join("deploy/uninstall/rbac.yaml");
    plane.kubectl(&["apply", "-f", rbac.to_str().unwrap()]);
    let token = plane.kubectl(&["create", "token", "sluice-uninstall", "-n", "sluice-system"]);
    let kubeconfig = plane.write("hook.kubeconfig", &plane.kubeconfig_text(token.trim()));
    let mut words = vec!["kubectl-sluice".to_owned()];
    words.extend(of_the_hook());
    words.push(format!("--kubeconfig={kubeconfig}"));
    let options = Options::try_parse_from(words).unwrap();

    let (done, ()) = tokio::join!(kubectl_sluice::run::run(options), end_pod(&plane));
    assert_eq!(done.unwrap(), ExitCode::SUCCESS);
    let kinds = plane.kubectl(&["get", "crd", "-o", "name"]);
    assert!(!kinds.contains("sluice.dev"), "{kinds}");
    let own = plane.get("deployments", "sluice-system", "sluice-operator");
    assert!(own.is_some(), "the operator is Helm's to remove");
    agent.abort();
    program.kill();

    // What Helm does then, with the release and with its hook's objects.
    let all = control_plane::repo().join("deploy/install.yaml");
    for file in [&all, &rbac] {
        let file = file.to_str().unwrap();
        plane.kubectl(&["delete", "--ignore-not-found", "--wait", "-f", file]);
    }
    assert_eq!(left(&plane), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_operator_all_goes_as_well() {
    let (plane, program, agent) = working("orphaned").await;
    let access = access(&plane).await;
    program.kill();
    plane.kubectl(&["delete", "deployment", "-n", "sluice-system", "--all"]);
    plane.kubectl(&["delete", "lease", "-n", "sluice-system", "--all"]);
    // An object that is being deleted already, and that nobody frees.
    plane.kubectl(&[
        "delete",
        "fips.sluice.dev",
        "web",
        "-n",
        "net",
        "--wait=false",
    ]);

    let eips = || plane.get("eips.sluice.dev", "net", "web").is_some();
    let (done, ()) = tokio::join!(uninstall::run(&access, &HOW), async {
        plane
            .wait("the end of the Deployment", || {
                plane
                    .get("deployments", "net", "sluice-egress")
                    .is_none()
                    .then_some(())
            })
            .await;
        // The Pod's containers run: nothing of users is freed before they have ended.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(eips(), "an EIP was freed while a kernel may answer for it");
        end_pod(&plane).await;
    });
    done.unwrap();
    assert_eq!(left(&plane), Vec::<String>::new());
    agent.abort();
}
