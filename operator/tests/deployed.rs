//! What is shipped beside the code: the rendered chart is the plain manifests, and
//! alerts and dashboard name metrics that are exported.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use sluice_core::identity::Uid;
use sluice_core::operator::action::Outcome;
use sluice_core::operator::event::Kind;
use sluice_core::operator::{Operator, OperatorSettings};
use sluice_core::ports::{Limited, Peer, Sample};
use sluice_crds::internal::GatewayInstanceStatus;

fn deploy(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(below)
}

/// Objects of a file or a folder, by kind, namespace and name.
fn objects(below: &str) -> BTreeMap<String, Value> {
    let path = deploy(below);
    let mut files = vec![path.clone()];
    if path.is_dir() {
        files = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
    }
    let mut all = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for document in text.split("\n---\n") {
            let object: Value = serde_saphyr::from_str(document)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            if object.is_null() {
                continue;
            }
            let part = |path: &str| {
                object
                    .pointer(path)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let name = format!(
                "{} {}/{}",
                part("/kind"),
                part("/metadata/namespace"),
                part("/metadata/name")
            );
            assert!(
                all.insert(name.clone(), whole(object)).is_none(),
                "{name} is there twice"
            );
        }
    }
    all
}

/// The same with 100 for 100.0, which mean the same in a schema.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(n) => match n.as_f64() {
            Some(f) if f.fract() == 0.0 && f.abs() < 1e15 => Value::from(f as i64),
            _ => Value::Number(n),
        },
        Value::Array(list) => list.into_iter().map(whole).collect(),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, whole(v))).collect(),
        other => other,
    }
}

#[test]
fn the_rendered_chart_is_the_plain_manifests() {
    let rendered = objects("install.yaml");
    let mut plain = objects("crds");
    plain.extend(objects("operator"));
    plain.extend(objects("policies"));
    assert!(plain.len() > 20);
    let names = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&rendered), names(&plain));
    for (name, mut object) in rendered {
        let mut other = plain.remove(&name).unwrap();
        // The chart says what the operator's defaults are; the lab leaves them to it.
        if name.starts_with("Deployment") {
            for deployment in [&mut object, &mut other] {
                let env = deployment
                    .pointer_mut("/spec/template/spec/containers/0/env")
                    .unwrap();
                env.as_array_mut()
                    .unwrap()
                    .retain(|e| !e["name"].as_str().unwrap().starts_with("SLUICE_LOG"));
            }
        }
        assert_eq!(object, other, "{name}");
    }
}

/// Names of metrics in a text that is written for people or for Prometheus.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("sluice_"))
        .map(str::to_owned)
        .collect()
}

/// Names of samples in an exposition.
fn samples(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(str::to_owned)
        .collect()
}

fn exported_by_the_operator() -> BTreeSet<String> {
    let metrics = sluice_operator::metrics::Metrics::default();
    metrics.listed(Kind::EIP);
    metrics.broken(Kind::EIP);
    metrics.unreadable(Kind::EIP);
    metrics.acted("Read", &Outcome::Done, Duration::from_millis(1));
    metrics.polled(Duration::from_millis(1), 1);
    metrics.event("sent");
    let mut gauges = Operator::new(OperatorSettings::default()).gauges();
    gauges.objects.insert(Kind::EIP, 1);
    samples(&metrics.text(true, (1, 1), &gauges).unwrap())
}

fn exported_by_the_agent() -> BTreeSet<String> {
    let metrics = sluice_gateway_agent::metrics::Metrics::default();
    metrics.kernel_op("apply", Duration::from_millis(1), false);
    metrics.request("lease", "done");
    metrics.status(&GatewayInstanceStatus::default(), true);
    metrics.flow_log(true);
    metrics.flow_lines(1, 1);
    metrics.flow_overrun(1);
    let eip = IpAddr::from([192, 0, 2, 7]);
    let peer = Peer {
        eip,
        protocol: 6,
        destination: eip,
        port: 443,
    };
    let limited = Limited {
        snat: Uid::new("u"),
        eip,
        sources: "10.0.0.0/8".parse().unwrap(),
        limit: 1,
    };
    metrics.ports(&Sample {
        available: 2,
        used: [(peer, 1)].into(),
        refused: [(limited, 1)].into(),
    });
    samples(&metrics.text())
}

#[test]
fn alerts_and_dashboard_name_metrics_that_are_exported() {
    let mut exported = exported_by_the_operator();
    exported.extend(exported_by_the_agent());
    for file in ["monitoring/alerts.yaml", "monitoring/dashboard.json"] {
        let named = named(&fs::read_to_string(deploy(file)).unwrap());
        assert!(named.len() > 10, "{file} names {} metrics", named.len());
        let unknown: Vec<&String> = named.difference(&exported).collect();
        assert!(
            unknown.is_empty(),
            "{file} names {unknown:?}; exported are {exported:#?}"
        );
    }
}
