//! What stands in the cluster when the table is asked.

use kube::Client;
use serde_json::{Value, json};
use sluice_core::operator::event::ChildKind;
use sluice_crds::NATGateway;
use sluice_operator::children::{Settings, render};

use super::cast::Cast;
use super::control_plane::{ControlPlane, agent};
use super::table::collection;

const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: net}
---
apiVersion: v1
kind: Namespace
metadata: {name: tenants}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: v1
kind: Secret
metadata: {name: secret, namespace: net}
---
apiVersion: sluice.dev/v1alpha1
kind: EIPPool
metadata: {name: used}
spec: {subnets: [{cidr: 10.155.30.0/24}]}
---
apiVersion: sluice.dev/v1alpha1
kind: EIPPool
metadata: {name: spare}
spec: {subnets: [{cidr: 10.155.31.0/24}]}
---
apiVersion: sluice.dev/v1alpha1
kind: EIP
metadata: {name: web, namespace: tenants}
spec: {gateway: {name: egress, namespace: net}}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: mine, namespace: net}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: theirs, namespace: kube-system}
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: tenants}
spec: {containers: [{name: app, image: none}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: net}
spec:
  selector: {matchLabels: {app: app}}
  template: {metadata: {labels: {app: app}}, spec: {containers: [{name: app, image: none}]}}
"#;

/// Roles of the people, as a cluster's owner would bind them.
const BINDINGS: [(&str, &str, Option<&str>); 7] = [
    ("viewer", "view", Some("tenants")),
    ("tenant", "edit", Some("tenants")),
    ("neighbour", "edit", Some("net")),
    ("gateway-admin", "sluice-gateway-admin", None),
    ("breaker", "sluice-gateway-admin", None),
    ("breaker", "sluice-break-glass", None),
    ("gateway-admin", "view", Some("net")),
];

/// Makes everything, each by whom it would be made.
pub async fn set(plane: &ControlPlane) -> Cast<'_> {
    plane.apply(OBJECTS);
    for (user, role, namespace) in BINDINGS {
        let (user_arg, role_arg) = (format!("--user={user}"), format!("--clusterrole={role}"));
        let name = format!("{user}-{role}");
        match namespace {
            Some(namespace) => plane.kubectl(&[
                "create",
                "rolebinding",
                &name,
                &role_arg,
                &user_arg,
                "-n",
                namespace,
            ]),
            None => plane.kubectl(&["create", "clusterrolebinding", &name, &role_arg, &user_arg]),
        };
    }
    let operator = plane.client("operator").await;
    for (namespace, name, annotated) in [
        ("net", "egress", false),
        ("net", "idle", false),
        ("net", "open", true),
        ("other", "egress", false),
    ] {
        gateway(plane, &operator, namespace, name, annotated).await;
    }
    for (address, annotated) in [("10.155.30.200", false), ("10.155.30.201", true)] {
        let mut claim = claim(address);
        annotate(&mut claim, annotated);
        post(&operator, "addressclaims", "", claim).await;
    }
    let used = json!({"status": {"usedBy": ["tenants/web"], "ipv4": {"total": "254", "used": 1}}});
    status(&operator, "eippools", "", "used", &used).await;

    let egress = plane
        .get("natgateways.sluice.dev", "net", "egress")
        .unwrap();
    let uid = egress["metadata"]["uid"].as_str().unwrap();
    let (first_uid, first) = agent::pod(plane, "gw-1", true, uid);
    let (second_uid, second) = agent::pod(plane, "gw-2", false, uid);
    let unbound = plane.kubectl(&["create", "token", "sluice-egress", "-n", "net"]);
    let cast = Cast::new(plane, [&first, &second, unbound.trim()]).await;
    for (pod, pod_uid, token) in [("gw-1", &first_uid, &first), ("gw-2", &second_uid, &second)] {
        let client = plane.client(token).await;
        let report = agent::instance(pod, pod_uid, uid);
        post(&client, "gatewayinstances", "net", report).await;
    }
    plane
        .wait("the aggregated roles", || {
            ["view", "edit"]
                .iter()
                .all(|role| {
                    plane
                        .kubectl(&["get", "clusterrole", role, "-o", "yaml"])
                        .contains("sluice.dev")
                })
                .then_some(())
        })
        .await;
    cast
}

