//! A gateway's instances, children, config and Lease: let go, and taken down in
//! the reverse order of making.

use sluice_crds::names::{CHILD_PREFIX, FINALIZER_FENCED};

use super::Operator;
use super::action::{Action, Target};
use super::dead::DeadBy;
use super::event::{ChildKind, Key, Kind};
use super::subject::Subject;
use super::world::{Meta, Record};
use crate::identity::Uid;

impl Operator {
    /// The name of the gateway that the objects of a UID tell; `None`: there are none.
    pub(super) fn trace(&self, uid: &Uid) -> Option<Key> {
        let world = &self.world;
        let strip = |key: &Key| Key {
            namespace: key.namespace.clone(),
            name: key
                .name
                .strip_prefix(CHILD_PREFIX)
                .unwrap_or(&key.name)
                .to_owned(),
        };
        let cut = |key: &Key| Key {
            namespace: key.namespace.clone(),
            name: key
                .name
                .rsplit_once('-')
                .map_or(key.name.as_str(), |(name, _)| name)
                .to_owned(),
        };
        let reports = world.reports_by_gateway.of(uid).filter_map(|key| {
            Some(Key {
                namespace: key.namespace.clone(),
                name: world.reports.get(key)?.spec.gateway.clone(),
            })
        });
        world
            .configs_by_gateway
            .of(uid)
            .cloned()
            .chain(world.leases_by_gateway.of(uid).map(strip))
            .chain(world.children_by_gateway.of(uid).map(|(_, key)| strip(key)))
            .chain(reports)
            .chain(world.slices_by_gateway.of(uid).map(cut))
            .chain(
                world
                    .pods_by_gateway
                    .of(uid)
                    .map(|key| strip(&cut(&cut(key)))),
            )
            .next()
    }

    pub(super) fn tearing_down(&self, key: &Key) -> bool {
        self.views.gateways.get(key).is_some_and(|v| v.teardown)
    }

    /// Lets go what a dead instance held. The witness goes last: the Pod, where
    /// only it shows that the instance is dead, else the report.
    pub(super) fn fence(&mut self, uid: &Uid) {
        if !self.world.all_in_sync() {
            return;
        }
        let Some(instances) = self.sites.get(uid).map(|s| s.instances.clone()) else {
            return;
        };
        let subject = Subject::Site(uid.clone());
        for key in instances.free_pods.iter().chain(&instances.unreported) {
            let Some(pod) = self.world.pods.get(key) else {
                continue;
            };
            // A report that this watch has not shown yet would outlive its witness.
            if instances.unreported.contains(key) && !self.proven_gone.contains(&pod.uid) {
                let target = Target::Read(Kind::GatewayInstance, key.clone());
                let read = Action::Read {
                    kind: Kind::GatewayInstance,
                    key: key.clone(),
                    known: None,
                };
                self.queue.set(&subject, target, Some(read));
                continue;
            }
            if !pod.finalizers.iter().any(|f| f == FINALIZER_FENCED) {
                continue;
            }
            let action = Action::SetFinalizers {
                kind: Kind::Pod,
                key: key.clone(),
                uid: pod.uid.clone(),
                resource_version: pod.resource_version.clone(),
                finalizers: without(&pod.finalizers, FINALIZER_FENCED),
            };
            self.queue.set(
                &subject,
                Target::Object(Kind::Pod, key.clone()),
                Some(action),
            );
        }
        for (key, why) in &instances.dead {
            let Some(report) = self.world.reports.get(key) else {
                continue;
            };
            let held_by_pod = self.world.pods.get(key).is_some_and(|pod| {
                let held = pod.finalizers.iter().any(|f| f == FINALIZER_FENCED);
                pod.uid.as_str() == report.spec.pod_uid
                    && *why != DeadBy::Kubelet
                    && (!pod.deleting || held)
            });
            if held_by_pod {
                continue;
            }
            let action = if !report.deleting() {
                Action::DeleteInstance {
                    key: key.clone(),
                    uid: report.uid(),
                }
            } else if report.finalizers().iter().any(|f| f == FINALIZER_FENCED) {
                Action::SetFinalizers {
                    kind: Kind::GatewayInstance,
                    key: key.clone(),
                    uid: report.uid(),
                    resource_version: report.metadata.resource_version.clone().unwrap_or_default(),
                    finalizers: without(report.finalizers(), FINALIZER_FENCED),
                }
            } else {
                continue;
            };
            let target = Target::Object(Kind::GatewayInstance, key.clone());
            self.queue.set(&subject, target, Some(action));
        }
    }

