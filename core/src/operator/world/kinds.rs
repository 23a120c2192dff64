//! One store per kind: putting in, taking out and looking up by kind.

use super::super::event::{ChildKind, Key, Kind, Object};
use super::store::Record;
use super::{Left, World};
use crate::identity::Uid;

macro_rules! every_kind {
    ($world:ident, $object:ident, $($kind:ident: $store:ident, $changed:ident;)+) => {
        match $object {
            $(Object::$kind(new) => {
                let key = new.key();
                let copy = new.clone();
                if let Ok(old) = $world.$store.put(new) {
                    $world.replaced(Kind::$kind, &key, old.as_ref(), &copy);
                    $world.$changed(&key, old.as_ref(), Some(&copy));
                }
            })+
            Object::Child(new) => {
                let (kind, key, copy) = (new.kind, new.key(), new.clone());
                if let Ok(old) = $world.children.entry(kind).or_default().put(new) {
                    $world.child_changed(&key, old.as_ref(), Some(&copy));
                }
            }
        }
    };
}

macro_rules! by_kind {
    ($world:ident, $kind:ident, $child:ident, $store:ident => $do:expr, $none:expr) => {
        match $kind {
            Kind::NATGateway => {
                let $store = &$world.gateways;
                $do
            }
            Kind::EIPPool => {
                let $store = &$world.pools;
                $do
            }
            Kind::EIP => {
                let $store = &$world.eips;
                $do
            }
            Kind::FIP => {
                let $store = &$world.fips;
                $do
            }
            Kind::DNAT => {
                let $store = &$world.dnats;
                $do
            }
            Kind::SNAT => {
                let $store = &$world.snats;
                $do
            }
            Kind::GatewayConfig => {
                let $store = &$world.configs;
                $do
            }
            Kind::RuleSlice => {
                let $store = &$world.slices;
                $do
            }
            Kind::GatewayInstance => {
                let $store = &$world.reports;
                $do
            }
            Kind::AddressClaim => {
                let $store = &$world.claims;
                $do
            }
            Kind::Lease => {
                let $store = &$world.leases;
                $do
            }
            Kind::Pod => {
                let $store = &$world.pods;
                $do
            }
            Kind::Node => {
                let $store = &$world.nodes;
                $do
            }
            Kind::Namespace => {
                let $store = &$world.namespaces;
                $do
            }
            Kind::Attachment => {
                let $store = &$world.attachments;
                $do
            }
            Kind::InsidePod => {
                let $store = &$world.inside_pods;
                $do
            }
            Kind::Child => match $child.and_then(|c: ChildKind| $world.children.get(&c)) {
                Some($store) => $do,
                None => $none,
            },
        }
    };
}

impl World {
    pub(super) fn put(&mut self, object: Object) {
        every_kind!(self, object,
            NATGateway: gateways, gateway_changed;
            EIPPool: pools, pool_changed;
            EIP: eips, eip_changed;
            FIP: fips, fip_changed;
            DNAT: dnats, dnat_changed;
            SNAT: snats, snat_changed;
            GatewayConfig: configs, config_changed;
            RuleSlice: slices, slice_changed;
            GatewayInstance: reports, report_changed;
            AddressClaim: claims, claim_changed;
            Lease: leases, lease_changed;
            Pod: pods, pod_changed;
            Node: nodes, node_changed;
            Namespace: namespaces, namespace_changed;
            Attachment: attachments, attachment_changed;
            InsidePod: inside_pods, inside_pod_changed;
        );
    }

    pub(super) fn remove(&mut self, kind: Kind, child: Option<ChildKind>, key: &Key) {
        macro_rules! gone {
            ($store:ident, $changed:ident) => {
                if let Some(old) = self.$store.take(key) {
                    self.leave(kind, None, key, old.uid());
                    self.$changed(key, Some(&old), None);
                }
            };
        }
        match kind {
            Kind::NATGateway => gone!(gateways, gateway_changed),
            Kind::EIPPool => gone!(pools, pool_changed),
            Kind::EIP => gone!(eips, eip_changed),
            Kind::FIP => gone!(fips, fip_changed),
            Kind::DNAT => gone!(dnats, dnat_changed),
            Kind::SNAT => gone!(snats, snat_changed),
            Kind::GatewayConfig => gone!(configs, config_changed),
            Kind::RuleSlice => gone!(slices, slice_changed),
            Kind::GatewayInstance => gone!(reports, report_changed),
            Kind::AddressClaim => gone!(claims, claim_changed),
            Kind::Lease => gone!(leases, lease_changed),
            Kind::Pod => gone!(pods, pod_changed),
            Kind::Node => gone!(nodes, node_changed),
            Kind::Namespace => gone!(namespaces, namespace_changed),
            Kind::Attachment => gone!(attachments, attachment_changed),
            Kind::InsidePod => gone!(inside_pods, inside_pod_changed),
            Kind::Child => {
                let old = child
                    .and_then(|c| self.children.get_mut(&c))
                    .and_then(|s| s.take(key));
                if let Some(old) = old {
                    self.leave(kind, child, key, old.uid());
                    self.child_changed(key, Some(&old), None);
                }
            }
        }
    }

    fn leave(&mut self, kind: Kind, child: Option<ChildKind>, key: &Key, uid: Uid) {
        // Nobody remembers anything of those, and a cluster's Pods go by the
        // thousand while a standby, which decides nothing, takes them in.
        if kind == Kind::InsidePod {
            return;
        }
        self.left.push(Left {
            kind,
            child,
            key: key.clone(),
            uid,
        });
    }

    /// Another life of the name takes the place of the last.
    fn replaced<T: Record>(&mut self, kind: Kind, key: &Key, old: Option<&T>, new: &T) {
        if let Some(old) = old
            && old.uid() != new.uid()
        {
            self.bury(&old.uid(), u64::MAX);
            self.leave(kind, None, key, old.uid());
        }
    }

    /// UID of the stored object of that name.
    pub(crate) fn uid_of(&self, kind: Kind, child: Option<ChildKind>, key: &Key) -> Option<Uid> {
        by_kind!(self, kind, child, store => store.get(key).map(Record::uid), None)
    }

    /// resourceVersion of the stored object of that name.
    pub(crate) fn version_of(
        &self,
        kind: Kind,
        child: Option<ChildKind>,
        key: &Key,
    ) -> Option<u64> {
        by_kind!(self, kind, child, store => store.get(key).map(Record::version), None)
    }

    pub(super) fn keys_of(&self, kind: Kind) -> Vec<(Option<ChildKind>, Key)> {
        if kind == Kind::Child {
            return self
                .children
                .iter()
                .flat_map(|(child, store)| store.iter().map(|(key, _)| (Some(*child), key.clone())))
                .collect();
        }
        let child: Option<ChildKind> = None;
        by_kind!(self, kind, child, store => store.iter().map(|(key, _)| (None, key.clone())).collect(), Vec::new())
    }
}
