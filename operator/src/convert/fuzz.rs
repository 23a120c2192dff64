//! Objects as the API server gives them, whatever their writer made of them: reports of
//! agents, and what users write into annotations.

use serde_json::json;
use sluice_core::operator::event::{Event, Millis};
use sluice_core::operator::{Operator, OperatorSettings};
use sluice_fuzz::{feed, trait_of};

use super::*;

#[test]
fn fuzz_reports() -> Result<(), String> {
    let report = json!({
        "apiVersion": "internal.sluice.dev/v1alpha1", "kind": "GatewayInstance",
        "metadata": {"namespace": "net", "name": "pod", "uid": "u", "resourceVersion": "7"},
        "spec": {"gateway": "egress", "gatewayUID": "g", "podUID": "p", "node": "node-a"},
        "status": {
            "instance": "pod/p/boot/1", "formats": [1], "driftRepairs": 0, "final": false,
            "applied": {"uid": "h", "generation": 3, "digest": "00", "slices": ["egress-1"]},
            "active": {"leaseUID": "l", "term": 4},
            "rejected": [{"key": "addr e 192.0.2.7", "digest": "00", "error": "EINVAL"}],
            "unusable": [{"address": "2001:db8::7", "reason": "InterfaceDown", "message": "m"}],
            "problems": [{"reason": "ForeignRules", "message": "m", "blocking": true}],
            "uplinks": [{"name": "external", "mac": "02:00:00:00:00:07", "ipv4": "192.0.2.2"}],
            "neighbours": [{"interface": "eth1", "address": "192.0.2.1", "changes": 1, "mismatchMs": 5, "message": "m"}],
        },
    });
    let seed = report.to_string();
    let words = [
        "null",
        "{}",
        "[]",
        "-1",
        "9223372036854775807",
        "\"\"",
        "true",
        "\"status\":null",
        "\"active\":null",
        "\"uid\":\"\"",
        "\\u0000",
        "\"final\":true",
        "1e400",
    ];
    let resources = Resource::of(Kind::GatewayInstance);
    let resource = resources.first().ok_or("no such kind")?;
    feed("reports", &[seed.as_bytes()], &words, |input| {
        let value: Value = match serde_json::from_slice(input) {
            Ok(value) => value,
            Err(error) => return trait_of((0, error.classify() as u8)),
        };
        match object(resource, value) {
            Ok(report) => {
                // Taken in, and thought about.
                let mut operator = Operator::new(OperatorSettings::default());
                operator.apply(Event::Apply(Box::new(report)));
                let actions = operator.poll(Millis(2));
                trait_of((1, actions.len()))
            }
            Err(Unreadable::Lacks(what)) => trait_of((2, what)),
            Err(Unreadable::Schema(error)) => {
                let words = error.to_string();
                trait_of((
                    3,
                    words
                        .split(['`', ','])
                        .take(2)
                        .map(str::to_owned)
                        .collect::<Vec<_>>(),
                ))
            }
        }
    })
}

#[test]
fn fuzz_pod_annotations() -> Result<(), String> {
    let status =
        json!([{"name": "net/lan", "interface": "lan0", "ips": ["10.244.0.5", "fd00::5"]}]);
    let config = json!({"cniVersion": "1.0.0", "name": "lan", "type": "bridge", "ipam": {"type": "static", "gateway": "10.244.0.254", "addresses": [{"address": "10.244.0.7/16", "gateway": "10.244.0.254"}]}});
    let seeds = [status.to_string(), config.to_string()];
    let seeds: Vec<&[u8]> = seeds.iter().map(String::as_bytes).collect();
    let words = [
        "null",
        "[]",
        "{}",
        "\"ips\":",
        "\"name\":",
        "\"plugins\":[",
        "\"gateway\":",
        "::",
        "10.0.0.1/99",
        "1e9",
    ];
    feed("pod_annotations", &seeds, &words, |input| {
        let text = String::from_utf8_lossy(input).into_owned();
        let key = Key {
            namespace: "net".into(),
            name: "web".into(),
        };
        let pod: Pod = match serde_json::from_value(json!({
            "metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": text}},
        })) {
            Ok(pod) => pod,
            Err(_) => return 0,
        };
        let inside = inside_pod::facts(key.clone(), Uid::new("u"), pod, false);
        let attachment = json!({"spec": {"config": text}});
        let attachment = attachment::facts(key, Uid::new("u"), &attachment);
        trait_of((
            format!("{inside:?}").len().min(400),
            attachment.gateways,
            attachment.error.map(|e| e.len()),
        ))
    })
}

