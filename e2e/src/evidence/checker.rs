//! The rules that a history must obey. They are written from the protocol, not
//! from the product: nothing of `sluice-core` is used here, objects are read
//! as plain JSON.
//!
//! | rule | says |
//! | --- | --- |
//! | `evidence` | a Ready=True was preceded by the Lease and by the report that prove it |
//! | `superseded` | a True that names a former holder is gone within 1 s + N/500 s |
//! | `expired` | no True outlives a Lease that is not renewed |
//! | `traffic` | after a True that names the holder, probes pass until the next fault |
//! | `writes` | at most two status writes from creation to Ready |
//! | `unique` | no address belongs to two EIPs |
//! | `idle` | where nothing changes nothing is written but renewals |
//! | `leak` | no packet with an inside source was seen outside |

mod evidence;
mod lasting;
mod quiet;
#[cfg(test)]
mod tests;
mod timeline;
mod traffic;

use std::fmt;

use super::history::{Mark, Record, What};
use timeline::Timeline;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name.
    pub rule: &'static str,
    /// `Kind/namespace/name`, or whatever it is about.
    pub object: String,
    /// When, on the history's clock.
    pub at_us: u64,
    /// What is wrong, with what was found and what was wanted.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = std::time::Duration::from_micros(self.at_us).as_secs_f64();
        write!(
            f,
            "{} at {seconds:.3} s: {}: {}",
            self.rule, self.object, self.text
        )
    }
}

/// What differs from scenario to scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Whether the rule `writes` holds: no fault is injected before all is Ready.
    pub few_writes: bool,
    /// Added to the bounds of `superseded` and `expired`, microseconds: what
    /// the observer itself may be late.
    pub slack_us: u64,
}

/// Packets with an inside source, but on hosts whose inside hosts start.
fn leaks(records: &[Record], out: &mut Vec<Violation>) {
    let mut starting = std::collections::BTreeSet::new();
    for record in records {
        match &record.what {
            What::Mark(Mark::Starting { host }) => {
                starting.insert(host);
            }
            What::Mark(Mark::Started { host }) => {
                starting.remove(host);
            }
            What::Leak(leak) if !starting.contains(&leak.host) => out.push(Violation {
                rule: "leak",
                object: format!("{} {}", leak.host, leak.interface),
                at_us: record.at_us,
                text: format!("a packet with an inside source: {}", leak.bytes),
            }),
            _ => {}
        }
    }
}

/// All violations in a history, in the order of time.
#[must_use]
pub fn check(records: &[Record], demands: Demands) -> Vec<Violation> {
    let timeline = Timeline::new(records);
    let mut out = Vec::new();
    evidence::check(&timeline, &mut out);
    lasting::superseded(&timeline, demands.slack_us, &mut out);
    lasting::expired(&timeline, demands.slack_us, &mut out);
    traffic::check(&timeline, &mut out);
    quiet::unique(&timeline, &mut out);
    quiet::idle(&timeline, &mut out);
    if demands.few_writes {
        quiet::writes(&timeline, &mut out);
    }
    leaks(records, &mut out);
    out.sort_by_key(|violation| violation.at_us);
    out
}
