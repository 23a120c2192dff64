use super::*;

const LIST: &str = r#"[
  {"name": "a/b.rs:3:9: replace && with || in A::b", "file": "a/b.rs", "genre": "BinaryOperator",
   "replacement": "||", "span": {"start": {"line": 3, "column": 9}, "end": {"line": 3, "column": 11}}},
  {"name": "a/b.rs:4:9: replace && with || in A::b", "file": "a/b.rs", "genre": "BinaryOperator",
   "replacement": "||", "span": {"start": {"line": 4, "column": 9}, "end": {"line": 4, "column": 11}}}
]"#;

#[test]
fn names_do_not_depend_on_lines_and_tell_mutants_apart() {
    let names: Vec<String> = parse(LIST)
        .expect("a list")
        .into_iter()
        .map(|m| m.name)
        .collect();
    assert_eq!(
        names,
        [
            "a/b.rs: replace && with || in A::b",
            "a/b.rs: replace && with || in A::b #2"
        ]
    );
}

#[test]
fn a_kind_of_mutant_that_is_not_known_is_refused() {
    assert!(parse(&LIST.replace("BinaryOperator", "Unheard")).is_err());
}
