//! This process' clock: milliseconds since it started, also counting the time
//! for which the machine slept.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sluice_core::operator::event::Millis;

static START: OnceLock<u64> = OnceLock::new();

fn boot_millis() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
}

/// Now. The first call makes the origin.
#[must_use]
pub fn now() -> Millis {
    let start = *START.get_or_init(boot_millis);
    Millis(boot_millis().saturating_sub(start))
}

/// How long it is from now until `when`; nothing if that is past.
#[must_use]
pub fn until(when: Millis) -> Duration {
    Duration::from_millis(when.0.saturating_sub(now().0))
}
