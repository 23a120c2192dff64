//! What the cluster does by itself: Deployments, the scheduler, kubelets, the
//! garbage collector. Each does one small thing at a time.

use sluice_crds::names::{FINALIZER_FENCED, child_name};

use super::machine::Machine;
use super::world::{GATEWAYS, NODES, World};
use crate::agent::tests::sim::Kernel;
use crate::agent::{Event, GRACE_SECS};
use crate::identity::{InstanceId, Uid};
use crate::operator::event::{ChildKind, Key, Kind, Object, PodFacts};
use crate::operator::tests::objects::key;
use crate::operator::tests::server::{Slot, slot_of};

/// A node's machine.
#[derive(Clone, Debug)]
pub struct Node {
    pub boot: u32,
    pub off: bool,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            boot: 1,
            off: false,
        }
    }
}

impl Node {
    pub fn boot_id(&self, name: &str) -> String {
        format!("boot-{name}-{}", self.boot)
    }
}

impl World {
    pub fn pods(&self) -> impl Iterator<Item = &PodFacts> {
        self.server.all(Kind::Pod).filter_map(|o| match o {
            Object::Pod(pod) => Some(pod),
            _ => None,
        })
    }

    fn change_pod(&mut self, pod: &Key, change: impl FnOnce(&mut PodFacts)) -> bool {
        let slot = (Kind::Pod, None, pod.clone());
        self.server.change(&slot, false, |o| {
            if let Object::Pod(pod) = o {
                change(pod);
            }
        })
    }

    /// The Deployments' controller: a pod where none stays, none where there is
    /// no Deployment. `again`: under a name that was used before, if that is free.
    pub fn deploy(&mut self, again: bool) -> bool {
        for name in GATEWAYS {
            let child = key("net", &child_name(name));
            let slot = (Kind::Child, Some(ChildKind::Deployment), child.clone());
            let deployment = match self.server.objects.get(&slot) {
                Some(Object::Child(child)) if !child.deleting => Some(child.gateway_uid.clone()),
                _ => None,
            };
            let prefix = format!("{}-", child.name);
            let owned = |pod: &&PodFacts| pod.key.name.starts_with(&prefix) && !pod.deleting;
            let orphan = self
                .pods()
                .filter(owned)
                .find(|pod| deployment.as_ref() != Some(&pod.gateway_uid))
                .map(|pod| pod.key.clone());
            if let Some(orphan) = orphan {
                return self.server.delete(&(Kind::Pod, None, orphan));
            }
            let Some(gateway_uid) = deployment else {
                continue;
            };
            if self.pods().any(|pod| owned(&pod)) {
                continue;
            }
            let used = self.machines.iter().rev().map(|m| m.pod.clone());
            let free = |pod: &Key| self.server.get(Kind::Pod, pod).is_none();
            let old = used
                .filter(|pod| pod.name.starts_with(&prefix))
                .find(|pod| again && free(pod));
            if old.is_some() {
                self.sometimes("a pod comes under the name of its predecessor");
            }
            self.pods += 1;
            let fresh = format!("{prefix}rs-{}", self.pods);
            let name = old.unwrap_or_else(|| key("net", &fresh));
            if self.pods().any(|p| p.gateway_uid == gateway_uid) {
                self.sometimes("two pods of one gateway at once");
            }
            return self.server.create(Object::Pod(PodFacts {
                key: name,
                uid: Uid::new(""),
                resource_version: String::new(),
                gateway_uid,
                node: String::new(),
                finalizers: vec![FINALIZER_FENCED.to_owned()],
                deleting: false,
                phase: "Pending".into(),
                containers_terminated: false,
                ready: false,
            }));
        }
        false
    }

    /// The scheduler places a pod.
    pub fn place(&mut self, preferred: usize) -> bool {
        let waits = |p: &&PodFacts| p.node.is_empty() && !p.deleting;
        let Some(pod) = self.pods().find(waits).map(|p| p.key.clone()) else {
            return false;
        };
        let up = |n: &usize| self.nodes.get(NODES[*n]).is_some_and(|node| !node.off);
        let Some(node) = [preferred % 2, 1 - preferred % 2].into_iter().find(up) else {
            return false;
        };
        self.change_pod(&pod, |pod| pod.node = NODES[node].to_owned())
    }

    /// A kubelet does the next thing for its pods, if there is any.
    pub fn kubelet(&mut self, node: &'static str) -> bool {
        if self.nodes.get(node).is_none_or(|n| n.off) {
            return false;
        }
        let due = self
            .pods()
            .filter(|p| p.node == node && !self.is_in_sync(p));
        let due: Vec<PodFacts> = due.cloned().collect();
        if due.iter().any(|pod| self.sync_pod(node, pod)) {
            return true;
        }
        let lost = self.machines.iter().position(|machine| {
            let of_a_pod = || self.pods().any(|p| p.uid == machine.pod_uid);
            !machine.gone && machine.node == node && !of_a_pod()
        });
        lost.is_some_and(|n| self.stop(n))
    }

