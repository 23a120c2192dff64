//! One gateway pod on its node: network namespace with its kernel state, and the
//! agent's process, which comes and goes in it.

use super::wire::{Body, Seen, Sender};
use super::world::World;
use crate::agent::tests::sim::Kernel;
use crate::agent::{Action, Agent, Event, Found, KernelAnswer, KernelOp, Lease};
use crate::identity::{InstanceId, Uid};
use crate::operator::event::{Event as Shown, Key, Kind, LeaseFacts, Millis, Object};

/// Which of an agent's two watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    Header,
    Lease,
}

impl Sight {
    pub const BOTH: [Self; 2] = [Self::Header, Self::Lease];

    pub fn kind(self) -> Kind {
        match self {
            Self::Header => Kind::GatewayConfig,
            Self::Lease => Kind::Lease,
        }
    }
}

/// A watch of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    Broken,
    /// The list was answered and has not arrived.
    Listing(Option<Box<Object>>, usize),
    Following(usize),
}

/// The agent's process.
#[derive(Clone, Debug)]
pub struct Process {
    pub agent: Agent,
    /// The clock that it reads starts here.
    pub began: u64,
    /// The kernel operation under way, and its answer once it was carried out.
    pub op: Option<(KernelOp, Option<KernelAnswer>)>,
    pub looks: [Look; 2],
    /// The report object as this process last saw it.
    pub report: Option<Seen>,
    /// When the report is to be made.
    pub make_at: Option<u64>,
    /// SIGTERM was delivered.
    pub told: bool,
}

#[derive(Clone, Debug)]
pub struct Machine {
    pub pod: Key,
    pub pod_uid: Uid,
    pub gateway: Key,
    pub gateway_uid: Uid,
    pub node: &'static str,
    pub instance: InstanceId,
    /// Kernel state of the network namespace.
    pub kernel: Kernel,
    pub process: Option<Process>,
    /// How many processes there were.
    pub life: u64,
    /// The process is stopped.
    pub frozen: bool,
    /// Nothing of it reaches the API server.
    pub cut: bool,
    /// Its watches are late: of the header, of the Lease.
    pub late: [bool; 2],
    /// When the kubelet sent SIGTERM.
    pub sigterm: Option<u64>,
    /// The network namespace is no more, and all that was in it.
    pub gone: bool,
    /// What this kernel refuses.
    pub refuses: Option<String>,
}

impl Machine {
    pub fn lease_key(&self) -> Key {
        Key {
            namespace: self.gateway.namespace.clone(),
            name: sluice_crds::names::child_name(&self.gateway.name),
        }
    }

    /// Whether its kernel answers for addresses.
    pub fn answers(&self) -> bool {
        !self.gone && self.kernel.answering
    }

    pub fn sees(&self, sight: Sight) -> Key {
        match sight {
            Sight::Header => self.gateway.clone(),
            Sight::Lease => self.lease_key(),
        }
    }

    /// Whether the process runs and can do something.
    pub fn is_awake(&self) -> bool {
        !self.gone && !self.frozen && self.process.is_some()
    }
}

impl World {
    /// The machines that are there, by their number.
    pub fn living(&self) -> Vec<usize> {
        let all = self.machines.iter().enumerate();
        all.filter(|(_, m)| !m.gone).map(|(n, _)| n).collect()
    }

    /// A process starts in a machine: it finds what an earlier one left.
    pub fn start_process(&mut self, n: usize) {
        let now = self.now;
        let machine = &mut self.machines[n];
        if machine.gone || machine.process.is_some() {
            return;
        }
        let kernel = &mut machine.kernel;
        kernel.repairs_to = None;
        let found = kernel.stamp.clone().map(|(revision, digest)| Found {
            revision,
            digest,
            answering: kernel.answering,
        });
        machine.life += 1;
        machine.frozen = false;
        machine.process = Some(Process {
            agent: Agent::new(&machine.instance, found),
            began: now,
            op: None,
            looks: [Look::Broken, Look::Broken],
            report: None,
            make_at: Some(now),
            told: false,
        });
        if machine.life > 1 {
            self.sometimes("a container restarts over what its predecessor left");
        }
        self.tell(n, Event::Tick);
    }

    /// The process ends; what it sent goes on.
    pub fn end_process(&mut self, n: usize) {
        for request in &mut self.requests {
            request.orphan |= matches!(request.from, Sender::Agent(m, _) if m == n);
        }
        self.replies
            .retain(|r| !matches!(r.to, Sender::Agent(m, _) if m == n));
        let machine = &mut self.machines[n];
        if let Some(process) = machine.process.take()
            && let Some((KernelOp::Apply { .. }, Some(_))) = process.op
        {
            self.sometimes("an agent dies between commit and report");
        }
        self.machines[n].frozen = false;
    }

    /// The network namespace goes, and its kernel state with it.
    pub fn end_machine(&mut self, n: usize) {
        self.end_process(n);
        let machine = &mut self.machines[n];
        machine.gone = true;
        machine.kernel = Kernel::default();
    }

