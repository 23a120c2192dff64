//! One operator process: watches, the machine, its queue of writes, and the
//! election.

use std::collections::BTreeMap;

use super::wire::{Body, Request, Sender};
use super::world::World;
use crate::identity::{Term, Uid};
use crate::lease::{Election, Step};
use crate::operator::action::{Action, Outcome, Target};
use crate::operator::event::{ChildKind, Event, Key, Kind, Millis, Object};
use crate::operator::{Operator, OperatorSettings};

/// `leaseDurationSeconds` of the operators' Lease.
const LEADER_SECS: u32 = 15;

/// The watch of one kind.
#[derive(Clone, Debug)]
pub enum Watch {
    /// Not begun, or broken.
    Broken,
    /// A list was answered and has not arrived; where the watch goes on from it.
    Listing(Box<Event>, usize),
    /// Up to here the log was shown.
    Following(usize),
}

#[derive(Clone, Debug)]
pub struct Contender {
    pub name: &'static str,
    /// Which life of the process.
    pub life: u64,
    pub operator: Operator,
    pub election: Election,
    /// A request of the election is under way.
    pub electing: bool,
    /// The election waits until then.
    pub waiting: Option<Millis>,
    /// The process is stopped: its requests go on, it does not.
    pub paused: bool,
    pub watches: BTreeMap<Kind, Watch>,
    /// Where this life's first watches began.
    pub begun: BTreeMap<Kind, usize>,
    /// Actions that wait to be sent, one a target.
    pub queue: Vec<Action>,
    /// Targets whose action is on its way.
    pub busy: Vec<Target>,
    /// Whether anything arrived since the machine was last asked.
    pub stirred: bool,
    /// For the judge: holder and term that a live read of a gateway's Lease has
    /// shown, and when the answer came.
    pub reads: BTreeMap<Key, (String, Term, u64)>,
    /// For the judge: the newest header that this life was shown, by gateway.
    pub shown: BTreeMap<Key, (Uid, i64)>,
}

impl Contender {
    pub fn new(name: &'static str, settings: &OperatorSettings) -> Self {
        let watched = Kind::ALL.iter().filter(|kind| **kind != Kind::InsidePod);
        Self {
            name,
            life: 0,
            operator: Operator::new(settings.clone()),
            election: Election::new(name, LEADER_SECS),
            electing: false,
            waiting: None,
            paused: false,
            watches: watched.map(|kind| (*kind, Watch::Broken)).collect(),
            begun: BTreeMap::new(),
            queue: Vec::new(),
            busy: Vec::new(),
            stirred: false,
            reads: BTreeMap::new(),
            shown: BTreeMap::new(),
        }
    }

    /// The process begins anew with nothing in memory.
    pub fn restart(&mut self, settings: &OperatorSettings) {
        let (life, paused) = (self.life + 1, self.paused);
        *self = Self::new(self.name, settings);
        self.life = life;
        self.paused = paused;
    }

    /// As the edge does it: the newer action for a target takes the place of the older.
    fn push(&mut self, action: Action) {
        let place = self
            .queue
            .iter_mut()
            .find(|a| a.target() == action.target());
        match place {
            Some(place) => *place = action,
            None => self.queue.push(action),
        }
    }

    /// Whether a waiting action may be sent.
    pub fn is_free(&self, at: usize) -> bool {
        let target = self.queue.get(at).and_then(Action::target);
        target.is_some_and(|target| !self.busy.contains(&target))
    }
}

impl World {
    pub fn sender_of(&self, who: usize) -> Sender {
        Sender::Operator(who, self.contenders[who].life)
    }

    pub fn leads(&self, who: usize) -> bool {
        self.contenders[who].election.leads(self.millis())
    }

