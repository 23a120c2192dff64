//! Objects as a user would apply them.

use sluice_crds::{DNAT, EIP, EIPPool, FIP, NATGateway, SNAT};

use sluice_crds::address::{DualAddress, parse_hosts};

use crate::identity::Uid;
use crate::operator::event::{
    Attached, AttachmentFacts, InsidePodFacts, Key, NamespaceFacts, NodeFacts, Object,
};

pub fn key(namespace: &str, name: &str) -> Key {
    Key {
        namespace: namespace.into(),
        name: name.into(),
    }
}

pub fn from<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub fn namespace(name: &str) -> Object {
    Object::Namespace(NamespaceFacts {
        name: name.into(),
        uid: Uid::new(format!("ns-{name}")),
        resource_version: String::new(),
        labels: [("kubernetes.io/metadata.name".to_owned(), name.to_owned())].into(),
        terminating: false,
    })
}

pub fn node(name: &str, boot: u32) -> Object {
    Object::Node(NodeFacts {
        name: name.into(),
        uid: Uid::new(format!("node-{name}")),
        resource_version: String::new(),
        boot_id: format!("boot-{name}-{boot}"),
        out_of_service: false,
        uplink_address: None,
    })
}

pub fn attachment(namespace: &str, name: &str, gateways: &[&str]) -> Object {
    Object::Attachment(AttachmentFacts {
        key: key(namespace, name),
        uid: Uid::new(format!("nad-{namespace}-{name}")),
        resource_version: String::new(),
        gateways: gateways.iter().map(|g| (*g).to_owned()).collect(),
        error: None,
    })
}

/// 11 addresses of each family, no rest for freed ones.
pub fn pool(name: &str) -> Object {
    let pool: EIPPool = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "EIPPool",
        "metadata": {"name": name},
        "spec": {"cooldown": "1s", "subnets": [
            {"cidr": "10.155.30.0/24", "gateway": "10.155.30.1", "ranges": ["10.155.30.200-10.155.30.210"]},
            {"cidr": "2001:db8:1::/64", "gateway": "2001:db8:1::1", "ranges": ["2001:db8:1::e:0/112"]},
        ]},
    }));
    Object::EIPPool(pool)
}

pub fn gateway(namespace: &str, name: &str, lan: &str) -> Object {
    let gateway: NATGateway = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "NATGateway",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "uplinks": [{"name": "external", "pools": ["external"], "networkAttachment": "net/external"}],
            "lan": {"networkAttachment": lan},
            "allowedNamespaces": {"from": "All"},
            "allowedTargets": [{"namespaces": {"from": "All"}, "cidrs": ["10.244.0.0/16", "fd00:10:244::/64"]}],
        },
    }));
    Object::NATGateway(gateway)
}

pub fn eip(namespace: &str, name: &str, gateway: &str) -> Object {
    eip_with(
        namespace,
        name,
        gateway,
        serde_json::json!({"ipFamilyPolicy": "RequireDualStack"}),
    )
}

pub fn eip_with(namespace: &str, name: &str, gateway: &str, more: serde_json::Value) -> Object {
    let mut spec = serde_json::json!({"gateway": {"name": gateway, "namespace": "net"}});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let eip: EIP = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "EIP",
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }));
    Object::EIP(eip)
}

pub fn fip(namespace: &str, name: &str, eip: &str, host: u8) -> Object {
    let fip: FIP = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "FIP",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"eip": {"name": eip}, "target": {"ips": [format!("10.244.0.{host}"), format!("fd00:10:244::{host:x}")]}},
    }));
    Object::FIP(fip)
}

pub fn dnat(namespace: &str, name: &str, eip: &str, ports: &str) -> Object {
    let dnat: DNAT = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "DNAT",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"eip": {"name": eip}, "ports": ports, "targets": [{"ips": ["10.244.0.9"]}]},
    }));
    Object::DNAT(dnat)
}

pub fn snat(namespace: &str, name: &str, eip: &str, source: &str) -> Object {
    snat_of(namespace, name, &[eip], &[source])
}

pub fn snat_of(namespace: &str, name: &str, eips: &[&str], sources: &[&str]) -> Object {
    let eips: Vec<_> = eips
        .iter()
        .map(|name| serde_json::json!({"name": name}))
        .collect();
    let snat: SNAT = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "SNAT",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"eips": eips, "sources": sources},
    }));
    Object::SNAT(snat)
}

/// A running Pod, labelled `app: NAME`, with these addresses on `net/lan`.
pub fn inside_pod(namespace: &str, name: &str, lan: &[&str]) -> InsidePodFacts {
    let attached = |network: &str, addresses| Attached {
        network: network.to_owned(),
        addresses,
    };
    InsidePodFacts {
        key: key(namespace, name),
        uid: Uid::new(""),
        resource_version: String::new(),
        labels: [("app".to_owned(), name.to_owned())].into(),
        gateway: false,
        host_network: false,
        over: false,
        ips: parse_hosts(&["10.250.0.7", "fd00:10:250::7"]).unwrap(),
        attached: if lan.is_empty() {
            vec![]
        } else {
            vec![
                attached("net/other", DualAddress::default()),
                attached("net/lan", parse_hosts(lan).unwrap()),
            ]
        },
        unreadable: None,
    }
}

pub fn fip_of_pod(namespace: &str, name: &str, eip: &str, pod: &str) -> Object {
    let fip: FIP = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "FIP",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"eip": {"name": eip}, "target": {"pod": {"name": pod}}},
    }));
    Object::FIP(fip)
}

pub fn snat_of_pods(namespace: &str, name: &str, eip: &str, selector: serde_json::Value) -> Object {
    let mut spec = serde_json::json!({"eips": [{"name": eip}]});
    for (field, value) in selector.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let snat: SNAT = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "SNAT",
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }));
    Object::SNAT(snat)
}
