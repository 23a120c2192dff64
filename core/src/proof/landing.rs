//! Requests land at the API server, and their answers arrive.

use super::wire::{Answer, Body, Request, Sender};
use super::world::World;
use crate::agent::{self, LeaseAnswer, PodSeen, ReportAnswer};
use crate::identity::Term;
use crate::lease::{Record, Write};
use crate::operator::action::{Action, Outcome, Target};
use crate::operator::event::{Event, Kind, Object};

impl World {
    /// A request lands: whatever it asks is done, and its answer is on its way.
    pub fn land(&mut self, at: usize) {
        if at >= self.requests.len() {
            return;
        }
        let request = self.requests.remove(at);
        let (from, since) = (request.from, request.since);
        if request.orphan && !request.is_read() {
            self.sometimes("a write lands after its sender gave up or ended");
        }
        self.judge_landing(&request);
        self.note_landing(&request);
        let silent = request.orphan || request.mute;
        if request.mute {
            self.give_up_on(&request);
        }
        let answer = match request.body {
            Body::Elect(write) => self.land_election(write, since),
            Body::Act(action) => self.land_action(action),
            Body::Status(kind, key, write) => {
                let (outcome, events) = self.server.patch_status(kind, &key, &write);
                Answer::Acted(Target::Status(kind, key), outcome, events)
            }
            Body::Agent(action) => match from {
                Sender::Agent(n, _) => self.land_agent(n, action),
                Sender::Operator(..) => return,
            },
            Body::Report(status, seen) => match from {
                Sender::Agent(n, _) => self.land_report(n, *status, seen),
                Sender::Operator(..) => return,
            },
            Body::MakeReport => match from {
                Sender::Agent(n, _) => self.make_report(n),
                Sender::Operator(..) => return,
            },
        };
        self.look();
        if !silent {
            self.replies.push(super::wire::Reply {
                to: from,
                since: self.now,
                body: answer,
            });
        }
    }

    fn land_election(&mut self, write: Option<Write>, sent: u64) -> Answer {
        let Some(write) = write else {
            return Answer::Read(self.leadership.clone());
        };
        let same = match (&write.base, &self.leadership) {
            (None, None) => true,
            (Some(base), Some(stands)) => {
                base.uid == stands.uid && base.resource_version == stands.resource_version
            }
            _ => false,
        };
        if !same {
            self.sometimes("two operators contend for leadership");
            return Answer::Conflicted;
        }
        self.leadership_versions += 1;
        if let Some(stands) = &self.leadership
            && stands.holder != write.holder
        {
            self.sometimes("leadership changes hands");
        }
        let record = Record {
            uid: "leadership".to_owned(),
            resource_version: self.leadership_versions.to_string(),
            holder: write.holder,
            transitions: write.transitions,
            duration_secs: write.duration_secs,
        };
        self.leadership = Some(record.clone());
        Answer::Wrote(record, sent)
    }

    fn land_action(&mut self, action: Action) -> Answer {
        let target = action.target().unwrap();
        if let Action::CreateClaim(claim) = &action {
            let mine = claim.spec.owner.uid.clone();
            let (_, events) = self.server.execute(&action, &self.rendered);
            let owner = events.iter().find_map(|e| match e {
                Event::Apply(o) => match o.as_ref() {
                    Object::AddressClaim(found) => Some(found.spec.owner.uid.clone()),
                    _ => None,
                },
                _ => None,
            });
            let outcome = match owner == Some(mine) {
                true => Outcome::Done,
                false => Outcome::Conflict,
            };
            return Answer::Acted(target, outcome, events);
        }
        if let Action::EnsureChild {
            child,
            gateway,
            gateway_uid,
            ..
        } = &action
        {
            let key = crate::operator::event::Key {
                namespace: gateway.namespace.clone(),
                name: sluice_crds::names::child_name(&gateway.name),
            };
            let found = self.server.objects.get(&(Kind::Child, Some(*child), key));
            if let Some(Object::Child(found)) = found
                && found.gateway_uid != *gateway_uid
            {
                let events = vec![Event::Apply(Box::new(Object::Child(found.clone())))];
                return Answer::Acted(target, Outcome::Conflict, events);
            }
        }
        let (outcome, events) = self.server.execute(&action, &self.rendered);
        if outcome == Outcome::Conflict {
            self.sometimes("an operator's write meets another version");
        }
        Answer::Acted(target, outcome, events)
    }

    /// Its sender waits no longer: for it nobody knows whether it was done.
    pub fn give_up(&mut self, at: usize) {
        let Some(request) = self.requests.get_mut(at) else {
            return;
        };
        if request.orphan {
            return;
        }
        request.orphan = true;
        let request = request.clone();
        self.give_up_on(&request);
    }

