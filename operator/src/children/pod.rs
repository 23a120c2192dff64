//! The Deployment of a gateway and its pods.

use serde_json::{Map, Value, json};
use sluice_core::agent::GRACE_SECS;
use sluice_crds::NATGateway;
use sluice_crds::names::{self, FINALIZER_FENCED, LABEL_GATEWAY_UID};
use sluice_crds::user::{GatewayTemplate, SysctlsMode};

use super::{Settings, labels, ovn, with};

/// Port of the agent's `/healthz`, `/readyz` and `/metrics`.
const PORT: u16 = 9808;
/// The annotation by which Multus learns a pod's attachments.
const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// Everything of the Deployment but its metadata.
pub fn deployment(gateway: &NATGateway, settings: &Settings) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "spec": {
            "replicas": gateway.spec.replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {LABEL_GATEWAY_UID: gateway.metadata.uid}},
            // The next pod is warm before the one that holds is asked to go; which of
            // them answers for the addresses is decided by the gateway's Lease alone.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template(gateway, settings),
        },
    })
}

fn template(gateway: &NATGateway, settings: &Settings) -> Value {
    let default = GatewayTemplate::default();
    let template = gateway.spec.template.as_ref().unwrap_or(&default);
    let mut annotations: Map<String, Value> = template
        .annotations
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    let ovn = gateway.spec.ovn.as_ref();
    if ovn.is_none() {
        let networks = networks(gateway).to_string();
        annotations.insert(NETWORKS.to_owned(), Value::String(networks));
    }
    let mut security = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    if ovn.is_none() {
        security = with(security, "sysctls", sysctls(template.sysctls));
    }
    let mut spec = json!({
        "serviceAccountName": names::child_name(gateway.metadata.name.as_deref().unwrap_or_default()),
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECS,
        "securityContext": security,
        "containers": [container(gateway, template, settings)],
    });
    if let Some(secret) = ovn.and_then(|ovn| ovn.tls_secret.as_ref()) {
        spec = with(spec, "volumes", ovn::volumes(secret));
    }
    // What is unset is left out, so that the API server's defaults apply.
    if !template.node_selector.is_empty() {
        spec = with(spec, "nodeSelector", json!(template.node_selector));
    }
    if !template.tolerations.is_empty() {
        spec = with(spec, "tolerations", json!(template.tolerations));
    }
    if let Some(affinity) = &template.affinity {
        spec = with(spec, "affinity", json!(affinity));
    }
    if let Some(class) = &template.priority_class_name {
        spec = with(spec, "priorityClassName", json!(class));
    }
    json!({
        "metadata": {
            "labels": labels(gateway),
            "annotations": annotations,
            "finalizers": [FINALIZER_FENCED],
        },
        "spec": spec,
    })
}

fn container(gateway: &NATGateway, template: &GatewayTemplate, settings: &Settings) -> Value {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let resources = match &template.resources {
        Some(resources) => json!(resources),
        None => json!({"requests": {"cpu": "50m", "memory": "64Mi"}}),
    };
    let probe = |path: &str, period: u32, failures: u32| {
        json!({
            "httpGet": {"path": path, "port": PORT},
            "periodSeconds": period,
            "failureThreshold": failures,
            "timeoutSeconds": if period == 1 { 1 } else { 5 },
        })
    };
    // Rows are written with no right in the pod's own network.
    let (more_env, capabilities) = match &gateway.spec.ovn {
        Some(ovn) => (ovn::env(ovn), json!({"drop": ["ALL"]})),
        None => (
            Vec::new(),
            json!({"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}),
        ),
    };
    let mut env = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_UID", "metadata.uid"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("NODE_NAME", "spec.nodeName"),
        field("POD_IPS", "status.podIPs"),
        json!({"name": "GATEWAY", "value": gateway.metadata.name}),
        json!({"name": "GATEWAY_UID", "value": gateway.metadata.uid}),
    ];
    env.extend(more_env);
    if let Some(endpoint) = &settings.otlp_endpoint {
        env.push(json!({"name": "OTLP_ENDPOINT", "value": endpoint}));
    }
    let mut container = json!({
        "name": "agent",
        "image": template.image.as_deref().unwrap_or(&settings.gateway_image),
        "imagePullPolicy": "IfNotPresent",
        "env": env,
        "ports": [{"name": "metrics", "containerPort": PORT, "protocol": "TCP"}],
        "resources": resources,
        "livenessProbe": probe("/healthz", 10, 3),
        "readinessProbe": probe("/readyz", 1, 2),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": capabilities,
            "readOnlyRootFilesystem": true,
        },
    });
    let ovn = gateway.spec.ovn.as_ref();
    if ovn.is_some_and(|ovn| ovn.tls_secret.is_some()) {
        container = with(container, "volumeMounts", ovn::mounts());
    }
    container
}

/// IPv6 forwards, and answers for others' addresses, only when these are set
/// for the whole namespace; the agent itself may not write them. With
/// forwarding on, the kernel takes no router advertisements any more.
fn sysctls(mode: SysctlsMode) -> Value {
    match mode {
        SysctlsMode::Pod => json!([
            {"name": "net.ipv6.conf.all.forwarding", "value": "1"},
            {"name": "net.ipv6.conf.all.proxy_ndp", "value": "1"},
        ]),
    }
}

/// The LAN first, then the uplinks in their order.
fn networks(gateway: &NATGateway) -> Value {
    let lan = gateway
        .spec
        .lan
        .iter()
        .filter_map(|lan| Some((lan.network_attachment.as_ref()?, &lan.interface)));
    let uplinks = gateway
        .spec
        .uplinks
        .iter()
        .filter_map(|uplink| Some((uplink.network_attachment.as_ref()?, &uplink.interface)));
    lan.chain(uplinks)
        .map(|(attachment, interface)| {
            let own = gateway.metadata.namespace.as_deref().unwrap_or_default();
            let (namespace, name) = attachment.split_once('/').unwrap_or((own, attachment));
            json!({"namespace": namespace, "name": name, "interface": interface})
        })
        .collect()
}
