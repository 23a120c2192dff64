//! Time passes; what may not take longer has then happened.

use k8s_openapi::jiff::Timestamp;

use super::contender::Watch;
use super::machine::{Look, Sight};
use super::wire::Sender;
use super::world::{ANSWER_MS, LAG_MS, WIRE_MS, World};
use crate::operator::event::Kind;

impl World {
    /// Whether a process takes in answers.
    pub fn hears(&self, who: Sender) -> bool {
        match who {
            Sender::Operator(who, _) => !self.contenders[who].paused,
            Sender::Agent(n, life) => {
                let machine = &self.machines[n];
                machine.life != life || !machine.frozen
            }
        }
    }

    /// Whether anything is held up on its way.
    pub fn is_slow(&self) -> bool {
        !self.late.is_empty()
            || self.requests.iter().any(|r| r.held)
            || self
                .machines
                .iter()
                .any(|m| !m.gone && m.late != [false; 2])
    }

    /// What all clocks on walls show: nobody relies on them, and who is slow shall be
    /// noticed.
    pub fn wall(&self) -> Timestamp {
        let begun = 1_700_000_000_000;
        Timestamp::from_millisecond(begun + i64::try_from(self.now).unwrap()).unwrap()
    }

    /// Lets time pass.
    pub fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.server.clock += 1;
        self.end_waits();
        self.end_lags();
    }

    /// Requests that are older than they can be land; nobody waits for ever.
    fn end_waits(&mut self) {
        let now = self.now;
        let waited = |since: u64, most: u64| now > since.saturating_add(most);
        while let Some(at) = self.requests.iter().position(|r| waited(r.since, WIRE_MS)) {
            self.land(at);
        }
        while let Some(at) = self
            .requests
            .iter()
            .position(|r| !r.orphan && waited(r.since, ANSWER_MS) && self.hears(r.from))
        {
            self.sometimes("a sender gives up, and its request lands later");
            self.give_up(at);
        }
        while let Some(at) = self
            .replies
            .iter()
            .position(|r| waited(r.since, ANSWER_MS) && self.hears(r.to))
        {
            self.reply(at);
        }
    }

    /// Watches that are whole show what is older than they can be late.
    fn end_lags(&mut self) {
        for who in 0..self.contenders.len() {
            if self.contenders[who].paused {
                continue;
            }
            for kind in Kind::ALL {
                let Some(Watch::Following(at)) = self.contenders[who].watches.get(&kind) else {
                    continue;
                };
                let overdue = self.overdue(kind, *at);
                if overdue > 0 {
                    self.sometimes("a watch is as late as it can be");
                    self.deliver(who, kind, overdue, false);
                }
            }
        }
        for n in self.living() {
            for sight in Sight::BOTH {
                while let Some(Look::Following(at)) = self.look_of(n, sight)
                    && self.overdue(sight.kind(), at) > 0
                    && self.show(n, sight, false)
                {}
            }
        }
    }

    fn look_of(&self, n: usize, sight: Sight) -> Option<Look> {
        let process = self.machines[n].process.as_ref()?;
        Some(process.looks[sight as usize].clone())
    }

    /// How many events of a kind from here on are older than a watch can be late.
    fn overdue(&self, kind: Kind, at: usize) -> usize {
        let times = self.times.get(&kind).map_or(&[][..], Vec::as_slice);
        let late = |time: &&u64| time.saturating_add(LAG_MS) < self.now;
        times.iter().skip(at).take_while(late).count()
    }
}
