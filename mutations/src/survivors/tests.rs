use super::*;
use crate::list::{Genre, Place};

fn mutants(names: &[&str]) -> Vec<Mutant> {
    let one = |name: &&str| Mutant {
        id: 1,
        name: (*name).to_owned(),
        file: "a.rs".into(),
        genre: Genre::FnValue,
        replacement: String::new(),
        start: Place { line: 1, column: 1 },
    };
    names.iter().map(one).collect()
}

#[test]
fn a_name_ends_where_a_mutant_s_does() {
    let mutants = mutants(&["a.rs: delete arm b = c", "a.rs: delete arm b"]);
    let reasons = parse("# why\n\na.rs: delete arm b = c = only text\n", &mutants);
    let expected = ("a.rs: delete arm b = c".to_owned(), "only text".to_owned());
    assert_eq!(reasons.expect("a list"), BTreeMap::from([expected]));
}

#[test]
fn what_is_no_mutant_or_has_no_reason_or_two_is_refused() {
    let mutants = mutants(&["a.rs: b"]);
    for bad in [
        "a.rs: c = gone",
        "a.rs: b",
        "a.rs: b = ",
        "a.rs: b = once\na.rs: b = twice",
    ] {
        assert!(parse(bad, &mutants).is_err(), "{bad}");
    }
}
