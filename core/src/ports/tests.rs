use super::*;

const FULL: u32 = 64_512;

fn peer(eip: &str, port: u16) -> Peer {
    Peer {
        eip: eip.parse().unwrap(),
        protocol: 6,
        destination: if eip.contains(':') {
            "2001:db8:2::9".parse().unwrap()
        } else {
            "198.51.100.9".parse().unwrap()
        },
        port,
    }
}

fn sample(used: &[(Peer, u32)]) -> Sample {
    Sample {
        available: FULL,
        used: used.iter().copied().collect(),
        refused: BTreeMap::new(),
    }
}

fn reasons(found: &[Shortage]) -> Vec<(&str, &str)> {
    let each = found
        .iter()
        .map(|s| (s.address.as_str(), s.reason.as_str()));
    each.collect()
}

#[test]
fn ports_are_low_from_the_upper_threshold_until_below_the_lower_one() {
    for eip in ["192.0.2.1", "2001:db8::1"] {
        let mut shortages = Shortages::default();
        let peer = peer(eip, 443);
        let low = vec![(eip, "PortsLow")];
        for (used, expected) in [
            (0, vec![]),
            (51_609, vec![]),
            (51_610, low.clone()),
            (64_512, low.clone()),
            (45_159, low.clone()),
            (45_158, vec![]),
            (51_609, vec![]),
            (51_610, low.clone()),
        ] {
            let found = shortages.take(Millis(0), &sample(&[(peer, used)]));
            assert_eq!(reasons(&found), expected, "{used}");
        }
        // Nothing is looked at any more.
        assert_eq!(shortages.take(Millis(0), &Sample::default()), []);
    }
}

#[test]
fn what_is_said_stays_the_same_while_figures_move() {
    let mut shortages = Shortages::default();
    let (one, other) = (peer("192.0.2.1", 443), peer("192.0.2.1", 80));
    let first = shortages.take(Millis(0), &sample(&[(one, 60_000), (other, 100)]));
    assert!(first[0].message.contains("tcp at 198.51.100.9 port 443"));
    for (a, b) in [(60_001, 50_000), (52_000, 64_000), (46_000, 64_512)] {
        let next = shortages.take(Millis(1), &sample(&[(one, a), (other, b)]));
        assert_eq!(next, first);
    }
    let next = shortages.take(Millis(1), &sample(&[(one, 10), (other, 50_000)]));
    assert!(next[0].message.contains("port 80"), "{next:?}");
}

#[test]
fn sources_are_refused_until_a_quiet_minute_has_passed() {
    let mut shortages = Shortages::default();
    let limited = |sources: &str| Limited {
        snat: Uid::new("u1"),
        eip: "192.0.2.1".parse().unwrap(),
        sources: sources.parse().unwrap(),
        limit: 100,
    };
    let refused = |sources: &[&str]| Sample {
        refused: sources.iter().map(|s| (limited(s), 7)).collect(),
        ..sample(&[])
    };
    let both = refused(&["10.244.0.5/32", "10.244.0.6/32"]);
    let first = shortages.take(Millis(0), &both);
    assert_eq!(reasons(&first), [("192.0.2.1", "PortsPerSourceReached")]);
    assert_eq!(first[0].rule.as_deref(), Some("u1"));
    assert!(first[0].message.contains("10.244.0.5/32 holds the 100"));
    let again = shortages.take(Millis(30_000), &refused(&["10.244.0.6/32"]));
    assert_eq!(again, first);
    assert_eq!(shortages.take(Millis(89_999), &sample(&[])), first);
    assert_eq!(shortages.take(Millis(90_000), &sample(&[])), []);
}

#[test]
fn of_peers_that_are_equally_busy_the_first_is_named() {
    let peers = [
        peer("192.0.2.1", 53),
        peer("192.0.2.1", 443),
        peer("192.0.2.1", 80),
    ];
    let used = sample(&[(peers[0], 7), (peers[1], 9), (peers[2], 9)]);
    let busiest = used.busiest();
    let expected = (peers[2], 9);
    assert_eq!(busiest.into_values().collect::<Vec<_>>(), [expected]);
}
