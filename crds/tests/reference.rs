//! The pages in `docs/api` are what the types say, and leave no field out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_crds::{manifest, reference};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api")
}

#[test]
fn pages_are_not_stale() {
    let mut written = BTreeSet::new();
    for page in reference::pages().unwrap() {
        let file = std::fs::read_to_string(directory().join(&page.file)).unwrap_or_default();
        assert!(
            file == page.text,
            "docs/api/{} is stale: run `make gen`",
            page.file
        );
        written.insert(page.file);
    }
    let found: BTreeSet<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, written, "files that no kind makes");
}

/// Names of all fields, without going below what Kubernetes itself documents.
fn fields(node: &Value, found: &mut Vec<String>) {
    for (name, below) in node
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        found.push(name.clone());
        if ["affinity", "tolerations", "resources", "conditions"].contains(&name.as_str()) {
            continue;
        }
        fields(below, found);
        for key in ["items", "additionalProperties"] {
            fields(below.get(key).unwrap_or(&Value::Null), found);
        }
    }
}

#[test]
fn every_field_has_a_row() {
    for (manifest, page) in manifest::all()
        .unwrap()
        .iter()
        .zip(reference::pages().unwrap())
    {
        let mut found = Vec::new();
        for part in ["spec", "status"] {
            let node = manifest.schema().pointer(&format!("/properties/{part}"));
            fields(node.unwrap_or(&Value::Null), &mut found);
        }
        assert!(!found.is_empty(), "{}", manifest.name);
        for field in &found {
            let rows = page.text.matches(&format!("\n| `{field}` |")).count();
            let wanted = found.iter().filter(|f| *f == field).count();
            assert_eq!(rows, wanted, "{}: rows of {field}", page.file);
        }
    }
}
