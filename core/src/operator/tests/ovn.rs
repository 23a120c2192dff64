//! A gateway that chassis serve: what they cannot do, whose word counts, and when rules are gone.

use sluice_crds::user::Hosting;
use sluice_crds::{DNAT, NATGateway};

use super::objects::*;
use super::stage::Stage;
use crate::operator::event::{Kind, Object};

/// Gateway `net/r1` of an OVN network, and `net/egress` of nftables.
fn stage() -> Stage {
    let mut stage = Stage::new();
    let gateway: NATGateway = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "NATGateway",
        "metadata": {"namespace": "net", "name": "r1"},
        "spec": {
            "dataplane": "OVN",
            "ovn": {"northbound": "tcp:10.0.0.1:6641", "southbound": "tcp:10.0.0.1:6642", "router": "r1", "gatewayPort": "r1-outside"},
            "uplinks": [{"name": "external", "pools": ["external"]}],
            "allowedNamespaces": {"from": "All"},
            "allowedTargets": [{"namespaces": {"from": "All"}, "cidrs": ["10.244.0.0/16", "fd00:10:244::/64"]}],
        },
    }));
    stage.apply(Object::NATGateway(gateway));
    stage.settle();
    stage
}

fn hosted_by(stage: &mut Stage, hosting: Option<(&str, i64)>) {
    let hosting = hosting.map(|(chassis, epoch)| Hosting {
        chassis: chassis.to_owned(),
        epoch,
    });
    for agent in &mut stage.agents {
        if agent.gateway.name == "r1" && agent.running {
            agent.hosting.clone_from(&hosting);
        }
    }
}

fn ready(stage: &Stage, kind: Kind, name: &str) -> (String, String) {
    stage.condition(kind, "tenants", name, "Ready")
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

fn weighted(name: &str, eip: &str, weights: [u8; 2], ports: &str) -> Object {
    let dnat: DNAT = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "DNAT",
        "metadata": {"namespace": "tenants", "name": name},
        "spec": {"eip": {"name": eip}, "ports": ports, "targets": [
            {"ips": ["10.244.0.8"], "weight": weights[0]},
            {"ips": ["10.244.0.9"], "weight": weights[1]},
        ]},
    }));
    Object::DNAT(dnat)
}

#[test]
fn what_chassis_cannot_do_is_refused_with_field_value_and_remedy() {
    let limited = |name: &str, gateway: &str| {
        let limits = serde_json::json!({"bandwidth": {"egress": "10M"}});
        eip_with("tenants", name, gateway, limits)
    };
    let per_source = |name: &str, eip: &str| {
        let mut object = snat("tenants", name, eip, "10.244.1.0/24");
        if let Object::SNAT(snat) = &mut object {
            snat.spec.ports_per_source = Some(64);
        }
        object
    };
    for (gateway, hosted) in [("r1", true), ("egress", false)] {
        let mut stage = stage();
        hosted_by(&mut stage, Some(("chassis1", 1)));
        for name in ["a", "b", "c"] {
            stage.apply(eip("tenants", name, gateway));
        }
        let cases = [
            (limited("fast", gateway), "spec.bandwidth: egress 10M"),
            (per_source("s1", "a"), "spec.portsPerSource: 64"),
            (
                snat_of("tenants", "s2", &["a", "b"], &["10.244.2.0/24"]),
                "spec.eips: 2 EIPs",
            ),
            (
                weighted("d1", "a", [1, 2], "80"),
                "spec.targets.weight: 2 beside another",
            ),
            (dnat("tenants", "d2", "c", "*"), "spec.ports: *"),
            (
                dnat("tenants", "d3", "b", "1000-2024"),
                "spec.ports: 1000-2024 are 1025 ports",
            ),
        ];
        let fits = [
            weighted("d4", "a", [2, 2], "81"),
            dnat("tenants", "d5", "b", "3000-4023"),
            fip("tenants", "f1", "c", 7),
        ];
        let mut names = Vec::new();
        for (object, field) in cases {
            let (kind, key, _) = object.identity();
            names.push((kind, key.name, field));
            stage.apply(object);
        }
        for object in fits {
            // A FIP does not stand beside a DNAT of all ports.
            if hosted || !matches!(object, Object::FIP(_)) {
                stage.apply(object);
            }
        }
        stage.settle();
        for (kind, name, field) in names {
            let accepted = stage.condition(kind, "tenants", &name, "Accepted");
            if !hosted {
                assert_eq!(accepted, is("True", "Accepted"), "{name}");
                continue;
            }
            assert_eq!(accepted, is("False", "UnsupportedByDataplane"), "{name}");
            let message = stage.message(kind, "tenants", &name, "Accepted");
            let gateway = "NATGateway net/r1 has spec.dataplane OVN";
            assert!(message.starts_with(field), "{message}");
            assert!(message.contains(gateway), "{message}");
            assert!(
                message.ends_with("or use a gateway with dataplane nftables"),
                "{message}"
            );
        }
        for (kind, name) in [(Kind::DNAT, "d4"), (Kind::DNAT, "d5")] {
            assert_eq!(ready(&stage, kind, name), is("True", "Ready"), "{name}");
        }
    }
}

