//! Changes of inputs: bits, numbers, cuts, repeats, splices, words.

/// Numbers at which length checks go wrong.
const NUMBERS: [u32; 10] = [0, 1, 3, 4, 127, 128, 255, 256, 0xffff, u32::MAX];
/// Longest input that is made.
const LONGEST: usize = 4_096;
/// Most changes that one input gets at once.
const CHANGES: usize = 6;

/// Random numbers (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`; 0 where that is 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> Option<&'a T> {
        list.get(self.below(list.len())).copied()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Another input, made of those that were kept.
    pub fn change(&mut self, kept: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
        let mut input = kept
            .get(self.below(kept.len()))
            .cloned()
            .unwrap_or_default();
        for _ in 0..=self.below(CHANGES) {
            self.change_once(&mut input, kept, words);
        }
        input.truncate(LONGEST);
        input
    }

    fn change_once(&mut self, input: &mut Vec<u8>, kept: &[Vec<u8>], words: &[&str]) {
        let at = self.below(input.len() + 1);
        let to = at + self.below(input.len() - at + 1);
        match self.below(9) {
            0 => {
                let bit = self.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let byte = self.byte();
                if let Some(place) = input.get_mut(at) {
                    *place = byte;
                }
            }
            2 => input.insert(at, self.byte()),
            3 => drop(input.drain(at..to)),
            4 => input.truncate(at),
            5 => {
                let part: Vec<u8> = input.get(at..to).unwrap_or_default().to_vec();
                drop(input.splice(at..at, part));
            }
            6 => {
                let other = kept
                    .get(self.below(kept.len()))
                    .cloned()
                    .unwrap_or_default();
                let tail = self.below(other.len() + 1);
                input.truncate(at);
                input.extend(other.get(tail..).unwrap_or_default());
            }
            7 => {
                let number = NUMBERS.get(self.below(NUMBERS.len())).copied().unwrap_or(0);
                let wide = number.to_ne_bytes();
                let bytes = wide.get(..1 << self.below(3)).unwrap_or(&wide);
                for (place, byte) in input.iter_mut().skip(at).zip(bytes) {
                    *place = *byte;
                }
            }
            _ => {
                let word = self.pick(words).unwrap_or_default();
                drop(input.splice(at..to.min(at + word.len()), word.bytes()));
            }
        }
    }
}
