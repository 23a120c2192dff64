use proptest::prelude::*;

use super::*;

fn address(n: u32) -> IpAddr {
    std::net::Ipv4Addr::from(0x0af4_0000 | n).into()
}

fn equal(n: u32, count: u32) -> Targets {
    Targets::new((n..n + count).map(|n| (address(n), 1))).unwrap()
}

fn counts(targets: &Targets) -> BTreeMap<IpAddr, u32> {
    let mut counts = BTreeMap::new();
    for address in targets.slots().into_values() {
        *counts.entry(address).or_default() += 1;
    }
    counts
}

/// Slots that have another target in one than in the other.
fn moved(a: &Targets, b: &Targets) -> usize {
    let (a, b) = (a.slots(), b.slots());
    a.iter()
        .filter(|(slot, to)| b.get(slot) != Some(to))
        .count()
}

#[test]
fn weights_are_shares_of_the_slots() {
    let of = |weights: &[u8]| {
        let targets = weights.iter().zip(5..).map(|(w, n)| (address(n), *w));
        let counts = counts(&Targets::new(targets).unwrap());
        (5..)
            .take(weights.len())
            .map(|n| counts.get(&address(n)).copied().unwrap_or(0))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&[1]), [64]);
    assert_eq!(of(&[1, 1]), [32, 32]);
    assert_eq!(of(&[3, 1]), [48, 16]);
    assert_eq!(of(&[1, 1, 1]), [22, 21, 21]);
    assert_eq!(of(&[1, 0, 1]), [32, 0, 32]);
    // A weight too small for a slot has one all the same.
    assert_eq!(of(&[100, 1, 100]), [32, 1, 31]);
    let many = of(&[
        1, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100,
    ]);
    assert_eq!((many[0], many.iter().sum::<u32>()), (1, SLOTS));
}

#[test]
fn shares_in_the_same_proportion_have_one_text() {
    let text = |weights: [u8; 3]| {
        Targets::new([
            (address(7), weights[0]),
            (address(5), weights[1]),
            (address(6), weights[2]),
        ])
        .unwrap()
        .to_string()
    };
    assert_eq!(text([100, 50, 0]), "10.244.0.5,10.244.0.6=0,10.244.0.7=2");
    assert_eq!(text([7, 7, 7]), "10.244.0.5,10.244.0.6,10.244.0.7");
    let single = Targets::new([(address(5), 40)]).unwrap();
    assert_eq!(single, Targets::one(address(5)));
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let v6 = "fd00::5".parse().unwrap();
    assert_eq!(Targets::new([]), None);
    assert_eq!(Targets::new([(address(5), 0), (address(6), 0)]), None);
    assert_eq!(Targets::new([(address(5), 1), (address(5), 2)]), None);
    assert_eq!(Targets::new([(address(5), 1), (v6, 1)]), None);
    assert_eq!(Targets::new([(address(5), 101)]), None);
    assert_eq!(Targets::new((0..17).map(|n| (address(n), 1))), None);
}

/// Between two equal targets more, about one slot in n + 1 goes to the new one, and few
/// others move; measured over many sets of addresses.
#[test]
fn a_target_that_joins_or_leaves_moves_about_its_share_of_the_slots() {
    for count in [1, 2, 3, 4, 8, 15] {
        let share = 64.0 / f64::from(count + 1);
        let all: Vec<usize> = (0..200)
            .map(|n| moved(&equal(n * 100, count), &equal(n * 100, count + 1)))
            .collect();
        let mean = all.iter().sum::<usize>() as f64 / all.len() as f64;
        let most = *all.iter().max().unwrap() as f64;
        assert!(mean >= share - 0.5, "{count}: {mean}");
        assert!(
            mean <= share + 6.0,
            "{count}: {mean} of 64 moved, {share} must"
        );
        assert!(
            most <= share + 14.0,
            "{count}: {most} of 64 moved, {share} must"
        );
    }
}

fn any_targets() -> impl Strategy<Value = Vec<(IpAddr, u8)>> {
    proptest::collection::btree_map(0u32..1000, 0u8..=100, 1..=16)
        .prop_map(|m| m.into_iter().map(|(n, w)| (address(n), w)).collect())
}

proptest! {
    #[test]
    fn the_order_of_targets_does_not_matter(list in any_targets(), seed in any::<u64>()) {
        let mut other = list.clone();
        other.sort_by_key(|(address, _)| super::rank(super::seed(*address), seed as u32));
        let (a, b) = (Targets::new(list), Targets::new(other));
        prop_assert_eq!(&a, &b);
        if let (Some(a), Some(b)) = (a, b) {
            prop_assert_eq!(a.slots(), b.slots());
        }
    }

    #[test]
    fn all_slots_are_given_by_weight(list in any_targets()) {
        let Some(targets) = Targets::new(list.clone()) else {
            prop_assert!(list.iter().all(|(_, weight)| *weight == 0));
            return Ok(());
        };
        let counts = counts(&targets);
        let mut next = 0;
        for (first, last, address) in targets.blocks() {
            prop_assert_eq!((first, last + 1 - first), (next, counts[&address]));
            next = last + 1;
        }
        prop_assert_eq!(next, SLOTS);
        prop_assert_eq!(targets.slots().len(), SLOTS as usize);
        let total: u32 = list.iter().map(|(_, w)| u32::from(*w)).sum();
        for (address, weight) in list {
            let has = counts.get(&address).copied().unwrap_or(0);
            prop_assert_eq!(has == 0, weight == 0);
            // Never far above its share: what the smallest are rounded up by, others lack.
            let share = u32::from(weight) * SLOTS / total;
            prop_assert!(has <= share + 1, "{} has {} for {}", address, has, share);
        }
    }

    #[test]
    fn targets_survive_their_text_form(list in any_targets()) {
        if let Some(targets) = Targets::new(list) {
            prop_assert_eq!(Targets::parse(&targets.to_string()), Some(targets));
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,60}") {
        let _ = Targets::parse(&text);
    }
}

/// A gateway that is upgraded beside connections must not find them at other targets.
#[test]
fn who_has_which_slot_is_the_same_in_every_version() {
    let text = |targets: &Targets| -> String {
        let slots = targets.slots().into_values();
        slots
            .map(|address| address.to_string().chars().last().unwrap())
            .collect()
    };
    assert_eq!(
        text(&equal(5, 3)),
        "6766665577576577555765657776776655675766567755767555677556766655"
    );
    let v6 = (5..8).map(|n: u16| {
        (
            std::net::Ipv6Addr::new(0xfd00, 10, 244, 0, 0, 0, 0, n).into(),
            1,
        )
    });
    assert_eq!(
        text(&Targets::new(v6).unwrap()),
        "6756775666575767666677655775656666667555675767675755555557777557"
    );
}
