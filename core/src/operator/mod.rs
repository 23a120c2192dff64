//! The operator's side of the protocol as a state machine.
//!
//! [`event::Event`]s tell it what the API server shows; [`action::Action`]s
//! say what to write or to read. Every decision depends on the current state
//! of the world only, so events may be lost, doubled or late, and the process
//! may stop between any two writes.
//!
//! The edge drives an [`Operator`] so: [`Operator::apply`] with all events that
//! have arrived, then [`Operator::poll`] once and carry out what it answers,
//! then [`Operator::done`] for each action that has ended (after feeding back
//! the objects that the server answered with). A status write is taken from the
//! queue by [`Operator::judge`]. [`Operator::next_deadline`] says when to poll
//! although nothing has arrived.

pub mod action;
mod addresses;
mod announce;
mod capability;
mod claims;
mod dead;
mod disagree;
mod drafts;
mod entries;
pub mod event;
mod evidence;
mod fence;
mod forget;
mod gauges;
mod history;
mod hold;
mod lease;
mod publish;
mod queue;
mod ranges;
mod ready;
mod removal;
mod resolve;
mod roll;
mod room;
mod settings;
mod site;
mod standing;
mod status;
mod subject;
mod teardown;
mod turns;
mod upkeep;
pub mod urgency;
mod verdict;
mod views;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

pub use gauges::Gauges;
pub use settings::OperatorSettings;
pub use turns::Turns;

use action::{Action, Announcement, Outcome, StatusWrite, Target};
use addresses::Handover;
use announce::Announcer;
use event::{Event, Key, Kind, Millis};
use queue::Queue;
use resolve::Views;
use site::Site;
use subject::Subject;
use world::World;

use crate::identity::Uid;

#[cfg(test)]
pub(crate) mod tests;

/// Kinds that users apply: those with a status and our finalizer.
const USER_KINDS: [Kind; 6] = [
    Kind::NATGateway,
    Kind::EIPPool,
    Kind::EIP,
    Kind::FIP,
    Kind::DNAT,
    Kind::SNAT,
];

/// The operator's decisions.
#[derive(Clone, Debug)]
pub struct Operator {
    settings: OperatorSettings,
    world: World,
    views: Views,
    sites: BTreeMap<Uid, Site>,
    queue: Queue,
    /// When a subject must be looked at again although nothing changed.
    timers: BTreeMap<Subject, Millis>,
    due: BTreeSet<(Millis, Subject)>,
    /// UIDs that a live read has shown to be gone for good.
    proven_gone: BTreeSet<Uid>,
    /// UIDs of objects that stood when this leader wrote or read them.
    stood: BTreeSet<Uid>,
    /// EIPs that lack an address which another one may free.
    starving: BTreeSet<Key>,
    /// Gateways whose inside address another has claimed.
    crowded: BTreeSet<Key>,
    /// FIPs by gateway and inside address, the oldest first.
    inside: BTreeMap<(Key, std::net::IpAddr), BTreeSet<(resolve::rules::Age, Key)>>,
    /// SNATs by gateway.
    snats: BTreeMap<Key, BTreeSet<(Kind, Key)>>,
    /// DNATs by gateway that need more than one element of its maps, the oldest first.
    needs: room::Needs,
    /// Where an object's entries stand now.
    placed: BTreeMap<(Kind, Key), (Uid, Uid)>,
    /// Since when a status is held back that tells a step on the way to Ready.
    held_back: BTreeMap<Uid, Millis>,
    /// Claims whose release has begun, by name: nobody has their address any
    /// more, whether or not the write is known to be done.
    releasing: BTreeMap<String, Uid>,
    /// Claims that are handed to another gateway, by name: neither may have the address
    /// until it is known which one does.
    handing: BTreeMap<String, Handover>,
    /// UIDs of claims that this leader has written itself.
    written: BTreeSet<Uid>,
    /// When this leader first saw a claim that rests.
    resting: BTreeMap<Uid, Millis>,
    /// When a gateway's status was last written.
    told: BTreeMap<Key, Millis>,
    announcer: Announcer,
    counters: gauges::Counters,
}

