//! Sets of addresses against sets that are counted through.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn range(first: u8, last: u8) -> AddressRange {
    let at = |n: u8| IpAddr::from([10, 0, 0, n]);
    AddressRange::new(at(first.min(last)), at(first.max(last))).unwrap()
}

fn all() -> impl Iterator<Item = IpAddr> {
    (0..=255).map(|n| IpAddr::from([10, 0, 0, n]))
}

proptest! {
    #[test]
    fn ranges_are_the_sets_that_they_stand_for(
        steps in prop::collection::vec((any::<bool>(), any::<u8>(), any::<u8>()), 0..12),
        taken in prop::collection::btree_set(any::<u8>(), 0..40),
        spread in any::<u64>(),
    ) {
        let mut ranges = Ranges::default();
        let mut set = BTreeSet::new();
        for (add, a, b) in steps {
            let range = range(a, b);
            let within = |x: &IpAddr| range.first() <= *x && *x <= range.last();
            if add {
                ranges.add(range);
                set.extend(all().filter(within));
            } else {
                ranges.remove(range);
                set.retain(|x| !within(x));
            }
        }
        prop_assert_eq!(all().filter(|a| ranges.contains(*a)).collect::<BTreeSet<_>>(), set.clone());
        prop_assert_eq!(ranges.count(IpFamily::IPv4), set.len() as u128);
        prop_assert_eq!(ranges.count(IpFamily::IPv6), 0);

        // Whatever is free is found, and nothing else.
        let taken: BTreeMap<IpAddr, ()> =
            taken.into_iter().map(|n| (IpAddr::from([10, 0, 0, n]), ())).collect();
        let reserved = |a: IpAddr| matches!(a, IpAddr::V4(a) if a.octets()[3] % 3 == 0);
        let free: BTreeSet<IpAddr> = set
            .iter()
            .copied()
            .filter(|a| !taken.contains_key(a) && !reserved(*a))
            .collect();
        let found = ranges.free(IpFamily::IPv4, &taken, &reserved, spread);
        prop_assert_eq!(found.is_some(), !free.is_empty());
        prop_assert!(found.is_none_or(|a| free.contains(&a)));
        prop_assert_eq!(found, ranges.free(IpFamily::IPv4, &taken, &reserved, spread));
    }
}

#[test]
fn a_free_address_of_a_whole_prefix_is_found_at_once() {
    let mut ranges = Ranges::default();
    let first: IpAddr = "2001:db8::".parse().unwrap();
    let last: IpAddr = "2001:db8::ffff:ffff:ffff:ffff".parse().unwrap();
    ranges.add(AddressRange::new(first, last).unwrap());
    let found = ranges.free::<()>(IpFamily::IPv6, &BTreeMap::new(), &|_| false, u64::MAX);
    assert!(found.is_some_and(|a| ranges.contains(a)));
    assert_eq!(ranges.count(IpFamily::IPv6), 1 << 64);
}

#[test]
fn the_lowest_shared_address_is_named() {
    let (mut a, mut b) = (Ranges::default(), Ranges::default());
    a.add(range(10, 20));
    b.add(range(30, 40));
    assert_eq!(a.first_shared(&b), None);
    b.add(range(18, 19));
    assert_eq!(a.first_shared(&b), Some(IpAddr::from([10, 0, 0, 18])));
}
