//! One virtual clock, one API server, one kernel; answers come when the test
//! says so. Whatever the agent does is checked against what it may do.

mod invariants;
mod kernel;

use std::collections::{BTreeMap, BTreeSet};

pub use kernel::{Kernel, name};
use sluice_crds::internal::{
    ConfigLan, ConfigSettings, ConfigUplink, GatewayInstanceStatus, OwnerGateway, RuleSliceSpec,
};

use super::super::*;
use crate::config::{Config, Rank, compile, receive};
use crate::entry::Entry;
use crate::identity::{InstanceId, Revision, Uid};

/// The instance under test.
pub fn me() -> InstanceId {
    InstanceId {
        pod_uid: Uid::new("pod"),
        boot_id: "boot".to_owned(),
        netns_cookie: 1,
    }
}

/// A config with these EIPs, each with a FIP.
pub fn config(eips: impl IntoIterator<Item = u8>) -> Config {
    let settings = ConfigSettings::new(
        ConfigLan {
            interface: "lan0".to_owned(),
            addresses: vec!["10.244.0.254/16".to_owned()],
            routes: Vec::new(),
        },
        vec![ConfigUplink {
            name: "external".to_owned(),
            interface: "eth1".to_owned(),
            subnets: Vec::new(),
            ipv4: None,
            ipv6: None,
        }],
    );
    let gateway = OwnerGateway {
        name: "egress".to_owned(),
        uid: "gateway".to_owned(),
    };
    let lines = eips.into_iter().flat_map(|n| {
        [
            format!("addr eip-{n} 1 192.0.2.{n} external"),
            format!("fip fip-{n} 1 192.0.2.{n} 10.244.0.{n} both"),
        ]
    });
    compile(
        &gateway,
        settings,
        lines.map(|line| {
            let entry: Entry = line.parse().unwrap();
            let rank = Rank {
                created_secs: 0,
                uid: entry.uid.clone(),
            };
            (rank, entry)
        }),
    )
}

/// All of the world that an agent sees.
pub struct Sim {
    pub now: u64,
    pub agent: Agent,
    pub header: Option<Header>,
    pub slices: BTreeMap<String, RuleSliceSpec>,
    pub lease: Option<Lease>,
    pub report: GatewayInstanceStatus,
    pub kernel: Kernel,
    pub pod: PodSeen,
    /// Actions that are not answered yet.
    pub open: Vec<Action>,
    /// The entries of each revision that was published and is in order.
    pub published: Vec<(Revision, BTreeSet<String>)>,
    /// Reports that were written.
    pub reports: Vec<GatewayInstanceStatus>,
    /// Operations that the kernel carried out.
    pub ops: Vec<String>,
    pub exited: bool,
    version: u64,
    uids: u64,
}

impl Sim {
    /// A fresh instance, an empty Lease, no config.
    pub fn new() -> Self {
        let mut sim = Self {
            now: 0,
            agent: Agent::new(&me(), None),
            header: None,
            slices: BTreeMap::new(),
            lease: None,
            report: GatewayInstanceStatus::default(),
            kernel: Kernel::default(),
            pod: PodSeen::Lives,
            open: Vec::new(),
            published: Vec::new(),
            reports: Vec::new(),
            ops: Vec::new(),
            exited: false,
            version: 0,
            uids: 0,
        };
        sim.make_lease();
        sim
    }

    /// A fresh instance that serves the EIPs 1 to 3.
    pub fn serving() -> Self {
        let mut sim = Self::new();
        sim.publish(&config(1..4));
        sim.begin();
        sim.settle();
        assert!(sim.agent.is_active(), "{:?}", sim.agent);
        sim
    }

    /// What a starting process sees first.
    pub fn begin(&mut self) {
        self.tell(Event::Report(ReportAnswer::Stands(Box::new(
            self.report.clone(),
        ))));
        self.begin_unread();
    }

    fn begin_unread(&mut self) {
        self.tell(Event::Header(self.header.clone()));
        self.tell(Event::Lease(self.lease.clone()));
    }

    /// The process is killed and started anew; the kernel stays.
    pub fn restart(&mut self) {
        self.restart_silently();
        self.begin();
    }

    /// The same, and the report is not read yet.
    pub fn restart_unread(&mut self) {
        self.restart_silently();
        self.begin_unread();
    }

    fn restart_silently(&mut self) {
        let found = self.kernel.stamp.clone().map(|(revision, digest)| Found {
            revision,
            digest,
            answering: self.kernel.answering,
        });
        self.open.clear();
        self.kernel.repairs_to = None;
        self.agent = Agent::new(&me(), found);
        self.exited = false;
    }

    pub fn publish(&mut self, config: &Config) {
        self.slices.extend(config.slices.clone());
        self.version += 1;
        let revision = match &self.header {
            Some(header) => Revision {
                generation: header.revision.generation + 1,
                ..header.revision.clone()
            },
            None => {
                self.uids += 1;
                Revision {
                    uid: Uid::new(format!("header-{}", self.uids)),
                    generation: 1,
                }
            }
        };
        if let Ok(whole) = receive(&config.header, &self.slices) {
            let keys = whole.entries().map(Entry::key).collect();
            self.published.push((revision.clone(), keys));
        }
        self.header = Some(Header {
            revision,
            spec: config.header.clone(),
        });
    }

