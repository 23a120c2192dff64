//! Requests of agents at the API server, answered as the agent's edge tells them.

use k8s_openapi::jiff::Span;
use sluice_crds::internal::{GatewayInstanceSpec, GatewayInstanceStatus};
use sluice_crds::names::FINALIZER_FENCED;
use sluice_crds::{GatewayConfig, GatewayInstance};

use super::machine::lease_of;
use super::wire::{Answer, Seen};
use super::world::World;
use crate::agent::{Action, Event, Header, LeaseAnswer, LeaseWrite, PodSeen, ReportAnswer};
use crate::identity::{Revision, Uid};
use crate::operator::event::{Kind, Object};

/// The header as an agent wants it.
pub fn header(config: &GatewayConfig) -> Option<Header> {
    Some(Header {
        revision: Revision {
            uid: Uid::new(config.metadata.uid.clone()?),
            generation: config.metadata.generation?,
        },
        spec: config.spec.clone(),
    })
}

impl World {
    /// Whether the API server takes the token of a machine's pod.
    fn is_authorized(&self, n: usize) -> bool {
        let machine = &self.machines[n];
        let pod = self.server.get(Kind::Pod, &machine.pod);
        matches!(pod, Some(Object::Pod(pod)) if pod.uid == machine.pod_uid)
    }

    /// A request of an agent lands.
    pub fn land_agent(&mut self, n: usize, action: Action) -> Answer {
        let authorized = self.is_authorized(n);
        let gateway = self.machines[n].gateway.clone();
        let refused = || "token refused".to_owned();
        let event = match action {
            Action::ReadHeader if authorized => {
                let found = self.server.get(Kind::GatewayConfig, &gateway);
                let header = found.and_then(|o| match o {
                    Object::GatewayConfig(config) => header(config),
                    _ => None,
                });
                Event::HeaderRead(Ok(header))
            }
            Action::ReadHeader => Event::HeaderRead(Err(refused())),
            Action::FetchSlices(names) if authorized => self.slices(n, names),
            Action::FetchSlices(_) => Event::Slices {
                found: vec![],
                missing: vec![],
                error: Some(refused()),
            },
            Action::ReadLease if authorized => {
                Event::LeaseAnswer(LeaseAnswer::Stands(self.agents_lease(n)))
            }
            Action::WriteLease(write) if authorized => {
                Event::LeaseAnswer(self.land_lease(n, &write))
            }
            Action::ReadLease | Action::WriteLease(_) => {
                Event::LeaseAnswer(LeaseAnswer::Unknown(refused()))
            }
            Action::ReadReport if authorized => return self.read_report(n),
            Action::ReadReport => Event::Report(ReportAnswer::Failed(refused())),
            Action::ReadPod => return Answer::Told(vec![Event::Pod(self.own_pod(n))], None),
            Action::Report(_) | Action::Kernel(_) | Action::Exit => return Answer::NotMade,
        };
        match authorized {
            true => Answer::Told(vec![event], None),
            false => Answer::Told(vec![Event::Unauthorized, event], None),
        }
    }

    fn slices(&self, n: usize, names: Vec<String>) -> Event {
        let namespace = &self.machines[n].gateway.namespace;
        let get = |name: &String| {
            let key = crate::operator::event::Key {
                namespace: namespace.clone(),
                name: name.clone(),
            };
            match self.server.get(Kind::RuleSlice, &key) {
                Some(Object::RuleSlice(slice)) => Some(slice.spec.clone()),
                _ => None,
            }
        };
        let (mut found, mut missing) = (vec![], vec![]);
        for name in names {
            match get(&name) {
                Some(spec) => found.push((name, spec)),
                None => missing.push(name),
            }
        }
        Event::Slices {
            found,
            missing,
            error: None,
        }
    }

    fn own_pod(&self, n: usize) -> PodSeen {
        let machine = &self.machines[n];
        match self.server.get(Kind::Pod, &machine.pod) {
            Some(Object::Pod(pod)) if pod.uid != machine.pod_uid => PodSeen::Refused,
            Some(Object::Pod(pod)) if pod.deleting => PodSeen::Terminating,
            Some(_) => PodSeen::Lives,
            None => PodSeen::Refused,
        }
    }

    fn agents_lease(&self, n: usize) -> Option<crate::agent::Lease> {
        match self.server.get(Kind::Lease, &self.machines[n].lease_key()) {
            Some(Object::Lease(lease)) => Some(lease_of(lease)),
            _ => None,
        }
    }

