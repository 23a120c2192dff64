#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

const OLD: Mac = Mac([2, 0, 0, 0, 0, 1]);
const NEW: Mac = Mac([2, 0, 0, 0, 0, 2]);
const INTERVAL: u64 = 2_000;

fn hop() -> NextHop {
    NextHop {
        interface: "eth1".to_owned(),
        address: "2001:db8::1".parse().unwrap(),
    }
}

fn watch() -> Neighbourhood {
    let mut watch = Neighbourhood::default();
    watch.follow([hop()]);
    watch
}

/// A round in which these answer; what was told at its beginning.
fn round(watch: &mut Neighbourhood, at: u64, answers: &[Mac]) -> Vec<News> {
    let (asked, mut news) = watch.ask(Millis(at), INTERVAL, |_| true);
    assert_eq!(asked, [hop()]);
    for mac in answers {
        watch.heard(&hop(), *mac);
    }
    news.extend(watch.believe(Millis(at)));
    news
}

fn reasons(watch: &Neighbourhood) -> Vec<String> {
    watch.problems().into_iter().map(|p| p.reason).collect()
}

#[test]
fn a_next_hop_is_asked_once_an_interval() {
    let mut watch = watch();
    let asked: Vec<u64> = (0..10)
        .map(|n| n * 1_000)
        .filter(|at| !watch.ask(Millis(*at), INTERVAL, |_| true).0.is_empty())
        .collect();
    assert_eq!(asked, [0, 2_000, 4_000, 6_000, 8_000]);
}

#[test]
fn r_mac_a_next_hop_that_changes_its_mac_is_told_with_how_long_it_lasted() {
    let mut watch = watch();
    assert_eq!(round(&mut watch, 0, &[OLD]), []);
    let news = round(&mut watch, 2_000, &[NEW]);
    let changed = News::Changed {
        hop: hop(),
        from: OLD,
        to: NEW,
        since_ms: 2_000,
    };
    assert_eq!(news, [changed]);
    let changes = watch.changes();
    assert_eq!((changes.len(), changes[0].changes), (1, 1));
    assert!(changes[0].message.contains("2000 ms"), "{changes:?}");
}

#[test]
fn r_mac_a_static_entry_that_is_wrong_is_seen_and_its_end_is_told() {
    let mut watch = watch();
    round(&mut watch, 0, &[NEW]);
    assert_eq!(watch.certain(), [(hop(), NEW)]);
    let mismatch = News::Mismatch {
        hop: hop(),
        kernel: OLD,
        real: NEW,
    };
    assert_eq!(watch.entry(Millis(100), &hop(), Some(OLD)), Some(mismatch));
    assert_eq!(reasons(&watch), ["NextHopMACMismatch"]);
    assert_eq!(watch.entry(Millis(200), &hop(), Some(OLD)), None, "told");
    watch.repaired(&hop());
    let matches = News::Matches {
        hop: hop(),
        was: OLD,
        is: NEW,
        lasted_ms: 900,
        repaired: true,
    };
    assert_eq!(watch.entry(Millis(1_000), &hop(), Some(NEW)), Some(matches));
    assert!(reasons(&watch).is_empty());
    assert_eq!(watch.changes()[0].mismatch_ms, 900);
}

#[test]
fn an_entry_that_is_absent_is_no_mismatch() {
    let mut watch = watch();
    round(&mut watch, 0, &[NEW]);
    assert_eq!(watch.entry(Millis(1), &hop(), None), None);
    assert!(watch.problems().is_empty() && watch.changes().is_empty());
}

#[test]
fn a_next_hop_is_silent_after_three_rounds_and_back_after_two() {
    let mut watch = watch();
    for at in 0..3 {
        assert_eq!(round(&mut watch, at * INTERVAL, &[]), []);
    }
    let silent = News::Silent { hop: hop() };
    assert_eq!(round(&mut watch, 6_000, &[OLD]), [silent]);
    assert_eq!(reasons(&watch), ["NextHopUnreachable"]);
    // One answer in three: it is not told again and again.
    for at in 4..20 {
        let answers: &[Mac] = if at % 3 == 0 { &[OLD] } else { &[] };
        assert_eq!(round(&mut watch, at * INTERVAL, answers), []);
        assert_eq!(reasons(&watch), ["NextHopUnreachable"]);
    }
    round(&mut watch, 40_000, &[OLD]);
    round(&mut watch, 42_000, &[OLD]);
    let news = round(&mut watch, 44_000, &[OLD]);
    let answers = News::Answers {
        hop: hop(),
        lasted_ms: 38_000,
    };
    assert_eq!(news, [answers]);
    assert!(reasons(&watch).is_empty());
}

