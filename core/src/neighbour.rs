//! The watch over the MAC addresses of next hops and own interfaces.
//!
//! A neighbour's MAC that changes is invisible to whoever has a static entry for it: only
//! an answer to an own question shows which MAC the next hop has. So each next hop in use
//! is asked every few seconds, however many EIPs there are, and the kernel's entry is
//! compared with who answered.
//!
//! One round begins when a next hop is asked and ends when it is asked again:
//!
//! ```text
//! heard in the round   what it means
//! nobody               missed; after 3 in a row: does not answer, until 2 rounds in a row
//!                      are answered
//! one MAC              that is its MAC; the kernel's entry must have it
//! several              a rival, or one that takes over just now: nothing is repaired;
//!                      after 2 rounds in a row it is told
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use sluice_crds::internal::{NeighbourChange, Problem};

use crate::agent::Millis;

#[cfg(test)]
mod tests;

/// Rounds without an answer after which a next hop counts as silent.
const MISSES: u32 = 3;
/// Answered rounds after which it does not any more.
const ANSWERS: u32 = 2;
/// Rounds with several answers after which they are told.
const RIVAL_ROUNDS: u32 = 2;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A next hop in use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    /// The interface that it is behind.
    pub interface: String,
    /// Its address.
    pub address: IpAddr,
}

/// What is to be told, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A next hop answers from another MAC than before.
    Changed {
        /// The next hop.
        hop: NextHop,
        /// Its MAC before.
        from: Mac,
        /// Its MAC now.
        to: Mac,
        /// Milliseconds since the last answer from the old one: how long packets may have
        /// gone nowhere.
        since_ms: u64,
    },
    /// The kernel sends to another MAC than the next hop answers from.
    Mismatch {
        /// The next hop.
        hop: NextHop,
        /// The kernel's MAC.
        kernel: Mac,
        /// The next hop's MAC.
        real: Mac,
    },
    /// It does not any more.
    Matches {
        /// The next hop.
        hop: NextHop,
        /// The kernel's wrong MAC.
        was: Mac,
        /// Its MAC.
        is: Mac,
        /// How long the mismatch lasted since it was seen, in milliseconds.
        lasted_ms: u64,
        /// Whether this instance mended it.
        repaired: bool,
    },
    /// A next hop does not answer.
    Silent {
        /// The next hop.
        hop: NextHop,
    },
    /// It answers again.
    Answers {
        /// The next hop.
        hop: NextHop,
        /// How long it did not, in milliseconds.
        lasted_ms: u64,
    },
    /// An own interface has another MAC.
    OwnChanged {
        /// The interface.
        interface: String,
        /// Its MAC before.
        from: Mac,
        /// Its MAC now.
        to: Mac,
    },
}

/// The watch.
#[derive(Clone, Debug, Default)]
pub struct Neighbourhood {
    hops: BTreeMap<NextHop, Watched>,
    own: BTreeMap<String, Own>,
}

/// What is known of a next hop.
#[derive(Clone, Debug, Default)]
struct Watched {
    asked_at: Option<Millis>,
    /// Who answered in this round.
    heard: BTreeSet<Mac>,
    /// The MAC that it answered from last, alone, and when.
    mac: Option<(Mac, Millis)>,
    missed: u32,
    answered: u32,
    silent_since: Option<Millis>,
    rival_rounds: u32,
    rivals: BTreeSet<Mac>,
    /// The kernel's wrong MAC, since when, and whether it was replaced.
    mismatch: Option<Mismatch>,
    told: Told,
}

#[derive(Clone, Copy, Debug)]
struct Mismatch {
    kernel: Mac,
    since: Millis,
    repaired: bool,
}

/// An own interface.
#[derive(Clone, Debug)]
struct Own {
    mac: Mac,
    told: Told,
}

/// What the report says.
#[derive(Clone, Debug, Default)]
struct Told {
    changes: i64,
    mismatch_ms: u64,
    message: String,
}

impl Told {
    fn change(&mut self, message: String) {
        self.changes = self.changes.saturating_add(1);
        self.message = message;
    }
}

impl Neighbourhood {
    /// Watches these next hops and no others. What is known of those that stay is kept.
    pub fn follow(&mut self, hops: impl IntoIterator<Item = NextHop>) {
        let mut known = std::mem::take(&mut self.hops);
        for hop in hops {
            let watched = known.remove(&hop).unwrap_or_default();
            self.hops.insert(hop, watched);
        }
    }

