//! A history put in order: versions of objects by resourceVersion, which is
//! the order in which the API server took the writes, whatever the order in
//! which separate watches showed them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use serde_json::Value;

use crate::evidence::history::{Loss, Mark, Record, What};

/// One version of an object.
pub struct Version<'a> {
    /// When the watch showed it.
    pub at_us: u64,
    /// Its resourceVersion; of an end that was only noticed by a new list: the
    /// highest one known then.
    pub rv: u64,
    pub kind: &'a str,
    pub gone: bool,
    pub object: &'a Value,
}

/// Who holds a gateway at which term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub instance: String,
    pub lease_uid: String,
    pub term: i64,
}

/// A line of a slice, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub word: String,
    pub generation: i64,
    pub fields: Vec<String>,
    /// The line without its generation: how a report names a rejected one.
    pub key: String,
}

/// Lines by the UID of their object.
pub type Lines = BTreeMap<String, Vec<Line>>;

/// What an instance reported.
pub struct Report {
    pub at_us: u64,
    pub rv: u64,
    pub instance: String,
    pub active: Option<(String, i64)>,
    /// `None`: a slice that it names was never seen.
    pub lines: Option<Rc<Lines>>,
    pub rejected: BTreeSet<String>,
    pub unusable: BTreeSet<IpAddr>,
    pub blocked: bool,
}

/// One version of a gateway's Lease.
pub struct Holding {
    pub at_us: u64,
    pub rv: u64,
    pub key: (String, String),
    /// `None`: nobody holds it, or it is gone.
    pub pair: Option<Pair>,
    pub renewed: String,
    pub duration_us: u64,
}

/// The kinds that prove what is Ready.
const EVIDENCE: [&str; 4] = ["GatewayConfig", "GatewayInstance", "Lease", "RuleSlice"];

/// A history in order.
pub struct Timeline<'a> {
    /// All versions, by resourceVersion.
    pub versions: Vec<Version<'a>>,
    /// All reports, by resourceVersion.
    pub reports: Vec<Report>,
    /// All versions of Leases of gateways, by resourceVersion.
    pub holdings: Vec<Holding>,
    pub marks: Vec<(u64, &'a Mark)>,
    pub losses: Vec<&'a Loss>,
    /// Between which resourceVersions evidence may have come and gone unseen.
    gaps: Vec<(u64, u64)>,
    /// When the last record was made.
    pub end_us: u64,
}

impl<'a> Timeline<'a> {
    pub fn new(records: &'a [Record]) -> Self {
        let mut timeline = Self {
            versions: Vec::new(),
            reports: Vec::new(),
            holdings: Vec::new(),
            marks: Vec::new(),
            losses: Vec::new(),
            gaps: Vec::new(),
            end_us: records.last().map_or(0, |record| record.at_us),
        };
        let mut highest = 0;
        for Record { at_us, what } in records {
            match what {
                What::Object { kind, gone, object } => {
                    let own = str_at(object, "/metadata/resourceVersion")
                        .parse()
                        .unwrap_or(0);
                    let rv = if *gone { highest.max(own) } else { own };
                    highest = highest.max(rv);
                    timeline.versions.push(Version {
                        at_us: *at_us,
                        rv,
                        kind,
                        gone: *gone,
                        object,
                    });
                }
                What::Mark(mark) => timeline.marks.push((*at_us, mark)),
                What::Loss(loss) => timeline.losses.push(loss),
                What::Gap { kind, from, to } if EVIDENCE.contains(&kind.as_str()) => {
                    timeline.gaps.push((*from, *to));
                }
                What::Leak(_) | What::Gap { .. } => {}
            }
        }
        timeline.versions.sort_by_key(|version| version.rv);
        timeline.holdings = timeline.versions.iter().filter_map(holding).collect();
        timeline.reports = reports(&timeline.versions);
        timeline
    }

    /// Whether what was there at that resourceVersion may not have been seen.
    pub fn is_unseen(&self, rv: u64) -> bool {
        self.gaps.iter().any(|(from, to)| *from < rv && rv <= *to)
    }

