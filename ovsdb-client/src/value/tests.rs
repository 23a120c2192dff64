use super::*;

fn both_ways(json: Json) {
    let datum = Datum::from_json(&json).expect("a value");
    assert_eq!(datum.to_json(), json);
}

#[test]
fn values_read_are_written_the_same() {
    for json in [
        json!(7),
        json!(1.5),
        json!("text"),
        json!(true),
        json!(["uuid", "550e8400-e29b-41d4-a716-446655440000"]),
        json!(["named-uuid", "row1"]),
        json!(["set", []]),
        json!(["set", ["a", "b"]]),
        json!(["map", []]),
        json!(["map", [["k", "v"], ["l", "w"]]]),
    ] {
        both_ways(json);
    }
}

#[test]
fn what_is_no_value_is_told() {
    for json in [
        json!(null),
        json!({}),
        json!([]),
        json!(["uuid", "550e8400"]),
        json!(["uuid", "550e8400+e29b-41d4-a716-446655440000"]),
        json!(["set", [["set", []]]]),
        json!(["map", [["k"]]]),
        json!(["bag", []]),
        json!(["set"]),
    ] {
        assert!(Datum::from_json(&json).is_err(), "{json}");
    }
}

#[test]
fn a_set_of_one_is_written_as_its_atom() {
    let set = Datum::from_json(&json!(["set", ["a"]])).expect("a value");
    assert_eq!(set.to_json(), json!("a"));
    assert_eq!(set, "a".into());
}

#[test]
fn rust_types_take_only_what_they_hold() {
    assert_eq!(i64::from_datum(&7_i64.into()), Some(7));
    assert_eq!(String::from_datum(&7_i64.into()), None);
    assert_eq!(Option::<String>::from_datum(&Datum::none()), Some(None));
    assert_eq!(String::from_datum(&Datum::none()), None);
    assert_eq!(Real::from_datum(&7_i64.into()), Some(Real(7.0)));
    let map = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    assert_eq!(BTreeMap::from_datum(&map.to_datum()), Some(map));
}

#[test]
fn a_uuid_from_a_digest_has_version_and_variant() {
    let uuid = Uuid::from_digest([0xff; 16]).to_string();
    assert_eq!(uuid, "ffffffff-ffff-8fff-bfff-ffffffffffff");
    assert_eq!(uuid.parse(), Ok(Uuid::from_digest([0xff; 16])));
}
