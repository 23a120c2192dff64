//! Rule `evidence`: whoever is Ready was proven Ready before.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::Violation;
use super::timeline::{Life, Pair, Report, Timeline, Version, condition, str_at};

/// Reasons of Ready that say: this very address was seen not to work.
const SEEN_BROKEN: [&str; 2] = ["AddressNotUsable", "NotProgrammed"];

/// Every version that says Ready=True must come after the Lease and the report
/// that prove it, in the API server's own order. Nothing is said of those whose evidence
/// came while the record has a gap.
pub fn check(timeline: &Timeline<'_>, out: &mut Vec<Violation>) {
    let eips = newest_eips(timeline);
    for (life, versions) in timeline.lives(&["EIP", "FIP", "DNAT", "SNAT"]) {
        // A report from before the object was found broken proves nothing after.
        let mut since = 0;
        let mut before: Option<&Version<'_>> = None;
        // A True of an older spec speaks of the gateway which that named.
        let mut spoken: Option<&Version<'_>> = None;
        for version in versions {
            let newest = version.object.pointer("/metadata/generation");
            let current = newest.and_then(Value::as_i64) == Some(observed_generation(version));
            if current || spoken.is_none() {
                spoken = Some(version);
            }
            if version.is_ready() {
                let lease = spoken.unwrap_or(version).lease();
                let wrong = match life.kind.as_str() {
                    "EIP" => eip(timeline, version, &lease, since),
                    _ => rule(timeline, &life, version, &eips, since),
                };
                let wrong = wrong.filter(|_| !timeline.is_unseen(version.rv));
                out.extend(wrong.map(|text| Violation {
                    rule: "evidence",
                    object: life.text(),
                    at_us: version.at_us,
                    text: format!("Ready=True at resourceVersion {}, but {text}", version.rv),
                }));
            } else if life.kind == "EIP"
                && before.is_some_and(Version::is_ready)
                && SEEN_BROKEN.contains(&condition(version.object, "Ready", "reason"))
            {
                let told = before.and_then(Version::pair);
                let denial = timeline.reports.iter().rfind(|report| {
                    report.rv < version.rv
                        && told.as_ref().is_some_and(|pair| is_by(report, pair))
                        && covers_addresses(report, version.uid(), &version.addresses()).is_err()
                });
                since = denial.map_or(since, |report| report.rv);
            }
            before = Some(version);
        }
    }
}

fn eip(
    timeline: &Timeline<'_>,
    version: &Version<'_>,
    lease: &(String, String),
    since: u64,
) -> Option<String> {
    let Some(pair) = version.pair() else {
        return Some("it names no holder".to_owned());
    };
    let addresses = version.addresses();
    if addresses.is_empty() {
        return Some("it has no address".to_owned());
    }
    let held = timeline.holdings.iter().any(|holding| {
        holding.rv < version.rv && holding.key == *lease && holding.pair.as_ref() == Some(&pair)
    });
    if !held {
        return Some(format!(
            "the Lease {}/{} did not show {pair:?} before",
            lease.0, lease.1
        ));
    }
    prove(timeline, &pair, since, version.rv, |report| {
        covers_addresses(report, version.uid(), &addresses)
    })
}

fn rule(
    timeline: &Timeline<'_>,
    life: &Life,
    version: &Version<'_>,
    eips: &BTreeMap<(String, String), Vec<&Version<'_>>>,
    since: u64,
) -> Option<String> {
    let names: Vec<&str> = match version.object.pointer("/spec/eips") {
        Some(Value::Array(all)) => all.iter().map(|eip| str_at(eip, "/name")).collect(),
        _ => vec![str_at(version.object, "/spec/eip/name")],
    };
    // A rule of several EIPs rests on each of them.
    names
        .into_iter()
        .find_map(|name| rule_on(timeline, life, version, (eips, name), since))
}

