//! Numbers that spread well, for choices that look random and are always the same.

/// A bijection of 64 bits that spreads each bit over all: the finalizer of MurmurHash3 with
/// the constants of its variant 13, which SplitMix64 (Steele, Lea and Flood, 2014) ends with.
#[must_use]
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// By which the state of SplitMix64 grows from one number to the next.
pub const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number that SplitMix64 draws in a state.
#[must_use]
pub fn split_mix(state: u64) -> u64 {
    mix(state.wrapping_add(STEP))
}