    /// Takes a gateway's things down in order: Deployment, instances, config and
    /// Lease, permissions. What nobody owns any more is taken down likewise,
    /// after a live read has shown that the gateway is gone.
    pub(super) fn tear_down(&mut self, uid: &Uid, key: &Key, exists: bool) {
        if !self.world.all_in_sync() {
            return;
        }
        let subject = Subject::Site(uid.clone());
        if let Some(site) = self.sites.get_mut(uid) {
            site.pending = None;
            if !exists && !site.proven_gone {
                let target = Target::Read(Kind::NATGateway, key.clone());
                let read = Action::Read {
                    kind: Kind::NATGateway,
                    key: key.clone(),
                    known: None,
                };
                self.queue.set(&subject, target, Some(read));
                return;
            }
        }
        if self.delete_children(uid, &[ChildKind::Deployment]) {
            return;
        }
        if self.world.pods_by_gateway.count(uid) > 0 || self.world.reports_by_gateway.count(uid) > 0
        {
            return;
        }
        let mut left = false;
        let headers: Vec<Key> = self.world.configs_by_gateway.of(uid).cloned().collect();
        for key in headers {
            left = true;
            if let Some(header) = self.world.configs.get(&key)
                && !header.deleting()
            {
                let uid = header.uid();
                let target = Target::Object(Kind::GatewayConfig, key.clone());
                self.queue
                    .set(&subject, target, Some(Action::DeleteHeader { key, uid }));
            }
        }
        let leases: Vec<Key> = self.world.leases_by_gateway.of(uid).cloned().collect();
        for key in leases {
            left = true;
            if let Some(lease) = self.world.leases.get(&key)
                && !lease.deleting
            {
                let uid = lease.uid.clone();
                let target = Target::Object(Kind::Lease, key.clone());
                self.queue
                    .set(&subject, target, Some(Action::DeleteLease { key, uid }));
            }
        }
        if left || self.world.slices_by_gateway.count(uid) > 0 {
            return;
        }
        self.delete_children(
            uid,
            &[
                ChildKind::RoleBinding,
                ChildKind::Role,
                ChildKind::ServiceAccount,
            ],
        );
        self.mark(Subject::Hold(Kind::NATGateway, key.clone()));
    }

    /// Wants children deleted; whether any is left.
    fn delete_children(&mut self, uid: &Uid, kinds: &[ChildKind]) -> bool {
        let children: Vec<(ChildKind, Key)> = self
            .world
            .children_by_gateway
            .of(uid)
            .filter(|(kind, _)| kinds.contains(kind))
            .cloned()
            .collect();
        for (kind, key) in &children {
            let child = self.world.children.get(kind).and_then(|s| s.get(key));
            if let Some(child) = child.filter(|c| !c.deleting) {
                let action = Action::DeleteChild {
                    child: *kind,
                    key: key.clone(),
                    uid: child.uid.clone(),
                };
                self.queue.set(
                    &Subject::Site(uid.clone()),
                    Target::Child(*kind, key.clone()),
                    Some(action),
                );
            }
        }
        !children.is_empty()
    }

    /// A live read of a report has ended: where none is left of a Pod that runs
    /// nowhere, none will come.
    pub(super) fn report_read(&mut self, key: &Key) {
        let Some(pod) = self.world.pods.get(key) else {
            return;
        };
        let (uid, site) = (pod.uid.clone(), pod.gateway_uid.clone());
        let over = self
            .sites
            .get(&site)
            .is_some_and(|s| s.instances.unreported.contains(key));
        let none = self
            .world
            .reports
            .get(key)
            .is_none_or(|r| r.spec.pod_uid != uid.as_str());
        if over && none {
            self.proven_gone.insert(uid);
        }
        self.mark(Subject::Site(site));
    }

    /// A live read of a gateway has ended: sites of other lives of that name are
    /// orphans for good.
    pub(super) fn gateway_read(&mut self, key: &Key, current: Option<&Uid>) {
        let orphans: Vec<Uid> = self
            .sites
            .iter_mut()
            .filter(|(uid, site)| site.key == *key && current != Some(uid))
            .map(|(uid, site)| {
                site.proven_gone = true;
                uid.clone()
            })
            .collect();
        for orphan in orphans {
            self.mark(Subject::Site(orphan));
        }
    }
}

/// The list without one finalizer.
pub(crate) fn without(finalizers: &[String], gone: &str) -> Vec<String> {
    finalizers.iter().filter(|f| *f != gone).cloned().collect()
}