    /// Ends the rounds that are `interval_ms` old and says whom to ask now. A next hop that
    /// `may_ask` is false for, because its interface is down, is neither asked nor judged.
    pub fn ask(
        &mut self,
        now: Millis,
        interval_ms: u64,
        may_ask: impl Fn(&NextHop) -> bool,
    ) -> (Vec<NextHop>, Vec<News>) {
        let (mut ask, mut news) = (Vec::new(), Vec::new());
        for (hop, watched) in &mut self.hops {
            if !may_ask(hop) {
                watched.pause();
                continue;
            }
            let due = watched
                .asked_at
                .is_none_or(|at| now.0 >= at.0.saturating_add(interval_ms));
            if due {
                if watched.asked_at.is_some() {
                    news.extend(watched.end_round(hop, now));
                }
                watched.asked_at = Some(now);
                ask.push(hop.clone());
            }
        }
        (ask, news)
    }

    /// A next hop answered from a MAC. Others than those watched are nothing.
    pub fn heard(&mut self, hop: &NextHop, mac: Mac) {
        if let Some(watched) = self.hops.get_mut(hop) {
            watched.heard.insert(mac);
        }
    }

    /// Believes what was heard, once all of it was taken in.
    pub fn believe(&mut self, now: Millis) -> Vec<News> {
        let hops = self.hops.iter_mut();
        hops.filter_map(|(hop, watched)| watched.believe(hop, now))
            .collect()
    }

    /// Whom to compare with the kernel's entries: those that have answered in this round,
    /// from one MAC.
    #[must_use]
    pub fn certain(&self) -> Vec<(NextHop, Mac)> {
        self.hops
            .iter()
            .filter_map(|(hop, watched)| Some((hop.clone(), watched.certain()?)))
            .collect()
    }

    /// The kernel's entry has this MAC; `None`: it has none, and will ask itself.
    pub fn entry(&mut self, now: Millis, hop: &NextHop, entry: Option<Mac>) -> Option<News> {
        let watched = self.hops.get_mut(hop)?;
        let real = watched.certain()?;
        match (entry.filter(|kernel| *kernel != real), watched.mismatch) {
            (None, None) => None,
            (Some(kernel), Some(mismatch)) if mismatch.kernel == kernel => None,
            (Some(kernel), _) => {
                watched.mismatch = Some(Mismatch {
                    kernel,
                    since: now,
                    repaired: false,
                });
                Some(News::Mismatch {
                    hop: hop.clone(),
                    kernel,
                    real,
                })
            }
            (None, Some(mismatch)) => {
                watched.mismatch = None;
                let lasted_ms = now.0.saturating_sub(mismatch.since.0);
                let told = &mut watched.told;
                told.mismatch_ms = told.mismatch_ms.saturating_add(lasted_ms);
                let how = if mismatch.repaired {
                    "its entry was replaced"
                } else {
                    "its entry was corrected by others"
                };
                told.change(format!(
                    "the kernel sent to {} for next hop {} on {}, which is {real}: {how} {lasted_ms} ms after it was seen",
                    mismatch.kernel, hop.address, hop.interface
                ));
                Some(News::Matches {
                    hop: hop.clone(),
                    was: mismatch.kernel,
                    is: real,
                    lasted_ms,
                    repaired: mismatch.repaired,
                })
            }
        }
    }

    /// Whether the kernel's entry of a next hop was wrong when it was last compared.
    #[must_use]
    pub fn is_wrong(&self, hop: &NextHop) -> bool {
        self.hops.get(hop).is_some_and(|w| w.mismatch.is_some())
    }

    /// The kernel's wrong entry of a next hop was replaced.
    pub fn repaired(&mut self, hop: &NextHop) {
        let mismatch = self.hops.get_mut(hop).and_then(|w| w.mismatch.as_mut());
        if let Some(mismatch) = mismatch {
            mismatch.repaired = true;
        }
    }

    /// An own interface has this MAC.
    pub fn own(&mut self, interface: &str, mac: Mac) -> Option<News> {
        let Some(own) = self.own.get_mut(interface) else {
            let first = Own {
                mac,
                told: Told::default(),
            };
            self.own.insert(interface.to_owned(), first);
            return None;
        };
        let from = std::mem::replace(&mut own.mac, mac);
        if from == mac {
            return None;
        }
        own.told.change(format!(
            "the MAC of own interface {interface} changed from {from} to {mac}: all addresses are announced anew"
        ));
        Some(News::OwnChanged {
            interface: interface.to_owned(),
            from,
            to: mac,
        })
    }