    pub fn make_lease(&mut self) {
        self.version += 1;
        self.uids += 1;
        self.lease = Some(Lease {
            uid: Uid::new(format!("lease-{}", self.uids)),
            resource_version: self.version.to_string(),
            holder: String::new(),
            transitions: i64::try_from(self.uids * 10).unwrap(),
            duration_secs: 15,
        });
    }

    pub fn lease_to(&mut self, holder: &str) {
        self.version += 1;
        if let Some(lease) = &mut self.lease {
            lease.resource_version = self.version.to_string();
            lease.transitions += i64::from(!holder.is_empty());
            lease.holder = holder.to_owned();
        }
    }

    pub fn tell(&mut self, event: Event) {
        assert!(!self.exited || self.open.is_empty());
        let actions = self.agent.handle(Millis(self.now), event);
        assert!(
            !self.exited || actions.is_empty(),
            "acts after its end: {actions:?}"
        );
        for action in actions {
            self.check(&action);
            if action == Action::Exit {
                self.exited = true;
                self.open.clear();
                return;
            }
            self.open.push(action);
        }
    }

    /// Moves the clock, with a tick if one is due.
    pub fn pass(&mut self, millis: u64) {
        self.now += millis;
        if self
            .agent
            .next_deadline()
            .is_some_and(|due| due.0 <= self.now)
        {
            self.tell(Event::Tick);
        }
    }

    /// Answers the open action number `index` well.
    pub fn answer(&mut self, index: usize) {
        let action = self.open.remove(index);
        let answer = self.carry_out(action);
        self.tell(answer);
    }

    /// Answers the open action number `index` by a failure; with `done` it was
    /// carried out all the same, but nobody can know.
    pub fn fail(&mut self, index: usize, done: bool) {
        let action = self.open.remove(index);
        if done && !matches!(action, Action::Report(_)) {
            let repairs_to = self.kernel.repairs_to.clone();
            let _ = self.carry_out(action.clone());
            self.kernel.repairs_to = repairs_to;
        }
        let error = "no answer".to_owned();
        let answer = match action {
            Action::ReadHeader => Event::HeaderRead(Err(error)),
            Action::FetchSlices(_) => Event::Slices {
                found: Vec::new(),
                missing: Vec::new(),
                error: Some(error),
            },
            Action::ReadLease | Action::WriteLease(_) => {
                Event::LeaseAnswer(LeaseAnswer::Unknown(error))
            }
            Action::Report(_) | Action::ReadReport => Event::Report(ReportAnswer::Failed(error)),
            Action::ReadPod => Event::Pod(PodSeen::Unreachable),
            Action::Kernel(_) => Event::Kernel(KernelAnswer::Failed(error)),
            Action::Exit => unreachable!(),
        };
        self.tell(answer);
    }

    /// Answers all, and lets up to 900 ms pass, until nothing is left to do.
    pub fn settle(&mut self) {
        let end = self.now + 900;
        for _ in 0..2_000 {
            if !self.open.is_empty() {
                self.answer(0);
            } else if self.exited {
                return;
            } else {
                let due = self.agent.next_deadline().map_or(u64::MAX, |due| due.0);
                if due > end {
                    return;
                }
                self.pass(due.saturating_sub(self.now));
            }
        }
        panic!("never settles: {:?}", self.open);
    }

    /// The same for so long, through all that falls due by itself.
    pub fn settle_for(&mut self, millis: u64) {
        let end = self.now + millis;
        for _ in 0..10_000 {
            self.settle();
            if self.exited || self.now >= end {
                return;
            }
            let due = self.agent.next_deadline().map_or(end, |due| due.0.min(end));
            self.pass(due.saturating_sub(self.now).max(1));
        }
        panic!("never settles: {:?}", self.open);
    }

    fn carry_out(&mut self, action: Action) -> Event {
        match action {
            Action::ReadHeader => Event::HeaderRead(Ok(self.header.clone())),
            Action::FetchSlices(names) => {
                let found = |name: &String| Some((name.clone(), self.slices.get(name)?.clone()));
                Event::Slices {
                    found: names.iter().filter_map(found).collect(),
                    missing: names
                        .into_iter()
                        .filter(|name| !self.slices.contains_key(name))
                        .collect(),
                    error: None,
                }
            }
            Action::ReadLease => Event::LeaseAnswer(LeaseAnswer::Stands(self.lease.clone())),
            Action::WriteLease(write) => {
                let stands = self.lease.as_mut().filter(|lease| {
                    lease.uid == write.uid && lease.resource_version == write.resource_version
                });
                let Some(lease) = stands else {
                    return Event::LeaseAnswer(LeaseAnswer::Conflict(self.lease.clone()));
                };
                self.version += 1;
                lease.resource_version = self.version.to_string();
                lease.holder = write.holder;
                lease.transitions = write.transitions;
                Event::LeaseAnswer(LeaseAnswer::Stands(self.lease.clone()))
            }
            Action::Report(status) => {
                self.report = (*status).clone();
                self.reports.push(*status);
                Event::Report(ReportAnswer::Written)
            }
            Action::ReadReport => {
                Event::Report(ReportAnswer::Stands(Box::new(self.report.clone())))
            }
            Action::ReadPod => Event::Pod(self.pod.clone()),
            Action::Kernel(op) => {
                self.ops.push(kernel::name(&op));
                Event::Kernel(self.kernel.carry_out(op))
            }
            Action::Exit => unreachable!(),
        }
    }
}
