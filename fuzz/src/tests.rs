#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn a_panic_behind_two_conditions_is_found_and_kept() {
    let found = feed("own_test_of_finding", &[b"seed"], &["magic"], |input| {
        let text = String::from_utf8_lossy(input);
        let magic = text.contains("magic");
        assert!(!(magic && text.ends_with("seed")), "found");
        trait_of((magic, text.len().min(8)))
    });
    let error = found.unwrap_err();
    assert!(error.contains("panicked on "), "{error}");
    let file = error
        .split(" on ")
        .nth(1)
        .and_then(|rest| rest.split(": ").next());
    let input = fs::read(file.unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&input).contains("magic"));
    fs::remove_file(file.unwrap()).unwrap();
}

#[test]
fn what_holds_is_no_find() {
    feed("own_test_of_holding", &[b"", b"x"], &[], |input| {
        trait_of(input.len() % 7)
    })
    .unwrap();
}
