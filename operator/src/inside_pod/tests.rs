//! Pods as the API server sends them.

use serde_json::{Value, json};
use sluice_core::operator::event::{Kind, Object};

use super::*;
use crate::convert;
use crate::resource::Resource;

fn read(metadata: Value, spec: Value, status: Value) -> InsidePodFacts {
    let mut object = json!({
        "metadata": {"name": "web-0", "namespace": "tenants", "uid": "u", "resourceVersion": "7"},
        "spec": {"nodeName": "node-a", "containers": [{"name": "web"}]}, "status": status,
    });
    for (field, more) in [("metadata", metadata), ("spec", spec)] {
        for (name, value) in more.as_object().unwrap() {
            object[field][name] = value.clone();
        }
    }
    match convert::object(&Resource::of(Kind::InsidePod)[0], object).unwrap() {
        Object::InsidePod(pod) => pod,
        other => panic!("{other:?}"),
    }
}

fn annotated(text: &str) -> InsidePodFacts {
    read(
        json!({"annotations": {NETWORK_STATUS: text}}),
        json!({}),
        json!({}),
    )
}

fn dual(texts: &[&str]) -> DualAddress {
    first_of_each(texts.iter().copied())
}

/// As Multus 4 writes it.
const MULTUS: &str = r#"[{
    "name": "pods", "interface": "eth0", "ips": ["10.250.1.7", "fd00:10:250:1::7"],
    "mac": "0a:58:0a:fa:01:07", "default": true, "dns": {}, "gateway": ["10.250.1.1"]
},{
    "name": "net/lan", "interface": "net1", "ips": ["10.244.0.5", "fd00:10:244::5"],
    "mac": "02:00:00:00:00:05", "dns": {}
},{
    "name": "net/other", "interface": "net2", "ips": ["10.245.0.9"], "dns": {}
},{
    "name": "net/lan", "interface": "net3", "ips": ["10.244.0.6"], "dns": {}
}]"#;

#[test]
fn the_first_entry_of_each_attachment_counts_and_the_pod_network_is_none() {
    let pod = annotated(MULTUS);
    let attached = |network: &str, ips: &[&str]| Attached {
        network: network.to_owned(),
        addresses: dual(ips),
    };
    assert_eq!(
        pod.attached,
        [
            attached("net/lan", &["10.244.0.5", "fd00:10:244::5"]),
            attached("net/other", &["10.245.0.9"]),
        ]
    );
    assert_eq!(pod.unreadable, None);
    assert!(pod.ips.is_empty(), "the annotation tells nothing of eth0");
}

#[test]
fn addresses_of_no_host_are_left_out() {
    let pod = annotated(
        r#"[{"name": "net/lan", "ips": ["127.0.0.1", "10.244.0.0/16", "x", "fe80::1", "::ffff:10.244.0.5", "10.244.0.5", "10.244.0.6"]}]"#,
    );
    assert_eq!(pod.attached[0].addresses, dual(&["10.244.0.5"]));
}

#[test]
fn an_annotation_that_cannot_be_read_is_said_to_be_so() {
    for text in ["{", "{}", "[1]", r#"[{"name": 5}]"#, r#"[{"ips": "x"}]"#] {
        let pod = annotated(text);
        assert!(pod.unreadable.is_some(), "{text}");
        assert!(pod.attached.is_empty(), "{text}");
    }
    for text in ["", " ", "[]", r#"[{"name": "net/lan"}]"#] {
        assert_eq!(annotated(text).unreadable, None, "{text}");
    }
}

#[test]
fn a_hostile_annotation_makes_no_long_error() {
    let pod = annotated(&format!(r#"[{{"ips": "{}"}}]"#, "x".repeat(200_000)));
    assert!(pod.unreadable.unwrap().len() < 1_000);
}

#[test]
fn a_hostile_annotation_keeps_few_attachments() {
    let many: Vec<Value> = (0..5_000)
        .map(|n| json!({"name": format!("net/a{n}"), "ips": ["10.244.0.5"]}))
        .collect();
    let pod = annotated(&Value::from(many).to_string());
    assert_eq!(pod.attached.len(), ATTACHED_MAX);
}

#[test]
fn the_pods_own_addresses_are_the_first_of_each_family() {
    let pod = read(
        json!({}),
        json!({}),
        json!({"podIP": "10.250.1.7", "podIPs": [{"ip": "10.250.1.7"}, {"ip": "fd00:10:250:1::7"}, {"ip": "10.250.1.8"}]}),
    );
    assert_eq!(pod.ips, dual(&["10.250.1.7", "fd00:10:250:1::7"]));
    assert!(pod.attached.is_empty());
}

#[test]
fn a_pod_is_over_when_it_never_runs_again() {
    let container = |state: Value| json!([{"name": "web", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state}]);
    let running = container(json!({"running": {}}));
    let ended = container(json!({"terminated": {"exitCode": 0}}));
    let deleted = json!({"deletionTimestamp": "2026-01-02T03:04:05Z"});
    let of = |metadata: &Value, status: Value| read(metadata.clone(), json!({}), status).over;
    assert!(!of(&json!({}), json!({"phase": "Running"})));
    // Its containers are started anew.
    assert!(!of(&json!({}), json!({"containerStatuses": ended})));
    assert!(of(&json!({}), json!({"phase": "Succeeded"})));
    assert!(of(&json!({}), json!({"phase": "Failed"})));
    // It still answers while it is given time to end.
    assert!(!of(&deleted, json!({"containerStatuses": running})));
    assert!(!of(&deleted, json!({"phase": "Running"})));
    assert!(of(&deleted, json!({"containerStatuses": ended})));
}

#[test]
fn host_network_and_gateways_are_told_apart() {
    let plain = read(
        json!({"labels": {"app": "web"}}),
        json!({"hostNetwork": true}),
        json!({}),
    );
    assert!(plain.host_network && !plain.gateway);
    assert_eq!(plain.labels, [("app".to_owned(), "web".to_owned())].into());
    let labels = json!({"labels": {LABEL_GATEWAY_UID: "g"}});
    let gateway = read(labels, json!({}), json!({}));
    assert!(gateway.gateway && !gateway.host_network);
}

#[test]
fn what_is_kept_of_a_pod_is_small() {
    // A Pod of a Deployment with what a cluster adds to it.
    let pod = read(
        json!({
            "annotations": {NETWORK_STATUS: MULTUS, "notes": "x".repeat(10_000)},
            "labels": {"app": "web", "pod-template-hash": "5d8c9b7f6"},
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
        }),
        json!({"volumes": [{"name": "v"}]}),
        json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
    );
    let text = format!("{pod:?}");
    assert!(text.len() < 1_000, "{} bytes: {text}", text.len());
}