    /// An event reaches a process.
    pub fn feed(&mut self, who: usize, event: Event) {
        let objects: Vec<&Object> = match &event {
            Event::Apply(object) => vec![object.as_ref()],
            Event::Reset { objects, .. } => objects.iter().collect(),
            _ => vec![],
        };
        let mut gateways: Vec<(Key, Uid)> = Vec::new();
        let contender = &mut self.contenders[who];
        for object in objects {
            let (_, key, uid) = object.identity();
            match object {
                Object::NATGateway(_) => gateways.push((key, uid)),
                Object::GatewayConfig(header) => {
                    let generation = header.metadata.generation.unwrap_or_default();
                    // An event of a header that was made anew since may come again.
                    let age =
                        |uid: &Uid| self.ledger.headers.iter().position(|h| h == uid.as_str());
                    let newest = contender.shown.get(&key);
                    if newest.is_none_or(|(u, g)| (age(u), *g) < (age(&uid), generation)) {
                        contender.shown.insert(key, (uid, generation));
                    }
                }
                _ => {}
            }
        }
        contender.operator.apply(event);
        for (gateway, gateway_uid) in gateways {
            let digests = ChildKind::ALL.map(|kind| (kind, self.rendered.clone()));
            let rendered = Event::Rendered {
                gateway,
                gateway_uid,
                digests: digests.into(),
            };
            contender.operator.apply(rendered);
        }
        contender.stirred = true;
    }

    /// A watch breaks.
    pub fn break_watch(&mut self, who: usize, kind: Kind) {
        let contender = &mut self.contenders[who];
        contender.watches.insert(kind, Watch::Broken);
        contender.operator.apply(Event::OutOfSync(kind));
        contender.stirred = true;
    }

    /// The API server answers a list, which arrives later.
    pub fn list(&mut self, who: usize, kind: Kind) -> bool {
        let (event, at) = self.server.list(kind);
        let contender = &mut self.contenders[who];
        let broken = matches!(contender.watches.get(&kind), Some(Watch::Broken));
        if broken {
            let listing = Watch::Listing(Box::new(event), at);
            contender.watches.insert(kind, listing);
            contender.begun.entry(kind).or_insert(at);
        }
        broken
    }

    /// The next events of a kind arrive, or the list. `squash`: of several
    /// states of one object only the last is shown.
    pub fn deliver(&mut self, who: usize, kind: Kind, count: usize, squash: bool) -> bool {
        let Some(watch) = self.contenders[who].watches.get_mut(&kind) else {
            return false;
        };
        match watch {
            Watch::Broken => false,
            Watch::Listing(_, at) => {
                let at = *at;
                let listed = std::mem::replace(watch, Watch::Following(at));
                if let Watch::Listing(event, _) = listed {
                    self.feed(who, *event);
                }
                true
            }
            Watch::Following(at) => {
                let log = self.server.log.get(&kind).map_or(&[][..], Vec::as_slice);
                let events: Vec<Event> = log.iter().skip(*at).take(count).cloned().collect();
                *at += events.len();
                let any = !events.is_empty();
                for (at, event) in events.iter().enumerate() {
                    if !(squash && is_overtaken(event, events.get(at + 1))) {
                        self.feed(who, event.clone());
                    }
                }
                any
            }
        }
    }

    /// An event that was shown to this life before comes again.
    pub fn repeat(&mut self, who: usize, kind: Kind, back: usize) {
        let contender = &self.contenders[who];
        let Some(Watch::Following(at)) = contender.watches.get(&kind) else {
            return;
        };
        let begun = contender.begun.get(&kind).copied().unwrap_or_default();
        let old = at.checked_sub(back + 1).filter(|old| *old >= begun);
        let event = old.and_then(|old| self.server.log.get(&kind)?.get(old).cloned());
        if let Some(event) = event {
            self.feed(who, event);
        }
    }

    /// The machine is asked what it wants, while it surely leads.
    pub fn poll(&mut self, who: usize) -> bool {
        let now = self.millis();
        if !self.leads(who) {
            return false;
        }
        let contender = &mut self.contenders[who];
        contender.stirred = false;
        let actions = contender.operator.poll(now);
        let any = !actions.is_empty();
        for action in actions {
            if !matches!(action, Action::Emit(_)) {
                contender.push(action);
            }
        }
        any
    }

