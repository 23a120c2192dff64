//! Rules about what must not be written: no address twice, no status often, no
//! object when nothing changes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::Violation;
use super::evidence::is_by;
use super::timeline::{Timeline, str_at};
use crate::evidence::history::Mark;

/// How many status writes an object may take from its creation to Ready.
const WRITES: usize = 2;

/// No address stands in the status of two EIPs at once, and none is given to an
/// EIP while the holder's kernel has it for another.
pub fn unique(timeline: &Timeline<'_>, out: &mut Vec<Violation>) {
    let mut owners: BTreeMap<IpAddr, (String, String)> = BTreeMap::new();
    for version in timeline.of("EIP") {
        let life = version.life();
        let addresses = if version.gone {
            Vec::new()
        } else {
            version.addresses()
        };
        owners.retain(|address, (uid, _)| *uid != life.uid || addresses.contains(address));
        for address in addresses {
            let wrong = |text: String| Violation {
                rule: "unique",
                object: life.text(),
                at_us: version.at_us,
                text,
            };
            match owners.get(&address) {
                Some((uid, _)) if *uid == life.uid => continue,
                Some((_, name)) => out.push(wrong(format!(
                    "{address} belongs to {name} at the same time"
                ))),
                None => {}
            }
            owners.insert(address, (life.uid.clone(), life.text()));
            let lease = version.lease();
            let Some(pair) = timeline.holder_at(&lease, version.rv) else {
                continue;
            };
            let report = timeline
                .reports
                .iter()
                .rfind(|report| report.rv < version.rv && is_by(report, pair));
            let lines = report.and_then(|report| report.lines.as_ref());
            let other = lines
                .into_iter()
                .flat_map(|lines| lines.iter())
                .find(|(uid, lines)| {
                    **uid != life.uid
                        && lines.iter().any(|line| {
                            line.word == "addr"
                                && line
                                    .fields
                                    .first()
                                    .is_some_and(|field| field.parse() == Ok(address))
                        })
                });
            out.extend(other.map(|(uid, _)| {
                wrong(format!(
                    "{address} is given to it while {} has it for the EIP of UID {uid}",
                    pair.instance
                ))
            }));
        }
    }
}

/// At most two status writes from creation to the first Ready=True.
pub fn writes(timeline: &Timeline<'_>, out: &mut Vec<Violation>) {
    for (life, versions) in timeline.lives(&["EIP", "FIP", "DNAT", "SNAT"]) {
        let status = |object: &Value| object.pointer("/status").cloned();
        let Some(first) = versions.first().filter(|first| {
            first.object.pointer("/status/observedGeneration").is_none() && !first.gone
        }) else {
            continue;
        };
        let Some(ready) = versions.iter().position(|version| version.is_ready()) else {
            continue;
        };
        let mut last = status(first.object);
        let mut count = 0;
        for version in versions.iter().take(ready + 1).skip(1) {
            let now = status(version.object);
            count += usize::from(now != last);
            last = now;
        }
        if count > WRITES {
            out.push(Violation {
                rule: "writes",
                object: life.text(),
                at_us: versions.get(ready).map_or(0, |version| version.at_us),
                text: format!(
                    "{count} status writes until it was Ready, at most {WRITES} are allowed"
                ),
            });
        }
    }
}

/// Between the marks of idleness nothing is written but renewals.
pub fn idle(timeline: &Timeline<'_>, out: &mut Vec<Violation>) {
    let mut from = None;
    let mut spans = Vec::new();
    for (at, mark) in &timeline.marks {
        match mark {
            Mark::IdleFrom => from = Some(*at),
            Mark::IdleTo => spans.extend(from.take().map(|from| (from, *at))),
            _ => {}
        }
    }
    let mut before: BTreeMap<super::timeline::Life, &Value> = BTreeMap::new();
    for version in &timeline.versions {
        let life = version.life();
        let old = before.insert(life.clone(), version.object);
        let in_span = spans
            .iter()
            .any(|(from, to)| (from..to).contains(&&version.at_us));
        // Who leads among operators is no gateway's business.
        let gateways = version
            .object
            .pointer("/metadata/labels/sluice.dev~1gateway-uid");
        let renewal = version.kind == "Lease"
            && (gateways.is_none()
                || !version.gone
                    && old.is_some_and(|old| {
                        without_renewal(old) == without_renewal(version.object)
                    }));
        if in_span && !renewal {
            out.push(Violation {
                rule: "idle",
                object: life.text(),
                at_us: version.at_us,
                text: format!(
                    "written although nothing changed (resourceVersion {})",
                    version.rv
                ),
            });
        }
    }
}

fn without_renewal(lease: &Value) -> Value {
    let mut spec = lease.pointer("/spec").cloned().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("renewTime");
    }
    serde_json::json!([str_at(lease, "/metadata/uid"), spec])
}
