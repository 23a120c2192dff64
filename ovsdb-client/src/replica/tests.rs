use serde_json::{Value as Json, json};

use super::*;
use crate::update::{UpdateForm, read_tables};

const ROW: &str = "550e8400-e29b-41d4-a716-446655440000";

fn schema() -> DatabaseSchema {
    let schema = json!({"name": "D", "version": "1.0.0", "tables": {"T": {"columns": {
        "scalar": {"type": "integer"},
        "optional": {"type": {"key": "string", "min": 0, "max": 1}},
        "set": {"type": {"key": "string", "min": 0, "max": "unlimited"}},
        "map": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
    }}}});
    serde_json::from_value(schema).expect("a schema")
}

fn apply(replica: &mut Replica, change: Json) -> Result<Changes, UpdateError> {
    let updates = read_tables(&json!({"T": {ROW: change}}), UpdateForm::Difference)?;
    replica.apply(updates)
}

fn column(replica: &Replica, name: &str) -> Json {
    let uuid = ROW.parse().expect("a UUID");
    let datum = replica.row("T", uuid).and_then(|row| row.get(name));
    datum.map_or(Json::Null, Datum::to_json)
}

#[test]
fn differences_are_taken_by_the_columns_type() {
    let mut replica = Replica::new(&schema());
    apply(
        &mut replica,
        json!({"insert": {"map": ["map", [["a", "1"], ["b", "2"]]], "set": ["set", ["x", "y"]]}}),
    )
    .expect("fits");
    let modify = json!({"modify": {
        "scalar": 3, "optional": "o", "set": ["set", ["y", "z"]],
        "map": ["map", [["a", "1"], ["b", "3"], ["c", "4"]]],
    }});
    apply(&mut replica, modify).expect("fits");
    assert_eq!(column(&replica, "scalar"), json!(3));
    assert_eq!(column(&replica, "optional"), json!("o"));
    assert_eq!(column(&replica, "set"), json!(["set", ["x", "z"]]));
    assert_eq!(
        column(&replica, "map"),
        json!(["map", [["b", "3"], ["c", "4"]]])
    );
    apply(&mut replica, json!({"modify": {"optional": ["set", []]}})).expect("fits");
    assert_eq!(column(&replica, "optional"), json!(["set", []]));
}

#[test]
fn what_does_not_fit_is_told() {
    let mut replica = Replica::new(&schema());
    assert!(apply(&mut replica, json!({"modify": {"scalar": 1}})).is_err());
    assert!(apply(&mut replica, json!({"delete": null})).is_err());
    apply(&mut replica, json!({"insert": {}})).expect("fits");
    assert!(apply(&mut replica, json!({"modify": {"other": 1}})).is_err());
    assert!(apply(&mut replica, json!({"modify": {"map": "x"}})).is_err());
}

#[test]
fn content_in_place_of_what_was_tells_what_differs() {
    let mut replica = Replica::new(&schema());
    apply(&mut replica, json!({"insert": {"scalar": 1}})).expect("fits");
    let other = "550e8400-e29b-41d4-a716-446655440001";
    let all = json!({"T": {ROW: {"initial": {"scalar": 1}}, other: {"initial": {}}}});
    let all = read_tables(&all, UpdateForm::Difference).expect("updates");
    let changes = replica.replace(&schema(), all.clone()).expect("fits");
    let other = other.parse().expect("a UUID");
    assert_eq!(
        changes,
        Changes::from([("T".to_owned(), BTreeSet::from([other]))])
    );
    assert_eq!(
        replica.replace(&schema(), all).expect("fits"),
        Changes::new()
    );
    let changes = replica
        .replace(&schema(), TableUpdates::new())
        .expect("fits");
    assert_eq!(changes.values().map(BTreeSet::len).sum::<usize>(), 2);
    assert_eq!(replica.len("T"), 0);
}

#[test]
fn differences_that_do_not_fit_their_columns_are_told() {
    let fresh = || {
        let mut replica = Replica::new(&schema());
        apply(&mut replica, json!({"insert": {"scalar": 1}})).expect("fits");
        replica
    };
    for modify in [
        json!({"set": ["map", [["a", "1"]]]}),
        json!({"map": ["set", ["a"]]}),
        json!({"scalar": ["map", []]}),
        json!({"nothing": 1}),
    ] {
        let told = apply(&mut fresh(), json!({"modify": modify}));
        assert!(
            matches!(told, Err(UpdateError::Misfit(_))),
            "{modify}: {told:?}"
        );
    }
    let updates = json!({"Unknown": {ROW: {"insert": {}}}});
    let updates = read_tables(&updates, UpdateForm::Difference).expect("an update");
    let told = fresh().apply(updates);
    assert!(matches!(told, Err(UpdateError::Misfit(_))), "{told:?}");
}
