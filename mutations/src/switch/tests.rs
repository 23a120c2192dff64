use super::*;
use crate::list::Place;

/// Switches for mutants, each named by the text that it replaces.
fn switched(text: &str, wanted: &[(Genre, &str, &str)]) -> Switched {
    let mutants: Vec<Mutant> = wanted
        .iter()
        .zip(1..)
        .map(|((genre, what, replacement), id)| {
            let before = text.split_once(what).expect("it is there").0;
            let line = before.lines().count().max(1);
            Mutant {
                id,
                name: format!("a.rs: {id}"),
                file: "a.rs".into(),
                genre: *genre,
                replacement: (*replacement).into(),
                start: Place {
                    line,
                    column: before.lines().last().unwrap_or("").chars().count() + 1,
                },
            }
        })
        .collect();
    switch("a.rs", text, &mutants.iter().collect::<Vec<_>>()).expect("it is Rust")
}

/// In one layout.
fn laid_out(text: &str) -> String {
    prettyplease::unparse(&syn::parse_file(text).expect("it is Rust"))
}

#[track_caller]
fn assert_switched(text: &str, wanted: &[(Genre, &str, &str)], expected: &str) {
    let found = switched(text, wanted);
    assert_eq!(found.text, laid_out(expected));
    assert_eq!(found.placed.len(), wanted.len());
    assert!(found.never.is_empty());
}

#[test]
fn a_function_returns_its_mutant_first() {
    assert_switched(
        "const fn f() -> u32 { 7 }",
        &[(Genre::FnValue, "7 }", "0"), (Genre::FnValue, "7 }", "1")],
        "fn f() -> u32 {
            if crate::fault::is(1u32) { return 0; }
            if crate::fault::is(2u32) { return 1; }
            7
        }",
    );
}

#[test]
fn an_iterator_may_be_another_one() {
    assert_switched(
        "fn f() -> impl Iterator<Item = u32> { once(7) }",
        &[(Genre::FnValue, "once(", "empty()")],
        "fn f() -> impl Iterator<Item = u32> {
            {
                crate::fault::either(
                    { once(7) },
                    if crate::fault::is(1u32) { Some({ empty() }) } else { None }
                )
            }
        }",
    );
}

#[test]
fn another_operator_binds_as_it_is_written() {
    // Not `(a || b) && c`.
    assert_switched(
        "fn f() -> bool { a && b && c }",
        &[(Genre::BinaryOperator, "&& b", "||")],
        "fn f() -> bool {
            ({ if crate::fault::is(1u32) { a || b && c } else { a && b && c } })
        }",
    );
}

#[test]
fn nothing_is_made_inside_of_what_is_made() {
    assert_switched(
        "fn f() -> bool { !(a == b) && c }",
        &[
            (Genre::BinaryOperator, "&&", "||"),
            (Genre::UnaryOperator, "!", ""),
            (Genre::BinaryOperator, "==", "!="),
        ],
        "fn f() -> bool {
            ({ if crate::fault::is(1u32) { !(a == b) || c } else {
                ({ if crate::fault::is(2u32) { (a == b) } else {
                    !(({ if crate::fault::is(3u32) { a != b } else { a == b } }))
                } }) && c
            } })
        }",
    );
}

#[test]
fn operators_beside_let_are_none_but_and() {
    let text = "fn f() { if a && let Some(b) = c && b < 3 { g() } }";
    let found = switched(
        text,
        &[
            (Genre::BinaryOperator, "&& let", "||"),
            (Genre::BinaryOperator, "<", "=="),
        ],
    );
    assert_eq!(found.never, BTreeSet::from([1]));
    assert_eq!(found.placed, BTreeSet::from([2]));
}

#[test]
fn an_arm_goes_and_its_guard_is_always_or_never_true() {
    assert_switched(
        "fn f() { match a { 1 if b => c, 2 => d, _ => e } }",
        &[
            (Genre::MatchArm, "1 if", ""),
            (Genre::MatchArmGuard, "b =>", "true"),
            (Genre::MatchArm, "2 =>", ""),
        ],
        "fn f() { match a {
            1 if !crate::fault::is(1u32)
                && (({ if crate::fault::is(2u32) { true } else { b } })) => c,
            2 if !crate::fault::is(3u32) => d,
            _ => e
        } }",
    );
}

#[test]
fn a_field_is_left_to_the_base() {
    assert_switched(
        "fn f() -> S { S { a: 1, b: 2, ..c } }",
        &[(Genre::StructField, "a: 1", "")],
        "fn f() -> S {
            ({ if crate::fault::is(1u32) { S { b: 2, ..c } } else { S { a: 1, b: 2, ..c } } })
        }",
    );
}

#[test]
fn a_constant_with_a_mutant_is_a_function() {
    assert_switched(
        "const A: u64 = 2 * 3; fn f() -> u64 { A + 1 }",
        &[(Genre::BinaryOperator, "*", "/")],
        "fn A() -> u64 { ({ if crate::fault::is(1u32) { 2 / 3 } else { 2 * 3 } }) }
         fn f() -> u64 { A() + 1 }",
    );
}
