use super::super::tests::sim::config;
use super::*;
use crate::identity::Uid;

const NOW: Millis = Millis(1_000);

fn header(generation: i64, eips: std::ops::Range<u8>) -> (Header, Vec<(String, RuleSliceSpec)>) {
    let config = config(eips);
    let header = Header {
        revision: Revision {
            uid: Uid::new("header"),
            generation,
        },
        spec: config.header,
    };
    (header, config.slices.into_iter().collect())
}

fn next(pursuit: &mut Pursuit) -> Vec<Action> {
    pursuit.next(Millis(1_000_000), &mut Wake::default())
}

/// A pursuit that has this config, whole.
fn whole(generation: i64, eips: std::ops::Range<u8>) -> Pursuit {
    let mut pursuit = Pursuit::new(None);
    let (header, slices) = header(generation, eips);
    pursuit.seen(Some(header), false);
    assert!(matches!(next(&mut pursuit)[..], [Action::FetchSlices(_)]));
    pursuit.fetched(NOW, slices, &[], None);
    assert_eq!(pursuit.good().unwrap().revision.generation, generation);
    pursuit
}

#[test]
fn slices_of_overtaken_headers_are_forgotten() {
    let mut pursuit = whole(1, 1..3);
    let kept: Vec<String> = pursuit.cache.keys().cloned().collect();
    for generation in 2..50 {
        let to = u8::try_from(generation).unwrap() + 3;
        let (header, slices) = header(generation, 1..to);
        let missing: Vec<String> = header.spec.slices.clone();
        pursuit.seen(Some(header), false);
        // Read too late, and one of them is gone: there is a newer header.
        let _ = next(&mut pursuit);
        let found = slices
            .into_iter()
            .map(|(name, slice)| (format!("{name}-other"), slice));
        pursuit.fetched(NOW, found.collect(), &missing, None);
    }
    // Those of the last good config, and what came for the last header.
    let cached: Vec<&String> = pursuit.cache.keys().collect();
    assert!(cached.len() <= kept.len() + 2, "{cached:?}");
    assert!(kept.iter().all(|name| pursuit.cache.contains_key(name)));
    assert_eq!(pursuit.good().unwrap().revision.generation, 1);
}

#[test]
fn only_what_is_missing_is_fetched() {
    let mut pursuit = whole(1, 1..3);
    let (same, _) = header(2, 1..3);
    pursuit.seen(Some(same), false);
    assert_eq!(next(&mut pursuit), []);
    assert_eq!(pursuit.good().unwrap().revision.generation, 2);
}

#[test]
fn an_older_generation_changes_nothing() {
    let mut pursuit = whole(3, 1..3);
    let (older, _) = header(2, 1..5);
    pursuit.seen(Some(older), true);
    assert_eq!(next(&mut pursuit), []);
    assert_eq!(pursuit.problem(), None);
    assert_eq!(pursuit.good().unwrap().revision.generation, 3);
}

#[test]
fn another_digest_of_the_same_generation_is_told_and_not_followed() {
    let mut pursuit = whole(3, 1..3);
    let (forged, _) = header(3, 1..5);
    pursuit.seen(Some(forged), true);
    assert_eq!(next(&mut pursuit), []);
    assert_eq!(pursuit.problem().unwrap().reason, "ConfigDiverged");
}

#[test]
fn another_uid_is_believed_when_it_was_read_live() {
    let mut pursuit = whole(3, 1..3);
    let (mut other, slices) = header(1, 1..5);
    other.revision.uid = Uid::new("restored");
    pursuit.seen(Some(other.clone()), false);
    assert_eq!(next(&mut pursuit), [Action::ReadHeader]);
    pursuit.read(NOW, Ok(Some(other.clone())));
    assert!(matches!(next(&mut pursuit)[..], [Action::FetchSlices(_)]));
    pursuit.fetched(NOW, slices, &[], None);
    assert_eq!(pursuit.good().unwrap().revision, other.revision);
}

#[test]
fn what_an_earlier_process_applied_is_the_floor() {
    let (now, slices) = header(7, 1..3);
    let found = Found {
        revision: now.revision.clone(),
        digest: now.spec.digest.clone(),
        answering: true,
    };
    let mut pursuit = Pursuit::new(Some(&found));
    let (older, _) = header(6, 1..3);
    pursuit.seen(Some(older), true);
    assert_eq!(next(&mut pursuit), []);
    pursuit.seen(Some(now), false);
    assert!(matches!(next(&mut pursuit)[..], [Action::FetchSlices(_)]));
    pursuit.fetched(NOW, slices, &[], None);
    assert_eq!(pursuit.good().unwrap().revision.generation, 7);
}

#[test]
fn a_bad_slice_that_no_header_names_any_more_is_nothing_to_refuse() {
    let mut pursuit = whole(1, 1..3);
    let (header, mut slices) = header(2, 1..6);
    pursuit.seen(Some(header), false);
    let _ = next(&mut pursuit);
    slices.push(("egress-other".to_owned(), slices[0].1.clone()));
    pursuit.fetched(NOW, slices, &[], None);
    assert_eq!(pursuit.good().unwrap().revision.generation, 2);
    assert_eq!(pursuit.problem(), None);
}