    fn give_up_on(&mut self, request: &Request) {
        let error = || "no answer".to_owned();
        match request.from {
            Sender::Operator(who, life) => {
                if self.contenders[who].life != life {
                    return;
                }
                let now = self.millis();
                let target = match &request.body {
                    Body::Elect(_) => {
                        let contender = &mut self.contenders[who];
                        contender.electing = false;
                        contender.election.failed(now);
                        return;
                    }
                    Body::Act(action) => action.target().unwrap(),
                    Body::Status(kind, key, _) => Target::Status(*kind, key.clone()),
                    Body::Agent(_) | Body::Report(..) | Body::MakeReport => return,
                };
                self.ended(who, &target, &Outcome::Unknown(error()));
            }
            Sender::Agent(n, life) => {
                if self.machines[n].life != life || self.machines[n].process.is_none() {
                    return;
                }
                let event = match &request.body {
                    Body::MakeReport => {
                        let again = self.now + 500;
                        if let Some(process) = &mut self.machines[n].process {
                            process.make_at = Some(again);
                        }
                        return;
                    }
                    Body::Report(..) => agent::Event::Report(ReportAnswer::Failed(error())),
                    Body::Agent(action) => unanswered(action),
                    Body::Elect(_) | Body::Act(_) | Body::Status(..) => return,
                };
                self.tell(n, event);
            }
        }
    }

    fn ended(&mut self, who: usize, target: &Target, outcome: &Outcome) {
        let now = self.millis();
        let contender = &mut self.contenders[who];
        contender.operator.done(target, outcome, now);
        contender.busy.retain(|busy| busy != target);
        contender.stirred = true;
    }

    /// A request is lost on its way and never lands.
    pub fn lose(&mut self, at: usize) {
        if at < self.requests.len() {
            self.give_up(at);
            self.requests.remove(at);
        }
    }

    /// An answer arrives.
    pub fn reply(&mut self, at: usize) {
        if at >= self.replies.len() {
            return;
        }
        let reply = self.replies.remove(at);
        match reply.to {
            Sender::Operator(who, life) if self.contenders[who].life == life => {
                self.answer_operator(who, reply.body);
            }
            Sender::Agent(n, life) if self.machines[n].life == life => {
                self.answer_agent(n, reply.body);
            }
            Sender::Operator(..) | Sender::Agent(..) => {}
        }
    }

    fn answer_operator(&mut self, who: usize, answer: Answer) {
        let now = self.millis();
        let contender = &mut self.contenders[who];
        match answer {
            Answer::Read(record) => {
                contender.electing = false;
                contender.election.read(record, now);
            }
            Answer::Wrote(record, sent) => {
                contender.electing = false;
                contender
                    .election
                    .wrote(record, crate::operator::event::Millis(sent));
                contender.stirred = true;
            }
            Answer::Conflicted => {
                contender.electing = false;
                contender.election.conflicted();
            }
            Answer::Acted(target, outcome, events) => {
                if let Target::Read(Kind::Lease, key) = &target {
                    let shown = events.iter().find_map(|e| match e {
                        Event::Apply(o) => match o.as_ref() {
                            Object::Lease(lease) => Some(lease),
                            _ => None,
                        },
                        _ => None,
                    });
                    if let Some(lease) = shown {
                        let term = Term {
                            lease_uid: lease.uid.clone(),
                            transitions: lease.transitions,
                        };
                        let read = (lease.holder.clone(), term, now.0);
                        contender.reads.insert(key.clone(), read);
                    }
                }
                for event in events {
                    self.feed(who, event);
                }
                self.ended(who, &target, &outcome);
            }
            Answer::Told(..) | Answer::NotMade => {}
        }
    }

    fn answer_agent(&mut self, n: usize, answer: Answer) {
        match answer {
            Answer::Told(events, seen) => {
                if let (Some(process), Some(seen)) = (&mut self.machines[n].process, seen) {
                    process.report = Some(seen);
                }
                for event in events {
                    self.tell(n, event);
                }
            }
            Answer::NotMade => {
                let again = self.now + 500;
                if let Some(process) = &mut self.machines[n].process {
                    process.make_at = Some(again);
                }
                self.tell(n, agent::Event::Tick);
            }
            Answer::Read(_) | Answer::Wrote(..) | Answer::Conflicted | Answer::Acted(..) => {}
        }
    }
}

/// What an agent is told of an action that got no answer.
fn unanswered(action: &agent::Action) -> agent::Event {
    let error = "no answer".to_owned();
    match action {
        agent::Action::ReadHeader => agent::Event::HeaderRead(Err(error)),
        agent::Action::FetchSlices(_) => agent::Event::Slices {
            found: vec![],
            missing: vec![],
            error: Some(error),
        },
        agent::Action::ReadLease | agent::Action::WriteLease(_) => {
            agent::Event::LeaseAnswer(LeaseAnswer::Unknown(error))
        }
        agent::Action::Report(_) | agent::Action::ReadReport => {
            agent::Event::Report(ReportAnswer::Failed(error))
        }
        agent::Action::ReadPod => agent::Event::Pod(PodSeen::Unreachable),
        agent::Action::Kernel(_) | agent::Action::Exit => agent::Event::Tick,
    }
}
