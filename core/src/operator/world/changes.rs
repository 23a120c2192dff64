//! What a changed object means for the look-ups, and for what must be decided anew.

mod claims;
mod cluster;
mod pods;
mod sites;
mod users;

use super::super::USER_KINDS;
use super::super::event::{Key, Kind};
use super::super::subject::Subject;
use super::World;
use super::store::Record;

impl World {
    /// Marks everything: once all kinds are listed, and when no watch is broken any more.
    pub(super) fn mark_everything(&mut self) {
        let mut marks: Vec<Subject> = Vec::new();
        marks.extend(
            self.pools
                .iter()
                .map(|(k, _)| Subject::Pool(k.name.clone())),
        );
        marks.extend(
            self.gateways
                .iter()
                .map(|(k, _)| Subject::Gateway(k.clone())),
        );
        marks.extend(self.eips.iter().map(|(k, _)| Subject::Eip(k.clone())));
        marks.extend(self.rules_by_eip.keys().cloned().map(Subject::RulesOf));
        marks.extend(
            self.claims
                .iter()
                .map(|(k, _)| Subject::Claim(k.name.clone())),
        );
        let sites = self
            .gateways_by_uid
            .keys()
            .chain(self.reports_by_gateway.keys())
            .chain(self.pods_by_gateway.keys())
            .chain(self.slices_by_gateway.keys())
            .chain(self.children_by_gateway.keys())
            .chain(self.configs_by_gateway.keys())
            .chain(self.leases_by_gateway.keys());
        marks.extend(sites.cloned().map(Subject::Site));
        self.dirty.extend(marks);
        for kind in USER_KINDS {
            for (_, key) in self.keys_of(kind) {
                self.mark_object(kind, &key);
            }
        }
    }

    fn mark_object(&mut self, kind: Kind, key: &Key) {
        if matches!(kind, Kind::EIP | Kind::FIP | Kind::DNAT | Kind::SNAT) {
            self.mark(Subject::Entries(kind, key.clone()));
        }
        self.mark(Subject::Hold(kind, key.clone()));
        self.mark(Subject::Status(kind, key.clone()));
    }

    /// Marks the gateway of that name: the name of its header or Lease may have
    /// been taken or left by another life.
    fn mark_site_named(&mut self, gateway: &Key) {
        if let Some(gateway) = self.gateways.get(gateway) {
            let uid = gateway.uid();
            self.mark(Subject::Site(uid));
        }
    }
}
