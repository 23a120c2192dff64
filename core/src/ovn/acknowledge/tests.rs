use super::*;

fn counters(nb_cfg: i64, sb_cfg: i64, southbound: i64, host: Option<(&str, i64)>) -> Counters {
    Counters {
        nb_cfg,
        sb_cfg,
        southbound,
        host: host.map(|(name, at)| Host {
            chassis: name.to_owned(),
            binding: name.to_owned(),
            at: Some(at),
        }),
        switched_off: false,
    }
}

fn hosting(chassis: &str, epoch: u64) -> Verdict {
    Verdict::Acknowledged(Hosting {
        chassis: chassis.to_owned(),
        epoch,
    })
}

/// One that wrote 10 with this chassis as the host.
fn wrote(chassis: &str) -> Acknowledgement {
    let mut ack = Acknowledgement::default();
    assert_eq!(
        ack.look(Millis(0), &counters(9, 9, 9, Some((chassis, 9)))),
        Verdict::Count
    );
    ack.wrote(10);
    ack
}

#[test]
fn acknowledged_is_what_northd_and_the_host_have_reached() {
    for (nb, sb, southbound, at, acknowledged) in [
        (10, 10, 10, 10, true),
        (12, 11, 12, 10, true),
        (10, 9, 10, 10, false),
        (10, 10, 10, 9, false),
        // Ahead of what it follows.
        (10, 10, 9, 10, false),
        (10, 11, 11, 10, false),
    ] {
        let verdict = wrote("a").look(Millis(1), &counters(nb, sb, southbound, Some(("a", at))));
        assert_eq!(
            verdict == hosting("a", 1),
            acknowledged,
            "{nb} {sb} {southbound} {at}: {verdict:?}"
        );
    }
}

#[test]
fn a_host_that_counted_before_it_hosted_has_acknowledged_nothing() {
    let mut ack = wrote("a");
    assert_eq!(
        ack.look(Millis(1), &counters(10, 10, 10, Some(("a", 10)))),
        hosting("a", 1)
    );
    // The other chassis has the number too: it counts all along.
    let moved = counters(10, 10, 10, Some(("b", 10)));
    assert_eq!(ack.look(Millis(2), &moved), Verdict::Count);
    ack.wrote(11);
    assert!(matches!(
        ack.look(Millis(3), &counters(11, 11, 11, Some(("b", 10)))),
        Verdict::Waiting(Waiting::Chassis { need: 11, .. })
    ));
    assert_eq!(
        ack.look(Millis(4), &counters(11, 11, 11, Some(("b", 11)))),
        hosting("b", 2)
    );
}

#[test]
fn a_host_that_left_and_came_back_is_another() {
    let mut ack = wrote("a");
    let with = |host| counters(10, 10, 10, host);
    assert_eq!(
        ack.look(Millis(1), &with(None)),
        Verdict::Waiting(Waiting::NoChassis)
    );
    assert_eq!(ack.look(Millis(2), &with(Some(("a", 10)))), Verdict::Count);
    ack.wrote(11);
    assert_eq!(
        ack.look(Millis(3), &counters(11, 11, 11, Some(("a", 11)))),
        hosting("a", 2)
    );
}

#[test]
fn a_host_that_left_and_came_back_unseen_is_another() {
    let mut ack = wrote("a");
    let mut seen = counters(10, 10, 10, Some(("a", 10)));
    assert_eq!(ack.look(Millis(1), &seen), hosting("a", 1));
    seen.host.as_mut().unwrap().binding = "a again".into();
    assert_eq!(ack.look(Millis(2), &seen), Verdict::Count);
    ack.wrote(11);
    assert!(!ack.is_heard());
    let mut again = counters(11, 11, 11, Some(("a", 11)));
    again.host.as_mut().unwrap().binding = "a again".into();
    assert_eq!(ack.look(Millis(3), &again), hosting("a", 2));
}

