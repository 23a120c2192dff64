//! What a round works on: two gateways, objects on them, and what is broken now.

use std::collections::BTreeMap;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::json;
use sluice_crds::names::LABEL_GATEWAY;
use sluice_e2e::Host;
use sluice_e2e::control::Request;
use sluice_e2e::evidence::Mark;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Outcome};
use crate::gateway::{GATEWAY, NS, eip, fip, gateway, tenant};
use crate::operator;
use crate::restore;
use crate::stage::{Stage, text};

/// Where the EIPs' addresses lie.
pub const POOL: [&str; 2] = ["10.155.30.192/26", "2001:db8:1::e:0/112"];
/// The gateway beside the usual one, to and from which EIPs move.
pub const SECOND: &str = "second";
/// EIPs with a FIP each, which are probed.
pub const PAIRS: usize = 6;
/// EIPs that move.
pub const ROAMERS: usize = 2;
/// How long a pair that is going may stay, seconds.
const GOING_SECS: f64 = 90.0;

/// How something that is broken is mended.
pub enum Mend {
    /// A stopped agent goes on.
    Continue(Host),
    /// A node reaches the API server again.
    Heal(String),
    /// A node's programs go on.
    Thaw(String),
    /// A node goes on.
    PowerOn(String),
}

/// The state of a round.
pub struct World {
    /// What is broken, and until when.
    pub broken: Vec<(Instant, Mend)>,
    /// How often each pod's agent was killed: its container is started later each time.
    pub killed: BTreeMap<String, u32>,
    /// Which tenant each pair leads to.
    pub target: [usize; PAIRS],
    /// What the operators' Lease showed when none could write.
    operator: Option<String>,
    /// Whether tenants can answer.
    pub tenants: bool,
    /// The objects that are probed, with the UID of their EIP.
    probed: BTreeMap<String, String>,
    endings: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.endings.abort();
    }
}

impl World {
    /// Makes the gateways and the first objects, all Ready and probed.
    pub fn make(stage: &mut Stage) -> Outcome<Self> {
        scale_operator(stage, 2)?;
        stage.with_gateway()?;
        let mut second = gateway(GATEWAY.0, SECOND, "external");
        if let Some(lan) = second.pointer_mut("/spec/lan/addresses") {
            *lan = json!(["10.244.0.253/16", "fd00:10:244::fd/64"]);
        }
        let mut world = Self {
            broken: Vec::new(),
            killed: BTreeMap::new(),
            target: [0; PAIRS],
            operator: None,
            tenants: true,
            probed: BTreeMap::new(),
            endings: stage.note_endings(&format!("{LABEL_GATEWAY}={}", GATEWAY.1))?,
        };
        let mut eips: Vec<String> = (0..PAIRS).map(pair).collect();
        eips.extend((0..ROAMERS).map(roamer));
        eips.extend(["service".to_owned(), "exit".to_owned()]);
        let mut objects: Vec<_> = eips.iter().map(|name| eip(NS, name)).collect();
        objects.push(second);
        stage.create_all(&objects)?;
        for (n, target) in world.target.iter_mut().enumerate() {
            *target = n;
            stage.create(&fip(NS, &pair(n), &pair(n), tenant(n).1))?;
        }
        for name in &eips {
            stage.wait_seen("EIP", NS, name)?;
        }
        stage.wait_seen("NATGateway", GATEWAY.0, SECOND)?;
        stage.wait_all_ready(60.0)?;
        world.probe(stage)?;
        Ok(world)
    }

    /// Mends what is due, probes what has become Ready, notes an operator that is back.
    pub fn look(&mut self, stage: &mut Stage) -> Outcome {
        self.mend(stage, Instant::now())?;
        self.probe(stage)?;
        let lease = stage.operator_lease();
        if let Some(was) = &mut self.operator {
            if !stage.watches.are_open() {
                // An API server that has just started shows an operator no more than us.
                *was = lease;
            } else if *was != lease && !lease.is_empty() && !self.is_cut() {
                self.operator = None;
                stage.history.mark(Mark::OperatorBack);
            }
        }
        Ok(())
    }

    /// Notes that no operator may be able to write from now on.
    pub fn operator_out(&mut self, stage: &Stage) {
        stage.history.mark(Mark::OperatorOut);
        self.operator = Some(stage.operator_lease());
    }

    /// Whether a node is off, cut off or frozen, which an operator may suffer from.
    pub fn is_cut(&self) -> bool {
        let lasts = |(_, mend): &(Instant, Mend)| !matches!(mend, Mend::Continue(_));
        self.broken.iter().any(lasts)
    }