#[test]
fn of_two_that_answer_none_is_believed() {
    let mut watch = watch();
    round(&mut watch, 0, &[OLD]);
    for at in 1..3 {
        assert_eq!(round(&mut watch, at * INTERVAL, &[NEW, OLD]), []);
        assert_eq!(watch.certain(), []);
        assert_eq!(watch.entry(Millis(at * INTERVAL), &hop(), Some(NEW)), None);
    }
    round(&mut watch, 6_000, &[OLD]);
    assert_eq!(reasons(&watch), ["NextHopConflict"]);
    round(&mut watch, 8_000, &[OLD]);
    assert!(reasons(&watch).is_empty());
}

#[test]
fn a_next_hop_whose_interface_is_down_is_not_judged() {
    let mut watch = watch();
    for at in 0..9 {
        let (asked, news) = watch.ask(Millis(at * INTERVAL), INTERVAL, |_| false);
        assert!(asked.is_empty() && news.is_empty());
    }
    assert!(watch.problems().is_empty());
}

#[test]
fn r_mac_a_change_of_the_own_mac_is_told() {
    let mut watch = Neighbourhood::default();
    assert_eq!(watch.own("eth1", OLD), None);
    assert_eq!(watch.own("eth1", OLD), None);
    let changed = News::OwnChanged {
        interface: "eth1".to_owned(),
        from: OLD,
        to: NEW,
    };
    assert_eq!(watch.own("eth1", NEW), Some(changed));
    let changes = watch.changes();
    assert_eq!((changes[0].address.clone(), changes[0].changes), (None, 1));
}

proptest! {
    /// Whatever is heard: nothing panics, only next hops that were asked are problems, and
    /// a repair is never wanted while two answer.
    #[test]
    fn r_mac_nothing_heard_makes_a_wrong_repair(
        steps in prop::collection::vec((0_u64..5_000, 0_u8..4, prop::option::of(0_u8..3)), 0..60),
    ) {
        let mut watch = watch();
        let mut now = 0;
        let mut round: BTreeSet<Mac> = BTreeSet::new();
        for (pass, from, entry) in steps {
            now += pass;
            if !watch.ask(Millis(now), INTERVAL, |_| true).0.is_empty() {
                round.clear();
            }
            if from > 0 {
                let mac = Mac([2, 0, 0, 0, 0, from]);
                round.insert(mac);
                watch.heard(&hop(), mac);
                watch.believe(Millis(now));
            }
            for (_, real) in watch.certain() {
                prop_assert_eq!(round.iter().copied().collect::<Vec<_>>(), vec![real]);
            }
            watch.entry(Millis(now), &hop(), entry.map(|e| Mac([2, 0, 0, 0, 0, e])));
            prop_assert!(watch.problems().len() <= 3 && watch.changes().len() <= 1);
        }
    }
}

#[test]
fn a_wrong_entry_that_changes_is_told_again_and_is_wrong_until_it_is_right() {
    let mut watch = watch();
    round(&mut watch, 0, &[OLD]);
    assert!(!watch.is_wrong(&hop()));
    let third = Mac([2, 0, 0, 0, 0, 3]);
    for (at, wrong) in [(10, NEW), (20, third)] {
        let told = News::Mismatch {
            hop: hop(),
            kernel: wrong,
            real: OLD,
        };
        assert_eq!(watch.entry(Millis(at), &hop(), Some(wrong)), Some(told));
        assert_eq!(watch.entry(Millis(at + 1), &hop(), Some(wrong)), None);
        assert!(watch.is_wrong(&hop()));
    }
    watch.entry(Millis(30), &hop(), Some(OLD));
    assert!(!watch.is_wrong(&hop()));
    let mut other = hop();
    other.interface = "eth2".to_owned();
    assert!(!watch.is_wrong(&other));
}