#[test]
fn numbers_that_went_back_are_counted_anew() {
    let mut ack = wrote("a");
    assert_eq!(
        ack.look(Millis(1), &counters(3, 3, 3, Some(("a", 10)))),
        Verdict::Count
    );
    ack.wrote(4);
    // The chassis still has its number of before: it is no acknowledgement of 4.
    assert!(matches!(
        ack.look(Millis(2), &counters(4, 4, 4, Some(("a", 10)))),
        Verdict::Waiting(Waiting::Disagree { .. })
    ));
    assert_eq!(
        ack.look(Millis(3), &counters(4, 4, 4, Some(("a", 4)))),
        hosting("a", 1)
    );
}

#[test]
fn a_write_of_unknown_outcome_is_counted_anew() {
    let mut ack = wrote("a");
    ack.lost();
    assert_eq!(
        ack.look(Millis(1), &counters(10, 10, 10, Some(("a", 10)))),
        Verdict::Count
    );
}

#[test]
fn what_a_host_acknowledged_stays_so_while_newer_things_are_not_yet() {
    let mut ack = wrote("a");
    let with = |nb, at| counters(nb, nb, nb, Some(("a", at)));
    ack.look(Millis(1), &with(10, 9));
    assert!(!ack.is_heard());
    assert_eq!(ack.look(Millis(2), &with(10, 10)), hosting("a", 1));
    ack.lost();
    ack.look(Millis(3), &with(11, 10));
    ack.wrote(12);
    ack.look(Millis(4), &with(12, 10));
    assert!(ack.is_heard());
    // But not beyond a doubt, another host, or other counters.
    let mut doubted = ack.clone();
    doubted.doubt();
    doubted.look(Millis(5), &with(12, 10));
    assert!(!doubted.is_heard());
    let mut moved = ack.clone();
    moved.look(Millis(5), &counters(12, 12, 12, Some(("b", 12))));
    assert!(!moved.is_heard());
    ack.look(Millis(5), &with(5, 5));
    assert!(!ack.is_heard());
}

#[test]
fn switched_off_acknowledgements_are_never_guessed() {
    let mut ack = wrote("a");
    let off = Counters {
        switched_off: true,
        ..counters(10, 10, 10, Some(("a", 10)))
    };
    assert_eq!(
        ack.look(Millis(1), &off),
        Verdict::Waiting(Waiting::SwitchedOff)
    );
}

#[test]
fn a_host_that_gives_no_sign_of_life_is_told() {
    let mut ack = wrote("a");
    let same = counters(10, 10, 10, Some(("a", 10)));
    assert_eq!(ack.look(Millis(1_000), &same), hosting("a", 1));
    assert!(!ack.is_beat_due(Millis(30_999)));
    assert!(ack.is_beat_due(Millis(31_000)));
    ack.asked(Millis(31_000), 11);
    assert!(!ack.is_beat_due(Millis(70_000)), "one at a time");
    let asked = counters(11, 11, 11, Some(("a", 10)));
    assert_eq!(ack.look(Millis(45_999), &asked), hosting("a", 1));
    assert_eq!(
        ack.look(Millis(46_000), &asked),
        Verdict::Waiting(Waiting::Silent("a".into()))
    );
    let answered = counters(11, 11, 11, Some(("a", 11)));
    assert_eq!(ack.look(Millis(50_000), &answered), hosting("a", 1));
    assert!(ack.is_beat_due(Millis(80_000)));
}

#[test]
fn nothing_is_acknowledged_that_the_host_did_not_reach_as_the_host() {
    // All short histories of two chassis: whoever is acknowledged reached the number that was
    // counted last after it began to host.
    let hosts = [None, Some("a"), Some("b")];
    for history in 0..3_u32.pow(5) {
        let mut ack = Acknowledgement::default();
        let (mut nb, mut since, mut last) = (0, 0, None);
        for step in 0..5 {
            let host = hosts[(history / 3_u32.pow(step) % 3) as usize];
            if host != last {
                (since, last) = (nb, host);
            }
            let now = Millis(u64::from(step));
            match ack.look(now, &counters(nb, nb, nb, host.map(|name| (name, nb)))) {
                Verdict::Count => {
                    nb += 1;
                    ack.wrote(nb);
                }
                Verdict::Acknowledged(hosting) => {
                    assert_eq!(Some(hosting.chassis.as_str()), host);
                    assert!(nb > since, "{hosting:?} was not asked since it hosts");
                }
                Verdict::Waiting(_) => {}
            }
        }
    }
}
