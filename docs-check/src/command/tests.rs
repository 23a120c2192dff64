#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use super::*;

fn of(text: &str) -> Vec<Command> {
    let mut block = Block::new("p.md", 10, "sh");
    block.text = text.to_owned();
    commands(&block)
}

fn words(text: &str) -> Vec<Vec<String>> {
    of(text).into_iter().map(|c| c.words).collect()
}

#[test]
fn a_line_is_split_as_a_shell_splits_it() {
    assert_eq!(
        words("kubectl annotate x a='b c' \"d\"e # why\n"),
        [["kubectl", "annotate", "x", "a=b c", "de"]]
    );
    assert_eq!(words("# nothing\n\n"), Vec::<Vec<String>>::new());
    assert_eq!(words("a \\\n  b\nc > file\n"), [vec!["a", "b"], vec!["c"]]);
    assert_eq!(
        words("jq '.a |\n .b' f\nd\n"),
        [vec!["jq", ".a |\n .b", "f"], vec!["d"]]
    );
}

#[test]
fn each_command_of_a_pipe_is_found_and_told_apart() {
    let all = of("cd x && kubectl get crd | grep 'a|b'\n");
    let told: Vec<(&str, bool)> = all.iter().map(|c| (c.program(), c.piped)).collect();
    assert_eq!(told, [("cd", false), ("kubectl", false), ("grep", true)]);
    assert_eq!(all[2].words, ["grep", "a|b"]);
    assert_eq!(all[2].place, "p.md:11");
}

#[test]
fn words_in_capitals_are_blanks() {
    assert!(of("kubectl -n NAMESPACE get pods\n")[0].has_blanks());
    assert!(of("kubectl get pods -l sluice.dev/gateway=NAME -n NAMESPACE\n")[0].has_blanks());
    assert!(!of("kubectl wait --for=condition=Ready eips --all -A\n")[0].has_blanks());
}
