//! Removal: whether a kernel may still hold something of an object.

use super::dead::{self};
use super::subject::Subject;
use super::{Operator, capability};
use crate::identity::Uid;
use std::net::IpAddr;

impl Operator {
    /// Whether nothing of an object (at one address, where given) can be in any
    /// kernel of a site any more. If not, the subject is marked when that may
    /// have changed.
    pub(super) fn removed(
        &mut self,
        site_uid: &Uid,
        object: &Uid,
        address: Option<IpAddr>,
        subject: &Subject,
    ) -> bool {
        if site_uid.as_str().is_empty() {
            return true;
        }
        if !self.sites.contains_key(site_uid) {
            if self.trace(site_uid).is_none() && !self.world.gateways_by_uid.contains_key(site_uid)
            {
                return true;
            }
            self.mark(Subject::Site(site_uid.clone()));
        }
        let instances = dead::instances(&self.world, site_uid);
        let in_sync = self.world.all_in_sync();
        let hosted = capability::is_hosted(&self.world, site_uid);
        self.site(site_uid, None);
        let Some(site) = self.sites.get(site_uid) else {
            return false;
        };
        let words = address.map(|a| a.to_string());
        let names = |line: &str| {
            words.as_ref().is_none_or(|a| {
                line.split(' ')
                    .any(|w| w == a || w.split('/').next() == Some(a))
            })
        };
        let held = site
            .history
            .published(object)
            .is_some_and(|lines| lines.iter().any(|l| names(&l.line)))
            || site.is_pending(object, names);
        let header = site.history.uid().cloned();
        // A header that has come and was not looked at may have brought it back.
        let shown = self
            .world
            .configs_by_gateway
            .of(site_uid)
            .find_map(|key| self.world.configs.get(key));
        let in_step = match shown {
            Some(shown) => site.history.is_at(shown),
            None => header.is_none(),
        };
        let done = in_sync
            && in_step
            && !held
            && site.unsettled.is_none()
            && (instances.alive.is_empty() && instances.silent.is_empty()
                || instances.silent.is_empty()
                    && site.history.removed_at(object).is_some_and(|since| {
                        // Of chassis the holder speaks; what a standby has applied is no row.
                        let taken_back = !hosted || site.evidence.proven >= Some(since);
                        taken_back
                            && instances.alive.iter().all(|key| {
                                let applied = self
                                    .world
                                    .reports
                                    .get(key)
                                    .and_then(|r| r.status.as_ref())
                                    .and_then(|s| s.applied.as_ref());
                                applied.is_some_and(|a| {
                                    Some(a.uid.as_str()) == header.as_ref().map(Uid::as_str)
                                        && a.generation >= since
                                })
                            })
                    }));
        let done = done && self.fenced(site_uid);
        if !done && let Some(site) = self.sites.get_mut(site_uid) {
            site.waiters.insert(subject.clone());
        }
        done
    }

    /// Whether no instance of a site can answer for anything any more.
    pub(super) fn silent(&mut self, site_uid: &Uid, subject: &Subject) -> bool {
        let instances = dead::instances(&self.world, site_uid);
        let silent =
            self.world.all_in_sync() && instances.alive.is_empty() && instances.silent.is_empty();
        if !silent {
            self.site(site_uid, None).waiters.insert(subject.clone());
        }
        silent
    }
}
