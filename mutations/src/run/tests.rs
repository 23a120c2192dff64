use std::path::Path;

use super::*;

fn test(name: &str, cost: u64) -> Test {
    Test {
        name: name.into(),
        cost,
        reaches: [1].into(),
    }
}

#[test]
fn cheap_tests_are_asked_first_and_dear_ones_one_by_one() {
    let tests = [
        test("proof::model::short", 900),
        test("c", 5_000),
        test("b", 20),
        test("a", 10),
        test("proof::sim::short", 4_000),
        test("d", 6_000),
    ];
    let program = Program::new(Path::new("none"), Path::new("none"));
    let runner = Runner::new(&program, crate::tests::by_mutant(&tests));
    runner.remember("x.rs", "b");
    let asked = |file| -> [Vec<Vec<String>>; 2] {
        let of = runner.reaching.get(&1).cloned().unwrap_or_default();
        let (cheap, dear) = runner.sets(file, of);
        let names = |set: Vec<&Test>| set.iter().map(|t| t.name.clone()).collect();
        [cheap, dear].map(|sets| sets.into_iter().map(names).collect())
    };
    let dear = vec![
        vec!["c"],
        vec!["d"],
        vec!["proof::sim::short"],
        vec!["proof::model::short"],
    ];
    assert_eq!(asked("y.rs"), [vec![vec!["a", "b"]], dear.clone()]);
    assert_eq!(asked("x.rs"), [vec![vec!["b"], vec!["a"]], dear]);
}
