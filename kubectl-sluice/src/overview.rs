//! `status`: all of it on one screen.

use serde::Serialize;

use crate::explain::{Operator, Subject, explain, operator};
use crate::options::Format;
use crate::output::{Style, table};
use crate::target::Kind;
use crate::world::{Key, World};

/// How many objects that are not Ready are named in the short form.
const NAMED: usize = 10;

/// What `status` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// How the operator stands, in a line.
    pub operator: String,
    /// Whether it works, as far as can be seen.
    pub operator_works: bool,
    /// Gateways.
    pub gateways: Vec<GatewayLine>,
    /// Pools.
    pub pools: Vec<PoolLine>,
    /// How many objects there are of each kind, and how many are Ready.
    pub counts: Vec<Count>,
    /// What is not Ready, and why.
    pub not_ready: Vec<NotReady>,
}

/// One gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is its column")]
pub struct GatewayLine {
    pub name: String,
    pub ready: String,
    pub reason: String,
    pub holder: String,
    pub node: String,
    pub term: Option<i64>,
    /// Revision that the holder has.
    pub revision: Option<i64>,
    /// Revision that is wanted.
    pub wanted: Option<i64>,
    pub eips: i32,
}

/// One pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is its column")]
pub struct PoolLine {
    pub name: String,
    pub ready: String,
    pub ipv4: String,
    pub ipv6: String,
}

/// How many of a kind there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is its column")]
pub struct Count {
    pub kind: String,
    pub ready: usize,
    pub all: usize,
}

/// One object that is not Ready, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is its column")]
pub struct NotReady {
    pub object: String,
    pub cause: String,
    pub remedy: String,
}

/// Sums the world up.
#[must_use]
pub fn overview(world: &World) -> Overview {
    let (operator, operator_works) = match operator(world) {
        Operator::Leads { identity, ago } => {
            (format!("{identity} leads, renewed {ago} s ago"), true)
        }
        Operator::Down(says, remedy) => (format!("{says}; {remedy}"), false),
        Operator::Unseen => ("you may not see it".to_owned(), true),
    };
    let mut counts = Vec::new();
    let mut not_ready = Vec::new();
    for kind in [
        Kind::NATGateway,
        Kind::EIPPool,
        Kind::EIP,
        Kind::FIP,
        Kind::DNAT,
        Kind::SNAT,
    ] {
        let all: Vec<Subject> = Subject::all(world, kind).collect();
        let is_ready = |s: &&Subject| s.ready().is_some_and(|c| c.status == "True");
        let ready = all.iter().filter(is_ready).count();
        counts.push(Count {
            kind: kind.to_string(),
            ready,
            all: all.len(),
        });
        for subject in all.iter().filter(|s| !is_ready(s)) {
            let why = explain(world, kind, &subject.key);
            not_ready.push(NotReady {
                object: why.object,
                cause: why.cause,
                remedy: why.remedy,
            });
        }
    }
    Overview {
        operator,
        operator_works,
        gateways: gateways(world),
        pools: pools(world),
        counts,
        not_ready,
    }
}

fn gateways(world: &World) -> Vec<GatewayLine> {
    let subjects = Subject::all(world, Kind::NATGateway);
    let line = |(subject, gateway): (Subject, &sluice_crds::NATGateway)| {
        let status = gateway.status.clone().unwrap_or_default();
        let holder = status.holder;
        let ready = subject.ready();
        let config = world.config(&subject.key);
        GatewayLine {
            name: subject.key.to_string(),
            ready: ready.map_or("Unknown", |c| c.status.as_str()).to_owned(),
            reason: ready.map_or("", |c| c.reason.as_str()).to_owned(),
            holder: holder
                .as_ref()
                .map_or_else(|| "-".to_owned(), |h| h.pod.clone()),
            node: holder
                .as_ref()
                .map_or_else(|| "-".to_owned(), |h| h.node.clone()),
            term: holder.as_ref().map(|h| h.term),
            revision: status.revision,
            wanted: config.and_then(|c| c.metadata.generation),
            eips: status.eips,
        }
    };
    subjects.zip(&world.gateways).map(line).collect()
}

fn pools(world: &World) -> Vec<PoolLine> {
    let line = |pool: &sluice_crds::EIPPool| {
        let status = pool.status.clone().unwrap_or_default();
        let usage = |family: Option<sluice_crds::user::FamilyUsage>| {
            family.map_or_else(|| "-".to_owned(), |u| format!("{}/{}", u.used, u.total))
        };
        let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
        PoolLine {
            name: Key::of(&pool.metadata).to_string(),
            ready: ready.map_or("Unknown", |c| c.status.as_str()).to_owned(),
            ipv4: usage(status.ipv4),
            ipv6: usage(status.ipv6),
        }
    };
    world.pools.iter().map(line).collect()
}

impl Overview {
    /// For people.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let operator = format!("operator: {}", self.operator);
        let mut parts = vec![if self.operator_works {
            operator
        } else {
            style.bad(&operator)
        }];
        let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let mut rows = vec![columns(&[
            "GATEWAY", "READY", "REASON", "HOLDER", "NODE", "TERM", "REVISION", "EIPS",
        ])];
        for gateway in &self.gateways {
            let revision = match (gateway.revision, gateway.wanted) {
                (has, Some(wanted)) if has != Some(wanted) => {
                    format!("{} of {wanted}", number(has))
                }
                (has, _) => number(has),
            };
            rows.push(vec![
                gateway.name.clone(),
                gateway.ready.clone(),
                gateway.reason.clone(),
                gateway.holder.clone(),
                gateway.node.clone(),
                number(gateway.term),
                revision,
                gateway.eips.to_string(),
            ]);
        }
        parts.push(table(&rows));
        let mut rows = vec![columns(&["POOL", "READY", "IPV4 USED", "IPV6 USED"])];
        rows.extend(self.pools.iter().map(|p| {
            vec![
                p.name.clone(),
                p.ready.clone(),
                p.ipv4.clone(),
                p.ipv6.clone(),
            ]
        }));
        parts.push(table(&rows));
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|c| format!("{} {}/{}", c.kind, c.ready, c.all))
            .collect();
        parts.push(format!("ready: {}", counts.join(", ")));
        parts.extend(self.faults(style));
        parts.join("\n\n")
    }

    fn faults(&self, style: Style) -> Option<String> {
        let shown = if style.format == Format::Wide {
            usize::MAX
        } else {
            NAMED
        };
        let mut lines: Vec<String> = Vec::new();
        for fault in self.not_ready.iter().take(shown) {
            lines.push(style.bad(&fault.cause));
            lines.push(format!("  → {}", fault.remedy));
        }
        if self.not_ready.len() > shown {
            lines.push(format!(
                "and {} more: -o wide shows them all",
                self.not_ready.len() - shown
            ));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
