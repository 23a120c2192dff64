//! The files in `deploy/crds` are what the types say, and say it in full.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_crds::manifest;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds")
}

#[test]
fn deployed_manifests_are_not_stale() {
    let mut written = BTreeSet::new();
    for manifest in manifest::all().unwrap() {
        let name = format!("{}.yaml", manifest.name);
        let file = std::fs::read_to_string(directory().join(&name)).unwrap_or_default();
        assert!(
            file == manifest.to_yaml().unwrap(),
            "deploy/crds/{name} is stale: run `make gen`"
        );
        let parsed: Value = serde_saphyr::from_str(&file).unwrap();
        assert!(
            parsed == manifest.object,
            "{name} does not parse to what was written"
        );
        written.insert(name);
    }
    let found: BTreeSet<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, written, "files that no type makes");
}

/// Visits every schema node with its path.
fn walk(schema: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            walk(&schema[key], &format!("{path}{suffix}"), visit);
        }
    }
}

#[test]
fn every_field_is_documented_and_bounded() {
    let mut wrong = Vec::new();
    for manifest in manifest::all().unwrap() {
        walk(manifest.schema(), &manifest.name, &mut |path, node| {
            let field = !path.ends_with("[]") && !path.ends_with("{}");
            // The API server documents these two itself.
            let words = node["description"].as_str().unwrap_or_default();
            if field && words.len() < 4 {
                wrong.push(format!("{path}: no description"));
            }
            if words.contains("](") || words.contains("[`") || words.contains("::`") {
                wrong.push(format!("{path}: a Rust link: {words}"));
            }
            let has = |key: &str| node.get(key).is_some();
            match node["type"].as_str() {
                Some("string") if !has("maxLength") && !has("enum") && !has("format") => {
                    wrong.push(format!("{path}: a string without maxLength"));
                }
                Some("array") if !has("maxItems") || !has("x-kubernetes-list-type") => {
                    wrong.push(format!("{path}: a list without maxItems or list type"));
                }
                Some("object") if has("additionalProperties") && !has("maxProperties") => {
                    wrong.push(format!("{path}: a map without maxProperties"));
                }
                _ => {}
            }
            if let Some(format) = node["format"].as_str()
                && !["int32", "int64", "date-time"].contains(&format)
            {
                wrong.push(format!("{path}: format {format}"));
            }
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_user_kind_is_born_with_unknown_conditions() {
    for manifest in manifest::all().unwrap() {
        if manifest.name.contains("internal") {
            continue;
        }
        let status = &manifest.schema()["properties"]["status"];
        assert_eq!(
            status["default"],
            serde_json::json!({}),
            "{}",
            manifest.name
        );
        let conditions = status["properties"]["conditions"]["default"]
            .as_array()
            .unwrap();
        assert_eq!(conditions.len(), 3, "{}", manifest.name);
        assert!(conditions.iter().all(|c| c["status"] == "Unknown"));
        assert!(conditions.iter().any(|c| c["type"] == "Ready"));
    }
}
