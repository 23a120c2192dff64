//! Whether an object that is to be programmed stands.
//!
//! A watch may be late. A leader that begins may see an object that the leader before it
//! has taken out of every kernel and let go; its own writes would only tell it after it had
//! brought the object back. So nothing comes into a gateway's config before this leader has
//! set its finalizer or read it live. What the config has had all along stands: its
//! finalizer is removed by a leader that has seen the config without it, and by no other.

use super::action::{Action, Outcome, Target};
use super::event::{Key, Kind};
use super::subject::Subject;
use super::{Operator, USER_KINDS};
use crate::identity::Uid;
use sluice_crds::names::FINALIZER_PROGRAMMED;

impl Operator {
    /// Whether an object may come into a gateway's config, or stay there.
    pub(super) fn stands(&self, uid: &Uid, site: &Uid) -> bool {
        if self.stood.contains(uid) {
            return true;
        }
        self.sites.get(site).is_some_and(|site| {
            // Of a header whose slices somebody deleted nothing can be told.
            site.history.uid().is_some() && !site.history.known()
                || site
                    .history
                    .published(uid)
                    .is_some_and(|lines| !lines.is_empty())
        })
    }

    /// Reads an object that may come into a config if it stands.
    pub(super) fn ask_whether_it_stands(&mut self, kind: Kind, key: &Key) {
        let subject = Subject::Entries(kind, key.clone());
        let target = Target::Read(kind, key.clone());
        let read = self.awaits_proof(kind, key).then(|| Action::Read {
            kind,
            key: key.clone(),
            known: None,
        });
        if read.is_some() || self.queue.wanted_by(&target, &subject) {
            self.queue.set(&subject, target, read);
        }
    }

    fn awaits_proof(&self, kind: Kind, key: &Key) -> bool {
        let Some((uid, _, deleting)) = self.life_of(kind, key) else {
            return false;
        };
        let (wanted, eip) = match kind {
            Kind::EIP => (true, key.clone()),
            _ => match self.views.rules.get(&(kind, key.clone())) {
                Some(rule) => (!deleting && rule.verdict().ok, rule.eip.clone()),
                None => return false,
            },
        };
        let view = self.views.eips.get(&eip);
        let site = view.filter(|v| v.verdict.ok && !v.granted.is_empty());
        let Some(site) = site.and_then(|v| v.gateway_uid.as_ref()) else {
            return false;
        };
        wanted && self.finalized(kind, key) && !self.stands(&uid, site)
    }

    /// What the end of an action tells of the object that it was about.
    pub(super) fn stood_by(&mut self, action: &Action, outcome: &Outcome) {
        if *outcome != Outcome::Done {
            return;
        }
        let (kind, key) = match action {
            Action::Read { kind, key, .. } if USER_KINDS.contains(kind) => (*kind, key),
            Action::SetFinalizers {
                kind,
                key,
                finalizers,
                ..
            } if finalizers.iter().any(|f| f == FINALIZER_PROGRAMMED) => (*kind, key),
            _ => return,
        };
        // A leader before this one may still let a rule go that it has seen being deleted.
        let life = self.life_of(kind, key);
        if let Some((uid, _, _)) = life.filter(|(.., going)| !going || kind == Kind::EIP) {
            self.stood.insert(uid);
        }
        self.mark(Subject::Entries(kind, key.clone()));
    }
}