/// A gateway with all that the operator makes for it; in use, but for `idle`.
async fn gateway(
    plane: &ControlPlane,
    operator: &Client,
    namespace: &str,
    name: &str,
    annotated: bool,
) {
    let mut gateway = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "NATGateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"uplinks": [{"name": "external", "pools": ["used"], "networkAttachment": "net/external"}]},
    });
    annotate(&mut gateway, annotated);
    plane.apply(&gateway.to_string());
    let live = plane
        .get("natgateways.sluice.dev", namespace, name)
        .unwrap();
    let uid = live["metadata"]["uid"].clone();
    let typed: NATGateway = serde_json::from_value(live).unwrap();
    let settings = Settings {
        gateway_image: "sluice/gateway-agent:dev".into(),
        otlp_endpoint: None,
    };
    for (kind, plural) in
        ChildKind::ALL
            .into_iter()
            .zip(["serviceaccounts", "roles", "rolebindings", "deployments"])
    {
        post(operator, plural, namespace, render(kind, &typed, &settings)).await;
    }
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": format!("sluice-{name}"), "namespace": namespace,
            "labels": {"sluice.dev/gateway": name, "sluice.dev/gateway-uid": uid}},
        "spec": {"leaseTransitions": 3},
    });
    annotate(&mut lease, annotated);
    post(operator, "leases", namespace, lease).await;
    post(
        operator,
        "ruleslices",
        namespace,
        slice(namespace, &format!("{name}-0")),
    )
    .await;
    post(
        operator,
        "gatewayconfigs",
        namespace,
        config(namespace, name),
    )
    .await;
    if name != "idle" {
        let users: Vec<String> = (0..5).map(|n| format!("tenants/e-{n}")).collect();
        let used = json!({"status": {"eips": 7, "usedBy": users}});
        status(operator, "natgateways", namespace, name, &used).await;
    }
}

/// With the annotation that breaks glass, for those who may.
fn annotate(object: &mut Value, annotated: bool) {
    if annotated {
        object["metadata"]["annotations"] =
            json!({"sluice.dev/break-glass": "the test asks for it"});
    }
}

pub fn claim(address: &str) -> Value {
    json!({
        "apiVersion": "internal.sluice.dev/v1alpha1", "kind": "AddressClaim",
        "metadata": {"name": format!("default.{address}")},
        "spec": {"network": "default", "address": address, "pool": "used", "gatewayUID": "g", "phase": "Bound",
            "owner": {"kind": "EIP", "uid": "u", "namespace": "tenants", "name": "web"}},
    })
}

pub fn slice(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "internal.sluice.dev/v1alpha1", "kind": "RuleSlice",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"entries": ["addr e 1 10.155.30.200 external"]},
    })
}

pub fn config(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "internal.sluice.dev/v1alpha1", "kind": "GatewayConfig",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"gateway": {"name": name, "uid": "g"}, "format": 1, "digest": "0".repeat(64), "entries": 1,
            "slices": [format!("{name}-0")],
            "settings": {"lan": {"interface": "eth0"}, "pingEIPs": true,
                "uplinks": [{"name": "external", "interface": "eth1", "subnets": []}]}},
    })
}

async fn post(client: &Client, plural: &str, namespace: &str, object: Value) {
    let request = http::Request::post(collection(plural, namespace))
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())
        .unwrap();
    let made = client.request::<Value>(request).await;
    assert!(
        made.is_ok(),
        "{plural} {}: {made:?}",
        object["metadata"]["name"]
    );
}

async fn status(client: &Client, plural: &str, namespace: &str, name: &str, patch: &Value) {
    let request = http::Request::patch(format!("{}/{name}/status", collection(plural, namespace)))
        .header("content-type", "application/merge-patch+json")
        .body(patch.to_string().into_bytes())
        .unwrap();
    client.request::<Value>(request).await.unwrap();
}
