//! What the cluster does by itself: Deployments, Pods, nodes, garbage.

use sluice_crds::names::{CHILD_PREFIX, FINALIZER_FENCED};

use super::super::agent::Agent;
use super::super::objects::key;
use super::super::server::slot_of;
use super::Stage;
use crate::identity::Uid;
use crate::operator::event::{ChildKind, Key, Kind, Object, PodFacts};

impl Stage {
    /// Deployment controller, scheduler, kubelet and garbage collector, one round.
    pub fn cluster(&mut self) -> bool {
        let before = self.server.changes();
        let deployments: Vec<_> = self
            .server
            .all(Kind::Child)
            .filter_map(|o| match o {
                Object::Child(c) if c.kind == ChildKind::Deployment => Some(c.clone()),
                _ => None,
            })
            .collect();
        let pods = self.pods();
        for deployment in &deployments {
            let has = pods
                .iter()
                .any(|p| p.gateway_uid == deployment.gateway_uid && !p.deleting);
            if !has && !deployment.deleting {
                self.pods += 1;
                let name = format!("{}-rs-{}", deployment.key.name, self.pods);
                self.server.create(Object::Pod(PodFacts {
                    key: key(&deployment.key.namespace, &name),
                    uid: Uid::new(""),
                    resource_version: String::new(),
                    gateway_uid: deployment.gateway_uid.clone(),
                    node: if self.pods.is_multiple_of(2) {
                        "n1"
                    } else {
                        "n2"
                    }
                    .to_owned(),
                    finalizers: vec![FINALIZER_FENCED.to_owned()],
                    deleting: false,
                    phase: "Pending".into(),
                    containers_terminated: false,
                    ready: false,
                }));
            }
        }
        for pod in &pods {
            let slot = (Kind::Pod, None, pod.key.clone());
            if !deployments.iter().any(|d| d.gateway_uid == pod.gateway_uid) {
                self.server.delete(&slot);
            }
            let agent = self
                .agents
                .iter_mut()
                .position(|a| a.pod_uid == pod.uid.as_str());
            match agent {
                None if !pod.deleting => {
                    let name = pod.key.name.rsplitn(3, '-').nth(2).unwrap_or_default();
                    let gateway = key(
                        &pod.key.namespace,
                        name.strip_prefix(CHILD_PREFIX).unwrap_or(name),
                    );
                    let boot = self.boot_of(&pod.node);
                    self.agents.push(Agent::start(pod, &gateway, &boot));
                }
                None => self.terminate(&pod.key),
                Some(n) if pod.deleting => {
                    let crash = self.crash_on_delete;
                    let agent = &mut self.agents[n];
                    // One that is stopped hears nothing, and is killed in the end.
                    if crash || agent.frozen {
                        agent.running = false;
                    } else {
                        agent.give_up(&mut self.server, &mut self.proofs);
                    }
                    agent.kernel.clear();
                    self.terminate(&pod.key);
                }
                Some(_) => {}
            }
        }
        // The collector deletes reports whose Pod is gone.
        let orphans: Vec<_> = self
            .server
            .all(Kind::GatewayInstance)
            .filter(|o| match o {
                Object::GatewayInstance(r) => !self
                    .server
                    .all(Kind::Pod)
                    .any(|p| matches!(p, Object::Pod(p) if p.uid.as_str() == r.spec.pod_uid)),
                _ => false,
            })
            .map(slot_of)
            .collect();
        for slot in orphans {
            self.server.delete(&slot);
        }
        self.check();
        before != self.server.changes()
    }

    fn terminate(&mut self, pod: &Key) {
        self.server
            .change(&(Kind::Pod, None, pod.clone()), false, |o| {
                if let Object::Pod(p) = o {
                    p.containers_terminated = true;
                }
            });
    }

    /// The node of an agent loses power and boots anew.
    pub fn reboot(&mut self, name: &str) {
        let boot = self.boots.entry(name.to_owned()).or_insert(1);
        *boot += 1;
        let boot = format!("boot-{name}-{boot}");
        for agent in &mut self.agents {
            if agent.node == name {
                agent.kernel.clear();
                agent.running = false;
            }
        }
        let stay = |pod: &PodFacts| pod.node == name && !pod.deleting;
        for pod in self.pods().into_iter().filter(stay) {
            if let Some(n) = self
                .agents
                .iter()
                .position(|a| a.pod_uid == pod.uid.as_str())
            {
                let gateway = self.agents[n].gateway.clone();
                self.agents[n] = Agent::start(&pod, &gateway, &boot);
            }
        }
        self.server
            .change(&(Kind::Node, None, key("", name)), false, |o| {
                if let Object::Node(n) = o {
                    n.boot_id = boot.clone();
                }
            });
    }

    fn pods(&self) -> Vec<PodFacts> {
        self.server
            .all(Kind::Pod)
            .filter_map(|o| match o {
                Object::Pod(p) => Some(p.clone()),
                _ => None,
            })
            .collect()
    }

    fn boot_of(&self, node: &str) -> String {
        format!("boot-{node}-{}", self.boots.get(node).copied().unwrap_or(1))
    }
}
