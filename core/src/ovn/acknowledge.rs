//! Whether the chassis that hosts the gateway port has taken in what was written.
//!
//! ```text
//!  NB_Global.nb_cfg      counted up with each write: need
//!    ovn-northd ->  SB_Global.nb_cfg  and back  NB_Global.sb_cfg
//!      ovn-controller of the hosting chassis ->  Chassis_Private.nb_cfg
//! ```
//!
//! Acknowledged is what all three have reached. `NB_Global.hv_cfg` is the least of all chassis:
//! one dead node would hold everything. `Port_Binding.up` says nothing of flows.
//!
//! A chassis that begins to host has acknowledged nothing as the host, whatever it counted
//! before: the number is counted up once more, and that must come back. A beginning is seen
//! by the port's binding, which is another each time that it changes: the port may have been
//! elsewhere between two looks, and be back.

use crate::agent::Millis;

/// The counters as the databases have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// `NB_Global.nb_cfg`
    pub nb_cfg: i64,
    /// `NB_Global.sb_cfg`
    pub sb_cfg: i64,
    /// `SB_Global.nb_cfg`
    pub southbound: i64,
    /// The chassis that hosts the gateway port.
    pub host: Option<Host>,
    /// Whether an administrator told chassis not to count (newer OVN).
    pub switched_off: bool,
}

/// The chassis to which the gateway port is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub chassis: String,
    /// What tells this binding from every other: `_version` of the port's row.
    pub binding: String,
    /// Its `Chassis_Private.nb_cfg`.
    pub at: Option<i64>,
}

/// Who hosts the gateway port: a chassis, since it last began to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hosting {
    /// Its name.
    pub chassis: String,
    /// Counts the beginnings that were seen, of any chassis; a change of the binding that is
    /// none counts, too.
    pub epoch: u64,
}

/// What is known of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This host has all that was written.
    Acknowledged(Hosting),
    /// `NB_Global.nb_cfg` must be counted up, and [`Acknowledgement::wrote`] told.
    Count,
    /// Not yet.
    Waiting(Waiting),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Waiting {
    /// No chassis hosts the gateway port.
    #[error(
        "NoChassis: no chassis hosts the gateway port: see that a chassis of its list runs ovn-controller"
    )]
    NoChassis,
    /// Chassis do not count.
    #[error(
        "AcksSwitchedOff: chassis are told not to acknowledge (NB_Global options): allow it, else nothing can be known to work"
    )]
    SwitchedOff,
    /// `ovn-northd` has not come so far.
    #[error("NorthdBehind: ovn-northd is at {at}, {need} is needed")]
    Northd {
        /// Its number.
        at: i64,
        /// What was written.
        need: i64,
    },
    /// The chassis has not come so far.
    #[error("ChassisBehind: chassis {chassis} is at {at}, {need} is needed")]
    Chassis {
        /// The host.
        chassis: String,
        /// Its number.
        at: i64,
        /// What was written.
        need: i64,
    },
    /// A number is ahead of what it follows: a database was restored, and is not read whole yet.
    #[error(
        "CountersDisagree: the chassis is at {chassis}, the southbound database at {southbound}, ovn-northd at {northd} of {northbound}"
    )]
    Disagree {
        /// `Chassis_Private.nb_cfg`
        chassis: i64,
        /// `SB_Global.nb_cfg`
        southbound: i64,
        /// `NB_Global.sb_cfg`
        northd: i64,
        /// `NB_Global.nb_cfg`
        northbound: i64,
    },
    /// The host was asked for a sign of life and gave none.
    #[error("ChassisSilent: chassis {0} does not answer: see its ovn-controller")]
    Silent(String),
}

/// How often the host is asked for a sign of life.
const BEAT_MS: u64 = 30_000;
/// How long it may take to give one.
const PATIENCE_MS: u64 = 15_000;

/// The protocol's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    /// What must come back; `None` where nothing that was counted says anything.
    need: Option<i64>,
    /// The chassis, and its binding.
    host: Option<(String, String)>,
    epoch: u64,
    /// When the host last had all.
    heard: Option<Millis>,
    /// A sign of life that was asked for, and when.
    beat: Option<(i64, Millis)>,
}

