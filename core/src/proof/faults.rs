//! What goes wrong.

use super::world::World;
use crate::operator::event::{Key, Kind, Object, PodFacts};
use crate::operator::tests::objects::key;

impl World {
    /// Power is cut: the machines' kernel states are gone.
    pub fn power_off(&mut self, name: &'static str) -> bool {
        let Some(node) = self.nodes.get_mut(name).filter(|n| !n.off) else {
            return false;
        };
        node.off = true;
        for n in self.living() {
            if self.machines[n].node == name {
                self.end_machine(n);
            }
        }
        true
    }

    /// The node boots anew.
    pub fn power_on(&mut self, name: &'static str) -> bool {
        let Some(node) = self.nodes.get_mut(name).filter(|n| n.off) else {
            return false;
        };
        node.off = false;
        node.boot += 1;
        self.sometimes("a node boots anew");
        self.taint(name, false);
        true
    }

    /// A person says that a node is out of service, which is off.
    pub fn taint(&mut self, name: &'static str, on: bool) -> bool {
        if on && !self.nodes.get(name).is_some_and(|n| n.off) {
            return false;
        }
        let slot = (Kind::Node, None, key("", name));
        let changed = self.server.change(&slot, false, |o| {
            if let Object::Node(node) = o {
                node.out_of_service = on;
            }
        });
        if changed && on {
            self.sometimes("a node is told to be out of service");
        }
        changed
    }

    /// One of the pods, whatever the number.
    fn pod_at(&self, n: usize) -> Option<&PodFacts> {
        self.pods().nth(n % self.pods().count().max(1))
    }

    /// A user deletes a pod.
    pub fn delete_pod(&mut self, n: usize) -> bool {
        let Some(pod) = self.pod_at(n).map(|p| p.key.clone()) else {
            return false;
        };
        self.server.delete(&(Kind::Pod, None, pod))
    }

    /// A user deletes a pod by force, with its finalizers taken away: its object
    /// is gone whatever still runs.
    pub fn force_pod(&mut self, n: usize) -> bool {
        let Some(pod) = self.pod_at(n).cloned() else {
            return false;
        };
        let slot = (Kind::Pod, None, pod.key.clone());
        self.server.change(&slot, false, |o| {
            if let Object::Pod(pod) = o {
                pod.deleting = true;
                pod.containers_terminated = true;
                pod.finalizers.clear();
            }
        });
        let living = self.living();
        let of_pod = |n: &&usize| self.machines[**n].pod_uid == pod.uid;
        if living.iter().find(of_pod).is_some() {
            self.sometimes("a pod is deleted by force while it runs");
        }
        true
    }

    /// A machine's kernel begins to refuse a FIP that it holds.
    pub fn refuse(&mut self, n: usize, eip: &str) -> bool {
        let fip = match self.server.get(Kind::FIP, &key("tenants", eip)) {
            Some(Object::FIP(fip)) => fip.metadata.uid.clone(),
            _ => None,
        };
        let Some(uid) = fip else { return false };
        if let Some(machine) = self.machines.get_mut(n).filter(|m| !m.gone) {
            machine.refuses = Some(format!("fip {uid} "));
            self.sometimes("a kernel refuses an entry");
            return true;
        }
        false
    }

    /// Somebody else changes the kernel's rules.
    pub fn drift(&mut self, n: usize) -> bool {
        let Some(machine) = self.machines.get_mut(n).filter(|m| !m.gone) else {
            return false;
        };
        machine.kernel.inspection.drift = vec!["a route is absent".to_owned()];
        true
    }

    /// Somebody deletes a gateway's Lease.
    pub fn delete_lease(&mut self, n: usize) -> bool {
        let leases: Vec<Key> = self
            .server
            .all(Kind::Lease)
            .map(|o| o.identity().1)
            .collect();
        let Some(lease) = leases.get(n % leases.len().max(1)).cloned() else {
            return false;
        };
        self.sometimes("somebody deletes a Lease");
        self.server.delete(&(Kind::Lease, None, lease))
    }

    /// Somebody deletes a gateway's header.
    pub fn delete_header(&mut self, n: usize) -> bool {
        let headers: Vec<Key> = self
            .server
            .all(Kind::GatewayConfig)
            .map(|o| o.identity().1)
            .collect();
        let Some(header) = headers.get(n % headers.len().max(1)).cloned() else {
            return false;
        };
        self.sometimes("somebody deletes a header");
        self.server.delete(&(Kind::GatewayConfig, None, header))
    }
}