    /// What is wrong now. Nothing of it stops what is on the link itself, so none blocks.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let problem = |reason: &str, message: String| Problem {
            reason: reason.to_owned(),
            message,
            blocking: false,
        };
        let mut problems = Vec::new();
        for (hop, watched) in &self.hops {
            let NextHop { interface, address } = hop;
            if let (Some(mismatch), Some((real, _))) = (watched.mismatch, watched.mac) {
                problems.push(problem(
                    "NextHopMACMismatch",
                    format!(
                        "next hop {address} on {interface} answers from {real}, and the kernel sends to {}: remove the static neighbour entry, or set neighbours.macPolicy to Repair",
                        mismatch.kernel
                    ),
                ));
            }
            if watched.rival_rounds >= RIVAL_ROUNDS {
                let macs: Vec<String> = watched.rivals.iter().map(Mac::to_string).collect();
                problems.push(problem(
                    "NextHopConflict",
                    format!(
                        "next hop {address} on {interface} is answered for by {}: take it from all but one",
                        macs.join(" and ")
                    ),
                ));
            }
            if watched.silent_since.is_some() {
                problems.push(problem(
                    "NextHopUnreachable",
                    format!(
                        "next hop {address} on {interface} does not answer: what is beyond it cannot be reached; look at the router and at the link"
                    ),
                ));
            }
        }
        problems
    }

    /// What the report keeps: everything that there was something to tell of.
    #[must_use]
    pub fn changes(&self) -> Vec<NeighbourChange> {
        let record = |interface: &str, address: Option<IpAddr>, told: &Told| {
            (told.changes > 0).then(|| NeighbourChange {
                interface: interface.to_owned(),
                address: address.map(|address| address.to_string()),
                changes: told.changes,
                mismatch_ms: i64::try_from(told.mismatch_ms).unwrap_or(i64::MAX),
                message: told.message.clone(),
            })
        };
        let own = self.own.iter();
        let own = own.filter_map(|(interface, own)| record(interface, None, &own.told));
        let hops = self.hops.iter();
        own.chain(hops.filter_map(|(hop, w)| record(&hop.interface, Some(hop.address), &w.told)))
            .collect()
    }
}

impl Watched {
    /// The MAC of the only one who answered in this round, while there is no rival.
    fn alone(&self) -> Option<Mac> {
        let only = self.heard.first().filter(|_| self.heard.len() == 1);
        only.filter(|_| self.rival_rounds == 0).copied()
    }

    /// Its MAC, where it has answered in this round and nobody else has.
    fn certain(&self) -> Option<Mac> {
        let (mac, _) = self.mac?;
        self.alone().filter(|only| *only == mac)
    }

    fn believe(&mut self, hop: &NextHop, now: Millis) -> Option<News> {
        let mac = self.alone()?;
        let before = self.mac.replace((mac, now));
        let (from, at) = before.filter(|(from, _)| *from != mac)?;
        let since_ms = now.0.saturating_sub(at.0);
        self.told.change(format!(
            "next hop {} on {} changed its MAC from {from} to {mac}; the last answer from the old one was {since_ms} ms before",
            hop.address, hop.interface
        ));
        Some(News::Changed {
            hop: hop.clone(),
            from,
            to: mac,
            since_ms,
        })
    }

    fn pause(&mut self) {
        self.asked_at = None;
        self.heard.clear();
        self.missed = 0;
        self.silent_since = None;
    }

    fn end_round(&mut self, hop: &NextHop, now: Millis) -> Option<News> {
        let heard = std::mem::take(&mut self.heard);
        if heard.len() > 1 {
            self.rival_rounds = self.rival_rounds.saturating_add(1);
            self.rivals = heard.clone();
        } else {
            self.rival_rounds = 0;
        }
        if heard.is_empty() {
            self.answered = 0;
            self.missed = self.missed.saturating_add(1);
            if self.missed < MISSES || self.silent_since.is_some() {
                return None;
            }
            self.silent_since = Some(now);
            return Some(News::Silent { hop: hop.clone() });
        }
        self.missed = 0;
        self.answered = self.answered.saturating_add(1);
        if self.answered < ANSWERS {
            return None;
        }
        let since = self.silent_since.take()?;
        Some(News::Answers {
            hop: hop.clone(),
            lasted_ms: now.0.saturating_sub(since.0),
        })
    }
}