impl Operator {
    /// An operator that knows nothing yet. A new leader starts with one.
    #[must_use]
    pub fn new(settings: OperatorSettings) -> Self {
        Self {
            settings,
            world: World::default(),
            views: Views::default(),
            sites: BTreeMap::new(),
            queue: Queue::default(),
            timers: BTreeMap::new(),
            due: BTreeSet::new(),
            proven_gone: BTreeSet::new(),
            stood: BTreeSet::new(),
            starving: BTreeSet::new(),
            crowded: BTreeSet::new(),
            inside: BTreeMap::new(),
            snats: BTreeMap::new(),
            needs: BTreeMap::new(),
            placed: BTreeMap::new(),
            held_back: BTreeMap::new(),
            releasing: BTreeMap::new(),
            handing: BTreeMap::new(),
            written: BTreeSet::new(),
            resting: BTreeMap::new(),
            told: BTreeMap::new(),
            announcer: Announcer::default(),
            counters: gauges::Counters::default(),
        }
    }

    /// Takes in what the edge learned. Decides nothing: that is `poll`'s.
    /// Idempotent; late and doubled events do no harm.
    pub fn apply(&mut self, event: Event) {
        if let Event::Apply(object) = &event {
            // What has changed is tried again at once.
            let (kind, key, _) = object.identity();
            let known = self.world.version_of(kind, object.child_kind(), &key);
            if known.is_some_and(|v| v < object.version()) {
                if let Some(child) = object.child_kind() {
                    self.queue.forgive(&Target::Child(child, key.clone()));
                }
                self.queue.forgive(&Target::Object(kind, key.clone()));
                self.queue.forgive(&Target::Read(kind, key.clone()));
                self.queue.forgive(&Target::Status(kind, key));
            }
        }
        if let Event::OutOfSync(_) | Event::Reset { .. } = &event {
            let sites: Vec<Uid> = self.sites.keys().cloned().collect();
            for site in sites {
                self.world.mark(Subject::Site(site));
            }
        }
        self.world.take(event);
    }

    /// Everything that is wanted now and not under way. Nothing before every
    /// kind that is needed has been listed once.
    pub fn poll(&mut self, now: Millis) -> Vec<Action> {
        if !self.world.all_listed() {
            return Vec::new();
        }
        while let Some((at, subject)) = self.due.first().cloned() {
            if at > now {
                break;
            }
            self.due.remove(&(at, subject.clone()));
            self.timers.remove(&subject);
            self.world.mark(subject);
        }
        self.decide(now);
        let mut actions = self.queue.take(now);
        let world = &self.world;
        for action in &mut actions {
            if let Action::Read { kind, key, known } = action {
                *known = world.uid_of(*kind, None, key);
            }
        }
        let gateway = |key: &Key| world.uid_of(Kind::NATGateway, None, key);
        let events = self
            .announcer
            .take(now, self.settings.announce_each, gateway);
        actions.extend(events.into_iter().map(Action::Emit));
        let news = std::mem::take(&mut self.world.news);
        actions.extend(
            news.into_iter()
                .filter_map(|(gateway, words)| self.neighbour_changed(&gateway, words)),
        );
        actions
    }

    /// The Event that tells of a neighbour on its gateway, while that exists.
    fn neighbour_changed(&self, gateway: &Uid, message: String) -> Option<Action> {
        let key = self.world.gateways_by_uid.get(gateway)?;
        Some(Action::Emit(Announcement {
            kind: Kind::NATGateway,
            key: key.clone(),
            uid: gateway.clone(),
            warning: true,
            reason: "MACChanged",
            message,
        }))
    }

