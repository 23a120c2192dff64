//! A gateway's Lease, children and instances: made in order, and taken down in
//! the reverse.

use sluice_crds::names::{CHILD_PREFIX, FINALIZER_FENCED, FINALIZER_IN_USE, child_name};

use super::Operator;
use super::action::{Action, Target};
use super::dead::{self, DeadBy};
use super::event::{ChildKind, Key, Kind, LeaseFacts, Millis};
use super::subject::Subject;
use super::world::{Meta, Record};
use crate::identity::Uid;

/// Children in the order of making; the Deployment needs all others.
const CHILDREN: [ChildKind; 4] = [
    ChildKind::ServiceAccount,
    ChildKind::Role,
    ChildKind::RoleBinding,
    ChildKind::Deployment,
];

/// How often a Lease is read that stands in the way.
const TAKEN_LEASE_MS: u64 = 10_000;

pub(crate) fn child_key(gateway: &Key) -> Key {
    Key {
        namespace: gateway.namespace.clone(),
        name: child_name(&gateway.name),
    }
}

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

    /// Makes the Lease, and takes it from a holder that is dead.
    pub(super) fn keep_lease(&mut self, uid: &Uid, key: &Key, now: Millis) {
        let lease_key = child_key(key);
        if !self.may_make(key) || !self.world.all_in_sync() {
            return;
        }
        self.look_at_taken_lease(uid, &lease_key, now);
        let stands = self.world.leases.get(&lease_key);
        let wanted = match stands {
            None => Some(LeaseFacts {
                key: lease_key.clone(),
                uid: Uid::new(""),
                resource_version: String::new(),
                gateway_uid: uid.clone(),
                holder: String::new(),
                transitions: self.highest_term(uid).map_or(0, |t| t.saturating_add(1)),
                duration_secs: self.settings.lease_duration_secs,
                renew_time: String::new(),
                acquire_time: String::new(),
                deleting: false,
            }),
            Some(lease)
                if lease.gateway_uid == *uid
                    && !lease.deleting
                    && !lease.holder.is_empty()
                    && dead::holder_is_dead(&self.world, uid, &lease.holder) =>
            {
                Some(LeaseFacts {
                    holder: String::new(),
                    ..lease.clone()
                })
            }
            Some(_) => None,
        };
        if let Some(lease) = wanted {
            self.queue.set(
                &Subject::Site(uid.clone()),
                Target::Object(Kind::Lease, lease_key),
                Some(Action::WriteLease(lease)),
            );
        }
    }

    /// A Lease under the gateway's name that nobody labelled: no watch shows it
    /// going, so it is read from time to time.
    fn look_at_taken_lease(&mut self, uid: &Uid, lease: &Key, now: Millis) {
        let stands = self.world.leases.get(lease);
        let taken = stands.is_some_and(|l| l.gateway_uid.as_str().is_empty());
        let pause = if self.world.is_doubted(Kind::Lease, lease) {
            1_100
        } else {
            TAKEN_LEASE_MS
        };
        let subject = Subject::Site(uid.clone());
        let Some(site) = self.sites.get_mut(uid) else {
            return;
        };
        if !taken {
            site.lease_taken = None;
            return;
        }
        let read_at = *site.lease_taken.get_or_insert(now);
        let again = Millis(read_at.0.saturating_add(pause));
        if now >= again {
            site.lease_taken = Some(now);
            let read = Action::Read {
                kind: Kind::Lease,
                key: lease.clone(),
            };
            let target = Target::Read(Kind::Lease, lease.clone());
            self.queue.set(&subject, target, Some(read));
        }
        self.wake(subject, again.max(Millis(now.0.saturating_add(1_100))));
    }

    /// The highest term that any report or the last Lease names.
    fn highest_term(&self, uid: &Uid) -> Option<i64> {
        let reported = self.world.reports_by_gateway.of(uid).filter_map(|key| {
            let status = self.world.reports.get(key)?.status.as_ref()?;
            Some(status.active.as_ref()?.term)
        });
        let known = self
            .sites
            .get(uid)
            .and_then(|s| s.evidence.holder.named())
            .map(|(_, term)| term.transitions);
        reported.chain(known).max()
    }

    /// Whether things may be made for a gateway: it is held by our finalizer,
    /// and its namespace takes new objects.
    fn may_make(&self, key: &Key) -> bool {
        let held = self
            .finalizers_of(Kind::NATGateway, key)
            .is_some_and(|f| f.iter().any(|f| f == FINALIZER_IN_USE));
        held && !self
            .world
            .namespace(&key.namespace)
            .is_some_and(|n| n.terminating)
    }

    /// Wants the children that are missing or stale.
    pub(super) fn keep_children(&mut self, uid: &Uid, key: &Key, now: Millis) {
        let Some(rendered) = self.world.rendered.get(uid).cloned() else {
            return;
        };
        if !self.may_make(key) {
            return;
        }
        let accepted = self.views.gateways.get(key).is_some_and(|v| v.verdict.ok);
        let child = child_key(key);
        let mut others = self.header_of(uid, key).is_some() && self.lease_of(uid).is_some();
        for kind in CHILDREN {
            let stands = self.world.children.get(&kind).and_then(|s| s.get(&child));
            let free = stands.is_none();
            let mine = stands.filter(|c| c.gateway_uid == *uid).cloned();
            let mine = mine.as_ref();
            let current =
                mine.is_some_and(|c| !c.deleting && Some(&c.digest) == rendered.get(&kind));
            let due = rendered.contains_key(&kind)
                && !current
                && (free || mine.is_some_and(|c| !c.deleting))
                && (mine.is_some() || accepted)
                && (kind != ChildKind::Deployment || others);
            let rolls = kind == ChildKind::Deployment && mine.is_some();
            let due = due && (!rolls || self.may_roll(uid, now));
            if due {
                self.queue.set(
                    &Subject::Site(uid.clone()),
                    Target::Child(kind, child.clone()),
                    Some(Action::EnsureChild {
                        child: kind,
                        gateway: key.clone(),
                        gateway_uid: uid.clone(),
                    }),
                );
            }
            others &= mine.is_some();
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