    fn land_lease(&mut self, n: usize, write: &LeaseWrite) -> LeaseAnswer {
        let key = self.machines[n].lease_key();
        let stands = match self.server.get(Kind::Lease, &key) {
            Some(Object::Lease(lease)) => lease.clone(),
            _ => return LeaseAnswer::Conflict(None),
        };
        if stands.uid != write.uid || stands.resource_version != write.resource_version {
            self.sometimes("an agent's Lease write meets another version");
            return LeaseAnswer::Conflict(Some(lease_of(&stands)));
        }
        self.renewals += 1;
        let mut lease = stands;
        lease.holder.clone_from(&write.holder);
        lease.transitions = write.transitions;
        // Two in one millisecond differ, too.
        let micros = Span::new().microseconds(i64::try_from(self.renewals % 1_000).unwrap());
        lease.renew_time = (self.wall() + micros).to_string();
        self.server.set_lease(lease);
        LeaseAnswer::Stands(self.agents_lease(n))
    }

    fn found_report(&self, n: usize) -> Option<GatewayInstance> {
        match self
            .server
            .get(Kind::GatewayInstance, &self.machines[n].pod)
        {
            Some(Object::GatewayInstance(report)) => Some(report.clone()),
            _ => None,
        }
    }

    /// The report is made, or an earlier process' one is taken over.
    pub fn make_report(&mut self, n: usize) -> Answer {
        if !self.is_authorized(n) {
            return Answer::NotMade;
        }
        match self.made(n) {
            Some((status, seen)) => Answer::Told(
                vec![Event::Report(ReportAnswer::Stands(Box::new(status)))],
                Some(seen),
            ),
            None => {
                self.sometimes("a report waits for its predecessor of the same name");
                Answer::NotMade
            }
        }
    }

    fn made(&mut self, n: usize) -> Option<(GatewayInstanceStatus, Seen)> {
        if self.found_report(n).is_none() {
            let machine = &self.machines[n];
            let mut report = GatewayInstance::new(
                &machine.pod.name,
                GatewayInstanceSpec {
                    gateway: machine.gateway.name.clone(),
                    gateway_uid: machine.gateway_uid.to_string(),
                    pod_uid: machine.pod_uid.to_string(),
                    node: machine.node.to_owned(),
                },
            );
            report.metadata.namespace = Some(machine.pod.namespace.clone());
            report.metadata.finalizers = Some(vec![FINALIZER_FENCED.to_owned()]);
            self.server.create(Object::GatewayInstance(report));
        }
        self.own_report(n)
    }

    fn own_report(&self, n: usize) -> Option<(GatewayInstanceStatus, Seen)> {
        let report = self.found_report(n)?;
        let object = Object::GatewayInstance(report.clone());
        let seen = (object.identity().2, object.version());
        let own = report.spec.pod_uid == self.machines[n].pod_uid.as_str();
        own.then(|| (report.status.unwrap_or_default(), seen))
    }

    fn read_report(&mut self, n: usize) -> Answer {
        let failed = || Event::Report(ReportAnswer::Failed("belongs to another Pod".into()));
        match self.made(n) {
            Some((status, seen)) => Answer::Told(
                vec![Event::Report(ReportAnswer::Stands(Box::new(status)))],
                Some(seen),
            ),
            None => Answer::Told(vec![failed()], None),
        }
    }

    /// A report is written over the version that the agent saw.
    pub fn land_report(
        &mut self,
        n: usize,
        status: GatewayInstanceStatus,
        over: Option<Seen>,
    ) -> Answer {
        let failed = |why: &str| Event::Report(ReportAnswer::Failed(why.to_owned()));
        if !self.is_authorized(n) {
            return Answer::Told(vec![Event::Unauthorized, failed("token refused")], None);
        }
        let Some(over) = over else {
            return Answer::Told(vec![failed("the report was not made yet")], None);
        };
        let stands = self.own_report(n);
        if stands.as_ref().map(|(_, seen)| seen) != Some(&over) {
            self.sometimes("a report meets another version");
            return self.read_report(n);
        }
        let slot = (Kind::GatewayInstance, None, self.machines[n].pod.clone());
        if status.is_final {
            self.sometimes("an instance reports that it has given up");
        }
        self.server.change(&slot, false, |o| {
            if let Object::GatewayInstance(report) = o {
                report.status = Some(status);
            }
        });
        match self.own_report(n) {
            Some((_, seen)) => Answer::Told(vec![Event::Report(ReportAnswer::Written)], Some(seen)),
            // It was being deleted, and this was its last sight.
            None => Answer::Told(vec![Event::Report(ReportAnswer::Written)], Some(over)),
        }
    }
}
