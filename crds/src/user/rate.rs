//! Bits per second, as users write them.

use std::fmt;

use crate::address::Shown;

#[cfg(test)]
mod tests;

/// Bits per second, [`Rate::MIN`] to [`Rate::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

/// A text that is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not a rate: write 10k to 1T bits per second, a number without sign or leading zeros and k, M, G, T, Ki, Mi, Gi or Ti after it, like 10M"
)]
pub struct NotARate(Shown);

/// The longest whole part and fraction of a number, in digits.
const WHOLE_DIGITS: usize = 15;
const FRACTION_DIGITS: usize = 3;

impl Rate {
    /// 10 kbit/s. A segment of 64 KiB takes 52 s at this rate, and the kernel forgets what
    /// takes longer than 60 s (`net/sched/sch_htb.c`, `mbuffer`).
    pub const MIN: Self = Self(10_000);
    /// 1 Tbit/s.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// A rate of so many bits per second; `None` outside of the bounds.
    #[must_use]
    pub fn new(bits: u64) -> Option<Self> {
        let rate = Self(bits);
        (Self::MIN..=Self::MAX).contains(&rate).then_some(rate)
    }

    /// Bits per second.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Parses a Kubernetes quantity of bits per second: `10M`, `1.5G`, `800k`, `64Mi`, with
    /// at most three decimals; fractions of a bit are left out.
    ///
    /// # Errors
    /// [`NotARate`] for a quantity in another form (sign, leading zeros, exponent, milli)
    /// and for one outside of [`Rate::MIN`] to [`Rate::MAX`].
    pub fn parse(text: &str) -> Result<Self, NotARate> {
        parse(text).ok_or_else(|| NotARate(Shown::new(text)))
    }
}

impl fmt::Display for Rate {
    /// Bits per second, in decimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

fn parse(text: &str) -> Option<Rate> {
    let end = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at_checked(end.unwrap_or(text.len()))?;
    let unit: u128 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, digits(fraction, FRACTION_DIGITS)?),
        None => (number, ""),
    };
    let whole = digits(whole, WHOLE_DIGITS)?;
    if whole.starts_with('0') && whole != "0" {
        return None;
    }
    let thousandths: u128 = format!("{whole}{fraction:0<FRACTION_DIGITS$}")
        .parse()
        .ok()?;
    let thousandths = thousandths * unit;
    let bits = thousandths / 1_000;
    // More than the highest by less than a bit is more.
    if !thousandths.is_multiple_of(1_000) && bits == u128::from(Rate::MAX.0) {
        return None;
    }
    Rate::new(u64::try_from(bits).ok()?)
}

/// The text, where it is 1 to `most` decimal digits.
fn digits(text: &str, most: usize) -> Option<&str> {
    let fits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then_some(text)
}
