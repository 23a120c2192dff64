//! Chance that a seed repeats (SplitMix64).

use crate::spread::{STEP, split_mix};

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        let drawn = split_mix(self.0);
        self.0 = self.0.wrapping_add(STEP);
        drawn
    }

    /// A number below `n`, 0 where that is 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n.max(1)).unwrap();
        usize::try_from(self.next() % n).unwrap()
    }

    /// Whether a thing of this chance happens.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
