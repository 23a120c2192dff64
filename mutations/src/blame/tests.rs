use super::*;

const SOURCE: &str = "\
fn f() -> bool {
    if crate::fault::is(1u32) {
        return one;
    }
    match x {
        2 if !crate::fault::is(2u32) && y => two,
        3 => crate::fault::either({ all }, if crate::fault::is(4u32) { Some({ four }) } else { None }),
        _ => ({ if crate::fault::is(3u32) { three } else { others } }),
    }
}
";

fn map() -> Map {
    let mut map = Map::default();
    map.visit_file(&syn::parse_file(SOURCE).expect("it is Rust"));
    map
}

fn place(of: &str) -> (usize, usize) {
    let before = SOURCE.split_once(of).expect("it is there").0;
    let column = before.lines().last().unwrap_or("").len() + 1;
    (before.lines().count(), column)
}

#[test]
fn an_error_in_what_is_made_is_the_mutant_s() {
    let map = map();
    assert_eq!(map.made(place("one")), Some(1));
    assert_eq!(map.made(place("three")), Some(3));
    assert_eq!(map.made(place("others")), None);
    assert_eq!(map.made(place("two")), None);
}

#[test]
fn an_error_beside_it_is_of_the_closest_part_with_mutants() {
    let map = map();
    assert_eq!(map.around(place("others")), BTreeSet::from([3]));
    assert_eq!(map.around(place("x {")), BTreeSet::from([2]));
    assert_eq!(map.around(place("all")), BTreeSet::from([4]));
    assert_eq!(map.around(place("bool {")), BTreeSet::from([1, 2, 3, 4]));
}
