#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn dual(texts: &[&str]) -> DualAddress {
    let mut dual = DualAddress::default();
    for text in texts {
        assert!(dual.insert(text.parse().unwrap()));
    }
    dual
}

fn ended(line: Option<Line<&'static str>>) -> Option<(Op, DualAddress, &'static str)> {
    line.map(|l| (l.op, l.addresses, l.outcome.as_str()))
}

#[test]
fn r_log_an_operation_ends_in_one_line() {
    let mut ledger = Ledger::default();
    let (v4, both) = (dual(&["192.0.2.7"]), dual(&["192.0.2.7", "2001:db8::7"]));
    ledger.begin(&"web", Some(v4));
    assert_eq!(ended(ledger.has(&"web", v4)), Some((Op::Add, v4, "done")));
    assert_eq!(ended(ledger.has(&"web", v4)), None);
    assert_eq!(
        ended(ledger.has(&"web", both)),
        Some((Op::Update, both, "done"))
    );
    let none = DualAddress::default();
    assert_eq!(
        ended(ledger.has(&"web", none)),
        Some((Op::Delete, both, "done"))
    );
    assert_eq!(ended(ledger.has(&"web", none)), None);
}

#[test]
fn r_log_what_was_never_programmed_ends_in_one_line_too() {
    let mut ledger = Ledger::default();
    let v6 = dual(&["2001:db8::7"]);
    ledger.begin(&"web", Some(v6));
    ledger.begin(&"web", Some(v6));
    let lines = ledger.all(&BTreeMap::new(), |_| false);
    assert_eq!(lines.len(), 1);
    let ended = ended(lines.into_iter().next());
    assert_eq!(ended, Some((Op::Add, v6, "abandoned")));
    assert!(ledger.all(&BTreeMap::new(), |_| false).is_empty());
}

#[test]
fn r_log_a_refusal_is_told_once_however_often_it_is_tried() {
    let mut ledger = Ledger::default();
    let v4 = dual(&["192.0.2.7"]);
    for tries in 0..3 {
        ledger.begin(&"web", Some(v4));
        let line = ledger.refuse(&"web", v4, "EINVAL");
        assert_eq!(line.is_some(), tries == 0);
    }
    assert_eq!(ended(ledger.has(&"web", v4)), Some((Op::Add, v4, "done")));
}

#[test]
fn r_log_one_family_that_is_refused_ends_in_a_line_of_its_own() {
    let mut ledger = Ledger::default();
    let (both, v4, v6) = (
        dual(&["192.0.2.7", "2001:db8::7"]),
        dual(&["192.0.2.7"]),
        dual(&["2001:db8::7"]),
    );
    for tries in 0..3 {
        ledger.begin(&"web", Some(both));
        let refused = ended(ledger.refuse(&"web", v6, "EINVAL"));
        let added = ledger.all(&BTreeMap::from([("web", v4)]), |_| true);
        let added = added.into_iter().map(|line| ended(Some(line)).unwrap());
        let added: Vec<_> = added.collect();
        if tries == 0 {
            assert_eq!(refused, Some((Op::Add, v6, "refused")));
            assert_eq!(added, [(Op::Add, v4, "done")]);
        } else {
            assert_eq!((refused, added.len()), (None, 0));
        }
    }
}

proptest! {
    /// Whatever happens, in any order: adds less deletes is what is held, per family; an
    /// object's lines alternate; and no open operation is forgotten.
    #[test]
    fn r_met_adds_less_deletes_is_the_gauge_at_any_time(
        steps in prop::collection::vec((0_u8..5, 0_u8..5, 0_u8..3, 0_u8..3), 0..80),
    ) {
        let mut ledger: Ledger<u8> = Ledger::default();
        let mut has: BTreeMap<u8, DualAddress> = BTreeMap::new();
        let mut open: BTreeMap<u8, Option<DualAddress>> = BTreeMap::new();
        for (what, key, v4, v6) in steps {
            let addresses = DualAddress {
                ipv4: (v4 > 0).then(|| std::net::Ipv4Addr::new(192, 0, 2, v4)),
                ipv6: (v6 > 0).then(|| std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, v6.into())),
            };
            let before = has.get(&key).copied().unwrap_or_default();
            match what {
                0 => {
                    ledger.begin(&key, Some(addresses));
                    if before != addresses { open.insert(key, Some(addresses)); }
                }
                1 => {
                    let line = ledger.has(&key, addresses);
                    let wanted = open.remove(&key);
                    let abandoned = wanted.flatten().is_some_and(|w| w != addresses);
                    if wanted == Some(None) && before == addresses { open.insert(key, None); }
                    prop_assert_eq!(line.is_some(), before != addresses || abandoned);
                    has.insert(key, addresses);
                }
                2 => {
                    ledger.refuse(&key, addresses, "no");
                    open.remove(&key);
                }
                3 => {
                    ledger.begin(&key, None);
                    open.insert(key, None);
                }
                _ => {
                    let mut ends: BTreeSet<u8> = open.keys().copied().collect();
                    ends.extend(has.iter().filter(|(_, d)| !d.is_empty()).map(|(key, _)| key));
                    let lines = ledger.all(&BTreeMap::new(), |_| false);
                    prop_assert_eq!(lines.len(), ends.len());
                    has.clear();
                    open.clear();
                }
            }
            let held = |v4: bool| has.values().filter(|d| d.iter().any(|a| a.is_ipv4() == v4)).count();
            for ((_, count), v4) in ledger.counts().into_iter().zip([true, false]) {
                prop_assert_eq!(count.adds - count.deletes, count.held);
                prop_assert_eq!(count.held, u64::try_from(held(v4)).unwrap());
            }
        }
    }
}
