//! Golden scenarios: `core/tests/scenarios/NAME/in.yaml` is what users and the
//! cluster do, `out.yaml` what comes of each step once nothing moves any more:
//! statuses, claims, and what the gateways' kernels shall have.
//!
//! `BLESS=1 cargo test -p sluice-core scenarios` writes the outputs anew; what
//! has changed is then to be read in the diff.
#![allow(
    clippy::disallowed_methods,
    reason = "reads the scenarios and whether to write them anew"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use sluice_crds::address::parse_hosts;

use super::objects::{inside_pod, key};
use super::server::{conditions, meta, slot_of};
use super::stage::Stage;
use crate::operator::event::{Attached, InsidePodFacts, Key, Kind, Object};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows.
    about: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum Step {
    /// Objects are created, or their specs replaced.
    Apply(Vec<Value>),
    /// Objects are deleted: `EIP tenants/web`.
    Delete(Vec<String>),
    /// The pods of a gateway are deleted and replaced: `net/egress`.
    ReplacePods(String),
    /// Gateways' kernels refuse entries that contain this text.
    Refuse(String),
    /// So many seconds pass.
    Wait(u64),
}

/// A Pod as a rule's target or source, by what counts of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Pod {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: PodMetadata,
    /// Attachment: addresses.
    #[serde(default)]
    attached: BTreeMap<String, Vec<String>>,
    #[serde(default, rename = "podIPs")]
    pod_ips: Vec<String>,
    #[serde(default)]
    host_network: bool,
    #[serde(default)]
    over: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PodMetadata {
    namespace: String,
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Pod {
    fn facts(self) -> InsidePodFacts {
        InsidePodFacts {
            labels: self.metadata.labels,
            host_network: self.host_network,
            over: self.over,
            ips: parse_hosts(&self.pod_ips).unwrap(),
            attached: self
                .attached
                .into_iter()
                .map(|(network, addresses)| Attached {
                    network,
                    addresses: parse_hosts(&addresses).unwrap(),
                })
                .collect(),
            ..inside_pod(&self.metadata.namespace, &self.metadata.name, &[])
        }
    }
}

/// What there is after a step.
#[derive(Serialize)]
struct Outcome {
    /// Kind and name: conditions, and what else the status says.
    objects: BTreeMap<String, BTreeMap<String, String>>,
    /// Name of the claim: phase, owner.
    claims: BTreeMap<String, String>,
    /// Gateway: generation of the header, number of slices, entries in order.
    configs: BTreeMap<String, Vec<String>>,
    /// Gateway: who holds it.
    holders: BTreeMap<String, String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// Reads an object; a field that its kind does not have is an error.
fn object(value: &Value) -> Object {
    fn typed<T: serde::de::DeserializeOwned + Serialize>(value: &Value) -> T {
        let read: T = serde_json::from_value(value.clone()).unwrap();
        let back = serde_json::to_value(&read).unwrap();
        known("", value, &back);
        read
    }
    fn known(path: &str, given: &Value, read: &Value) {
        match (given, read) {
            (Value::Object(given), read) => {
                for (name, value) in given {
                    let path = format!("{path}.{name}");
                    let read = read.get(name);
                    known(
                        &path,
                        value,
                        read.unwrap_or_else(|| panic!("no field {path}")),
                    );
                }
            }
            (Value::Array(given), Value::Array(read)) => {
                for (n, (given, read)) in given.iter().zip(read).enumerate() {
                    known(&format!("{path}[{n}]"), given, read);
                }
            }
            _ => {}
        }
    }
    let mut value = value.clone();
    value["apiVersion"] = "sluice.dev/v1alpha1".into();
    match value["kind"].as_str().unwrap() {
        "NATGateway" => Object::NATGateway(typed(&value)),
        "EIPPool" => Object::EIPPool(typed(&value)),
        "EIP" => Object::EIP(typed(&value)),
        "FIP" => Object::FIP(typed(&value)),
        "DNAT" => Object::DNAT(typed(&value)),
        "SNAT" => Object::SNAT(typed(&value)),
        "Pod" => {
            let pod: Pod = serde_json::from_value(value).unwrap();
            Object::InsidePod(pod.facts())
        }
        other => panic!("scenarios have no {other}"),
    }
}

fn named(text: &str) -> (Kind, Key) {
    let (kind, name) = text.split_once(' ').unwrap();
    if kind == "Pod" {
        return (Kind::InsidePod, name_of(name));
    }
    let kind = crate::operator::USER_KINDS
        .into_iter()
        .find(|k| format!("{k:?}") == kind)
        .unwrap();
    (kind, name_of(name))
}

fn name_of(text: &str) -> Key {
    match text.split_once('/') {
        Some((namespace, name)) => key(namespace, name),
        None => key("", text),
    }
}

fn text_of(kind: Kind, key: &Key) -> String {
    if key.namespace.is_empty() {
        format!("{kind:?} {}", key.name)
    } else {
        format!("{kind:?} {}/{}", key.namespace, key.name)
    }
}

/// Where an instance runs: its boot. Its pod's UID is chance.
fn place(instance: &str) -> &str {
    instance.split('/').nth(2).unwrap_or("nobody")
}

fn take(stage: &mut Stage, step: &Step) {
    match step {
        Step::Apply(values) => {
            for value in values {
                let new = object(value);
                let slot = slot_of(&new);
                if stage.server.objects.contains_key(&slot) {
                    stage.server.change(&slot, true, |old| match (old, new) {
                        (Object::NATGateway(old), Object::NATGateway(new)) => old.spec = new.spec,
                        (Object::EIPPool(old), Object::EIPPool(new)) => old.spec = new.spec,
                        (Object::EIP(old), Object::EIP(new)) => old.spec = new.spec,
                        (Object::FIP(old), Object::FIP(new)) => old.spec = new.spec,
                        (Object::DNAT(old), Object::DNAT(new)) => old.spec = new.spec,
                        (Object::SNAT(old), Object::SNAT(new)) => old.spec = new.spec,
                        (Object::InsidePod(old), Object::InsidePod(new)) => {
                            *old = InsidePodFacts {
                                uid: old.uid.clone(),
                                resource_version: old.resource_version.clone(),
                                ..new
                            };
                        }
                        _ => {}
                    });
                } else {
                    stage.apply(new);
                }
            }
        }
        Step::Delete(names) => {
            for name in names {
                let (kind, key) = named(name);
                assert!(stage.delete(kind, &key.namespace, &key.name), "no {name}");
            }
        }
        Step::ReplacePods(gateway) => {
            let gateway = name_of(gateway);
            let prefix = format!("{}-", sluice_crds::names::child_name(&gateway.name));
            let pods: Vec<_> = stage
                .server
                .all(Kind::Pod)
                .map(slot_of)
                .filter(|(_, _, key)| key.name.starts_with(&prefix))
                .collect();
            assert!(!pods.is_empty(), "{gateway:?} has no pods");
            for pod in pods {
                stage.server.delete(&pod);
            }
        }
        Step::Refuse(text) => {
            let entries: Vec<String> = configs(stage).into_values().flatten().collect();
            for agent in &mut stage.agents {
                for line in entries.iter().filter(|l| l.contains(text)) {
                    let entry: crate::entry::Entry = line.parse().unwrap();
                    agent.refuses.insert(entry.key());
                }
            }
        }
        Step::Wait(seconds) => stage.now.0 += seconds * 1_000,
    }
    stage.settle();
}

fn configs(stage: &Stage) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for header in stage.server.all(Kind::GatewayConfig) {
        let Object::GatewayConfig(header) = header else {
            continue;
        };
        let namespace = header.metadata.namespace.clone().unwrap();
        let entries = header
            .spec
            .slices
            .iter()
            .flat_map(
                |name| match stage.server.get(Kind::RuleSlice, &key(&namespace, name)) {
                    Some(Object::RuleSlice(slice)) => slice.spec.entries.clone(),
                    _ => panic!("slice {name} is missing"),
                },
            )
            .collect();
        let name = format!("{namespace}/{}", header.metadata.name.as_deref().unwrap());
        found.insert(name, entries);
    }
    found
}

fn outcome(stage: &Stage) -> Outcome {
    let mut objects = BTreeMap::new();
    for kind in crate::operator::USER_KINDS {
        for object in stage.server.all(kind) {
            let (_, key, _) = object.identity();
            objects.insert(text_of(kind, &key), status(object));
        }
    }
    let mut claims = BTreeMap::new();
    for object in stage.server.all(Kind::AddressClaim) {
        if let Object::AddressClaim(claim) = object {
            let owner = &claim.spec.owner;
            claims.insert(
                object.identity().1.name,
                format!(
                    "{:?} {:?} {}/{}",
                    claim.spec.phase, owner.kind, owner.namespace, owner.name
                ),
            );
        }
    }
    let holders = stage
        .server
        .all(Kind::Lease)
        .filter_map(|o| match o {
            Object::Lease(l) => Some((
                l.key.name.clone(),
                format!("{} at {}", place(&l.holder), l.transitions),
            )),
            _ => None,
        })
        .collect();
    Outcome {
        objects,
        claims,
        configs: configs(stage),
        holders,
    }
}

fn status(object: &Object) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for c in conditions(object) {
        said.insert(
            c.type_.clone(),
            format!("{} {}: {}", c.status, c.reason, c.message),
        );
    }
    if let Object::EIP(eip) = object {
        let status = eip.status.clone().unwrap_or_default();
        said.insert("ipv4".into(), status.ipv4.unwrap_or_else(|| "none".into()));
        said.insert("ipv6".into(), status.ipv6.unwrap_or_else(|| "none".into()));
        if let Some(holder) = status.holder {
            said.insert(
                "holder".into(),
                format!("{} at {}", place(&holder.instance), holder.term),
            );
        }
    }
    if meta(object).is_some_and(|m| m.deletion_timestamp.is_some()) {
        said.insert("deleting".into(), "yes".into());
    }
    said
}

fn play(scenario: &Scenario) -> Vec<Outcome> {
    let mut stage = Stage::bare();
    scenario
        .steps
        .iter()
        .map(|step| {
            take(&mut stage, step);
            outcome(&stage)
        })
        .collect()
}

#[test]
fn scenarios() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    let mut played = 0;
    let mut names: Vec<_> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let directory = root().join(&name);
        for file in std::fs::read_dir(&directory).unwrap() {
            let file = file.unwrap().file_name();
            assert!(file == "in.yaml" || file == "out.yaml", "{name}/{file:?}");
        }
        let text = std::fs::read_to_string(directory.join("in.yaml")).unwrap();
        let scenario: Scenario =
            serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(
            !scenario.about.is_empty(),
            "{name} does not say what it shows"
        );
        let got = serde_saphyr::to_string(&play(&scenario)).unwrap();
        let path = directory.join("out.yaml");
        played += 1;
        if bless {
            std::fs::write(&path, &got).unwrap();
            continue;
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        if got != wanted {
            let differs = got.lines().zip(wanted.lines()).find(|(a, b)| a != b);
            wrong.push(format!(
                "{name}: got and wanted first differ in {differs:?}"
            ));
        }
    }
    assert!(played >= 12, "{played} scenarios");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
