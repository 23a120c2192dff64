//! What is remembered of an object goes with it.

use super::Operator;
use super::action::Target;
use super::event::Kind;

impl Operator {
    /// Forgets what is remembered of objects that went.
    pub(super) fn forget_left(&mut self) {
        for left in std::mem::take(&mut self.world.left) {
            let (kind, key, uid) = (left.kind, left.key, left.uid);
            self.resting.remove(&uid);
            self.written.remove(&uid);
            self.stood.remove(&uid);
            self.held_back.remove(&uid);
            if self.world.claims_by_owner.count(&uid) == 0 {
                self.proven_gone.remove(&uid);
            }
            // Failures were those of another life.
            match left.child {
                Some(child) => self.queue.forgive(&Target::Child(child, key.clone())),
                None => {
                    self.queue.forgive(&Target::Object(kind, key.clone()));
                    self.queue.forgive(&Target::Status(kind, key.clone()));
                    self.queue.forgive(&Target::Read(kind, key.clone()));
                }
            }
            if matches!(kind, Kind::NATGateway | Kind::EIPPool) {
                self.told.remove(&key);
            }
            if kind == Kind::NATGateway {
                self.announcer.forget(&key);
                self.crowded.remove(&key);
            }
        }
    }

    /// Names of what is remembered, and how much of it; empty: nothing.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> Vec<String> {
        let world = &self.world;
        let mut found: Vec<String> = [
            ("sites", self.sites.len()),
            ("timers", self.timers.len()),
            ("due", self.due.len()),
            ("proven_gone", self.proven_gone.len()),
            ("starving", self.starving.len()),
            ("crowded", self.crowded.len()),
            ("inside", self.inside.len()),
            ("snats", self.snats.len()),
            ("needs", self.needs.len()),
            ("placed", self.placed.len()),
            ("held_back", self.held_back.len()),
            ("releasing", self.releasing.len()),
            ("handing", self.handing.len()),
            ("written", self.written.len()),
            ("stood", self.stood.len()),
            ("resting", self.resting.len()),
            ("told", self.told.len()),
            ("views of pools", self.views.pools.len()),
            ("views of gateways", self.views.gateways.len()),
            ("views of EIPs", self.views.eips.len()),
            ("views of rules", self.views.rules.len()),
            ("queue", self.queue.len()),
            ("announcements", self.announcer.len()),
            ("left", world.left.len()),
            ("rendered", world.rendered.len()),
            ("lost_slices", world.lost_slices.len()),
            ("claims_by_address", world.claims_by_address.len()),
            ("rules_by_eip", world.rules_by_eip.keys().count()),
            ("fips_by_pod", world.fips_by_pod.keys().count()),
            ("selecting", world.selecting.keys().count()),
            ("eips_by_gateway", world.eips_by_gateway.keys().count()),
            ("gateways_by_pool", world.gateways_by_pool.keys().count()),
            ("claims_by_owner", world.claims_by_owner.keys().count()),
            (
                "claims_by_owner_name",
                world.claims_by_owner_name.keys().count(),
            ),
            ("claims_by_pool", world.claims_by_pool.keys().count()),
            (
                "reports_by_gateway",
                world.reports_by_gateway.keys().count(),
            ),
            ("pods_by_gateway", world.pods_by_gateway.keys().count()),
            ("slices_by_gateway", world.slices_by_gateway.keys().count()),
            (
                "children_by_gateway",
                world.children_by_gateway.keys().count(),
            ),
            ("gateways_by_uid", world.gateways_by_uid.len()),
            (
                "configs_by_gateway",
                world.configs_by_gateway.keys().count(),
            ),
            ("leases_by_gateway", world.leases_by_gateway.keys().count()),
            ("pods whose instances are known", world.succession.pods()),
        ]
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{name}: {n}"))
        .collect();
        for (uid, site) in &self.sites {
            found.extend(
                [
                    ("desired", site.desired.len()),
                    ("turning", site.turning.len()),
                    ("dropped", site.dropped.len()),
                    ("unconfirmed", site.unconfirmed.len()),
                    ("waiters", site.waiters.len()),
                    ("shown", site.shown.len()),
                    ("disagreements", site.disagreements.len()),
                    ("history", site.history.remembered()),
                ]
                .into_iter()
                .filter(|(_, n)| *n > 0)
                .map(|(name, n)| format!("{uid} {name}: {n}")),
            );
        }
        found
    }
}
