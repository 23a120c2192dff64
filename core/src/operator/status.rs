//! Statuses as they are written: which differ, when they may be written, and
//! the patch.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};
use sluice_crds::condition::Reason;

use super::Operator;
use super::action::{Action, StatusWrite, Target};
use super::drafts::{Draft, Typed, ready_of};
use super::event::{Key, Kind, Millis};
use super::subject::Subject;
use super::urgency::Urgency;
use crate::identity::Uid;

impl Operator {
    pub(super) fn decide_status(&mut self, kind: Kind, key: &Key, now: Millis) {
        let subject = Subject::Status(kind, key.clone());
        let target = Target::Status(kind, key.clone());
        let action = self
            .due_status(kind, key, now)
            .map(|urgency| Action::WriteStatus {
                kind,
                key: key.clone(),
                urgency,
            });
        self.queue.set(&subject, target, action);
    }

    /// Until when a step on the way to Ready is not worth a write of its own.
    ///
    /// One write shall tell all if the holder reports soon, and no object takes
    /// more than two: the first, and Ready. So time counts from the publication,
    /// and where there is none yet, up to a limit, from when the step was first
    /// seen: what waits in our own queues is no news.
    fn patience(&mut self, uid: &Uid, draft: &Draft, now: Millis) -> Millis {
        let settings = &self.settings;
        let (after, most) = if draft.first {
            (settings.first_status_ms, settings.first_status_max_ms)
        } else if draft.is_accepted() {
            (settings.progress_ms, settings.progress_max_ms)
        } else {
            (settings.progress_ms, settings.first_status_max_ms)
        };
        let since = *self.held_back.entry(uid.clone()).or_insert(now);
        let most = since.0.saturating_add(most);
        let shown = draft
            .site
            .as_ref()
            .and_then(|site| self.sites.get(site)?.shown_at(draft.rests_on?));
        Millis(shown.map_or(most, |at| most.min(at.max(since).0.saturating_add(after))))
    }

    /// How urgently the object's status shall be written now, if so. Looks again
    /// by itself where it shall be later.
    fn due_status(&mut self, kind: Kind, key: &Key, now: Millis) -> Option<Urgency> {
        let (uid, _, _) = self.life_of(kind, key)?;
        if self
            .queue
            .under_way(&Target::Object(kind, key.clone()))
            .is_some()
        {
            return None;
        }
        let subject = Subject::Status(kind, key.clone());
        if matches!(kind, Kind::NATGateway | Kind::EIPPool)
            && let Some(at) = self.told.get(key)
        {
            let again = Millis(at.0.saturating_add(self.settings.gateway_status_ms));
            if now < again {
                self.wake(subject, again);
                return None;
            }
        }
        let draft = self.draft(kind, key, now, None)?;
        if let (Kind::EIP, Some(site)) = (
            kind,
            draft.site.as_ref().and_then(|s| self.sites.get_mut(s)),
        ) {
            if draft.turning {
                site.turning.insert(key.clone());
            } else {
                site.turning.remove(key);
            }
        }
        self.may_write(&uid, &draft, (kind, key), (now, None))
            .then(|| Urgency::of_status(kind, draft.corrects()))
    }

    /// Whether a status is worth a write now, and confirmed where it says Ready.
    /// Looks again by itself where it may be later.
    fn may_write(
        &mut self,
        uid: &Uid,
        draft: &Draft,
        (kind, key): (Kind, &Key),
        (now, wall): (Millis, Option<Timestamp>),
    ) -> bool {
        if draft.new == draft.old {
            self.held_back.remove(uid);
            return false;
        }
        if draft.is_step() {
            let until = self.patience(uid, draft, now);
            if now < until {
                self.wake(Subject::Status(kind, key.clone()), until);
                return false;
            }
        }
        match &draft.site {
            Some(site) if draft.ready => {
                self.confirmed(site, draft.rests_on, (kind, key), (now, wall))
            }
            _ => true,
        }
    }

    pub(super) fn write_status(
        &mut self,
        kind: Kind,
        key: &Key,
        now: Millis,
        wall: Timestamp,
    ) -> Option<StatusWrite> {
        if !self.world.all_listed() {
            return None;
        }
        let draft = self.draft(kind, key, now, Some(wall))?;
        let (uid, resource_version, _) = self.life_of(kind, key)?;
        if !self.may_write(&uid, &draft, (kind, key), (now, Some(wall))) {
            return None;
        }
        self.announce_later(kind, key, &uid, &draft);
        if matches!(kind, Kind::NATGateway | Kind::EIPPool) {
            self.told.insert(key.clone(), now);
        }
        self.held_back.remove(&uid);
        Some(StatusWrite {
            uid,
            resource_version,
            status: patch(&draft.old, &draft.new),
        })
    }

    fn announce_later(&mut self, kind: Kind, key: &Key, uid: &Uid, draft: &Draft) {
        let (old, new) = (ready_of(&draft.old), ready_of(&draft.new));
        let Some(new) = new else { return };
        let was = old.map(|c| c.status.as_str());
        // Of a rule that stays Ready, what runs short is news, and that it does no more.
        let (before, short) = (old.and_then(shortage), shortage(new));
        let same = was == Some(new.status.as_str()) && before == short;
        // That a fresh object is not Ready yet is no news.
        if same || (new.status != "True" && was != Some("True")) {
            return;
        }
        let gateway = match kind {
            Kind::NATGateway => Some(key.clone()),
            Kind::EIPPool => None,
            _ => self
                .views
                .eips
                .get(&match kind {
                    Kind::EIP => key.clone(),
                    _ => self
                        .views
                        .rules
                        .get(&(kind, key.clone()))
                        .map(|v| v.eip.clone())
                        .unwrap_or_default(),
                })
                .map(|v| v.gateway.clone()),
        };
        let addresses = match &draft.new {
            Typed::Eip(s) => format!(
                "ipv4={} ipv6={}: ",
                s.ipv4.as_deref().unwrap_or("-"),
                s.ipv6.as_deref().unwrap_or("-")
            ),
            _ => String::new(),
        };
        self.announcer.prepare(
            kind,
            key,
            super::announce::Change {
                uid: uid.clone(),
                gateway,
                ready: new.status == "True",
                short,
                message: format!("{addresses}{}: {}", new.reason, new.message),
            },
        );
    }
}

/// What runs short by a condition `Ready`.
fn shortage(ready: &Condition) -> Option<&'static str> {
    [Reason::PortsLow, Reason::PortsPerSourceReached]
        .map(Reason::as_str)
        .into_iter()
        .find(|reason| *reason == ready.reason)
}

/// The merge-patch that makes the new status of the old one.
fn patch(old: &Typed, new: &Typed) -> Value {
    let fields = |status: &Typed| match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (old, new) = (fields(old), fields(new));
    let mut patch = Map::new();
    for name in old.keys() {
        if !new.contains_key(name) {
            patch.insert(name.clone(), Value::Null);
        }
    }
    for (name, value) in new {
        if old.get(&name) != Some(&value) {
            patch.insert(name, value);
        }
    }
    Value::Object(patch)
}
