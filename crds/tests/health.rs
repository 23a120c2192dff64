//! The health that Argo CD shows of our objects, by the script that it runs, in a Lua
//! of the version that it has and with as little around it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::Path;

use mlua::{Lua, LuaOptions, LuaSerdeExt as _, StdLib};
use serde_json::{Value, json};
use sluice_crds::condition::Reason;
use sluice_crds::user::{unknown_conditions, unknown_pool_conditions};

fn script() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/argocd/argocd-cm.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let map: Value = serde_saphyr::from_str(&text).unwrap();
    let inner = map.pointer("/data/resource.customizations").unwrap();
    let inner: Value = serde_saphyr::from_str(inner.as_str().unwrap()).unwrap();
    let kinds: Vec<&String> = inner.as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["sluice.dev/*"]);
    let script = inner.pointer("/sluice.dev~1*/health.lua").unwrap();
    script.as_str().unwrap().to_owned()
}

/// Health and message of an object.
fn health(object: &Value) -> (String, String) {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).unwrap();
    lua.globals()
        .set("obj", lua.to_value(object).unwrap())
        .unwrap();
    let said: Value = lua.from_value(lua.load(script()).eval().unwrap()).unwrap();
    let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap().to_owned();
    (text("status"), text("message"))
}

/// An object of generation 2 with such conditions of that generation.
fn object(conditions: &[(&str, &str, &str)]) -> Value {
    let all: Vec<Value> = conditions
        .iter()
        .map(|(kind, status, reason)| {
            json!({"type": kind, "status": status, "reason": reason, "message": "why",
                "observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z"})
        })
        .collect();
    json!({"metadata": {"name": "web", "generation": 2}, "status": {"conditions": all}})
}

#[test]
fn each_state_of_an_object_has_its_health() {
    let yes = [("Accepted", "True", "Accepted")];
    let with = |more: &[(&str, &str, &str)]| object(&[&yes[..], more].concat());
    let done = ("Programmed", "True", "Programmed");
    for (what, object, wanted) in [
        (
            "ready",
            with(&[done, ("Ready", "True", "Ready")]),
            "Healthy",
        ),
        (
            "ports run low",
            with(&[done, ("Ready", "True", "PortsLow")]),
            "Healthy",
        ),
        (
            "refused",
            object(&[
                ("Accepted", "False", "PoolExhausted"),
                ("Ready", "False", "NotAccepted"),
            ]),
            "Degraded",
        ),
        (
            "on its way",
            with(&[
                ("Programmed", "False", "Pending"),
                ("Ready", "False", "NotProgrammed"),
            ]),
            "Progressing",
        ),
        (
            "no holder yet",
            with(&[
                ("Programmed", "False", "NoHolder"),
                ("Ready", "False", "NotProgrammed"),
            ]),
            "Progressing",
        ),
        (
            "waits for its pod",
            with(&[
                ("Programmed", "False", "PodNotFound"),
                ("Ready", "False", "NotProgrammed"),
            ]),
            "Progressing",
        ),
        (
            "the kernel refused it",
            with(&[
                ("Programmed", "False", "Rejected"),
                ("Ready", "False", "NotProgrammed"),
            ]),
            "Degraded",
        ),
        (
            "somebody edits rules",
            with(&[
                ("Programmed", "False", "Drifted"),
                ("Ready", "False", "NotProgrammed"),
            ]),
            "Degraded",
        ),
        (
            "another holder",
            with(&[done, ("Ready", "False", "HolderChanged")]),
            "Progressing",
        ),
        (
            "a rival on the wire",
            with(&[done, ("Ready", "False", "AddressConflict")]),
            "Degraded",
        ),
        (
            "nothing is heard",
            with(&[
                ("Programmed", "Unknown", "HolderLost"),
                ("Ready", "Unknown", "HolderLost"),
            ]),
            "Degraded",
        ),
    ] {
        assert_eq!(health(&object).0, wanted, "{what}");
    }
    let (_, message) = health(&object(&[
        ("Accepted", "False", "Conflict"),
        ("Ready", "False", "NotAccepted"),
    ]));
    assert_eq!(message, "Conflict: why");
}

#[test]
fn what_nobody_has_looked_at_is_progressing() {
    let mut changed = object(&[("Accepted", "True", "Accepted"), ("Ready", "True", "Ready")]);
    *changed.pointer_mut("/metadata/generation").unwrap() = json!(3);
    assert_eq!(
        health(&changed).0,
        "Progressing",
        "a change that nobody has seen"
    );
    for born in [unknown_conditions(), unknown_pool_conditions()] {
        let object = json!({"metadata": {"generation": 1}, "status": {"conditions": born}});
        assert_eq!(health(&object).0, "Progressing");
    }
    assert_eq!(
        health(&json!({"metadata": {"generation": 1}})).0,
        "Progressing"
    );
    let mut going = object(&[
        ("Accepted", "True", "DeletionBlocked"),
        ("Ready", "True", "Ready"),
    ]);
    *going.pointer_mut("/metadata").unwrap() =
        json!({"generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"});
    assert_eq!(
        health(&going),
        ("Progressing".to_owned(), "DeletionBlocked: why".to_owned())
    );
}

/// Reasons that the script calls no fault are reasons that there are.
#[test]
fn the_script_knows_no_reason_that_there_is_not() {
    let known: BTreeSet<String> = Reason::ALL.iter().map(ToString::to_string).collect();
    let script = script();
    let (_, list) = script.split_once("local coming = {").unwrap();
    let (list, _) = list.split_once('}').unwrap();
    let named: Vec<&str> = list
        .split(',')
        .filter_map(|part| part.trim().strip_suffix(" = true"))
        .collect();
    assert_eq!(named.len(), 7, "{named:?}");
    for name in named {
        assert!(known.contains(name), "{name}");
    }
}
