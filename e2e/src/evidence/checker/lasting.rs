//! Rules `superseded` and `expired`: a True does not outlast its reason.

use std::collections::BTreeMap;

use super::Violation;
use super::evidence::{covers, is_by, newest_eips};
use super::timeline::{Holding, Life, Pair, Timeline, Version, str_at};
use crate::evidence::history::Mark;

/// How long a superseded True may stand: this, and this for each object.
const BASE_US: u64 = 1_000_000;
const EACH_US: u64 = 1_000_000 / 500;

/// After a Lease shows another pair, no True may stand on the one before for
/// longer than S.
pub fn superseded(timeline: &Timeline<'_>, slack_us: u64, out: &mut Vec<Violation>) {
    let past = Past::of(timeline, slack_us);
    for all in leases(timeline).into_values() {
        let mut pair = None;
        let changes: Vec<&Holding> = all
            .into_iter()
            .filter(|holding| {
                let changed = holding.pair != pair;
                pair.clone_from(&holding.pair);
                changed
            })
            .collect();
        for (place, change) in changes.iter().enumerate() {
            let span = Span {
                lease: change,
                pair: change.pair.as_ref(),
                from_us: change.at_us,
                until_us: changes
                    .get(place + 1)
                    .map_or(timeline.end_us, |next| next.at_us),
            };
            past.outlasted(&span, "superseded", out);
        }
    }
}

/// After a Lease was not renewed for its duration, no True may stand on it for
/// longer than S.
pub fn expired(timeline: &Timeline<'_>, slack_us: u64, out: &mut Vec<Violation>) {
    let past = Past::of(timeline, slack_us);
    for all in leases(timeline).into_values() {
        for (place, last) in all.iter().enumerate() {
            let same = |next: &&&Holding| next.pair != last.pair || next.renewed != last.renewed;
            let next = all
                .iter()
                .skip(place + 1)
                .find(same)
                .map_or(timeline.end_us, |next| next.at_us);
            let first = place == 0 || all.get(place - 1).is_none_or(|before| same(&before));
            if last.pair.is_none() || last.duration_us == 0 || !first {
                continue;
            }
            let span = Span {
                lease: last,
                pair: None,
                from_us: last.at_us + last.duration_us,
                until_us: next,
            };
            past.outlasted(&span, "expired", out);
        }
    }
}

fn leases<'t>(timeline: &'t Timeline<'_>) -> BTreeMap<&'t (String, String), Vec<&'t Holding>> {
    let mut out: BTreeMap<_, Vec<&Holding>> = BTreeMap::new();
    for holding in &timeline.holdings {
        out.entry(&holding.key).or_default().push(holding);
    }
    out
}

/// A stretch of time in which a True of a Lease's objects may stand on `pair` only.
struct Span<'t> {
    lease: &'t Holding,
    /// `None`: no True may stand at all.
    pair: Option<&'t Pair>,
    from_us: u64,
    until_us: u64,
}

/// What is known of all objects, at all times.
struct Past<'t, 'a> {
    timeline: &'t Timeline<'a>,
    lives: BTreeMap<Life, Vec<&'t Version<'a>>>,
    eips: BTreeMap<(String, String), Vec<&'t Version<'a>>>,
    slack_us: u64,
}

impl<'t, 'a> Past<'t, 'a> {
    fn of(timeline: &'t Timeline<'a>, slack_us: u64) -> Self {
        Self {
            timeline,
            lives: timeline.lives(&["EIP", "FIP", "DNAT", "SNAT"]),
            eips: newest_eips(timeline),
            slack_us,
        }
    }

