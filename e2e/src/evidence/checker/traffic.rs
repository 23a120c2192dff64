//! Rule `traffic`: after a True that names the current holder, probes pass
//! until the next fault.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Violation;
use super::timeline::{Life, Pair, Timeline, Version, condition, str_at};
use crate::evidence::history::{Harm, Mark};
use crate::evidence::prober::{INTERVAL_US, PATIENCE_US};

/// So many requests in a row may be lost by the observer's own queues.
const TOLERATED: u64 = 2;
/// A longer run of losses breaks the rule when it lasts this long in a window.
const TOLERATED_US: u64 = TOLERATED * INTERVAL_US;
/// The same for datagrams to a pod, whose echo program may have to wait for a
/// processor; pings of the same address, which its kernel answers, do not.
const TOLERATED_ECHO_US: u64 = 25 * INTERVAL_US;

type Window = (u64, u64);

/// An EIP's life, the addresses that it had, and when their traffic is promised.
struct Promise {
    life: Life,
    addresses: BTreeSet<IpAddr>,
    windows: Vec<Window>,
}

/// Compares what was lost with when each EIP and FIP was Ready.
pub fn check(timeline: &Timeline<'_>, out: &mut Vec<Violation>) {
    let mut eips: Vec<Promise> = Vec::new();
    for (life, versions) in timeline.lives(&["EIP"]) {
        let windows = promised(timeline, &life, &versions);
        let addresses = versions.iter().flat_map(|v| v.addresses()).collect();
        eips.push(Promise {
            life,
            addresses,
            windows,
        });
    }
    let mut fips: Vec<(Life, String, Vec<Window>)> = Vec::new();
    for (life, versions) in timeline.lives(&["FIP"]) {
        let named = |first: &&Version<'_>| str_at(first.object, "/spec/eip/name").to_owned();
        let eip =
            format!("EIP/{}/", life.namespace) + &versions.first().map(named).unwrap_or_default();
        let own = promised(timeline, &life, &versions);
        fips.push((life, eip, own));
    }
    for loss in timeline.losses.iter().filter(|loss| loss.lost > TOLERATED) {
        // A predecessor of the same name may have had other addresses.
        let of_eip = |name: &str| -> Vec<Window> {
            let had = |eip: &&Promise| {
                let asked = loss.address.parse::<IpAddr>();
                eip.life.text() == name && asked.is_ok_and(|ip| eip.addresses.contains(&ip))
            };
            let lives = eips.iter().filter(had);
            lives.flat_map(|eip| eip.windows.clone()).collect()
        };
        let of_fips = fips.iter().filter(|(life, ..)| life.text() == loss.object);
        let mut own = of_eip(&loss.object);
        own.extend(of_fips.flat_map(|(_, eip, windows)| intersect(windows, &of_eip(eip))));
        for (from, to) in &own {
            // What is on its way when a test does harm may never be answered.
            let flight = if timeline.is_mark(*to) {
                PATIENCE_US
            } else {
                INTERVAL_US
            };
            let (first, last) = (
                loss.from_us.max(*from),
                loss.to_us.min(to.saturating_sub(flight)),
            );
            let tolerated = if loss.object.starts_with("FIP/") {
                TOLERATED_ECHO_US
            } else {
                TOLERATED_US
            };
            if last >= first + tolerated {
                out.push(Violation {
                    rule: "traffic",
                    object: loss.object.clone(),
                    at_us: first,
                    text: format!(
                        "no answer from {} for {} ms while Ready=True since {:.3} s",
                        loss.address,
                        (last - first) / 1000,
                        std::time::Duration::from_micros(*from).as_secs_f64()
                    ),
                });
            }
        }
    }
}

enum Step<'t, 'a> {
    Version(&'t Version<'a>),
    Fault(Harm),
    /// The beginning of every instance of a pod that ends.
    Doom(String),
    Retire,
}