/// The quick start, as the API server would give it.
fn quick_start() -> Result<Vec<Value>, String> {
    let text = include_str!("../../../examples/quickstart.yaml");
    let pods = include_str!("../../../examples/pods.yaml");
    let mut all: Vec<Value> = Vec::new();
    for text in [text, pods] {
        all.extend(serde_saphyr::from_multiple::<Value>(text).map_err(|e| e.to_string())?);
    }
    for (n, object) in all.iter_mut().enumerate() {
        object["metadata"]["uid"] = json!(format!("u{n}"));
        object["metadata"]["resourceVersion"] = json!(format!("{}", n + 1));
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    Ok(all)
}

/// The resource of an object by its kind, of those that users write.
fn resource_of(object: &Value) -> Option<Resource> {
    let plural = format!("{}s", object.get("kind")?.as_str()?.to_lowercase());
    let kinds = [
        Kind::NATGateway,
        Kind::EIPPool,
        Kind::EIP,
        Kind::FIP,
        Kind::DNAT,
        Kind::SNAT,
    ];
    let all = kinds.into_iter().flat_map(Resource::of);
    all.into_iter().find(|resource| resource.plural == plural)
}

#[test]
fn fuzz_objects() -> Result<(), String> {
    let all = quick_start()?;
    let texts: Vec<String> = all.iter().map(Value::to_string).collect();
    let seeds: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let words = [
        "null",
        "{}",
        "[]",
        "-1",
        "9223372036854775807",
        "\"\"",
        "\"spec\":null",
        "\"status\":{\"conditions\":[{}]}",
        "\"generation\":-1",
        "\"uid\":\"\"",
        "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"",
        "\"1-65535\"",
        "\"*\"",
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/33",
        "10.155.30.255-10.155.30.0",
        "\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]",
    ];
    // A world in which all of it is known, so that what is read is decided about, too.
    let mut world = Operator::new(OperatorSettings::default());
    for kind in Kind::ALL {
        let objects = all
            .iter()
            .filter_map(|value| Some((resource_of(value)?, value)))
            .filter(|(resource, _)| resource.kind == kind)
            .filter_map(|(resource, value)| object(&resource, value.clone()).ok())
            .collect();
        world.apply(Event::Reset {
            kind,
            objects,
            versions: Default::default(),
        });
    }
    let decided = world.poll(Millis(2));
    assert!(
        !decided.is_empty(),
        "nothing is decided about the quick start"
    );
    feed("objects", &seeds, &words, |input| {
        let value: Value = match serde_json::from_slice(input) {
            Ok(value) => value,
            Err(error) => return trait_of((0, error.classify() as u8)),
        };
        let Some(resource) = resource_of(&value) else {
            return trait_of(1);
        };
        match object(&resource, value) {
            Ok(read) => {
                let mut operator = world.clone();
                operator.apply(Event::Apply(Box::new(read)));
                let actions = operator.poll(Millis(4));
                trait_of((2, resource.plural, actions.len()))
            }
            Err(Unreadable::Lacks(what)) => trait_of((3, what)),
            Err(Unreadable::Schema(error)) => {
                let words = error.to_string();
                trait_of((
                    4,
                    resource.plural,
                    words.split('`').next().map(str::to_owned),
                ))
            }
        }
    })
}