fn rule_on(
    timeline: &Timeline<'_>,
    life: &Life,
    version: &Version<'_>,
    (eips, name): (&BTreeMap<(String, String), Vec<&Version<'_>>>, &str),
    since: u64,
) -> Option<String> {
    let key = (life.namespace.clone(), name.to_owned());
    let found = eips.get(&key).and_then(|all| {
        let before = all.iter().rfind(|eip| eip.rv < version.rv && !eip.gone);
        // A record that begins amid the objects' lives has each as it was listed.
        let listed = || all.first().filter(|eip| eip.at_us <= version.at_us);
        before.or_else(listed)
    });
    let Some(eip) = found else {
        return Some(format!("there is no EIP {name}"));
    };
    let pairs: Vec<&Pair> = timeline
        .holdings
        .iter()
        .filter(|holding| holding.rv < version.rv && holding.key == eip.lease())
        .filter_map(|holding| holding.pair.as_ref())
        .collect();
    let mut why = "nobody held its gateway before".to_owned();
    for pair in pairs.into_iter().rev() {
        match prove(timeline, pair, since, version.rv, |report| {
            covers_rule(report, version, eip)
        }) {
            None => return None,
            Some(text) => why = text,
        }
    }
    Some(why)
}

/// Looks for a report of `pair` between two resourceVersions that `covers`
/// accepts; `None`: there is one, else why there is not.
fn prove(
    timeline: &Timeline<'_>,
    pair: &Pair,
    since: u64,
    until: u64,
    covers: impl Fn(&Report) -> Result<(), String>,
) -> Option<String> {
    let mut why = format!(
        "no report of {} with active={}@{} came before",
        pair.instance, pair.term, pair.lease_uid
    );
    let own = timeline
        .reports
        .iter()
        .rev()
        .filter(|report| is_by(report, pair));
    for report in own.filter(|report| report.rv < until && report.rv > since) {
        match covers(report) {
            Ok(()) => return None,
            Err(text) => why = format!("the report at {} of {}: {text}", report.rv, pair.instance),
        }
    }
    Some(why)
}

/// Whether the report speaks for that instance at that term.
pub fn is_by(report: &Report, pair: &Pair) -> bool {
    report.instance == pair.instance && report.active == Some((pair.lease_uid.clone(), pair.term))
}

/// Whether the report proves an object as this version of it wants to be.
pub fn covers(
    report: &Report,
    version: &Version<'_>,
    eip: Option<&Version<'_>>,
) -> Result<(), String> {
    match (version.kind, eip) {
        ("EIP", _) => covers_addresses(report, version.uid(), &version.addresses()),
        (_, Some(eip)) => covers_rule(report, version, eip),
        _ => Err("its EIP is gone".to_owned()),
    }
}

/// The EIPs' versions by namespace and name, by resourceVersion.
pub fn newest_eips<'t, 'a>(
    timeline: &'t Timeline<'a>,
) -> BTreeMap<(String, String), Vec<&'t Version<'a>>> {
    let mut out: BTreeMap<(String, String), Vec<&Version<'a>>> = BTreeMap::new();
    for version in timeline.of("EIP") {
        let life = version.life();
        out.entry((life.namespace, life.name))
            .or_default()
            .push(version);
    }
    out
}

fn covers_addresses(report: &Report, uid: &str, addresses: &[IpAddr]) -> Result<(), String> {
    let lines = report
        .lines
        .as_ref()
        .ok_or("a slice that it names was never seen")?;
    if report.blocked {
        return Err("it reports a problem that blocks all".to_owned());
    }
    for address in addresses {
        let own = lines.get(uid).into_iter().flatten();
        let line = own
            .filter(|line| line.word == "addr")
            .find(|line| {
                line.fields
                    .first()
                    .is_some_and(|field| field.parse() == Ok(*address))
            })
            .ok_or_else(|| format!("no entry for {address}"))?;
        if report.rejected.contains(&line.key) {
            return Err(format!("the entry for {address} was rejected"));
        }
        if report.unusable.contains(address) {
            return Err(format!("{address} was not usable"));
        }
    }
    Ok(())
}

fn covers_rule(report: &Report, version: &Version<'_>, eip: &Version<'_>) -> Result<(), String> {
    covers_addresses(report, eip.uid(), &eip.addresses())?;
    let lines = report
        .lines
        .as_ref()
        .ok_or("a slice that it names was never seen")?;
    let generation = observed_generation(version);
    let word = version.kind.to_lowercase();
    let own: Vec<_> = lines
        .get(version.uid())
        .into_iter()
        .flatten()
        .filter(|line| line.word == word)
        .collect();
    if own.is_empty() {
        return Err("no entry for the rule".to_owned());
    }
    for line in &own {
        if line.generation != generation {
            return Err(format!(
                "its entry is of generation {}, Ready speaks of {generation}",
                line.generation
            ));
        }
        if report.rejected.contains(&line.key) {
            return Err("its entry was rejected".to_owned());
        }
    }
    if word == "fip" {
        for inside in inside_addresses(version)
            .into_iter()
            .filter(|ip| has_family(eip, *ip))
        {
            let held = own.iter().any(|line| {
                line.fields
                    .get(1)
                    .is_some_and(|field| field.parse() == Ok(inside))
            });
            if !held {
                return Err(format!("no entry to {inside}"));
            }
        }
    }
    Ok(())
}

fn observed_generation(version: &Version<'_>) -> i64 {
    let all = version
        .object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let ready = all
        .into_iter()
        .flatten()
        .find(|condition| str_at(condition, "/type") == "Ready");
    ready
        .and_then(|ready| ready.pointer("/observedGeneration"))
        .and_then(Value::as_i64)
        .unwrap_or(-1)
}

/// The inside addresses of a FIP, when Ready speaks of the spec that it shows.
fn inside_addresses(version: &Version<'_>) -> Vec<IpAddr> {
    let shown = version
        .object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64);
    if shown != Some(observed_generation(version)) {
        return Vec::new();
    }
    let ips = version
        .object
        .pointer("/spec/target/ips")
        .and_then(Value::as_array);
    ips.into_iter()
        .flatten()
        .filter_map(|ip| ip.as_str()?.parse().ok())
        .collect()
}

fn has_family(eip: &Version<'_>, ip: IpAddr) -> bool {
    eip.addresses()
        .iter()
        .any(|address| address.is_ipv4() == ip.is_ipv4())
}