    fn process_now(&self, n: usize) -> Millis {
        let began = self.machines[n].process.as_ref().map_or(0, |p| p.began);
        Millis(self.now - began)
    }

    /// The agent learns something, and begins what it decides.
    pub fn tell(&mut self, n: usize, event: Event) {
        let now = self.process_now(n);
        let from = Sender::Agent(n, self.machines[n].life);
        let Some(process) = &mut self.machines[n].process else {
            return;
        };
        let actions = process.agent.handle(now, event);
        for action in actions {
            let process = self.machines[n].process.as_mut();
            match action {
                Action::Exit => {
                    self.end_process(n);
                    return;
                }
                Action::Kernel(op) => {
                    let Some(process) = process else { return };
                    if process.op.is_some() {
                        self.violate(|| format!("two kernel operations at once: {op:?}"));
                        return;
                    }
                    process.op = Some((op, None));
                }
                Action::Report(status) => {
                    let seen = process.and_then(|p| p.report.clone());
                    self.judge_sent_report(n, &status);
                    self.request(from, Body::Report(status, seen));
                }
                other => self.request(from, Body::Agent(other)),
            }
        }
    }

    /// The next state of a watched object arrives. `skip`: those before the last
    /// one are never seen.
    pub fn show(&mut self, n: usize, sight: Sight, skip: bool) -> bool {
        let machine = &self.machines[n];
        let key = machine.sees(sight);
        let kind = sight.kind();
        if !machine.is_awake() || machine.cut {
            return false;
        }
        let Some(process) = &machine.process else {
            return false;
        };
        let (seen, at) = match process.looks[sight as usize].clone() {
            Look::Broken => {
                let (_, at) = self.server.list(kind);
                let object = self.server.get(kind, &key).cloned().map(Box::new);
                self.set_look(n, sight, Look::Listing(object, at));
                return true;
            }
            Look::Listing(object, at) => (object.map(|o| *o), at),
            Look::Following(from) => {
                let log = self.server.log.get(&kind).map_or(&[][..], Vec::as_slice);
                let mut found = None;
                for (at, event) in log.iter().enumerate().skip(from) {
                    match event {
                        Shown::Apply(object) if object.identity().1 == key => {
                            found = Some((Some(object.as_ref().clone()), at + 1));
                        }
                        Shown::Delete { key: gone, .. } if *gone == key => {
                            found = Some((None, at + 1));
                        }
                        _ => continue,
                    }
                    if !skip {
                        break;
                    }
                }
                let Some(found) = found else {
                    let end = log.len();
                    self.set_look(n, sight, Look::Following(end));
                    return false;
                };
                found
            }
        };
        self.set_look(n, sight, Look::Following(at));
        let event = match (sight, seen) {
            (Sight::Header, Some(Object::GatewayConfig(config))) => {
                Event::Header(super::edge::header(&config))
            }
            (Sight::Lease, Some(Object::Lease(lease))) => Event::Lease(Some(lease_of(&lease))),
            (Sight::Header, _) => Event::Header(None),
            (Sight::Lease, _) => Event::Lease(None),
        };
        self.tell(n, event);
        true
    }

    pub fn set_look(&mut self, n: usize, sight: Sight, look: Look) {
        if let Some(process) = &mut self.machines[n].process {
            process.looks[sight as usize] = look;
        }
    }

    /// Whether a watch has something that was not shown.
    pub fn has_news(&self, n: usize, sight: Sight) -> bool {
        let machine = &self.machines[n];
        let Some(process) = &machine.process else {
            return false;
        };
        let Look::Following(from) = &process.looks[sight as usize] else {
            return true;
        };
        let log = self.server.log.get(&sight.kind());
        log.is_some_and(|log| log.len() > *from)
    }

    /// Time has passed for a process.
    pub fn tick(&mut self, n: usize) -> bool {
        let due = self.machine_due(n).is_some_and(|at| at <= self.now);
        if !due || !self.machines[n].is_awake() {
            return false;
        }
        let from = Sender::Agent(n, self.machines[n].life);
        let now = self.now;
        let make = self.machines[n]
            .process
            .as_mut()
            .is_some_and(|process| process.make_at.take_if(|at| *at <= now).is_some());
        if make {
            self.request(from, Body::MakeReport);
        }
        self.tell(n, Event::Tick);
        true
    }

    /// When a process wants its clock looked at.
    pub fn machine_due(&self, n: usize) -> Option<u64> {
        let machine = &self.machines[n];
        let process = machine.process.as_ref().filter(|_| machine.is_awake())?;
        let tick = process.agent.next_deadline();
        let tick = tick.map(|at| at.0.saturating_add(process.began));
        [tick, process.make_at].into_iter().flatten().min()
    }
}

/// The Lease as an agent wants it.
pub fn lease_of(lease: &LeaseFacts) -> Lease {
    Lease {
        uid: lease.uid.clone(),
        resource_version: lease.resource_version.clone(),
        holder: lease.holder.clone(),
        transitions: lease.transitions,
        duration_secs: lease.duration_secs,
    }
}