#[test]
fn nothing_is_ready_without_the_word_of_the_chassis_that_hosts_now() {
    let mut stage = stage();
    stage.apply(eip("tenants", "web", "r1"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    let behind = is("False", "ChassisBehind");
    assert_eq!(ready(&stage, Kind::EIP, "web"), behind);
    assert_eq!(ready(&stage, Kind::FIP, "web"), behind);
    assert_eq!(
        stage.condition(Kind::NATGateway, "net", "r1", "Ready"),
        behind
    );
    for (chassis, epoch) in [("chassis1", 1), ("chassis2", 2), ("chassis1", 3)] {
        hosted_by(&mut stage, Some((chassis, epoch)));
        stage.settle();
        assert_eq!(ready(&stage, Kind::EIP, "web"), is("True", "Ready"));
        assert_eq!(ready(&stage, Kind::FIP, "web"), is("True", "Ready"));
        let named = Some(Hosting {
            chassis: chassis.to_owned(),
            epoch,
        });
        let holder = stage.eip("tenants", "web").holder.expect("a holder");
        assert_eq!(holder.hosting, named);
        let Some(Object::NATGateway(gateway)) =
            stage.server.get(Kind::NATGateway, &key("net", "r1"))
        else {
            panic!("no gateway");
        };
        let holder = gateway.status.as_ref().and_then(|s| s.holder.as_ref());
        assert_eq!(holder.and_then(|holder| holder.hosting.clone()), named);
        // It moves on, and the next one has said nothing yet.
        hosted_by(&mut stage, None);
        stage.settle();
        assert_eq!(ready(&stage, Kind::EIP, "web"), behind);
        assert_eq!(stage.eip("tenants", "web").holder, None);
        // A rule that goes meanwhile makes nothing Ready.
        stage.apply(dnat("tenants", "extra", "web", "80"));
        stage.settle();
        stage.delete(Kind::DNAT, "tenants", "extra");
        stage.settle();
        assert_eq!(ready(&stage, Kind::EIP, "web"), behind);
    }
}

#[test]
fn rows_outlive_the_instance_that_wrote_them_until_another_has_them() {
    let mut stage = stage();
    hosted_by(&mut stage, Some(("chassis1", 1)));
    stage.apply(eip("tenants", "web", "r1"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    assert_eq!(ready(&stage, Kind::FIP, "web"), is("True", "Ready"));
    let claims = |stage: &Stage| stage.server.all(Kind::AddressClaim).count();
    let held = claims(&stage);
    // Its Pod is evicted: the instance is dead without a word, and there is no other yet.
    let pod = stage
        .agents
        .iter_mut()
        .find(|agent| agent.gateway.name == "r1")
        .map(|agent| {
            agent.running = false;
            agent.pod.clone()
        })
        .expect("an agent");
    let slot = (Kind::Pod, None, pod.clone());
    stage.server.change(&slot, false, |o| {
        if let Object::Pod(pod) = o {
            pod.phase = "Failed".into();
            pod.containers_terminated = true;
        }
    });
    stage.delete(Kind::FIP, "tenants", "web");
    stage.delete(Kind::EIP, "tenants", "web");
    stage.settle();
    assert_eq!(
        claims(&stage),
        held,
        "the rows stand, and the address is gone"
    );
    assert!(stage.exists(Kind::FIP, "tenants", "web"), "its row stands");
    // The next one takes the rows over.
    stage.delete(Kind::Pod, &pod.namespace, &pod.name);
    stage.settle();
    stage.now.0 += 5_000;
    stage.settle();
    assert!(!stage.exists(Kind::FIP, "tenants", "web"));
    assert!(!stage.exists(Kind::EIP, "tenants", "web"));
    // Nothing is left of the first.
    let reports = stage.server.all(Kind::GatewayInstance).filter(
        |o| matches!(o, Object::GatewayInstance(r) if r.metadata.name.as_deref() == Some(&pod.name)),
    );
    assert_eq!(reports.count(), 0);
}