    /// Adds a violation for every object of the Lease that, S after the span began,
    /// or S after the object came into it, is True without `pair` behind it.
    fn outlasted(&self, span: &Span<'_>, rule: &'static str, out: &mut Vec<Violation>) {
        let first = self.deadline(span.lease, span.from_us);
        for (life, versions) in &self.lives {
            let came = self.came(life, versions, span.lease, first);
            let at = match came {
                Some(came) if came > span.from_us => self.deadline(span.lease, came),
                _ => first,
            };
            if at >= span.until_us {
                continue;
            }
            let Some(version) = versions.iter().rfind(|version| version.at_us <= at) else {
                continue;
            };
            if !version.is_ready()
                || version.is_ending()
                || !self.is_of(life, version, span.lease)
                || self.is_backed(life, version, span.pair, at)
            {
                continue;
            }
            let now = span.pair.map_or("nobody".to_owned(), |pair| {
                format!("{} at term {}", pair.instance, pair.term)
            });
            out.push(Violation {
                rule,
                object: life.text(),
                at_us: at,
                text: format!(
                    "still Ready=True (resourceVersion {}) although the Lease has shown {now} since {:.3} s",
                    version.rv,
                    std::time::Duration::from_micros(span.lease.at_us).as_secs_f64()
                ),
            });
        }
    }

    /// `from` + S, S counted only while the operator can write.
    fn deadline(&self, lease: &Holding, from: u64) -> u64 {
        let served = self.lives.iter().filter(|(life, versions)| {
            versions
                .first()
                .is_some_and(|first| self.is_of(life, first, lease))
        });
        let bound = BASE_US + EACH_US * u64::try_from(served.count()).unwrap_or(0) + self.slack_us;
        let mut deadline = from + bound;
        let mut out_since = None;
        for (at, mark) in &self.timeline.marks {
            match mark {
                Mark::OperatorOut => out_since = out_since.or(Some(*at)),
                Mark::OperatorBack => {
                    let since = out_since.take();
                    if *at > from && since.is_some_and(|since| since < deadline) {
                        deadline = deadline.max(at + bound);
                    }
                }
                _ => {}
            }
        }
        // The operator never came back: nothing can be asked of it.
        if out_since.is_some_and(|since| since < deadline) {
            u64::MAX
        } else {
            deadline
        }
    }

    /// When the object moved to the Lease that it has at `at`; `None` if it was
    /// with it from its first version on, or is not with it.
    fn came(
        &self,
        life: &Life,
        versions: &[&Version<'_>],
        lease: &Holding,
        at: u64,
    ) -> Option<u64> {
        let known = versions.iter().take_while(|version| version.at_us <= at);
        let before = known
            .enumerate()
            .filter(|(_, version)| !self.is_of(life, version, lease))
            .last()?;
        versions
            .get(before.0 + 1)
            .filter(|came| came.at_us <= at)
            .map(|came| came.at_us)
    }

    fn is_of(&self, life: &Life, version: &Version<'_>, lease: &Holding) -> bool {
        let of = if life.kind == "EIP" {
            Some(version.lease())
        } else {
            self.eip_of(life, version, version.rv, u64::MAX)
                .map(Version::lease)
        };
        of.as_ref() == Some(&lease.key)
    }

    /// Whether `pair` stands behind a True at `at`.
    fn is_backed(&self, life: &Life, version: &Version<'_>, pair: Option<&Pair>, at: u64) -> bool {
        let eip = self.eip_of(life, version, u64::MAX, at);
        match (life.kind.as_str(), pair) {
            (_, None) => false,
            ("EIP", Some(pair)) => version.pair().as_ref() == Some(pair),
            (_, Some(pair)) => self
                .timeline
                .reports
                .iter()
                .filter(|report| report.at_us <= at && is_by(report, pair))
                .any(|report| covers(report, version, eip).is_ok()),
        }
    }

    /// The rule's EIP, as it was at a resourceVersion and a time.
    fn eip_of(
        &self,
        life: &Life,
        version: &Version<'_>,
        rv: u64,
        at: u64,
    ) -> Option<&'t Version<'a>> {
        let pointer = if life.kind == "SNAT" {
            "/spec/eips/0/name"
        } else {
            "/spec/eip/name"
        };
        let key = (
            life.namespace.clone(),
            str_at(version.object, pointer).to_owned(),
        );
        self.eips
            .get(&key)?
            .iter()
            .rfind(|eip| eip.rv <= rv && eip.at_us <= at)
            .copied()
    }
}