    /// The machine of a pod that has one.
    fn machine_of(&self, pod: &PodFacts) -> Option<usize> {
        let mut machines = self.machines.iter();
        machines.position(|m| !m.gone && m.pod_uid == pod.uid)
    }

    /// Whether the kubelet has nothing to do for a pod that runs.
    fn is_in_sync(&self, pod: &PodFacts) -> bool {
        let process = self
            .machine_of(pod)
            .and_then(|n| self.machines[n].process.as_ref());
        !pod.deleting && process.is_some_and(|p| p.agent.is_warm() == pod.ready)
    }

    fn sync_pod(&mut self, node: &'static str, pod: &PodFacts) -> bool {
        match self.machine_of(pod) {
            None if pod.deleting => {
                !pod.containers_terminated
                    && self.change_pod(&pod.key, |pod| {
                        pod.containers_terminated = true;
                        pod.ready = false;
                    })
            }
            None => {
                self.boot_machine(node, pod);
                true
            }
            Some(n) if pod.deleting => self.stop(n),
            Some(n) if self.machines[n].process.is_none() => {
                self.start_process(n);
                true
            }
            Some(n) => {
                let process = self.machines[n].process.as_ref();
                let ready = process.is_some_and(|p| p.agent.is_warm());
                pod.ready != ready
                    && self.change_pod(&pod.key, |pod| {
                        pod.ready = ready;
                        pod.phase = "Running".to_owned();
                    })
            }
        }
    }

    /// A network namespace for a pod, and the first process in it.
    fn boot_machine(&mut self, node: &'static str, pod: &PodFacts) {
        let gateway = GATEWAYS.iter().find(|name| {
            let prefix = format!("{}-", child_name(name));
            pod.key.name.starts_with(&prefix)
        });
        let Some(gateway) = gateway else { return };
        let before = self.machines.iter().filter(|m| m.pod_uid == pod.uid);
        if before.count() > 0 {
            self.sometimes("a pod goes on as another instance under its UID");
        }
        self.cookies += 1;
        let boot_id = self.nodes[node].boot_id(node);
        self.machines.push(Machine {
            pod: pod.key.clone(),
            pod_uid: pod.uid.clone(),
            gateway: key("net", gateway),
            gateway_uid: pod.gateway_uid.clone(),
            node,
            instance: InstanceId {
                pod_uid: pod.uid.clone(),
                boot_id,
                netns_cookie: self.cookies,
            },
            kernel: Kernel::default(),
            process: None,
            life: 0,
            frozen: false,
            cut: false,
            late: [false; 2],
            sigterm: None,
            gone: false,
            refuses: None,
        });
        let n = self.machines.len() - 1;
        self.ledger.begin(&self.machines[n]);
        self.start_process(n);
    }

    /// SIGTERM, and after the grace period the end; what is over goes.
    fn stop(&mut self, n: usize) -> bool {
        let now = self.now;
        let machine = &mut self.machines[n];
        let Some(since) = machine.sigterm else {
            machine.sigterm = Some(now);
            return true;
        };
        let over = now >= since.saturating_add(u64::from(GRACE_SECS) * 1_000);
        if machine.process.is_some() && !over {
            let told = machine.process.as_ref().is_some_and(|p| p.told);
            if told || machine.frozen {
                return false;
            }
            if let Some(process) = &mut machine.process {
                process.told = true;
            }
            self.tell(n, Event::Terminate);
            return true;
        }
        self.end_machine(n);
        true
    }

    /// When a kubelet must look again: the end of a grace period.
    pub fn kubelets_due(&self) -> Option<u64> {
        let stopping = self.machines.iter().filter(|m| !m.gone);
        stopping
            .filter_map(|m| m.sigterm)
            .map(|since| since.saturating_add(u64::from(GRACE_SECS) * 1_000))
            .filter(|at| *at > self.now)
            .min()
    }

    /// A kubelet tells which boot its node is in.
    pub fn node_status(&mut self, name: &'static str) -> bool {
        let Some(node) = self.nodes.get(name).filter(|n| !n.off) else {
            return false;
        };
        let boot = node.boot_id(name);
        let told = |o: &Object| matches!(o, Object::Node(n) if n.name == name && n.boot_id == boot);
        if self.server.all(Kind::Node).any(told) {
            return false;
        }
        let slot: Slot = (Kind::Node, None, key("", name));
        self.server.change(&slot, false, |o| {
            if let Object::Node(node) = o {
                node.boot_id = boot;
            }
        })
    }

    /// The collector deletes reports whose Pod is gone.
    pub fn collect(&mut self) -> bool {
        let orphan = self.server.all(Kind::GatewayInstance).find(|o| match o {
            Object::GatewayInstance(report) => {
                report.metadata.deletion_timestamp.is_none()
                    && !self.pods().any(|p| p.uid.as_str() == report.spec.pod_uid)
            }
            _ => false,
        });
        let Some(slot) = orphan.map(slot_of) else {
            return false;
        };
        self.server.delete(&slot)
    }
}
