//! `who`: who had a port of an EIP, by the log lines of flows.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::output::table;

/// One line of the log; docs/flow-log.md says what each key means.
#[derive(Clone, Debug, Deserialize)]
struct Line {
    kind: String,
    event: String,
    time: Timestamp,
    #[serde(default)]
    started: Option<Timestamp>,
    #[serde(default)]
    id: u64,
    #[serde(default)]
    gateway: String,
    #[serde(default)]
    direction: String,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    inside_address: Option<IpAddr>,
    #[serde(default)]
    inside_port: u16,
    #[serde(default)]
    eip_address: Option<IpAddr>,
    #[serde(default)]
    eip_port: u16,
    #[serde(default)]
    peer_address: Option<IpAddr>,
    #[serde(default)]
    peer_port: u16,
}

/// One use of the port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is its column")]
pub struct Use {
    pub gateway: String,
    pub inside: String,
    pub peer: String,
    pub protocol: String,
    pub direction: String,
    pub from: Option<Timestamp>,
    /// Unset: it has not ended, as far as the log goes.
    pub until: Option<Timestamp>,
}

/// Who had `endpoint`, at a moment or ever. Lines that are no flows are passed over.
#[must_use]
pub fn who<'a>(
    lines: impl Iterator<Item = &'a str>,
    endpoint: SocketAddr,
    at: Option<Timestamp>,
) -> Vec<Use> {
    let mut uses: BTreeMap<(String, u64), Use> = BTreeMap::new();
    for line in lines {
        let Ok(line) = serde_json::from_str::<Line>(line) else {
            continue;
        };
        let about = line.kind == "flow"
            && line.eip_address == Some(endpoint.ip())
            && line.eip_port == endpoint.port();
        if !about {
            continue;
        }
        let end = |address: Option<IpAddr>, port: u16| {
            address.map_or_else(String::new, |a| SocketAddr::new(a, port).to_string())
        };
        let entry = uses
            .entry((line.gateway.clone(), line.id))
            .or_insert_with(|| Use {
                gateway: line.gateway.clone(),
                inside: end(line.inside_address, line.inside_port),
                peer: end(line.peer_address, line.peer_port),
                protocol: line.protocol.clone(),
                direction: line.direction.clone(),
                from: None,
                until: None,
            });
        match line.event.as_str() {
            "start" => entry.from = Some(line.time),
            "end" => {
                entry.until = Some(line.time);
                entry.from = entry.from.or(line.started);
            }
            _ => {}
        }
    }
    let had = |one: &Use| {
        at.is_none_or(|at| {
            one.from.is_none_or(|from| from <= at) && one.until.is_none_or(|until| at <= until)
        })
    };
    let mut uses: Vec<Use> = uses.into_values().filter(had).collect();
    uses.sort_by_key(|one| one.from);
    uses
}

/// The same as text.
#[must_use]
pub fn text(uses: &[Use], endpoint: SocketAddr) -> String {
    if uses.is_empty() {
        return format!(
            "no line of a log of flows names {endpoint}; flowLog has to be Stdout, and the Pod that wrote it to be there still"
        );
    }
    let mut rows = vec![
        [
            "INSIDE",
            "PEER",
            "PROTOCOL",
            "DIRECTION",
            "FROM",
            "UNTIL",
            "GATEWAY",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    rows.extend(uses.iter().map(|one| {
        vec![
            one.inside.clone(),
            one.peer.clone(),
            one.protocol.clone(),
            one.direction.clone(),
            time(one.from),
            time(one.until),
            one.gateway.clone(),
        ]
    }));
    table(&rows)
}

#[cfg(test)]
mod tests;
