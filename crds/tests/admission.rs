//! The table of `tests/manifests` against schema and CEL rules, evaluated
//! locally. The same table runs against a real API server in `e2e`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod schema;
mod table;

use std::collections::BTreeSet;

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use serde_json::Value;
use sluice_crds::manifest::{self, Manifest};
use table::{Case, cases, files};

/// The local CEL parser recurses deeper than a test's thread allows.
fn on_a_deep_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(test);
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

fn manifests() -> Vec<Manifest> {
    manifest::all().unwrap()
}

fn plural(manifest: &Manifest) -> &str {
    manifest.name.split_once('.').unwrap().0
}

/// All that refuses the case: the schema, else the CEL rules.
fn refusals(rules: &CompiledSchema, manifest: &Manifest, case: &Case) -> (bool, Vec<String>) {
    let by_schema = schema::refusals(manifest.schema(), &case.object, "");
    if !by_schema.is_empty() {
        return (true, by_schema);
    }
    let errors = Validator::new()
        .validate_compiled(rules, &case.object, case.was.as_ref())
        .err();
    let messages = errors
        .into_iter()
        .flatten()
        .map(|error| {
            assert!(
                format!("{:?}", error.kind) == "ValidationFailure",
                "{}: a rule that cannot be evaluated: {error} ({:?})",
                case.title,
                error.kind
            );
            error.to_string()
        })
        .collect();
    (false, messages)
}

fn judge(rules: &CompiledSchema, manifest: &Manifest, case: &Case) -> Result<(), String> {
    let (by_schema, found) = refusals(rules, manifest, case);
    let all = found.join("\n");
    if case.refused.is_empty() {
        return if found.is_empty() {
            Ok(())
        } else {
            Err(format!("{}: refused: {all}", case.title))
        };
    }
    if found.is_empty() {
        return Err(format!("{}: admitted", case.title));
    }
    if let Some(missing) = case.refused.iter().find(|part| !all.contains(*part)) {
        return Err(format!("{}: no {missing:?} in: {all}", case.title));
    }
    if case.by_schema != by_schema {
        return Err(format!(
            "{}: refused by the other of schema and rule: {all}",
            case.title
        ));
    }
    Ok(())
}

#[test]
fn every_case_of_the_table_is_judged_as_it_says() {
    on_a_deep_stack(judge_all);
}

fn judge_all() {
    let (mut admitted, mut refused, mut wrong) = (0, 0, Vec::new());
    for manifest in manifests() {
        if !files().contains(&plural(&manifest).to_owned()) {
            continue;
        }
        let rules = compile_schema(manifest.schema());
        for case in cases(plural(&manifest)) {
            if case.refused.is_empty() {
                admitted += 1
            } else {
                refused += 1
            }
            wrong.extend(judge(&rules, &manifest, &case).err());
        }
    }
    println!("{admitted} admitted, {refused} refused");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(refused > 200 && admitted > 50);
}

#[test]
fn the_examples_are_admitted() {
    on_a_deep_stack(judge_examples);
}

fn judge_examples() {
    let directory = table::directory().join("../../../examples");
    let manifests = manifests();
    let mut kinds = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for object in objects {
            let kind = object["kind"].as_str().unwrap();
            let found = manifests
                .iter()
                .find(|manifest| manifest.object["spec"]["names"]["kind"] == kind);
            let Some(manifest) = found else { continue };
            kinds.insert(kind.to_owned());
            let case = Case {
                title: format!("{}: {kind} {}", path.display(), object["metadata"]["name"]),
                object: object.clone(),
                was: None,
                refused: Vec::new(),
                by_schema: false,
            };
            judge(&compile_schema(manifest.schema()), manifest, &case).unwrap();
        }
    }
    let all = ["DNAT", "EIP", "EIPPool", "FIP", "NATGateway", "SNAT"];
    assert!(kinds.iter().eq(all.iter()), "shown: {kinds:?}");
}

#[test]
fn no_table_is_without_a_kind_and_no_user_kind_without_a_table() {
    let kinds: BTreeSet<String> = manifests().iter().map(|m| plural(m).to_owned()).collect();
    let users: BTreeSet<String> = manifests()
        .iter()
        .filter(|manifest| !manifest.name.contains("internal"))
        .map(|manifest| plural(manifest).to_owned())
        .collect();
    let tables: BTreeSet<String> = files().into_iter().collect();
    assert!(
        tables.is_subset(&kinds),
        "orphans: {:?}",
        tables.difference(&kinds)
    );
    assert!(
        users.is_subset(&tables),
        "untested: {:?}",
        users.difference(&tables)
    );
}

#[test]
fn every_rule_refuses_some_case() {
    on_a_deep_stack(find_idle_rules);
}

fn find_idle_rules() {
    let validator = Validator::new();
    let mut idle = Vec::new();
    for manifest in manifests() {
        if !files().contains(&plural(&manifest).to_owned()) {
            continue;
        }
        let compiled = compile_schema(manifest.schema());
        let mut rules = BTreeSet::new();
        collect_rules(manifest.schema(), &mut rules);
        for case in cases(plural(&manifest)) {
            let errors = validator
                .validate_compiled(&compiled, &case.object, case.was.as_ref())
                .err();
            for error in errors.into_iter().flatten() {
                rules.remove(&error.rule);
            }
        }
        idle.extend(
            rules
                .into_iter()
                .map(|rule| format!("{}: {rule}", manifest.name)),
        );
    }
    assert!(
        idle.is_empty(),
        "never refused anything:\n{}",
        idle.join("\n")
    );
}

fn collect_rules(schema: &Value, rules: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, field) in fields {
                if key == "x-kubernetes-validations" {
                    for rule in field.as_array().into_iter().flatten() {
                        rules.insert(rule["rule"].as_str().unwrap().to_owned());
                    }
                } else {
                    collect_rules(field, rules);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_rules(item, rules)),
        _ => {}
    }
}
