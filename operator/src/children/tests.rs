//! Rendered children against `testdata/`; `BLESS=1` writes them anew.

use std::path::Path;

use sluice_crds::user::Uplink;

use super::*;

fn settings() -> Settings {
    Settings {
        gateway_image: "sluice/gateway-agent:dev".into(),
        otlp_endpoint: None,
    }
}

fn gateway(spec: Value) -> NATGateway {
    serde_json::from_value(json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "NATGateway",
        "metadata": {"name": "egress", "namespace": "net", "uid": "11111111-2222-3333-4444-555555555555"},
        "spec": spec,
    }))
    .unwrap()
}

fn plain() -> NATGateway {
    gateway(
        json!({"uplinks": [{"name": "external", "pools": ["external"], "networkAttachment": "external"}]}),
    )
}

fn full() -> NATGateway {
    gateway(json!({
        "uplinks": [{"name": "external", "pools": ["external"], "networkAttachment": "dmz/external", "interface": "ext0"}],
        "lan": {"networkAttachment": "net/lan", "interface": "lan7"},
        "template": {
            "image": "registry.example/agent:1",
            "nodeSelector": {"edge": "yes"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "resources": {"limits": {"memory": "128Mi"}},
            "annotations": {"example.com/note": "x"},
            "priorityClassName": "system-cluster-critical",
        },
    }))
}

fn of_ovn() -> NATGateway {
    gateway(json!({
        "dataplane": "OVN",
        "uplinks": [{"name": "external", "pools": ["external"]}],
        "ovn": {
            "northbound": "ssl:10.0.0.1:6641,ssl:10.0.0.2:6641",
            "southbound": "ssl:10.0.0.1:6642",
            "router": "r1",
            "gatewayPort": "r1-outside",
            "tlsSecret": "ovn-tls",
        },
    }))
}

fn check(name: &str, gateway: &NATGateway) {
    let documents: Vec<String> = ChildKind::ALL
        .into_iter()
        .map(|kind| serde_saphyr::to_string(&render(kind, gateway, &settings())).unwrap())
        .collect();
    let text = documents.join("---\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/children")
        .join(format!("{name}.yaml"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        expected,
        "{} is stale: run with BLESS=1 and look at the difference",
        path.display()
    );
}

#[test]
fn children_of_a_plain_gateway() {
    check("plain", &plain());
}

#[test]
fn children_of_a_gateway_with_all_settings() {
    check("full", &full());
}

#[test]
fn children_of_a_gateway_of_an_ovn_network() {
    check("ovn", &of_ovn());
}

#[test]
fn nothing_carries_an_owner_reference() {
    for kind in ChildKind::ALL {
        assert!(
            render(kind, &full(), &settings())
                .pointer("/metadata/ownerReferences")
                .is_none()
        );
    }
}

#[test]
fn the_digest_moves_with_what_the_child_depends_on_only() {
    let digest = |kind, gateway: &NATGateway, settings: &Settings| {
        digest_of(&render(kind, gateway, settings)).to_owned()
    };
    let mut other = plain();
    other.metadata.resource_version = Some("9".into());
    other.spec.ping_eips = false;
    for kind in ChildKind::ALL {
        assert_eq!(
            digest(kind, &plain(), &settings()),
            digest(kind, &other, &settings()),
            "{kind:?}"
        );
    }
    let newer = Settings {
        gateway_image: "sluice/gateway-agent:2".into(),
        ..settings()
    };
    assert_ne!(
        digest(ChildKind::Deployment, &plain(), &settings()),
        digest(ChildKind::Deployment, &plain(), &newer)
    );
    let told = |settings: &Settings| {
        let deployment = render(ChildKind::Deployment, &plain(), settings);
        let env = deployment.pointer("/spec/template/spec/containers/0/env");
        env.unwrap()
            .to_string()
            .contains(r#""OTLP_ENDPOINT","value":"http://collector:4318""#)
    };
    let telling = Settings {
        otlp_endpoint: Some("http://collector:4318".into()),
        ..settings()
    };
    assert!(told(&telling) && !told(&settings()), "where spans go");
    assert_eq!(
        digest(ChildKind::Role, &plain(), &settings()),
        digest(ChildKind::Role, &plain(), &newer)
    );
    assert_eq!(
        digest(ChildKind::Deployment, &full(), &settings()),
        digest(ChildKind::Deployment, &full(), &newer)
    );
}

#[test]
fn a_user_cannot_replace_the_attachments_by_an_annotation() {
    let mut gateway = plain();
    let forged = GatewayTemplateWith(&mut gateway);
    forged.set("k8s.v1.cni.cncf.io/networks", "[]");
    let rendered = render(ChildKind::Deployment, &gateway, &settings());
    let networks = rendered
        .pointer("/spec/template/metadata/annotations/k8s.v1.cni.cncf.io~1networks")
        .unwrap();
    assert_eq!(
        networks,
        r#"[{"interface":"eth1","name":"external","namespace":"net"}]"#
    );
}

struct GatewayTemplateWith<'a>(&'a mut NATGateway);

impl GatewayTemplateWith<'_> {
    fn set(self, key: &str, value: &str) {
        let template = self.0.spec.template.get_or_insert_default();
        template.annotations.insert(key.into(), value.into());
    }
}

#[test]
fn each_uplink_is_attached_in_its_order_and_an_order_of_its_own_is_another_pod() {
    let two = |order: [(&str, &str); 2]| {
        let mut gateway = plain();
        let first = gateway.spec.uplinks[0].clone();
        gateway.spec.uplinks = order
            .iter()
            .map(|(attachment, interface)| Uplink {
                name: (*interface).to_owned(),
                network_attachment: Some((*attachment).to_owned()),
                interface: (*interface).to_owned(),
                ..first.clone()
            })
            .collect();
        gateway
    };
    let networks = |gateway: &NATGateway| -> Vec<[String; 3]> {
        let rendered = render(ChildKind::Deployment, gateway, &settings());
        let text = rendered
            .pointer("/spec/template/metadata/annotations/k8s.v1.cni.cncf.io~1networks")
            .and_then(Value::as_str)
            .unwrap();
        let list: Vec<Value> = serde_json::from_str(text).unwrap();
        list.iter()
            .map(|one| ["namespace", "name", "interface"].map(|f| one[f].as_str().unwrap().into()))
            .filter(|[_, _, interface]: &[String; 3]| interface != "lan0")
            .collect()
    };
    let (one, other) = (("net/external", "eth1"), ("second", "eth2"));
    let attached = |namespace: &str, name: &str, interface: &str| {
        [namespace, name, interface].map(str::to_owned)
    };
    let namespace = plain().metadata.namespace.unwrap();
    assert_eq!(
        networks(&two([one, other])),
        [
            attached("net", "external", "eth1"),
            attached(&namespace, "second", "eth2")
        ]
    );
    let digest = |gateway: &NATGateway| {
        digest_of(&render(ChildKind::Deployment, gateway, &settings())).to_owned()
    };
    assert_ne!(digest(&two([one, other])), digest(&two([other, one])));
    assert_ne!(digest(&two([one, other])), digest(&plain()));
}