    /// An action has ended; objects that the server answered with were fed back before.
    pub fn done(&mut self, target: &Target, outcome: &Outcome, now: Millis) {
        let ended = match outcome {
            Outcome::Done => self.queue.succeeded(target),
            Outcome::Conflict => self.queue.failed(target, true, now),
            Outcome::Refused(_) | Outcome::Unknown(_) => {
                self.counters.failed += 1;
                self.queue.failed(target, false, now)
            }
        };
        let Some((subject, action)) = ended else {
            return;
        };
        if *outcome == Outcome::Done {
            self.succeeded(target);
        }
        self.site_done(&subject, &action, outcome, now);
        self.claim_done(&action, outcome);
        self.stood_by(&action, outcome);
        self.world.mark(subject);
        if let Target::Status(kind, key) = target {
            self.announced(*kind, key, *outcome == Outcome::Done, now);
        }
        if let Target::Object(kind, key) | Target::Status(kind, key) = target
            && USER_KINDS.contains(kind)
        {
            // Finalizers and status share the object's resourceVersion.
            self.world.mark(Subject::Hold(*kind, key.clone()));
            self.world.mark(Subject::Status(*kind, key.clone()));
        }
    }

    /// What to write into an object's status now; `None`: nothing, or not yet.
    /// Called when the write is taken from the queue. `wall` is the wall clock, used for
    /// `lastTransitionTime`, and to doubt a Lease that was not seen to be renewed yet.
    pub fn judge(
        &mut self,
        kind: Kind,
        key: &Key,
        now: Millis,
        wall: Timestamp,
    ) -> Option<StatusWrite> {
        self.decide(now);
        self.write_status(kind, key, now, wall)
    }

    /// Whether any rule needs [`Kind::InsidePod`]. The edge need not list and watch
    /// it before; from then on nothing is decided until it is listed.
    #[must_use]
    pub fn wants_pods(&self) -> bool {
        self.world.wants_pods()
    }

    /// When `poll` must be called again although nothing has arrived.
    #[must_use]
    pub fn next_deadline(&self, now: Millis) -> Option<Millis> {
        if !self.world.all_listed() {
            return None;
        }
        if !self.world.dirty.is_empty() || self.queue.has_fresh() {
            return Some(now);
        }
        [
            self.due.first().map(|(at, _)| *at),
            self.queue.next_deadline(),
            self.announcer.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn decide(&mut self, now: Millis) {
        if !self.world.all_listed() {
            return;
        }
        while let Some(subject) = self.world.dirty.pop_first() {
            match &subject {
                Subject::Pool(name) => self.decide_pool(name),
                Subject::Gateway(key) => self.decide_gateway(key),
                Subject::Eip(key) => self.decide_eip(key, now),
                Subject::RulesOf(eip) => self.decide_rules(eip),
                Subject::Snats(gateway) => self.decide_snats(gateway),
                Subject::Room(gateway) => self.decide_room(gateway),
                Subject::Inside(gateway, address) => self.decide_inside(gateway, *address),
                Subject::Entries(kind, key) => self.decide_entries(*kind, key),
                Subject::Claim(name) => self.decide_claim(name, now),
                Subject::Site(uid) => self.decide_site(uid, now),
                Subject::Hold(kind, key) => self.decide_hold(*kind, key),
                Subject::Status(kind, key) => self.decide_status(*kind, key, now),
            }
        }
        self.forget_left();
    }

    /// Looks at a subject again at the given time; the earlier of two counts.
    fn wake(&mut self, subject: Subject, at: Millis) {
        if let Some(old) = self.timers.get(&subject).copied() {
            if old <= at {
                return;
            }
            self.due.remove(&(old, subject.clone()));
        }
        self.timers.insert(subject.clone(), at);
        self.due.insert((at, subject));
    }

    fn mark(&mut self, subject: Subject) {
        self.world.mark(subject);
    }

    /// What a finished live read proves.
    fn succeeded(&mut self, target: &Target) {
        match target {
            Target::Read(kind @ (Kind::EIP | Kind::NATGateway), key) => {
                self.owner_read(*kind, key);
            }
            Target::Read(Kind::GatewayInstance, key) => self.report_read(key),
            _ => {}
        }
    }
}
