//! Rules `superseded` and `expired`: a True does not outlast its reason.

use std::collections::BTreeMap;

use super::Violation;
use super::evidence::{covers, is_by, newest_eips};
use super::timeline::{Holding, Life, Pair, Timeline, Version, str_at};
use crate::evidence::history::Mark;

/// How long a superseded True may stand: this, and this for each object.
const BASE_US: u64 = 1_000_000;
const EACH_US: u64 = 1_000_000 / 500;

type Lives<'t, 'a> = BTreeMap<Life, Vec<&'t Version<'a>>>;
type Eips<'t, 'a> = BTreeMap<(String, String), Vec<&'t Version<'a>>>;

/// After a Lease shows another pair, no True may stand on the one before for
/// longer than S.
pub fn superseded(timeline: &Timeline<'_>, slack_us: u64, out: &mut Vec<Violation>) {
    let lives = timeline.lives(&["EIP", "FIP", "DNAT", "SNAT"]);
    let eips = newest_eips(timeline);
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
            let deadline = deadline(timeline, &lives, &eips, change, change.at_us, slack_us);
            let next = changes
                .get(place + 1)
                .map_or(timeline.end_us, |next| next.at_us);
            if deadline < next {
                stands(
                    timeline,
                    &lives,
                    &eips,
                    change,
                    change.pair.as_ref(),
                    deadline,
                    "superseded",
                    out,
                );
            }
        }
    }
}

/// After a Lease was not renewed for its duration, no True may stand on it for
/// longer than S.
pub fn expired(timeline: &Timeline<'_>, slack_us: u64, out: &mut Vec<Violation>) {
    let lives = timeline.lives(&["EIP", "FIP", "DNAT", "SNAT"]);
    let eips = newest_eips(timeline);
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
            let from = last.at_us + last.duration_us;
            let deadline = deadline(timeline, &lives, &eips, last, from, slack_us);
            if deadline < next {
                stands(
                    timeline, &lives, &eips, last, None, deadline, "expired", out,
                );
            }
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

/// `from` + S, S counted only while the operator can write.
fn deadline(
    timeline: &Timeline<'_>,
    lives: &Lives<'_, '_>,
    eips: &Eips<'_, '_>,
    lease: &Holding,
    from: u64,
    slack_us: u64,
) -> u64 {
    let served = lives.iter().filter(|(life, versions)| {
        versions
            .first()
            .is_some_and(|first| lease_of(life, first, eips, first.rv).as_ref() == Some(&lease.key))
    });
    let bound = BASE_US + EACH_US * u64::try_from(served.count()).unwrap_or(0) + slack_us;
    let mut deadline = from + bound;
    let mut out_since = None;
    for (at, mark) in &timeline.marks {
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

/// Adds a violation for every object of the Lease that is True at `at` without
/// `pair` standing behind it.
#[allow(
    clippy::too_many_arguments,
    reason = "two rules share it, each with its own moment"
)]
fn stands(
    timeline: &Timeline<'_>,
    lives: &Lives<'_, '_>,
    eips: &Eips<'_, '_>,
    lease: &Holding,
    pair: Option<&Pair>,
    at: u64,
    rule: &'static str,
    out: &mut Vec<Violation>,
) {
    for (life, versions) in lives {
        let Some(version) = versions.iter().rfind(|version| version.at_us <= at) else {
            continue;
        };
        if !version.is_ready() || version.is_ending() {
            continue;
        }
        if lease_of(life, version, eips, version.rv).as_ref() != Some(&lease.key) {
            continue;
        }
        // An EIP that moved here after the Lease showed that pair is not late by it.
        let here = |version: &&&Version<'_>| {
            lease_of(life, version, eips, version.rv).as_ref() == Some(&lease.key)
        };
        let known = versions.iter().rev().skip_while(|v| v.at_us > at);
        let came = known.take_while(here).last();
        let was_elsewhere = came.map(|c| c.rv) != versions.first().map(|first| first.rv);
        if was_elsewhere && came.is_some_and(|came| came.at_us > lease.at_us) {
            continue;
        }
        let eip = eip_of(life, version, eips, u64::MAX, at);
        let stands = match (life.kind.as_str(), pair) {
            (_, None) => false,
            ("EIP", Some(pair)) => version.pair().as_ref() == Some(pair),
            (_, Some(pair)) => timeline
                .reports
                .iter()
                .filter(|report| report.at_us <= at && is_by(report, pair))
                .any(|report| covers(report, version, eip).is_ok()),
        };
        if !stands {
            let now = pair.map_or("nobody".to_owned(), |pair| {
                format!("{} at term {}", pair.instance, pair.term)
            });
            out.push(Violation {
                rule,
                object: life.text(),
                at_us: at,
                text: format!(
                    "still Ready=True (resourceVersion {}) although the Lease has shown {now} since {:.3} s",
                    version.rv,
                    std::time::Duration::from_micros(lease.at_us).as_secs_f64()
                ),
            });
        }
    }
}

fn lease_of(
    life: &Life,
    version: &Version<'_>,
    eips: &Eips<'_, '_>,
    rv: u64,
) -> Option<(String, String)> {
    if life.kind == "EIP" {
        return Some(version.lease());
    }
    eip_of(life, version, eips, rv, u64::MAX).map(Version::lease)
}

fn eip_of<'t, 'a>(
    life: &Life,
    version: &Version<'_>,
    eips: &Eips<'t, 'a>,
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
    eips.get(&key)?
        .iter()
        .rfind(|eip| eip.rv <= rv && eip.at_us <= at)
        .copied()
}
