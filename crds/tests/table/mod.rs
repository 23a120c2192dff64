//! The table of what is admitted and what is refused, `crds/tests/manifests`.
//! Used by the local test of this crate and by the end-to-end test against a
//! real API server (by path), so both judge the same cases.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One object to be created, or changed, and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Where it stands: file, case, value.
    pub title: String,
    /// The object.
    pub object: Value,
    /// What the object was; `None` where it is created.
    pub was: Option<Value>,
    /// What the message must contain, all of it; empty where it is admitted.
    pub refused: Vec<String>,
    /// Whether types and bounds refuse it, not a CEL rule.
    pub by_schema: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: String,
    good: Value,
    #[serde(default = "example")]
    name: String,
    cases: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    case: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    with: Option<Value>,
    #[serde(default)]
    values: Vec<Value>,
    #[serde(default)]
    shown: bool,
    #[serde(default)]
    was: Option<Value>,
    #[serde(default)]
    status: Option<Value>,
    #[serde(default)]
    refused: Option<String>,
    #[serde(default)]
    by: Option<By>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum By {
    Schema,
}

fn example() -> String {
    "example".to_owned()
}

/// Where the table lies.
pub fn directory() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).join("crds/tests/manifests")
}

/// The stems of all table files: plural names.
pub fn files() -> Vec<String> {
    let mut stems: Vec<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension != "md"))
        .map(|path| {
            assert!(
                path.extension()
                    .is_some_and(|extension| extension == "yaml"),
                "{} is no table",
                path.display()
            );
            path.file_stem().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    stems.sort();
    stems
}

/// The cases of one kind, the good object first.
pub fn cases(plural: &str) -> Vec<Case> {
    let path = directory().join(format!("{plural}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap();
    let file: File =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut cases = vec![Case {
        title: format!("{plural}: the good one"),
        object: object(&file, &file.name, &file.good, None),
        was: None,
        refused: Vec::new(),
        by_schema: false,
    }];
    for entry in &file.cases {
        let values = if entry.values.is_empty() {
            vec![None]
        } else {
            entry.values.iter().map(Some).collect()
        };
        cases.extend(
            values
                .into_iter()
                .map(|value| case(plural, &file, entry, value)),
        );
    }
    cases
}

fn case(plural: &str, file: &File, entry: &Entry, value: Option<&Value>) -> Case {
    let name = entry.name.as_ref().unwrap_or(&file.name);
    let mut spec = file.good.clone();
    if let Some(with) = &entry.with {
        let with = value.map_or_else(|| with.clone(), |value| filled(with, value));
        merge(&mut spec, &with);
    }
    let was = entry.was.as_ref().map(|was| {
        let mut old = file.good.clone();
        merge(&mut old, was);
        object(file, name, &old, entry.status.as_ref())
    });
    let mut refused: Vec<String> = entry.refused.iter().cloned().collect();
    if let (Some(value), true) = (value, entry.shown) {
        refused.push(match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
    }
    Case {
        title: match value {
            Some(value) => format!("{plural}: {}: {value}", entry.case),
            None => format!("{plural}: {}", entry.case),
        },
        // A user's change of the spec carries the status that is there.
        object: object(file, name, &spec, entry.status.as_ref()),
        was,
        refused,
        by_schema: entry.by == Some(By::Schema),
    }
}

fn object(file: &File, name: &str, spec: &Value, status: Option<&Value>) -> Value {
    let internal = [
        "RuleSlice",
        "GatewayInstance",
        "GatewayConfig",
        "AddressClaim",
    ]
    .contains(&file.kind.as_str());
    let group = if internal {
        "internal.sluice.dev"
    } else {
        "sluice.dev"
    };
    let mut object = json!({
        "apiVersion": format!("{group}/v1alpha1"),
        "kind": file.kind,
        "metadata": {"name": name},
        "spec": spec,
    });
    if let (Some(status), Some(object)) = (status, object.as_object_mut()) {
        object.insert("status".to_owned(), status.clone());
    }
    object
}

/// The patch with `$` replaced by the value, as a value or as a key.
fn filled(patch: &Value, value: &Value) -> Value {
    match patch {
        Value::String(text) if text == "$" => value.clone(),
        Value::Array(items) => items.iter().map(|item| filled(item, value)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, field)| {
                let key = match value {
                    Value::String(text) if key == "$" => text,
                    _ => key,
                };
                (key.clone(), filled(field, value))
            })
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else {
        return;
    };
    for (key, field) in patch {
        if field.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), field);
        }
    }
}
