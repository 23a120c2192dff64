use super::*;

#[test]
fn versions_grow_and_what_is_no_number_is_new_where_it_differs() {
    for (seen, known, newer) in [
        ("10", "9", true),
        ("9", "10", false),
        ("9", "9", false),
        ("b", "a", true),
        ("a", "a", false),
        ("10", "", true),
    ] {
        assert_eq!(is_newer(seen, known), newer, "{seen:?} after {known:?}");
    }
}
