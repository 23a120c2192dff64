//! What Sluice finds in the cluster: nodes, namespaces, attachments.

use super::super::World;
use super::super::references::attachment_key;
use super::super::store::Record;
use crate::identity::Uid;
use crate::operator::event::{AttachmentFacts, Key, Kind, NamespaceFacts, NodeFacts};
use crate::operator::subject::Subject;

impl World {
    pub(in crate::operator::world) fn node_changed(
        &mut self,
        key: &Key,
        _: Option<&NodeFacts>,
        new: Option<&NodeFacts>,
    ) {
        if let Some(new) = new {
            self.succession.boot_shown(&new.name, &new.boot_id);
        } else {
            self.forget_lives();
        }
        let of_pods = self
            .pods
            .iter()
            .filter(|(_, p)| p.node == key.name)
            .map(|(_, p)| p.gateway_uid.clone());
        let of_reports = self
            .reports
            .iter()
            .filter(|(_, r)| r.spec.node == key.name)
            .map(|(_, r)| Uid::new(&r.spec.gateway_uid));
        let sites: Vec<Uid> = of_pods.chain(of_reports).collect();
        for site in sites {
            self.mark(Subject::Site(site));
        }
    }

    pub(in crate::operator::world) fn namespace_changed(
        &mut self,
        key: &Key,
        old: Option<&NamespaceFacts>,
        new: Option<&NamespaceFacts>,
    ) {
        if old.map(|n| &n.labels) != new.map(|n| &n.labels) {
            self.mark_selecting_in_namespaces();
        }
        let eips: Vec<Key> = self
            .eips
            .in_namespace(&key.name)
            .map(|(k, _)| k.clone())
            .collect();
        for eip in eips {
            self.mark(Subject::RulesOf(eip.clone()));
            self.mark(Subject::Eip(eip));
        }
        let gateways: Vec<(Key, Uid)> = self
            .gateways
            .in_namespace(&key.name)
            .map(|(k, g)| (k.clone(), g.uid()))
            .collect();
        for (gateway, uid) in gateways {
            self.mark_object(Kind::NATGateway, &gateway);
            self.mark(Subject::Gateway(gateway));
            self.mark(Subject::Site(uid));
        }
        for (_, config) in self.configs.in_namespace(&key.name) {
            self.dirty
                .insert(Subject::Site(Uid::new(&config.spec.gateway.uid)));
        }
    }

    pub(in crate::operator::world) fn attachment_changed(
        &mut self,
        key: &Key,
        _: Option<&AttachmentFacts>,
        _: Option<&AttachmentFacts>,
    ) {
        let gateways: Vec<Key> = self
            .gateways
            .iter()
            .filter(|(gateway, g)| {
                let lan = g
                    .spec
                    .lan
                    .iter()
                    .filter_map(|l| l.network_attachment.as_ref());
                let uplinks = g.spec.uplinks.iter();
                let uplinks = uplinks.filter_map(|u| u.network_attachment.as_ref());
                lan.chain(uplinks)
                    .any(|text| attachment_key(text, &gateway.namespace) == *key)
            })
            .map(|(gateway, _)| gateway.clone())
            .collect();
        for gateway in gateways {
            self.mark(Subject::Gateway(gateway));
        }
    }
}