impl Acknowledgement {
    /// Something was written, and `NB_Global.nb_cfg` counted up to this by the same transaction.
    pub const fn wrote(&mut self, nb_cfg: i64) {
        self.need = Some(nb_cfg);
        self.beat = None;
    }

    /// An earlier process of the gateway has seen so many beginnings.
    pub fn resume(&mut self, epoch: u64) {
        self.epoch = self.epoch.max(epoch);
    }

    /// How many beginnings were seen.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Something was written, and it is not known what the number is.
    pub const fn lost(&mut self) {
        self.need = None;
    }

    /// The number was counted up for a sign of life.
    pub const fn asked(&mut self, now: Millis, nb_cfg: i64) {
        self.beat = Some((nb_cfg, now));
    }

    /// What the host has said is good for nothing any more: until it says something new, it has
    /// said nothing.
    pub const fn doubt(&mut self) {
        self.heard = None;
        self.beat = None;
    }

    /// Whether the host has acknowledged anything since it began to host: what was acknowledged
    /// then stays so while something newer is not yet.
    #[must_use]
    pub const fn is_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// Whether to ask for a sign of life.
    #[must_use]
    pub fn is_beat_due(&self, now: Millis) -> bool {
        let since = |at: Millis| now.0.saturating_sub(at.0);
        self.beat.is_none() && self.heard.is_some_and(|heard| since(heard) >= BEAT_MS)
    }

    /// What the counters say.
    pub fn look(&mut self, now: Millis, counters: &Counters) -> Verdict {
        let Some(host) = &counters.host else {
            self.host = None;
            self.forget();
            return Verdict::Waiting(Waiting::NoChassis);
        };
        let chassis = &host.chassis;
        let binding = Some((chassis.clone(), host.binding.clone()));
        if self.host != binding {
            self.host = binding;
            self.epoch += 1;
            self.forget();
        }
        if counters.switched_off {
            return Verdict::Waiting(Waiting::SwitchedOff);
        }
        let Some(need) = self.need else {
            return Verdict::Count;
        };
        // A number that is lower than what was written: the database is another, or an older one.
        if counters.nb_cfg < need {
            self.forget();
            return Verdict::Count;
        }
        let at = host.at.unwrap_or(-1);
        match behind(need, chassis, at, counters) {
            Some(waiting) => Verdict::Waiting(waiting),
            None => self.alive(now, chassis, at),
        }
    }

    /// The host has all that was written; whether it lives is told by what it was asked.
    fn alive(&mut self, now: Millis, chassis: &str, at: i64) -> Verdict {
        let answered = self.beat.is_none_or(|(need, _)| at >= need);
        if answered && (self.beat.is_some() || self.heard.is_none()) {
            self.heard = Some(now);
            self.beat = None;
        }
        let late = |(_, asked): (i64, Millis)| now.0.saturating_sub(asked.0) >= PATIENCE_MS;
        if self.beat.is_some_and(late) {
            return Verdict::Waiting(Waiting::Silent(chassis.to_owned()));
        }
        Verdict::Acknowledged(Hosting {
            chassis: chassis.to_owned(),
            epoch: self.epoch,
        })
    }

    const fn forget(&mut self) {
        self.need = None;
        self.doubt();
    }
}

fn behind(need: i64, chassis: &str, at: i64, counters: &Counters) -> Option<Waiting> {
    let Counters {
        nb_cfg,
        sb_cfg,
        southbound,
        ..
    } = counters;
    if *sb_cfg < need {
        return Some(Waiting::Northd { at: *sb_cfg, need });
    }
    if at < need {
        return Some(Waiting::Chassis {
            chassis: chassis.to_owned(),
            at,
            need,
        });
    }
    if at > *southbound || sb_cfg > nb_cfg {
        return Some(Waiting::Disagree {
            chassis: at,
            southbound: *southbound,
            northd: *sb_cfg,
            northbound: *nb_cfg,
        });
    }
    None
}

#[cfg(test)]
mod tests;
