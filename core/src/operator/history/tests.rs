//! Since when lines have been in every header, and when they left.

use super::*;

fn lines(of: &[(&str, &[&str])]) -> Lines {
    let list = |l: &[&str]| l.iter().map(|l| (*l).to_owned()).collect();
    of.iter()
        .map(|(uid, l)| (Uid::new(*uid), list(l)))
        .collect()
}

fn whole(of: &[(&str, &[&str])]) -> Content {
    Content::Whole(lines(of))
}

fn applied(generation: i64, digest: &str) -> Applied {
    Applied {
        uid: "h".into(),
        generation,
        digest: digest.into(),
        slices: vec![],
    }
}

fn since(history: &History, uid: &str) -> Vec<i64> {
    let published = history.published(&Uid::new(uid));
    published
        .into_iter()
        .flatten()
        .map(|l| l.generation)
        .collect()
}

fn three() -> History {
    let mut history = History::default();
    let uid = Uid::new("h");
    history.advance(&uid, 1, "d1", whole(&[("a", &["a1"]), ("b", &["b1"])]));
    history.advance(
        &uid,
        2,
        "d2",
        whole(&[("a", &["a1", "a2"]), ("b", &["b1"])]),
    );
    history.advance(&uid, 3, "d3", whole(&[("a", &["a1", "a2"])]));
    history
}

#[test]
fn a_line_counts_from_the_header_that_brought_it() {
    let history = three();
    assert_eq!(since(&history, "a"), [1, 2]);
    assert_eq!(since(&history, "b"), [] as [i64; 0]);
    assert_eq!(history.since_within(1, 2), [Uid::new("a")].into());
    assert_eq!(history.since_within(2, 3), [].into());
}

#[test]
fn what_left_is_known_from_the_header_without_it() {
    let mut history = three();
    assert_eq!(history.removed_at(&Uid::new("b")), Some(3));
    // Of what this leader never saw it knows that it was not there at the first.
    assert_eq!(history.removed_at(&Uid::new("c")), Some(1));
    history.settle(3);
    assert_eq!(history.removed_at(&Uid::new("b")), Some(3));
    assert_eq!(history.removed_at(&Uid::new("c")), Some(3));
    assert_eq!(history.remembered(), 1);
}

#[test]
fn a_gap_proves_nothing_of_what_was_before() {
    let mut history = three();
    history.advance(&Uid::new("h"), 5, "d5", whole(&[("a", &["a1"])]));
    assert_eq!(since(&history, "a"), [5]);
    assert_eq!(history.proven(Some(&applied(3, "d3"))), None);
    assert_eq!(history.proven(Some(&applied(5, "d5"))), Some(5));
    assert_eq!(history.removed_at(&Uid::new("b")), Some(5));
}

#[test]
fn a_report_proves_a_generation_by_its_digest_only() {
    let history = three();
    assert_eq!(history.proven(Some(&applied(2, "d2"))), Some(2));
    assert_eq!(history.proven(Some(&applied(2, "other"))), None);
    assert_eq!(history.proven(Some(&applied(4, "d4"))), None);
    let other = Applied {
        uid: "other".into(),
        ..applied(2, "d2")
    };
    assert_eq!(history.proven(Some(&other)), None);
    assert_eq!(history.proven(None), None);
}

#[test]
fn a_header_whose_content_is_not_known_lets_nothing_be_removed() {
    let mut history = three();
    history.advance(&Uid::new("h"), 4, "d4", Content::Unknown);
    assert!(!history.known());
    assert_eq!(history.removed_at(&Uid::new("b")), None);
    // It becomes known.
    history.advance(&Uid::new("h"), 4, "d4", whole(&[]));
    assert_eq!(history.removed_at(&Uid::new("b")), Some(4));
}

#[test]
fn an_older_header_that_comes_late_changes_nothing() {
    let mut history = three();
    assert_eq!(history.advance(&Uid::new("h"), 2, "d2", whole(&[])), []);
    assert_eq!(since(&history, "a"), [1, 2]);
}

#[test]
fn a_change_says_as_much_as_the_whole() {
    let uid = Uid::new("h");
    let mut by_whole = three();
    let mut by_change = three();
    let whole = whole(&[("a", &["a0", "a2"]), ("c", &["c1"])]);
    let change = Content::Change {
        gone: lines(&[("a", &["a1"])]),
        come: lines(&[("a", &["a0"]), ("c", &["c1"])]),
    };
    let all = by_whole.advance(&uid, 4, "d4", whole);
    assert_eq!(all, [Uid::new("a"), Uid::new("c")]);
    assert_eq!(by_change.advance(&uid, 4, "d4", change), all);
    assert_eq!(by_change, by_whole);
    assert_eq!(since(&by_change, "a"), [4, 2]);
    assert_eq!(by_change.removed_at(&Uid::new("a")), Some(4));
}

#[test]
fn a_change_after_a_gap_says_nothing() {
    let mut history = three();
    let change = Content::Change {
        gone: Lines::new(),
        come: lines(&[("c", &["c1"])]),
    };
    history.advance(&Uid::new("h"), 5, "d5", change);
    assert!(!history.known());
    assert_eq!(history.removed_at(&Uid::new("b")), None);
}

#[test]
fn a_holder_behind_the_one_before_proves_what_that_one_had_proved() {
    let mut history = three();
    history.prove(3);
    assert_eq!(history.since_within(1, 2), [Uid::new("a")].into());
    assert_eq!(history.since_within(2, 3), [].into());
    let brings = whole(&[("a", &["a1", "a2"]), ("c", &["c1"])]);
    history.advance(&Uid::new("h"), 4, "d4", brings);
    assert_eq!(history.since_within(3, 4), [Uid::new("c")].into());
}

#[test]
fn what_came_is_kept_of_so_many_generations_while_nobody_proves_any() {
    let mut history = three();
    for generation in 4..2_000 {
        let line = format!("a{generation}");
        let content = whole(&[("a", &[line.as_str()])]);
        history.advance(&Uid::new("h"), generation, "d", content);
    }
    assert!(history.began.len() <= DIGESTS_MAX + 1);
    assert_eq!(history.since_within(0, 1_999), [Uid::new("a")].into());
}
