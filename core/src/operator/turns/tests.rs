use super::*;
use crate::operator::event::{Key, Kind};

fn target(namespace: &str, name: &str) -> Target {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Target::Object(Kind::EIP, Key { namespace, name })
}

fn names(turns: &mut Turns, may: impl Fn(&str) -> bool) -> String {
    let all = std::iter::from_fn(|| match turns.pop(&may)? {
        Target::Object(_, key) => Some(key.namespace + &key.name),
        other => panic!("{other:?}"),
    });
    all.collect::<Vec<_>>().join(" ")
}

fn turns(of: &[(&str, &str)]) -> Turns {
    let mut turns = Turns::default();
    for (namespace, name) in of {
        turns.push(namespace, target(namespace, name));
    }
    turns
}

#[test]
fn namespaces_take_turns_and_each_is_first_come_first_served() {
    let mut all = turns(&[
        ("a", "1"),
        ("a", "2"),
        ("a", "3"),
        ("b", "1"),
        ("c", "1"),
        ("b", "2"),
    ]);
    assert_eq!(names(&mut all, |_| true), "a1 b1 c1 a2 b2 a3");
    assert!(all.is_empty());
}

#[test]
fn who_comes_late_waits_for_one_of_each_other_namespace() {
    let mut all = turns(&[("a", "1"), ("a", "2"), ("a", "3")]);
    assert_eq!(all.pop(|_| true), Some(target("a", "1")));
    all.push("b", target("b", "1"));
    assert_eq!(names(&mut all, |_| true), "a2 b1 a3");
}

#[test]
fn a_namespace_that_may_not_keeps_its_place() {
    let mut all = turns(&[("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]);
    assert_eq!(names(&mut all, |namespace| namespace != "a"), "b1 b2");
    all.push("b", target("b", "3"));
    assert_eq!(names(&mut all, |_| true), "a1 b3 a2");
}

/// A long line and a short one, at random: nobody waits for more than one turn of each.
#[test]
fn no_namespace_is_passed_over_twice() {
    let mut turns = Turns::default();
    let mut random: u64 = 7;
    let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
    let mut passed: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for step in 0..5_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let namespace = ["a", "a", "a", "a", "b", "c"][usize::try_from(random >> 40).unwrap() % 6];
        if random >> 63 == 0 {
            turns.push(namespace, target(namespace, &step.to_string()));
            *waiting.entry(namespace.to_owned()).or_default() += 1;
            continue;
        }
        let Some(Target::Object(_, key)) = turns.pop(|_| true) else {
            continue;
        };
        let served = key.namespace;
        passed.remove(&served);
        *waiting.get_mut(&served).unwrap() -= 1;
        for (other, _) in waiting
            .iter()
            .filter(|(n, count)| **count > 0 && **n != served)
        {
            let times = passed
                .entry(other.clone())
                .or_default()
                .entry(served.clone())
                .or_default();
            *times += 1;
            assert!(*times <= 1, "{served} went twice while {other} waited");
        }
    }
}
