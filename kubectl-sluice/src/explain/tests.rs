//! Broken situations, each as a change to a world that is well, and the two lines that
//! must tell of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

use serde_json::{Value, json};

use super::*;

mod situations;

/// One of these, `KIND namespace/name`.
fn name_of(object: &Value) -> String {
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let key = Key::new(text("/metadata/namespace"), text("/metadata/name"));
    format!("{} {key}", text("/kind"))
}

/// Objects that can be changed.
struct Scene {
    objects: Vec<Value>,
    hidden: Vec<&'static str>,
}

impl Scene {
    /// A merge-patch for one of them.
    fn change(&mut self, name: &str, patch: Value) {
        let object = self.objects.iter_mut().find(|o| name_of(o) == name);
        merge(
            object.unwrap_or_else(|| panic!("there is no {name}")),
            &patch,
        );
    }

    fn remove(&mut self, name: &str) {
        let before = self.objects.len();
        self.objects.retain(|o| name_of(o) != name);
        assert_eq!(self.objects.len() + 1, before, "{name}");
    }

    fn add(&mut self, object: Value) {
        self.objects.push(object);
    }

    /// A condition of one of them, and Ready False by it.
    fn condition(&mut self, name: &str, type_: &str, reason: &str, message: &str) {
        let mut all = vec![said(type_, "False", reason, message)];
        for other in ["Accepted", "Programmed", "Ready"] {
            if other != type_ {
                let status = if other == "Accepted" { "True" } else { "False" };
                all.push(said(other, status, "NotProgrammed", message));
            }
        }
        self.change(name, json!({"status": {"conditions": all}}));
    }

    fn world(self) -> World {
        let mut world = World {
            now: "2026-11-22T12:00:00Z".parse().unwrap(),
            operator_namespace: "sluice-system".into(),
            hidden: self.hidden.into_iter().map(str::to_owned).collect(),
            ..World::default()
        };
        for object in self.objects {
            let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
            if !world.hides(&plural) {
                world.add(object).unwrap();
            }
        }
        world
    }
}

fn merge(into: &mut Value, from: &Value) {
    match from {
        Value::Object(from) => {
            if !into.is_object() {
                *into = json!({});
            }
            let into = into.as_object_mut().unwrap();
            for (key, value) in from {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        other => *into = other.clone(),
    }
}

fn said(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-22T11:00:00Z", "observedGeneration": 1})
}

fn well() -> Value {
    json!([
        said("Accepted", "True", "Accepted", "valid"),
        said(
            "Programmed",
            "True",
            "Programmed",
            "the holder's kernel has it"
        ),
        said(
            "Ready",
            "True",
            "Ready",
            "the gateway's holder answers for it"
        ),
    ])
}

fn user(kind: &str, namespace: &str, name: &str, uid: &str, spec: Value) -> Value {
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "generation": 1},
        "spec": spec, "status": {"observedGeneration": 1, "conditions": well()}})
}

const HOLDER: &str = "pod/p1/boot-a/77";

/// An EIP with a FIP, and all that makes them Ready.
fn healthy() -> Scene {
    let operator = json!({"app.kubernetes.io/name": "sluice-operator"});
    let own = json!({"sluice.dev/gateway": "egress", "sluice.dev/gateway-uid": "gw"});
    let mut eip = user(
        "EIP",
        "tenants",
        "web",
        "eip-1",
        json!({"gateway": {"name": "egress", "namespace": "net"}}),
    );
    merge(
        &mut eip,
        &json!({"status": {"ipv4": "10.155.30.200", "pool": "external"}}),
    );
    let lease = |namespace: &str, name: &str, holder: &str, labels: &Value| {
        json!({"kind": "Lease", "metadata": {"namespace": namespace, "name": name, "uid": "lease", "labels": labels},
            "spec": {"holderIdentity": holder, "leaseTransitions": 3, "leaseDurationSeconds": 15,
                "renewTime": "2026-11-22T11:59:58.000000Z"}})
    };
    let pod = |namespace: &str, name: &str, labels: &Value| {
        json!({"kind": "Pod", "metadata": {"namespace": namespace, "name": name, "labels": labels,
                "creationTimestamp": "2026-11-22T11:00:00Z"},
            "spec": {"nodeName": "node-a", "containers": []}, "status": {"phase": "Running"}})
    };
    let mut pool = user(
        "EIPPool",
        "",
        "external",
        "pool",
        json!({"subnets": [{"cidr": "10.155.30.0/24"}]}),
    );
    pool["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("namespace");
    Scene {
        hidden: Vec::new(),
        objects: vec![
            user(
                "NATGateway",
                "net",
                "egress",
                "gw",
                json!({"uplinks": [{"name": "external", "pools": ["external"], "networkAttachment": "net/external"}]}),
            ),
            pool,
            eip,
            user(
                "FIP",
                "tenants",
                "web",
                "fip-1",
                json!({"eip": {"name": "web"}, "target": {"ips": ["10.244.0.5"]}}),
            ),
            json!({"kind": "GatewayConfig", "metadata": {"name": "egress", "namespace": "net", "uid": "cfg", "generation": 5},
                "spec": {"gateway": {"name": "egress", "uid": "gw"}, "format": 1, "digest": "d", "entries": 2, "slices": ["egress-a"],
                    "settings": {"lan": {"interface": "lan0"}, "uplinks": [], "pingEIPs": true}}}),
            json!({"kind": "RuleSlice", "metadata": {"name": "egress-a", "namespace": "net"},
                "spec": {"entries": ["addr eip-1 1 10.155.30.200 external", "fip fip-1 1 10.155.30.200 10.244.0.5 both"]}}),
            json!({"kind": "GatewayInstance", "metadata": {"name": "gw-1", "namespace": "net"},
                "spec": {"gateway": "egress", "gatewayUID": "gw", "podUID": "p1", "node": "node-a"},
                "status": {"instance": HOLDER, "formats": [1], "active": {"leaseUID": "lease", "term": 3},
                    "applied": {"uid": "cfg", "generation": 5, "digest": "d", "slices": ["egress-a"]}}}),
            json!({"kind": "AddressClaim", "metadata": {"name": "default.10.155.30.200"},
                "spec": {"network": "default", "address": "10.155.30.200", "pool": "external", "gatewayUID": "gw", "phase": "Bound",
                    "owner": {"kind": "EIP", "uid": "eip-1", "namespace": "tenants", "name": "web"}}}),
            lease("net", "sluice-egress", HOLDER, &own),
            lease("sluice-system", "sluice-operator", "op-1", &json!({})),
            pod("net", "gw-1", &own),
            pod("sluice-system", "op-1", &operator),
            json!({"kind": "Deployment", "metadata": {"namespace": "net", "name": "sluice-egress", "labels": own}}),
            json!({"kind": "Deployment", "metadata": {"namespace": "sluice-system", "name": "sluice-operator"},
                "spec": {"replicas": 1, "selector": {}, "template": {}}}),
            json!({"kind": "Node", "metadata": {"name": "node-a"},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        ],
    }
}
