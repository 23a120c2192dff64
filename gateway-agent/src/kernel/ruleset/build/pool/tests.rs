#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{POOL_SLOTS, slots};

/// Addresses next to each other, as pools hand them out.
fn pool(v4: bool, count: u8) -> Vec<IpAddr> {
    let one = |n: u8| match v4 {
        true => Ipv4Addr::new(10, 155, 30, 200 + n).into(),
        false => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 14, n.into()).into(),
    };
    (0..count).map(one).collect()
}

fn owners(pool: &[IpAddr]) -> Vec<IpAddr> {
    slots(pool).into_iter().map(|index| pool[index]).collect()
}

#[test]
fn who_leaves_a_pool_moves_its_own_slots_only() {
    for v4 in [true, false] {
        for count in 2..=16 {
            let all = pool(v4, count);
            let before = owners(&all);
            for gone in 0..all.len() {
                let mut rest = all.clone();
                let left = rest.remove(gone);
                for (was, is) in before.iter().zip(owners(&rest)) {
                    assert!(*was == is || *was == left, "{was} to {is} when {left} left");
                }
            }
        }
    }
}

#[test]
fn the_order_of_a_pool_does_not_matter() {
    let mut all = pool(true, 9);
    let before = owners(&all);
    all.reverse();
    assert_eq!(before, owners(&all));
}

#[test]
fn slots_are_shared_out_evenly() {
    for v4 in [true, false] {
        for count in 2..=16 {
            let mut shares: BTreeMap<IpAddr, u32> = BTreeMap::new();
            for owner in owners(&pool(v4, count)) {
                *shares.entry(owner).or_default() += 1;
            }
            assert_eq!(shares.len(), usize::from(count));
            let fair = POOL_SLOTS / u32::from(count);
            for share in shares.values() {
                assert!(share * 3 >= fair && *share <= fair * 9 / 4, "{shares:?}");
            }
        }
    }
}
