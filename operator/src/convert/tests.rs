//! Objects as the API server sends them.

use serde_json::json;

use super::*;
use crate::resource::Resource;

fn convert(kind: Kind, value: Value) -> Object {
    object(&Resource::of(kind)[0], value).unwrap()
}

fn pod_of(status: Value, node: &str) -> PodFacts {
    let value = json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7",
            "labels": {"sluice.dev/gateway-uid": "g"}, "finalizers": ["sluice.dev/fenced"]},
        "spec": {"nodeName": node, "containers": [{"name": "agent"}]}, "status": status,
    });
    match convert(Kind::Pod, value) {
        Object::Pod(pod) => pod,
        other => panic!("{other:?}"),
    }
}

fn container(state: Value) -> Value {
    json!({"name": "agent", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state})
}

#[test]
fn a_pod_is_terminated_only_when_the_kubelet_says_so_of_every_container() {
    let running = container(json!({"running": {}}));
    let ended = container(json!({"terminated": {"exitCode": 0}}));
    let waiting = container(json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    assert!(!pod_of(json!({}), "node-a").containers_terminated);
    assert!(!pod_of(json!({"phase": "Failed"}), "node-a").containers_terminated);
    assert!(
        !pod_of(
            json!({"containerStatuses": [running.clone(), ended.clone()]}),
            "node-a"
        )
        .containers_terminated
    );
    assert!(!pod_of(json!({"containerStatuses": [waiting]}), "node-a").containers_terminated);
    assert!(pod_of(json!({"containerStatuses": [ended.clone()]}), "node-a").containers_terminated);
    assert!(
        !pod_of(
            json!({"containerStatuses": [ended.clone()], "ephemeralContainerStatuses": [running]}),
            "node-a"
        )
        .containers_terminated
    );
    assert!(pod_of(json!({}), "").containers_terminated, "never placed");
    let refused = json!({"phase": "Failed", "reason": "SysctlForbidden"});
    assert!(
        pod_of(refused, "node-a").containers_terminated,
        "the kubelet never began it"
    );
    let evicted = json!({"phase": "Failed", "reason": "Evicted", "containerStatuses": [container(json!({"running": {}}))]});
    assert!(!pod_of(evicted, "node-a").containers_terminated);
}

#[test]
fn a_pod_keeps_what_is_decided_on() {
    let pod = pod_of(
        json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
        "node-a",
    );
    assert_eq!(pod.gateway_uid, Uid::new("g"));
    assert_eq!(pod.finalizers, ["sluice.dev/fenced"]);
    assert!(pod.ready && !pod.deleting);
    assert_eq!(
        (
            pod.node.as_str(),
            pod.phase.as_str(),
            pod.resource_version.as_str()
        ),
        ("node-a", "Running", "7")
    );
}

#[test]
fn a_lease_keeps_its_times_as_text() {
    let value = json!({"metadata": {"name": "sluice-g", "namespace": "n", "uid": "u", "resourceVersion": "1"},
        "spec": {"holderIdentity": "h", "leaseTransitions": 4, "leaseDurationSeconds": 15,
                 "renewTime": "2026-01-02T03:04:05.000006Z"}});
    let Object::Lease(lease) = convert(Kind::Lease, value) else {
        panic!()
    };
    assert_eq!(
        (
            lease.holder.as_str(),
            lease.transitions,
            lease.duration_secs
        ),
        ("h", 4, 15)
    );
    assert_eq!(lease.renew_time, "2026-01-02T03:04:05.000006Z");
    assert_eq!(lease.acquire_time, "");
}

#[test]
fn nodes_and_namespaces_tell_their_end() {
    let node = json!({"metadata": {"name": "a", "uid": "u"},
        "spec": {"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]},
        "status": {"nodeInfo": {"bootID": "b", "architecture": "", "containerRuntimeVersion": "", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": ""}}});
    let Object::Node(node) = convert(Kind::Node, node) else {
        panic!()
    };
    assert!(node.out_of_service);
    assert_eq!(node.boot_id, "b");
    let gone = json!({"metadata": {"name": "a", "uid": "u"}, "status": {"phase": "Terminating"}});
    let Object::Namespace(gone) = convert(Kind::Namespace, gone) else {
        panic!()
    };
    assert!(gone.terminating);
}

#[test]
fn managed_fields_and_last_applied_are_dropped() {
    let value = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "FIP",
        "metadata": {"name": "f", "namespace": "n", "uid": "u", "managedFields": [{"manager": "x"}],
            "annotations": {LAST_APPLIED: "{}", "kept": "yes"}},
        "spec": {"eip": {"name": "e"}, "target": {"ips": ["10.0.0.1"]}}});
    let Object::FIP(fip) = convert(Kind::FIP, value) else {
        panic!()
    };
    assert!(fip.metadata.managed_fields.is_none());
    assert_eq!(
        fip.metadata
            .annotations
            .unwrap()
            .into_keys()
            .collect::<Vec<_>>(),
        ["kept"]
    );
}

#[test]
fn an_object_that_does_not_fit_is_an_error_of_its_own() {
    let resource = Resource::of(Kind::EIP)[0];
    let bad =
        json!({"metadata": {"name": "e", "namespace": "n", "uid": "u"}, "spec": {"gateway": 7}});
    assert!(matches!(object(&resource, bad), Err(Unreadable::Schema(_))));
    assert!(matches!(
        object(&resource, json!({"metadata": {"name": "e"}})),
        Err(Unreadable::Lacks("metadata.uid"))
    ));
    assert!(matches!(
        object(&resource, json!([])),
        Err(Unreadable::Lacks("metadata.name"))
    ));
}
