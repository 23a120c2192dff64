#![allow(clippy::unwrap_used)]

use super::*;

fn uid(n: usize) -> Uid {
    Uid::new(format!("6f1c2f0e-3d5b-4d0c-9a51-{n:012x}"))
}

#[test]
fn numbers_stay_while_others_come() {
    let mut few = Numbers::default();
    let first: Vec<u16> = (0..500).map(|n| few.of(&uid(n)).unwrap()).collect();
    let mut many = Numbers::default();
    let all: Vec<u16> = (0..20_000).map(|n| many.of(&uid(n)).unwrap()).collect();
    assert!(all.starts_with(&first));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    // Asked again, in another order.
    assert!(
        (0..500)
            .rev()
            .all(|n| many.of(&uid(n)) == first.get(n).copied())
    );
    // One that goes moves few of the others.
    let mut without = Numbers::default();
    let moved = (1..500).filter(|n| without.of(&uid(*n)) != first.get(*n).copied());
    assert!(moved.count() <= 2);
}

#[test]
fn every_number_is_given_but_those_that_mean_something_else() {
    let mut numbers = Numbers::default();
    let given: BTreeSet<u16> = (0..CLASSES).map(|n| numbers.of(&uid(n)).unwrap()).collect();
    assert_eq!(given.len(), CLASSES);
    assert!(
        [0, MAJOR, u16::MAX]
            .iter()
            .all(|number| !given.contains(number))
    );
    assert_eq!(numbers.of(&uid(CLASSES)), None);
    assert!(numbers.of(&uid(7)).is_some());
}

#[test]
fn handles_name_our_classes_only() {
    assert_eq!(number(handle(7)), Some(7));
    assert_eq!(number(0x0001_0007), None);
    assert_eq!(queue(1, 7, Rate::MIN).handle, 0x0007_0000);
}

#[test]
fn bursts_and_queues_follow_the_rate_within_bounds() {
    let at = |text: &str| {
        let rate = Rate::parse(text).unwrap();
        let (class, queue) = (class(1, 7, rate), queue(1, 7, rate));
        assert_eq!((class.rate, class.burst), (class.ceil, class.ceil_burst));
        let burst = u64::from(class.burst) * TICK_NS * class.rate / 1_000_000_000;
        let Discipline::Fifo { bytes } = queue.discipline else {
            return (class.rate, burst, 0);
        };
        (class.rate, burst, bytes)
    };
    assert_eq!(at("10k"), (1_250, 4_096, 128 << 10));
    assert_eq!(at("8M"), (1_000_000, 10_000, 128 << 10));
    assert_eq!(at("100M"), (12_500_000, 125_000, 1_250_000));
    assert_eq!(at("40G"), (5_000_000_000, 50_000_000, 16 << 20));
    assert_eq!(at("1T"), (125_000_000_000, 1_250_000_000, 16 << 20));
}