    /// A writer takes an action from the queue: who leads no more writes nothing.
    pub fn send(&mut self, who: usize, at: usize) {
        if !self.contenders[who].is_free(at) {
            return;
        }
        let now = self.millis();
        let wall = self.wall();
        let leads = self.leads(who);
        let contender = &mut self.contenders[who];
        let action = contender.queue.remove(at);
        let target = action.target().unwrap();
        if !leads {
            return;
        }
        let body = match action {
            Action::WriteStatus { kind, key, .. } => {
                match contender.operator.judge(kind, &key, now, wall) {
                    Some(write) => {
                        self.judge_status(who, kind, &key, &write);
                        Body::Status(kind, key, write)
                    }
                    None => {
                        contender.operator.done(&target, &Outcome::Done, now);
                        contender.stirred = true;
                        return;
                    }
                }
            }
            Action::EnsureChild {
                ref gateway,
                ref gateway_uid,
                serves_on,
                ..
            } => {
                // The edge reads the gateway first.
                let stands = match self.server.get(Kind::NATGateway, gateway) {
                    Some(Object::NATGateway(o)) => {
                        o.metadata.uid.as_deref() == Some(gateway_uid.as_str())
                            && (serves_on || o.metadata.deletion_timestamp.is_none())
                    }
                    _ => false,
                };
                if !stands {
                    let slot = (Kind::NATGateway, None, gateway.clone());
                    if let Some(event) = self.server.live(&slot, Some(gateway_uid)) {
                        self.feed(who, event);
                    }
                    let contender = &mut self.contenders[who];
                    contender.operator.done(&target, &Outcome::Conflict, now);
                    return;
                }
                Body::Act(action)
            }
            other => Body::Act(other),
        };
        self.contenders[who].busy.push(target);
        self.request(self.sender_of(who), body);
    }

    pub fn request(&mut self, from: Sender, body: Body) {
        self.requests.push(Request {
            from,
            since: self.now,
            body,
            orphan: false,
            mute: false,
            held: false,
        });
    }

    /// The election's next step. Whether anything was done.
    pub fn elect(&mut self, who: usize) -> bool {
        let now = self.millis();
        let contender = &mut self.contenders[who];
        if contender.electing || contender.waiting.is_some_and(|until| now < until) {
            return false;
        }
        if contender.waiting.take().is_some() {
            contender.election.waited();
        }
        let body = match self.contenders[who].election.next(now) {
            Step::Lost => {
                self.sometimes("a leader loses leadership and begins anew");
                self.end_life(who);
                return true;
            }
            Step::Wait(until) => {
                self.contenders[who].waiting = Some(until);
                return false;
            }
            Step::Read => Body::Elect(None),
            Step::Write(write) => Body::Elect(Some(write)),
        };
        self.contenders[who].electing = true;
        self.request(self.sender_of(who), body);
        true
    }

    /// A process ends, and another begins in its place.
    pub fn end_life(&mut self, who: usize) {
        let settings = self.settings.clone();
        for request in &mut self.requests {
            request.orphan |= matches!(request.from, Sender::Operator(w, _) if w == who);
        }
        self.replies
            .retain(|r| !matches!(r.to, Sender::Operator(w, _) if w == who));
        self.contenders[who].restart(&settings);
    }

    /// When a process must be looked at although nothing arrives.
    pub fn contender_due(&self, who: usize) -> Option<Millis> {
        let contender = &self.contenders[who];
        if contender.paused {
            return None;
        }
        let now = self.millis();
        let election = match contender.waiting {
            _ if contender.electing => None,
            waiting => waiting.or(Some(now)),
        };
        let sure = contender.election.sure_until().filter(|at| *at > now);
        let machine = match self.leads(who) {
            true => contender.operator.next_deadline(now),
            false => None,
        };
        [election, sure, machine].into_iter().flatten().min()
    }
}

/// Whether the next event shows a later state of the same object.
fn is_overtaken(event: &Event, next: Option<&Event>) -> bool {
    match (event, next) {
        (Event::Apply(old), Some(Event::Apply(new))) => {
            old.identity() == new.identity() && old.child_kind() == new.child_kind()
        }
        _ => false,
    }
}
