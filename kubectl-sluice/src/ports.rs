//! `ports` and `drift`: what instances report of themselves.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::output::table;
use crate::world::{Key, World};

/// An EIP that runs short of ports, or whose SNAT refuses sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is its column")]
pub struct Short {
    pub gateway: String,
    pub address: String,
    pub eip: String,
    pub reason: String,
    pub message: String,
}

/// What runs short, of the instances that hold.
#[must_use]
pub fn short(world: &World) -> Vec<Short> {
    let names: BTreeMap<&str, String> = world
        .eips
        .iter()
        .flat_map(|eip| {
            let status = eip.status.as_ref();
            let both = [
                status.and_then(|s| s.ipv4.as_deref()),
                status.and_then(|s| s.ipv6.as_deref()),
            ];
            both.into_iter()
                .flatten()
                .map(|a| (a, Key::of(&eip.metadata).to_string()))
        })
        .collect();
    let mut all = Vec::new();
    for report in &world.instances {
        let Some(status) = report.status.as_ref().filter(|s| s.active.is_some()) else {
            continue;
        };
        let namespace = report.metadata.namespace.clone().unwrap_or_default();
        all.extend(status.shortages.iter().map(|shortage| {
            Short {
                gateway: Key::new(&namespace, &report.spec.gateway).to_string(),
                address: shortage.address.clone(),
                eip: names
                    .get(shortage.address.as_str())
                    .cloned()
                    .unwrap_or_default(),
                reason: shortage.reason.clone(),
                message: shortage.message.clone(),
            }
        }));
    }
    all
}

/// The same as text.
#[must_use]
pub fn short_text(all: &[Short]) -> String {
    if all.is_empty() {
        return "no EIP runs short of ports".to_owned();
    }
    let mut rows = vec![
        ["ADDRESS", "EIP", "GATEWAY", "REASON", "MESSAGE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(all.iter().map(|s| {
        vec![
            s.address.clone(),
            s.eip.clone(),
            s.gateway.clone(),
            s.reason.clone(),
            s.message.clone(),
        ]
    }));
    table(&rows)
}

/// What an instance undid, and what is wrong with it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is its column")]
pub struct Drift {
    pub gateway: String,
    pub pod: String,
    pub repairs: i64,
    pub problems: Vec<String>,
    pub neighbours: Vec<String>,
}

/// What every instance says of foreign changes.
#[must_use]
pub fn drift(world: &World) -> Vec<Drift> {
    let line = |report: &sluice_crds::GatewayInstance| {
        let key = Key::of(&report.metadata);
        let status = report.status.clone().unwrap_or_default();
        Drift {
            gateway: Key::new(&key.namespace, &report.spec.gateway).to_string(),
            pod: key.name,
            repairs: status.drift_repairs,
            problems: status
                .problems
                .iter()
                .map(|p| format!("{}: {}", p.reason, p.message))
                .collect(),
            neighbours: status
                .neighbours
                .iter()
                .map(|n| format!("{}: {}", n.interface, n.message))
                .collect(),
        }
    };
    world.instances.iter().map(line).collect()
}

/// The same as text.
#[must_use]
pub fn drift_text(all: &[Drift]) -> String {
    let mut rows = vec![
        ["GATEWAY", "POD", "REPAIRS", "WHAT"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for one in all {
        let mut what: Vec<&String> = one.problems.iter().chain(&one.neighbours).collect();
        let none = "nothing is wrong now".to_owned();
        if what.is_empty() {
            what.push(&none);
        }
        for (n, words) in what.into_iter().enumerate() {
            let first = |text: &str| {
                if n == 0 {
                    text.to_owned()
                } else {
                    String::new()
                }
            };
            rows.push(vec![
                first(&one.gateway),
                first(&one.pod),
                first(&one.repairs.to_string()),
                words.clone(),
            ]);
        }
    }
    table(&rows)
}
