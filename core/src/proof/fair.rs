//! All that can move moves, in turns, until nothing does; then the clock jumps.

use super::contender::Watch;
use super::kernel::Luck;
use super::machine::Sight;
use super::world::{NODES, World};
use crate::operator::event::Kind;

/// Rounds without a jump of the clock: more is a loop.
const ROUNDS_MAX: u32 = 3_000;

impl World {
    /// Everybody takes a turn; whether anything moved.
    pub fn round(&mut self) -> bool {
        let mut moved = false;
        for who in 0..self.contenders.len() {
            if self.contenders[who].paused {
                continue;
            }
            for kind in Kind::ALL {
                if matches!(self.contenders[who].watches.get(&kind), Some(Watch::Broken)) {
                    self.list(who, kind);
                }
                if !self.late.contains(&(who, kind)) {
                    moved |= self.deliver(who, kind, usize::MAX, false);
                }
            }
            moved |= self.elect(who);
            let now = self.millis();
            let contender = &self.contenders[who];
            let due = || {
                contender
                    .operator
                    .next_deadline(now)
                    .is_some_and(|at| at <= now)
            };
            if contender.stirred || due() {
                moved |= self.poll(who);
            }
            while let Some(at) =
                (0..self.contenders[who].queue.len()).find(|at| self.contenders[who].is_free(*at))
            {
                moved = true;
                self.send(who, at);
            }
        }
        while let Some(at) = self.requests.iter().position(|r| !r.held) {
            moved = true;
            self.land(at);
        }
        while let Some(at) = self.replies.iter().position(|r| self.hears(r.to)) {
            moved = true;
            self.reply(at);
        }
        for n in self.living() {
            for sight in Sight::BOTH {
                let late = self.machines[n].late[sight as usize];
                moved |= !late && self.has_news(n, sight) && self.show(n, sight, false);
            }
            moved |= self.tick(n);
            moved |= self.operate(n, Luck::Done);
            moved |= self.hear(n);
        }
        moved |= self.deploy(false) | self.place(0) | self.collect();
        for node in NODES {
            moved |= self.node_status(node) | self.kubelet(node);
        }
        self.look();
        moved
    }

    /// When something falls due by itself.
    pub fn due(&self) -> Option<u64> {
        let contenders = (0..self.contenders.len()).filter_map(|who| self.contender_due(who));
        let machines = (0..self.machines.len()).filter_map(|n| self.machine_due(n));
        contenders
            .map(|at| at.0)
            .chain(machines)
            .chain(self.kubelets_due())
            .min()
    }

    /// Lets everything go on for so long.
    pub fn go_on(&mut self, millis: u64) {
        let end = self.now + millis;
        let mut rounds = 0;
        while self.broken.is_none() {
            if self.round() {
                rounds += 1;
                if rounds > ROUNDS_MAX {
                    let busy = self.recent();
                    return self.violate(|| format!("comes to no rest: {busy}"));
                }
                continue;
            }
            rounds = 0;
            if self.now >= end {
                return;
            }
            let mut due = self.due().unwrap_or(end).clamp(self.now + 1, end);
            if self.is_slow() {
                due = due.min(self.now + 1_000);
            }
            self.pass(due - self.now);
        }
    }

    /// The last writes, for whoever reads of a failure.
    pub fn recent(&self) -> String {
        let from = self.server.writes.len().saturating_sub(16);
        let short = |write: &String| match write.split_once('{') {
            Some((what, status)) if what.starts_with("status") => {
                let reasons = status.split("\"reason\":\"").skip(1);
                let reasons: Vec<&str> = reasons.filter_map(|r| r.split('"').next()).collect();
                format!("{what}{}", reasons.join(" "))
            }
            _ => write.clone(),
        };
        let writes: Vec<String> = self.server.writes[from..].iter().map(short).collect();
        writes.join("\n  ")
    }

    /// Changes of everything but Leases: renewing one is no news.
    pub fn news(&self) -> usize {
        let log = self
            .server
            .log
            .iter()
            .filter(|(kind, _)| **kind != Kind::Lease);
        log.map(|(_, log)| log.len()).sum()
    }

    /// Goes on until nothing has been new for so long.
    pub fn settle(&mut self, quiet: u64) {
        let begun = self.now;
        loop {
            let before = self.news();
            self.go_on(quiet);
            if self.broken.is_some() || self.news() == before {
                return;
            }
            if self.now > begun + 20 * quiet + 600_000 {
                let busy = self.recent();
                return self.violate(|| format!("never settles: {busy}"));
            }
        }
    }
}