    /// The versions of one kind, by resourceVersion.
    pub fn of<'t>(&'t self, kind: &'t str) -> impl Iterator<Item = &'t Version<'a>> {
        self.versions
            .iter()
            .filter(move |version| version.kind == kind)
    }

    /// The versions of every object of some kinds: by kind, namespace, name, UID.
    pub fn lives(&self, kinds: &[&str]) -> BTreeMap<Life, Vec<&Version<'a>>> {
        let mut out: BTreeMap<Life, Vec<&Version<'a>>> = BTreeMap::new();
        for version in self
            .versions
            .iter()
            .filter(|version| kinds.contains(&version.kind))
        {
            out.entry(version.life()).or_default().push(version);
        }
        out
    }

    /// Whether a mark was made just then.
    pub fn is_mark(&self, at_us: u64) -> bool {
        self.marks.iter().any(|(at, _)| *at == at_us)
    }

    /// Who held any gateway when the clock showed `at_us`.
    pub fn holders_when(&self, at_us: u64) -> Vec<Pair> {
        let mut now: BTreeMap<&(String, String), Option<&Pair>> = BTreeMap::new();
        for holding in self
            .holdings
            .iter()
            .filter(|holding| holding.at_us <= at_us)
        {
            now.insert(&holding.key, holding.pair.as_ref());
        }
        now.into_values().flatten().cloned().collect()
    }

    /// Who held the gateway at `rv`.
    pub fn holder_at(&self, lease: &(String, String), rv: u64) -> Option<&Pair> {
        let last = self
            .holdings
            .iter()
            .rfind(|holding| holding.rv <= rv && holding.key == *lease);
        last.and_then(|holding| holding.pair.as_ref())
    }
}

/// One life of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl Life {
    /// `Kind/namespace/name`.
    pub fn text(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

impl Version<'_> {
    pub fn life(&self) -> Life {
        Life {
            kind: self.kind.to_owned(),
            namespace: str_at(self.object, "/metadata/namespace").to_owned(),
            name: str_at(self.object, "/metadata/name").to_owned(),
            uid: self.uid().to_owned(),
        }
    }

    pub fn uid(&self) -> &str {
        str_at(self.object, "/metadata/uid")
    }

    /// Whether the object exists and its Ready condition is True.
    pub fn is_ready(&self) -> bool {
        !self.gone && condition(self.object, "Ready", "status") == "True"
    }

    /// Whether it is gone or on its way.
    pub fn is_ending(&self) -> bool {
        self.gone || !str_at(self.object, "/metadata/deletionTimestamp").is_empty()
    }

    /// The pair that an EIP's status names.
    pub fn pair(&self) -> Option<Pair> {
        let holder = self.object.pointer("/status/holder")?;
        Some(Pair {
            instance: str_at(holder, "/instance").to_owned(),
            lease_uid: str_at(holder, "/leaseUID").to_owned(),
            term: holder.pointer("/term")?.as_i64()?,
        })
    }

    /// The Lease of the gateway that an EIP names.
    pub fn lease(&self) -> (String, String) {
        let own = str_at(self.object, "/metadata/namespace");
        let named = str_at(self.object, "/spec/gateway/namespace");
        let namespace = if named.is_empty() { own } else { named };
        (
            namespace.to_owned(),
            format!("sluice-{}", str_at(self.object, "/spec/gateway/name")),
        )
    }

    /// The addresses in an EIP's status.
    pub fn addresses(&self) -> Vec<IpAddr> {
        ["/status/ipv4", "/status/ipv6"]
            .iter()
            .filter_map(|at| str_at(self.object, at).parse().ok())
            .collect()
    }
}

