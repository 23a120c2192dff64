//! The configuration for kube-state-metrics is of the documented form, and each path
//! in it leads to a field of our kinds.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; fields are there to be refused when unknown"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_crds::manifest::{self, Manifest};

type Paths = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Resource {
    group_version_kind: GroupVersionKind,
    metric_name_prefix: String,
    #[serde(rename = "errorLogV")]
    error_log_v: Option<u8>,
    labels_from_path: Paths,
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupVersionKind {
    group: String,
    version: String,
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    name: String,
    help: String,
    each: Each,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "type")]
enum Each {
    Gauge { gauge: Gauge },
    Info { info: Info },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Gauge {
    path: Vec<String>,
    #[serde(default)]
    labels_from_path: Paths,
    #[serde(default)]
    value_from: Vec<String>,
    #[serde(default)]
    nil_is_zero: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Info {
    labels_from_path: Paths,
}

fn config() -> Config {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring/kube-state-metrics.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What every object has.
fn metadata() -> Value {
    json!({"properties": {"name": {"type": "string"}, "namespace": {"type": "string"},
        "generation": {"type": "integer"}}})
}

/// The schema below a path; a list's is that of its elements.
fn below(node: &Value, path: &[String]) -> Option<Value> {
    let mut node = node.clone();
    for part in path {
        node = node.get("properties")?.get(part)?.clone();
        if let Some(items) = node.get("items") {
            node = items.clone();
        }
    }
    Some(node)
}

#[test]
fn every_path_leads_to_a_field_of_its_kind() {
    let manifests: Vec<Manifest> = manifest::all().unwrap();
    for resource in config().spec.resources {
        let kind = &resource.group_version_kind.kind;
        let manifest = manifests
            .iter()
            .find(|m| m.object.pointer("/spec/names/kind") == Some(&json!(kind)))
            .unwrap_or_else(|| panic!("there is no kind {kind}"));
        let mut schema = manifest.schema().clone();
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert("metadata".to_owned(), metadata());
        }
        let find = |from: &Value, path: &[String]| {
            below(from, path).unwrap_or_else(|| panic!("{kind} has no {}", path.join(".")))
        };
        let namespaced = resource.labels_from_path.contains_key("namespace");
        assert_eq!(namespaced, *kind != "EIPPool", "labels of {kind}");
        for path in resource.labels_from_path.values() {
            find(&schema, path);
        }
        for metric in &resource.metrics {
            match &metric.each {
                Each::Gauge { gauge } => {
                    let node = find(&schema, &gauge.path);
                    for path in gauge.labels_from_path.values() {
                        find(&node, path);
                    }
                    let value = find(&node, &gauge.value_from);
                    let number = value.get("type") == Some(&json!("integer"));
                    let word = value.get("enum") == Some(&json!(["True", "False", "Unknown"]));
                    assert!(number || word, "{kind} {}: no number: {value}", metric.name);
                }
                Each::Info { info } => {
                    assert!(!info.labels_from_path.is_empty());
                    for path in info.labels_from_path.values() {
                        let node = find(&schema, path);
                        assert_eq!(node.get("type"), Some(&json!("string")), "{kind} {path:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_user_kind_has_its_conditions_once() {
    let config = config();
    assert_eq!(config.kind, "CustomResourceStateMetrics");
    let mut names = BTreeSet::new();
    let mut kinds = Vec::new();
    for resource in &config.spec.resources {
        let what = &resource.group_version_kind;
        assert_eq!(
            (what.group.as_str(), what.version.as_str()),
            ("sluice.dev", "v1alpha1")
        );
        kinds.push(what.kind.clone());
        for metric in &resource.metrics {
            let name = format!("{}_{}", resource.metric_name_prefix, metric.name);
            assert!(
                !metric.help.is_empty() && names.insert(name),
                "{}",
                metric.name
            );
        }
        assert!(resource.metrics.iter().any(|m| m.name == "condition"));
    }
    kinds.sort();
    assert_eq!(
        kinds,
        ["DNAT", "EIP", "EIPPool", "FIP", "NATGateway", "SNAT"]
    );
}