/// When traffic of an object is promised.
fn promised(timeline: &Timeline<'_>, life: &Life, versions: &[&Version<'_>]) -> Vec<Window> {
    let mut steps: Vec<(u64, Step<'_, '_>)> = versions
        .iter()
        .map(|version| (version.at_us, Step::Version(version)))
        .collect();
    for (at, mark) in &timeline.marks {
        match mark {
            Mark::Fault { harm, .. } => steps.push((*at, Step::Fault(*harm))),
            Mark::Doom { pod } => steps.push((*at, Step::Doom(format!("pod/{pod}/")))),
            Mark::Retire { objects } if objects.iter().any(|object| names(object, life)) => {
                steps.push((*at, Step::Retire));
            }
            _ => {}
        }
    }
    steps.sort_by_key(|(at, _)| *at);

    let mut out = Vec::new();
    let mut open: Option<u64> = None;
    let mut close =
        |open: &mut Option<u64>, at: u64| out.extend(open.take().map(|from| (from, at)));
    let (mut pair, mut was_ready): (Option<Pair>, bool) = (None, false);
    // Pairs that can serve no more, and the generation that is promised nothing.
    let mut lost: Vec<Pair> = Vec::new();
    let mut doomed: Vec<String> = Vec::new();
    let mut harmed = false;
    let mut retired: Option<i64> = None;
    let mut generation = 0;
    for (at, step) in steps {
        match step {
            Step::Fault(harm) => {
                close(&mut open, at);
                harmed = life.kind == "EIP";
                if harm == Harm::Holder {
                    lost.extend(timeline.holders_when(at));
                }
                // A rule names no pair; its EIP's window closes for it.
            }
            Step::Doom(pod) => doomed.push(pod),
            Step::Retire => {
                close(&mut open, at);
                retired = Some(generation);
            }
            Step::Version(version) => {
                generation = version
                    .object
                    .pointer("/metadata/generation")
                    .and_then(|g| g.as_i64())
                    .unwrap_or(0);
                let ready = version.is_ready() && !version.is_ending();
                let named = version.pair();
                let turned = ready && (!was_ready || named != pair);
                let current = life.kind != "EIP" || holds(timeline, version, named.as_ref());
                let ends = |pair: &Pair| doomed.iter().any(|pod| pair.instance.starts_with(pod));
                let dead = named
                    .as_ref()
                    .is_some_and(|named| lost.contains(named) || ends(named));
                let renewed =
                    retired.is_none_or(|old| generation > old && speaks_of(version) == generation);
                if ready && current && !dead && renewed && (turned || !harmed) {
                    harmed = false;
                    retired = None;
                    open = open.or(Some(at));
                } else if !ready {
                    close(&mut open, at);
                }
                (pair, was_ready) = (named, ready);
            }
        }
    }
    close(&mut open, timeline.end_us);
    if life.kind == "EIP" {
        out
    } else {
        fill(out, versions, timeline)
    }
}

/// Windows of a rule: a fault does not end its own promise (its EIP's window
/// says when that begins again), so what a fault cut is joined.
fn fill(windows: Vec<Window>, versions: &[&Version<'_>], timeline: &Timeline<'_>) -> Vec<Window> {
    let faults: Vec<u64> = timeline
        .marks
        .iter()
        .filter(|(_, mark)| matches!(mark, Mark::Fault { .. }))
        .map(|(at, _)| *at)
        .collect();
    let mut out = Vec::new();
    for (from, to) in windows {
        let end = versions
            .iter()
            .filter(|version| version.at_us >= to && (!version.is_ready() || version.is_ending()))
            .map(|version| version.at_us)
            .min()
            .unwrap_or(timeline.end_us);
        out.push((from, if faults.contains(&to) { end } else { to }));
    }
    out
}

/// Whether the Lease showed that very pair when the version was written.
fn holds(timeline: &Timeline<'_>, version: &Version<'_>, pair: Option<&Pair>) -> bool {
    pair.is_some() && timeline.holder_at(&version.lease(), version.rv) == pair
}

fn speaks_of(version: &Version<'_>) -> i64 {
    let all = version
        .object
        .pointer("/status/conditions")
        .and_then(|all| all.as_array());
    let ready = all
        .into_iter()
        .flatten()
        .find(|one| str_at(one, "/type") == "Ready");
    let observed = ready.and_then(|ready| ready.pointer("/observedGeneration")?.as_i64());
    if condition(version.object, "Ready", "status") == "True" {
        observed.unwrap_or(-1)
    } else {
        -1
    }
}

/// Whether `Kind/namespace/name` or `Kind/*` names that object.
fn names(object: &str, life: &Life) -> bool {
    object == life.text()
        || object
            .strip_suffix("/*")
            .is_some_and(|kind| kind == life.kind)
}

fn intersect(a: &[Window], b: &[Window]) -> Vec<Window> {
    let mut out = Vec::new();
    for (from, to) in a {
        for (other_from, other_to) in b {
            let window = (*from.max(other_from), *to.min(other_to));
            if window.0 < window.1 {
                out.push(window);
            }
        }
    }
    out
}
