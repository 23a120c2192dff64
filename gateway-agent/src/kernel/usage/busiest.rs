//! The peers that occur most, in little memory however many there are.

use std::collections::HashMap;
use std::hash::Hash;

/// Peers that are counted at a time: 1.3 MB.
const COUNTED: usize = 16_384;

/// Counts what occurs most (Misra and Gries, 1982): of `n` in all, each count is short by
/// `n / 16384` at most. A gateway's million of connections makes that 61.
#[derive(Debug)]
pub struct Busiest<T> {
    counts: HashMap<T, u32>,
    room: usize,
}

impl<T> Default for Busiest<T> {
    fn default() -> Self {
        Self {
            counts: HashMap::new(),
            room: COUNTED,
        }
    }
}

impl<T: Eq + Hash + Ord> Busiest<T> {
    /// One more.
    pub fn count(&mut self, what: T) {
        if let Some(count) = self.counts.get_mut(&what) {
            *count = count.saturating_add(1);
        } else if self.counts.len() < self.room {
            self.counts.insert(what, 1);
        } else {
            // This one, and one of each that is counted, cancel each other out.
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// Those that were counted `least` times or more.
    pub fn counts<C: FromIterator<(T, u32)>>(self, least: u32) -> C {
        let counts = self.counts.into_iter();
        counts.filter(|(_, count)| *count >= least).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_occurs_most_is_found_among_more_than_there_is_room_for() {
        let mut busiest = Busiest {
            room: 100,
            ..Busiest::default()
        };
        // One in two is the same, the rest occur once each.
        for n in 0..100_000_u32 {
            busiest.count(0);
            busiest.count(n + 1);
        }
        assert!(busiest.counts.len() <= 100);
        let found: BTreeMap<u32, u32> = busiest.counts(90_000);
        assert_eq!(found.len(), 1);
        assert!(
            found
                .get(&0)
                .is_some_and(|n| (98_000..=100_000).contains(n))
        );
    }
}
