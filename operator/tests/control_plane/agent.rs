//! An agent without a kernel: it takes the gateway's Lease, and reports every
//! config at once as held, with the token of a Pod. It never renews the Lease, which lasts
//! longer than any test.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sluice_crds::{GatewayConfig, GatewayInstance};

use super::ControlPlane;

pub const BOOT_ID: &str = "0b0b0b0b-0000-0000-0000-000000000001";

/// Makes the Node and the Pod that an agent runs in, placed there or not yet;
/// the Pod's UID and token.
pub fn pod(plane: &ControlPlane, name: &str, placed: bool, gateway_uid: &str) -> (String, String) {
    let node = if placed {
        "nodeName: node-a"
    } else {
        "hostname: nowhere"
    };
    plane.apply(&format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: node-a}}\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: net\n  finalizers: [sluice.dev/fenced]\n  labels: {{sluice.dev/gateway: egress, sluice.dev/gateway-uid: {gateway_uid}}}\nspec:\n  {node}\n  serviceAccountName: sluice-egress\n  containers: [{{name: agent, image: none}}]\n"
    ));
    let node = json!({"status": {"nodeInfo": {"bootID": BOOT_ID, "architecture": "", "containerRuntimeVersion": "",
        "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "",
        "osImage": "", "systemUUID": ""}}});
    plane.kubectl(&[
        "patch",
        "node",
        "node-a",
        "--subresource=status",
        "--type=merge",
        "-p",
        &node.to_string(),
    ]);
    let uid = plane.get("pods", "net", name).unwrap()["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = plane.kubectl(&[
        "create",
        "token",
        "sluice-egress",
        "-n",
        "net",
        "--bound-object-kind=Pod",
        &format!("--bound-object-name={name}"),
        &format!("--bound-object-uid={uid}"),
    ]);
    (uid, token.trim().to_owned())
}

/// What an instance of the Pod writes about itself first.
pub fn instance(pod: &str, uid: &str, gateway_uid: &str) -> Value {
    json!({
        "apiVersion": "internal.sluice.dev/v1alpha1", "kind": "GatewayInstance",
        "metadata": {"name": pod, "namespace": "net", "finalizers": ["sluice.dev/fenced"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}]},
        "spec": {"gateway": "egress", "gatewayUID": gateway_uid, "podUID": uid, "node": "node-a"},
    })
}

/// Runs until aborted.
pub async fn run(client: Client, pod: String, pod_uid: String, gateway_uid: String) {
    let identity = format!("pod/{pod_uid}/{BOOT_ID}/4026532000");
    let instances: Api<GatewayInstance> = Api::namespaced(client.clone(), "net");
    let first: GatewayInstance =
        serde_json::from_value(instance(&pod, &pod_uid, &gateway_uid)).unwrap();
    instances
        .create(&PostParams::default(), &first)
        .await
        .unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease"));
    let leases: Api<DynamicObject> = Api::namespaced_with(client.clone(), "net", &kind);
    let configs: Api<GatewayConfig> = Api::namespaced(client, "net");
    let mut told = Value::Null;
    loop {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let Ok(lease) = leases.get("sluice-egress").await else {
            continue;
        };
        let text = |path: &str| {
            lease
                .data
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let term = lease
            .data
            .pointer("/spec/leaseTransitions")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        if text("/spec/holderIdentity") != identity {
            let mut taken = lease.clone();
            let now = format!("{:.6}", Timestamp::now());
            taken.data["spec"] = json!({
                "holderIdentity": identity, "leaseTransitions": term + 1, "leaseDurationSeconds": 3600,
                "renewTime": now, "acquireTime": now});
            let _ = leases
                .replace("sluice-egress", &PostParams::default(), &taken)
                .await;
            continue;
        }
        let applied = match configs.get("egress").await {
            Ok(config) => json!({
                "uid": config.metadata.uid, "generation": config.metadata.generation,
                "digest": config.spec.digest, "slices": config.spec.slices,
            }),
            Err(_) => continue,
        };
        let status = json!({
            "instance": identity, "formats": [1], "applied": applied, "driftRepairs": 0, "final": false,
            "active": {"leaseUID": lease.metadata.uid, "term": term},
        });
        if status != told {
            // As the agent does it: whole, for it may not patch.
            let Ok(mut report) = instances.get(&pod).await else {
                continue;
            };
            report.status = serde_json::from_value(status.clone()).unwrap();
            let params = PostParams::default();
            match instances.replace_status(&pod, &params, &report).await {
                Ok(_) => told = status,
                Err(error) => println!("agent: {error}"),
            }
        }
    }
}
