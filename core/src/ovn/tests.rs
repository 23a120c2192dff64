use super::*;

#[test]
fn a_row_has_a_uuid_of_version_8() {
    let ids: BTreeSet<String> = (0..64)
        .map(|n| RowId::of("net/egress", "vpc", &n.to_string()).to_string())
        .collect();
    assert_eq!(ids.len(), 64);
    for id in &ids {
        let digits: Vec<char> = id.chars().collect();
        assert_eq!(digits[14], '8', "{id}");
        assert!(matches!(digits[19], '8'..='9' | 'a'..='b'), "{id}");
    }
    // The other bits are the digest's.
    let at = |place: usize| ids.iter().filter_map(move |id| id.chars().nth(place));
    for place in [15, 20] {
        assert!(at(place).collect::<BTreeSet<char>>().len() > 8);
    }
    let id = RowId::of("net/egress", "vpc", "1");
    assert_eq!(RowId::of("net/egress", "vpc", "1"), id);
    assert_ne!(RowId::of("net/other", "vpc", "1"), id);
    assert_ne!(RowId::of("net/egress", "other", "1"), id);
}