/// A text in an object, empty when it is not there.
pub fn str_at<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A field of a condition, empty when it is not there.
pub fn condition<'v>(object: &'v Value, kind: &str, field: &str) -> &'v str {
    let all = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let found = all
        .into_iter()
        .flatten()
        .find(|condition| str_at(condition, "/type") == kind);
    found
        .and_then(|condition| condition.get(field))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn holding(version: &Version<'_>) -> Option<Holding> {
    let object = version.object;
    let name = str_at(object, "/metadata/name");
    let labelled = object
        .pointer("/metadata/labels/sluice.dev~1gateway-uid")
        .is_some();
    if version.kind != "Lease" || !labelled || !name.starts_with("sluice-") {
        return None;
    }
    let instance = str_at(object, "/spec/holderIdentity");
    let pair = (!version.gone && !instance.is_empty()).then(|| Pair {
        instance: instance.to_owned(),
        lease_uid: version.uid().to_owned(),
        term: object
            .pointer("/spec/leaseTransitions")
            .and_then(Value::as_i64)
            .unwrap_or(0),
    });
    let seconds = object
        .pointer("/spec/leaseDurationSeconds")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    Some(Holding {
        at_us: version.at_us,
        rv: version.rv,
        key: (
            str_at(object, "/metadata/namespace").to_owned(),
            name.to_owned(),
        ),
        pair,
        renewed: str_at(object, "/spec/renewTime").to_owned(),
        duration_us: seconds * 1_000_000,
    })
}

fn reports(versions: &[Version<'_>]) -> Vec<Report> {
    let mut slices: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    for version in versions
        .iter()
        .filter(|version| version.kind == "RuleSlice")
    {
        let namespace = str_at(version.object, "/metadata/namespace");
        slices.insert(
            (namespace, str_at(version.object, "/metadata/name")),
            version.object,
        );
    }
    let mut known: BTreeMap<Vec<String>, Option<Rc<Lines>>> = BTreeMap::new();
    let mut out = Vec::new();
    for version in versions
        .iter()
        .filter(|version| version.kind == "GatewayInstance" && !version.gone)
    {
        let Some(status) = version.object.pointer("/status") else {
            continue;
        };
        let namespace = str_at(version.object, "/metadata/namespace");
        let names = strings(status.pointer("/applied/slices"));
        let applied = status
            .pointer("/applied")
            .is_some_and(|applied| !applied.is_null());
        let mut key = vec![namespace.to_owned()];
        key.extend(names.iter().cloned());
        let lines = if applied {
            known
                .entry(key)
                .or_insert_with(|| lines_of(&slices, namespace, &names))
                .clone()
        } else {
            Some(Rc::default())
        };
        let list = |at: &str| {
            status
                .pointer(at)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        out.push(Report {
            at_us: version.at_us,
            rv: version.rv,
            instance: str_at(status, "/instance").to_owned(),
            active: status
                .pointer("/active")
                .filter(|active| !active.is_null())
                .map(|active| {
                    (
                        str_at(active, "/leaseUID").to_owned(),
                        active
                            .pointer("/term")
                            .and_then(Value::as_i64)
                            .unwrap_or(-1),
                    )
                }),
            lines,
            rejected: list("/rejected")
                .map(|entry| str_at(entry, "/key").to_owned())
                .collect(),
            unusable: list("/unusable")
                .filter_map(|entry| str_at(entry, "/address").parse().ok())
                .collect(),
            blocked: list("/problems")
                .any(|problem| problem.pointer("/blocking") == Some(&Value::Bool(true))),
        });
    }
    out
}

fn lines_of(
    slices: &BTreeMap<(&str, &str), &Value>,
    namespace: &str,
    names: &[String],
) -> Option<Rc<Lines>> {
    let mut lines = Lines::new();
    for name in names {
        let slice = slices.get(&(namespace, name.as_str()))?;
        for text in strings(slice.pointer("/spec/entries")) {
            let words: Vec<&str> = text.split(' ').collect();
            let [word, uid, generation, fields @ ..] = words.as_slice() else {
                continue;
            };
            let line = Line {
                word: (*word).to_owned(),
                generation: generation.parse().unwrap_or(-1),
                fields: fields.iter().map(|field| (*field).to_owned()).collect(),
                key: format!("{word} {uid} {}", fields.join(" ")),
            };
            lines.entry((*uid).to_owned()).or_default().push(line);
        }
    }
    Some(Rc::new(lines))
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let all = list.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}