    fn mend(&mut self, stage: &mut Stage, now: Instant) -> Outcome {
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.broken)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.broken = rest;
        for (_, mend) in due {
            match mend {
                Mend::Continue(host) => {
                    stage.note(format!("{host} goes on"));
                    // Its pod may be gone.
                    let _ = stage.lab.signal(&host, Signal::CONT);
                }
                Mend::Heal(node) => {
                    stage.note(format!("{node} reaches the API server again"));
                    stage.lab.ask(&Request::Partition { node, cut: false })?;
                }
                Mend::Thaw(node) => {
                    stage.note(format!("{node} goes on"));
                    stage.lab.ask(&Request::Freeze {
                        node,
                        frozen: false,
                    })?;
                    self.tenants = true;
                }
                Mend::PowerOn(node) => {
                    stage.note(format!("{node} is powered on"));
                    restore::node_on(stage, &node)?;
                    restore::tenants(stage)?;
                    self.tenants = true;
                }
            }
            // Only a renewal from now on shows that an operator can write.
            if self.operator.is_some() {
                self.operator = Some(stage.operator_lease());
            }
        }
        Ok(())
    }

    /// Mends everything, and waits for an operator that leads.
    pub fn mend_all(&mut self, stage: &mut Stage) -> Outcome {
        while let Some(last) = self.broken.iter().map(|(at, _)| *at).max() {
            self.mend(stage, last)?;
        }
        stage.wait("the API server", 30.0, || {
            stage.list("Node", "", "").is_ok()
        })?;
        // The one that goes may lead.
        self.operator_out(stage);
        scale_operator(stage, 1)?;
        self.operator = None;
        stage.wait_operator(stage.history.now_us(), 90.0)
    }

    /// Makes every pair whole again.
    pub fn complete(&self, stage: &Stage) -> Outcome {
        stage.wait_for("all pairs", GOING_SECS, || {
            for n in 0..PAIRS {
                let name = pair(n);
                let target = self.target.get(n).copied().unwrap_or(n);
                let objects = [eip(NS, &name), fip(NS, &name, &name, tenant(target).1)];
                for object in objects {
                    let kind = text(&object, "/kind");
                    let found = stage.get(&kind, NS, &name).map_err(|e| e.to_string())?;
                    match found {
                        None => {
                            stage.create(&object).map_err(|e| e.to_string())?;
                            return Err(format!("{kind} {name} was just made"));
                        }
                        Some(there) if !text(&there, "/metadata/deletionTimestamp").is_empty() => {
                            return Err(format!("{kind} {name} is still going"));
                        }
                        Some(_) => {}
                    }
                    if stage.live(&kind, NS, &name).is_none() {
                        return Err(format!("{kind} {name} was not seen yet"));
                    }
                }
            }
            Ok(())
        })
    }

    /// Probes each pair that is Ready, is to stay, and is not probed yet.
    pub fn probe(&mut self, stage: &Stage) -> Outcome {
        if !self.tenants {
            return Ok(());
        }
        for n in 0..PAIRS {
            for kind in ["EIP", "FIP"] {
                let name = pair(n);
                let object = format!("{kind}/{NS}/{name}");
                let ready = stage.condition(kind, NS, &name, "Ready").0 == "True";
                let (Some(_), Some(eip)) =
                    (staying(stage, kind, &name), staying(stage, "EIP", &name))
                else {
                    continue;
                };
                if !ready || self.probed.get(&object) == Some(&eip) {
                    continue;
                }
                // An EIP made anew has other addresses.
                stage.prober.remove(&object);
                match stage.probe(kind, NS, &name) {
                    Ok(()) => drop(self.probed.insert(object, eip)),
                    // Its EIP may be gone meanwhile.
                    Err(Failure::Wrong(why)) => stage.note(why),
                    other => return other,
                }
            }
        }
        Ok(())
    }

    /// Ends the probes of a pair's objects, of which nothing is promised any more.
    pub fn retire(&mut self, stage: &Stage, kinds: &[&str], name: &str) {
        let objects: Vec<String> = kinds
            .iter()
            .map(|kind| format!("{kind}/{NS}/{name}"))
            .collect();
        stage.retire(&objects);
        for object in &objects {
            stage.prober.remove(object);
            self.probed.remove(object);
        }
    }

    /// Notes which tenant a pair leads to.
    pub fn aim(&mut self, name: &str, to: usize) {
        let own = (0..PAIRS).find(|n| pair(*n) == name);
        if let Some(target) = own.and_then(|n| self.target.get_mut(n)) {
            *target = to;
        }
    }

    /// Ends all probes while tenants cannot answer.
    pub fn silence(&mut self, stage: &Stage) {
        self.tenants = false;
        self.probed.clear();
        stage.prober.clear();
    }
}

/// The name of a pair's EIP and FIP.
pub fn pair(n: usize) -> String {
    format!("pair-{n}")
}

/// The name of an EIP that moves.
pub fn roamer(n: usize) -> String {
    format!("roam-{n}")
}

/// The UID of an object that exists and is not being deleted.
fn staying(stage: &Stage, kind: &str, name: &str) -> Option<String> {
    let object = stage.live(kind, NS, name)?;
    let deleted = object.pointer("/metadata/deletionTimestamp").is_some();
    (!deleted).then(|| text(&object, "/metadata/uid"))
}

fn scale_operator(stage: &Stage, replicas: u32) -> Outcome {
    let replicas = format!("--replicas={replicas}");
    let scale = [
        "-n",
        operator::NAMESPACE,
        "scale",
        "deployment",
        "--all",
        &replicas,
    ];
    stage.kubectl(&scale, None)?;
    Ok(())
}
