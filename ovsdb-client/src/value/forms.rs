//! Every Rust type takes the values that are of its form, and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Atom, Datum, Key, Real, Uuid, Value};
use crate::schema::DatabaseSchema;
use crate::{BadRow, Condition, Function, Operation, Outcome, Row as _};

fn map() -> Datum {
    Datum::Map([(Atom::from("k"), Atom::from("v"))].into())
}

#[test]
fn a_real_is_a_number_with_or_without_a_fraction() {
    let real = Real(1.5);
    assert_eq!(Real::from_datum(&real.to_datum()), Some(real));
    assert_eq!(Real::from_datum(&"1.5".into()), None);
    assert_eq!(Real::from_datum(&Datum::none()), None);
    assert_eq!((Real::absent(), Real::zero()), (Real(0.0), Real(0.0)));
    assert!(Real(1.0) < real && real.partial_cmp(&real).is_some_and(|o| o.is_eq()));
}

#[test]
fn sets_are_no_maps_and_maps_no_sets() {
    assert_eq!(Option::<String>::from_datum(&map()), None);
    assert_eq!(BTreeSet::<String>::from_datum(&map()), None);
    assert_eq!(BTreeMap::<String, String>::from_datum(&"k".into()), None);
    assert!(Datum::none().is_empty() && Datum::Map(BTreeMap::new()).is_empty());
    assert!(!map().is_empty() && !Datum::from("k").is_empty());
}

crate::rows! {
    /// A row with a real.
    #[derive(Debug, Clone)]
    struct Weighed in "Weighed" {
        /// How much.
        weight: Real,
        /// Of what.
        parts: BTreeMap<String, String>,
    }
}

fn schema(weight: serde_json::Value) -> DatabaseSchema {
    let texts = json!({"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}});
    let table = json!({"columns": {"weight": {"type": weight}, "parts": texts}});
    let schema = json!({"name": "S", "version": "1.0.0", "tables": {"Weighed": table}});
    serde_json::from_value(schema).expect("a schema")
}

#[test]
fn a_row_fits_the_columns_of_its_types_only() {
    Weighed::check(&schema(json!("real"))).expect("fits");
    let BadRow { column, .. } = Weighed::check(&schema(json!("integer"))).expect_err("does not");
    assert_eq!(column, "weight");
}

#[test]
fn conditions_and_identities_have_their_forms() {
    assert_eq!(Condition::Always.to_json(), json!(true));
    assert_eq!(Condition::Never.to_json(), json!(false));
    let uuid = Uuid::from_digest([7; 16]);
    assert_eq!(format!("{uuid:?}"), uuid.to_string());
    let is_row = Condition::new("_uuid", Function::Eq, uuid);
    assert_eq!(Condition::is_row(uuid).to_json(), is_row.to_json());
}

#[test]
fn an_outcome_is_what_its_operation_gives() {
    let uuid = Uuid::from_digest([7; 16]);
    let (rows, inserted) = (Outcome::Rows(Vec::new()), Outcome::Inserted(uuid));
    assert!(rows.rows().is_some_and(<[_]>::is_empty));
    assert_eq!((rows.uuid(), inserted.uuid()), (None, Some(uuid)));
    for other in [inserted, Outcome::Count(1), Outcome::Done] {
        assert!(other.rows().is_none());
    }
    let select = Operation::Select {
        table: "Weighed".into(),
        conditions: vec![Condition::Always],
        columns: None,
    };
    assert_eq!(select.to_json()["where"], json!([true]));
}
